//! Bills as their billers know them.

use super::item::Item;
use super::money::Money;
use crate::engine::LookedUp;
use async_graphql::{ComplexObject, SimpleObject};

/// An open bill, as its biller told it a moment ago. It is for showing: the payment is checked
/// against the biller's own word.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Bill {
    #[graphql(skip)]
    looked_up: LookedUp,
    /// What it is a bill for.
    item: Item,
}

impl Bill {
    /// A bill with its item; the caller knows the biller.
    pub fn new(looked_up: LookedUp, item: Item) -> Self {
        Self { looked_up, item }
    }
}

#[ComplexObject]
impl Bill {
    /// The number that was asked about.
    async fn bill_no(&self) -> &str {
        self.looked_up.bill.bill_no.as_str()
    }

    /// What is due.
    async fn due(&self) -> Money {
        Money(self.looked_up.bill.due)
    }

    /// The period it is for, as the biller writes it.
    async fn period(&self) -> Option<&str> {
        self.looked_up.bill.period.as_deref()
    }

    /// The holder's name, masked by the biller.
    async fn holder_masked(&self) -> Option<&str> {
        self.looked_up.bill.holder_masked.as_deref()
    }

    /// The biller's reference that binds number and amount together.
    async fn bill_ref(&self) -> Option<&str> {
        self.looked_up.bill.bill_ref.as_deref()
    }
}
