//! Looks a bill up at its biller, with a short cache.

use super::create::check_bill_no;
use super::{Engine, EngineError};
use crate::domain::bill::{Bill, LookupError};
use crate::domain::catalogue::Catalogue;
use crate::domain::ids::{BillNo, ItemCode};
use crate::domain::item::{Item, ItemMode};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::upstream::Adapter;
use std::sync::Arc;

/// A bill together with what it is a bill for.
#[derive(Clone, Debug, PartialEq)]
pub struct LookedUp {
    /// The item.
    pub item: Item,
    /// The bill.
    pub bill: Bill,
}

impl Engine {
    /// The open bill of an item.
    ///
    /// # Errors
    /// A refusal when the item is off or has no bills, the number breaks the rule (nobody is called
    /// then), the biller has no such bill, it is paid, or the biller gave no usable answer.
    pub async fn lookup(&self, item: &ItemCode, bill_no: &BillNo) -> Result<LookedUp, EngineError> {
        let catalogue = self.catalogue();
        let item = self.payable_item(&catalogue, item)?;
        if item.mode != ItemMode::Lookup {
            return Err(Refusal::new(
                RefusalCode::ItemNotLookedUp,
                format!(
                    "{} is paid without a bill: make the order with an amount",
                    item.code
                ),
            )
            .on("item")
            .into());
        }
        check_bill_no(item, bill_no)?;
        let bill = self.bill_of(item, bill_no).await?;
        Ok(LookedUp {
            item: item.clone(),
            bill,
        })
    }

    /// An item that can be paid now.
    pub(super) fn payable_item<'a>(
        &self,
        catalogue: &'a Catalogue,
        code: &ItemCode,
    ) -> Result<&'a Item, Refusal> {
        let item = catalogue.item(code).ok_or_else(|| {
            Refusal::new(
                RefusalCode::ItemNotFound,
                format!("there is no item {code}"),
            )
            .on("item")
        })?;
        if !item.enabled {
            let message = format!("{code} cannot be paid at present");
            return Err(Refusal::new(RefusalCode::ItemOff, message)
                .on("item")
                .later());
        }
        Ok(item)
    }

    /// The adapter of an item.
    pub(super) fn adapter_of(&self, item: &Item) -> Result<Arc<Adapter>, Refusal> {
        self.0.upstreams.get(&item.adapter).cloned().ok_or_else(|| {
            let message = format!(
                "{} is paid through adapter {}, which is not in the settings",
                item.code, item.adapter
            );
            Refusal::new(RefusalCode::AdapterMissing, message)
                .on("item")
                .later()
        })
    }

    /// The bill, from the short cache or the biller: good for showing and for making an order whose
    /// payment carries the reference, never for the amount of a payment by itself.
    pub(super) async fn bill_of(&self, item: &Item, bill_no: &BillNo) -> Result<Bill, EngineError> {
        if let Some(bill) = self.0.cache.bill(&item.biller, bill_no).await {
            return Ok(bill);
        }
        self.fresh_bill_of(item, bill_no).await
    }

    /// The bill, from the biller.
    pub(super) async fn fresh_bill_of(
        &self,
        item: &Item,
        bill_no: &BillNo,
    ) -> Result<Bill, EngineError> {
        let adapter = self.adapter_of(item)?;
        let found = adapter
            .billers
            .lookup(&item.biller, bill_no, item.currency)
            .await;
        let bill = found.map_err(|error| refusal(item, bill_no, &error))?;
        self.0.cache.keep_bill(&item.biller, bill.clone());
        Ok(bill)
    }
}

fn refusal(item: &Item, bill_no: &BillNo, error: &LookupError) -> Refusal {
    let code = match error {
        LookupError::NotFound => RefusalCode::BillNotFound,
        LookupError::AlreadyPaid => RefusalCode::BillAlreadyPaid,
        LookupError::Refused { .. } => RefusalCode::BillRefused,
        LookupError::Unavailable { .. } => RefusalCode::BillUnavailable,
    };
    let refusal =
        Refusal::new(code, format!("bill {bill_no} of {}: {error}", item.code)).on("billNo");
    if code == RefusalCode::BillUnavailable {
        refusal.later()
    } else {
        refusal
    }
}
