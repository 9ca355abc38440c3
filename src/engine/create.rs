//! Makes an order: idempotent by the merchant's request number.

use super::{Actor, Engine, EngineError};
use crate::domain::exception::later;
use crate::domain::ids::{BillNo, ItemCode, MerchantCode, RequestNo};
use crate::domain::item::{Item, ItemMode};
use crate::domain::merchant::MerchantState;
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderState, fingerprint};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::storage::{Created, NewOrder, orders};

/// What an order is made of.
#[derive(Clone, Debug)]
pub struct CreateInput {
    /// Who sells.
    pub merchant: MerchantCode,
    /// The merchant's own number of this request.
    pub request_no: RequestNo,
    /// What is paid.
    pub item: ItemCode,
    /// Which bill.
    pub bill_no: BillNo,
    /// How much.
    pub amount: Money,
}

impl Engine {
    /// Makes an order, or answers with the one that the same request made before.
    ///
    /// # Errors
    /// A refusal for anything that is wrong with the request; `REQUEST_CONFLICT` when the request
    /// number was used for other content; a fault when storage fails.
    pub async fn create(&self, input: CreateInput, actor: &Actor) -> Result<Order, EngineError> {
        match self.check_new(&input).await {
            Ok(bill_ref) => self.insert(&input, bill_ref, actor).await,
            Err(EngineError::Refused(refusal)) => self.first_answer(&input, refusal).await,
            Err(fault) => Err(fault),
        }
    }

    /// Everything that can be wrong with a new order; gives the reference that binds the bill.
    async fn check_new(&self, input: &CreateInput) -> Result<Option<String>, EngineError> {
        let catalogue = self.catalogue();
        self.check_merchant(&input.merchant)?;
        let item = self.payable_item(&catalogue, &input.item)?;
        check_bill_no(item, &input.bill_no)?;
        let (due, bill_ref) = match item.mode {
            ItemMode::Direct => (None, None),
            ItemMode::Lookup => {
                let bill = self.bill_of(item, &input.bill_no).await?;
                (Some(bill.due), bill.bill_ref)
            }
        };
        check_amount(item, input.amount, due)?;
        Ok(bill_ref)
    }

    async fn insert(
        &self,
        input: &CreateInput,
        bill_ref: Option<String>,
        actor: &Actor,
    ) -> Result<Order, EngineError> {
        let catalogue = self.catalogue();
        let item = self.payable_item(&catalogue, &input.item)?;
        let now = self.now();
        let (business_date, order_no) = self.0.numbers.order(now);
        let order = Order {
            merchant: input.merchant.clone(),
            request_no: input.request_no.clone(),
            fingerprint: fingerprint(&input.item, &input.bill_no, input.amount),
            item: input.item.clone(),
            biller: item.biller.clone(),
            bill_no: input.bill_no.clone(),
            bill_ref,
            amount: input.amount,
            state: OrderState::Created,
            reason: None,
            business_date,
            expires_at: later(now, self.0.options.order_expiry),
            created_at: now,
            updated_at: now,
            version: 0,
            order_no,
        };
        let mut audit = self.audit(now, actor, "CREATED");
        audit.subject = order.order_no.to_string();
        audit.after = Some(OrderState::Created.as_str().to_owned());
        match self
            .0
            .store
            .create(NewOrder {
                order: order.clone(),
                audit,
            })
            .await?
        {
            Created::New => {
                metrics::counter!("payhall_orders_total", "outcome" => "CREATED").increment(1);
                Ok(order)
            }
            Created::Same(first) => Ok(first),
            Created::Differs(first) => Err(conflict(&first).into()),
        }
    }

    /// A repeated request gets its first answer, even if the same order could not be made today.
    async fn first_answer(
        &self,
        input: &CreateInput,
        refusal: Refusal,
    ) -> Result<Order, EngineError> {
        let (merchant, request_no) = (input.merchant.clone(), input.request_no.clone());
        let first = self
            .0
            .store
            .read(move |c| orders::find_by_request(c, &merchant, &request_no))
            .await?;
        match first {
            None => Err(refusal.into()),
            Some(first)
                if first.fingerprint == fingerprint(&input.item, &input.bill_no, input.amount) =>
            {
                Ok(first)
            }
            Some(first) => Err(conflict(&first).into()),
        }
    }

    /// Refuses a merchant that may not make orders.
    pub(super) fn check_merchant(&self, code: &MerchantCode) -> Result<(), Refusal> {
        let catalogue = self.catalogue();
        let merchant = catalogue.merchant(code).ok_or_else(|| {
            Refusal::new(
                RefusalCode::MerchantNotFound,
                format!("merchant {code} is not registered"),
            )
        })?;
        match merchant.state {
            MerchantState::Active => Ok(()),
            MerchantState::Suspended => Err(Refusal::new(
                RefusalCode::MerchantSuspended,
                format!("merchant {code} is suspended: it may not make new orders"),
            )
            .later()),
        }
    }
}

/// Refuses a bill number that breaks the item's rule, with the hint; nobody is called.
pub(super) fn check_bill_no(item: &Item, bill_no: &BillNo) -> Result<(), Refusal> {
    let rule = &item.bill_no_rule;
    if rule.accepts(bill_no) {
        return Ok(());
    }
    let message = format!(
        "{bill_no} is not a bill number of {}: {} / {}",
        item.code, rule.hint_zh, rule.hint_en
    );
    Err(Refusal::new(RefusalCode::BillNoInvalid, message).on("billNo"))
}

/// Refuses an amount that breaks the item's rule.
pub(super) fn check_amount(item: &Item, amount: Money, due: Option<Money>) -> Result<(), Refusal> {
    item.amount_rule
        .check(item.currency, amount, due)
        .map_err(|error| Refusal::new(RefusalCode::AmountInvalid, error.to_string()).on("amount"))
}

fn conflict(first: &Order) -> Refusal {
    Refusal::new(
        RefusalCode::RequestConflict,
        format!(
            "request number {} was used for other content, by order {}; use a new number for a new \
             order",
            first.request_no, first.order_no
        ),
    )
    .on("requestNo")
    .see(first.order_no.clone())
}
