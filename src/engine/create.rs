//! Makes an order: idempotent by the merchant's request number.

use super::onboard::not_registered;
use super::{Actor, Engine, EngineError, Pass};
use crate::domain::exception::later;
use crate::domain::ids::{BillNo, ItemCode, MerchantCode, RequestNo};
use crate::domain::item::{Item, ItemMode};
use crate::domain::merchant::{Limits, Merchant};
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderState, fingerprint};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::storage::{Created, NewOrder, StoreError, orders};

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
    /// What lets a signed request in together with its order; none for what was let in before.
    pub pass: Option<Pass>,
}

/// What a merchant allows, as it was checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// The merchant's version that allows it.
    pub version: i32,
    /// Its limits.
    pub limits: Limits,
}

/// What stands for a new order when everything is checked.
struct Checked {
    merchant_version: i32,
    bill_ref: Option<String>,
}

/// How often an order whose merchant changes meanwhile is checked anew.
pub(super) const ROUNDS_MAX: u32 = 4;

impl Engine {
    /// Makes an order, or answers with the one that the same request made before.
    ///
    /// # Errors
    /// A refusal for anything that is wrong with the request; `REQUEST_CONFLICT` when the request
    /// number was used for other content; a fault when storage fails.
    pub async fn create(&self, input: CreateInput, actor: &Actor) -> Result<Order, EngineError> {
        for _ in 0..ROUNDS_MAX {
            let made = match self.check_new(&input).await {
                Ok(checked) => self.insert(&input, checked, actor).await?,
                Err(EngineError::Refused(refusal)) => {
                    return self.first_answer(&input, refusal).await;
                }
                Err(fault) => return Err(fault),
            };
            match made {
                Some(order) => return Ok(order),
                None => drop(self.refresh_catalogue().await?),
            }
        }
        Err(changes_all_the_time(&input.merchant))
    }

    /// Everything that can be wrong with a new order; gives what binds the merchant and the bill.
    async fn check_new(&self, input: &CreateInput) -> Result<Checked, EngineError> {
        self.check_merchant(&input.merchant, Merchant::check_state)
            .await?;
        let catalogue = self.catalogue();
        let item = self.payable_item(&catalogue, &input.item)?;
        check_bill_no(item, &input.bill_no)?;
        let allows = |merchant: &Merchant| merchant.check_order(item, input.amount);
        let allowance = self.check_merchant(&input.merchant, allows).await?;
        let (due, bill_ref) = match item.mode {
            ItemMode::Direct => (None, None),
            ItemMode::Lookup => {
                let bill = self.bill_of(item, &input.bill_no).await?;
                (Some(bill.due), bill.bill_ref)
            }
        };
        check_amount(item, input.amount, due)?;
        Ok(Checked {
            merchant_version: allowance.version,
            bill_ref,
        })
    }

    /// Writes the order; none where its merchant has changed since it was checked.
    async fn insert(
        &self,
        input: &CreateInput,
        checked: Checked,
        actor: &Actor,
    ) -> Result<Option<Order>, EngineError> {
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
            bill_ref: checked.bill_ref,
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
        let made = self
            .0
            .store
            .create(NewOrder {
                order: order.clone(),
                merchant_version: checked.merchant_version,
                audit,
                admission: input.pass.as_ref().and_then(Pass::admission),
            })
            .await?;
        if !matches!(made, Created::Denied(_)) {
            input.pass.iter().for_each(Pass::used);
        }
        match made {
            Created::New => {
                metrics::counter!("payhall_orders_total", "outcome" => "CREATED").increment(1);
                Ok(Some(order))
            }
            Created::Same(first) => Ok(Some(first)),
            Created::Differs(first) => Err(conflict(&first).into()),
            Created::Stale => Ok(None),
            Created::Denied(why) => Err(EngineError::NotLetIn(why)),
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

    /// Asks a merchant whether something is allowed. What this replica knows of it may be old: a
    /// refusal is looked at again with what the database has. (What is allowed by old knowledge is
    /// refused by the database itself.)
    pub(super) async fn check_merchant(
        &self,
        code: &MerchantCode,
        check: impl Fn(&Merchant) -> Result<(), Refusal>,
    ) -> Result<Allowance, EngineError> {
        let ask = || {
            let catalogue = self.catalogue();
            let merchant = catalogue
                .merchant(code)
                .ok_or_else(|| not_registered(code))?;
            check(merchant)?;
            Ok(Allowance {
                version: merchant.version,
                limits: merchant.limits(),
            })
        };
        match ask() {
            Err(_) if self.refresh_catalogue().await? => Ok(ask()?),
            answer => answer.map_err(EngineError::Refused),
        }
    }
}

/// The fault when a merchant never stands still long enough to be checked.
pub(super) fn changes_all_the_time(code: &MerchantCode) -> EngineError {
    StoreError::GaveWay(format!("merchant {code} changes all the time")).into()
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
