//! Orders.

use super::flow::Flow;
use super::money::Money;
use super::scalars::Date;
use super::{invalid, parse};
use crate::api::errors::Problem;
use crate::api::loaders::Flows;
use crate::domain::ids::{BillNo, BillerCode, MerchantCode};
use crate::domain::order;
use crate::domain::refusal::Refusal;
use crate::domain::time::Instant;
use crate::storage::orders::Filter;
use async_graphql::{Context, Description, Enum, InputObject, Object, Result};

/// Where an order stands (订单状态). `SUCCEEDED`, `FAILED`, `REVERSED` and `CLOSED` are final.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "order::OrderState")]
pub enum OrderState {
    /// Made, not confirmed: nothing was sent.
    Created,
    /// Confirmed; the bank is being called.
    Paying,
    /// The bank may or may not have paid; the center goes on asking.
    Unknown,
    /// Paid.
    Succeeded,
    /// Known not to be paid; `reason` says why.
    Failed,
    /// The payment is being undone (冲正).
    Reversing,
    /// Undone: no money has moved in the end.
    Reversed,
    /// Neither asking nor undoing brought an answer; a person finds out.
    Manual,
    /// Never sent: expired or cancelled.
    Closed,
}

/// An order (订单): one bill to be paid once.
#[derive(Description)]
pub struct Order(pub order::Order);

#[Object(use_type_description)]
impl Order {
    /// Its number: 24 digits, beginning with the business date.
    async fn order_no(&self) -> &str {
        self.0.order_no.as_str()
    }

    /// The code of the merchant that made it.
    async fn merchant(&self) -> &str {
        self.0.merchant.as_str()
    }

    /// The merchant's own number of the request that made it.
    async fn request_no(&self) -> &str {
        self.0.request_no.as_str()
    }

    /// The code of the item that is paid.
    async fn item(&self) -> &str {
        self.0.item.as_str()
    }

    /// The code of the biller that is paid.
    async fn biller(&self) -> &str {
        self.0.biller.as_str()
    }

    /// The biller's number of the bill.
    async fn bill_no(&self) -> &str {
        self.0.bill_no.as_str()
    }

    /// How much.
    async fn amount(&self) -> Money {
        Money(self.0.amount)
    }

    /// Where it stands.
    async fn state(&self) -> OrderState {
        self.0.state.into()
    }

    /// Why it failed or was closed, as a word for programs.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// The business date on which it was made.
    async fn business_date(&self) -> Date {
        Date(self.0.business_date)
    }

    /// Until when it can be confirmed.
    async fn expires_at(&self) -> Instant {
        self.0.expires_at
    }

    /// When it was made.
    async fn created_at(&self) -> Instant {
        self.0.created_at
    }

    /// When it last moved.
    async fn updated_at(&self) -> Instant {
        self.0.updated_at
    }

    /// Counts its moves; a copy with a lower one is older.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// The money instructions that were sent out for it, oldest first.
    #[graphql(complexity = "3 + 2 * child_complexity")]
    async fn flows(&self, ctx: &Context<'_>) -> Result<Vec<Flow>> {
        let flows = ctx.data_opt::<Flows>().ok_or(Problem::NotWired)?;
        let found = flows.load_one(self.0.order_no.clone()).await?;
        Ok(found.unwrap_or_default().into_iter().map(Flow).collect())
    }
}

/// Which orders a listing holds; what is left out does not narrow it.
#[derive(Default, InputObject)]
pub struct OrderFilter {
    /// Only orders in these states.
    states: Option<Vec<OrderState>>,
    /// Only orders of this merchant; a merchant sees its own in any case.
    merchant: Option<String>,
    /// Only orders of this biller.
    biller: Option<String>,
    /// Only orders of this bill number.
    bill_no: Option<String>,
    /// Only orders of this business date or later.
    from: Option<Date>,
    /// Only orders of this business date or earlier.
    to: Option<Date>,
}

impl TryFrom<OrderFilter> for Filter {
    type Error = Refusal;

    fn try_from(filter: OrderFilter) -> Result<Self, Refusal> {
        let states = filter.states.unwrap_or_default().into_iter();
        checked(Filter {
            states: words(
                states
                    .map(order::OrderState::from)
                    .map(order::OrderState::as_str),
            ),
            merchant: filter.merchant,
            biller: filter.biller,
            bill_no: filter.bill_no,
            from: filter.from.map(|date| date.0),
            to: filter.to.map(|date| date.0),
        })
    }
}

/// A filter whose codes are codes and whose days are in order; what cannot be asked for is refused
/// here by its name, before a database has to refuse it in its own words.
pub(super) fn checked(filter: Filter) -> Result<Filter, Refusal> {
    if let Some(text) = &filter.merchant {
        parse::<MerchantCode>("merchant", text)?;
    }
    if let Some(text) = &filter.biller {
        parse::<BillerCode>("biller", text)?;
    }
    if let Some(text) = &filter.bill_no {
        parse::<BillNo>("billNo", text)?;
    }
    match (filter.from, filter.to) {
        (Some(from), Some(to)) if from > to => {
            Err(invalid("from", "from has to be the day of to, or earlier"))
        }
        _ => Ok(filter),
    }
}

/// Each word once: a list that repeats itself must not make a longer statement.
pub(super) fn words(words: impl Iterator<Item = &'static str>) -> Vec<String> {
    let mut all: Vec<String> = words.map(str::to_owned).collect();
    all.sort_unstable();
    all.dedup();
    all
}
