//! Values that tests start from: an order, a flow, an exception, each right in every field.

use payhall::domain::audit::AuditEntry;
use payhall::domain::exception::{AlarmLevel, Exception, Phase};
use payhall::domain::flow::{Attempt, AttemptOutcome, Flow, FlowKind, FlowState, Operation};
use payhall::domain::ids::{AdapterName, BillNo, BillerCode, FlowNo, ItemCode, MerchantCode};
use payhall::domain::ids::{OrderNo, RequestNo};
use payhall::domain::money::{Currency, Money};
use payhall::domain::order::{Order, OrderState, fingerprint};
use payhall::domain::time::{BusinessDate, Instant};
use payhall::storage::{CaseMove, ExceptionMove, Move};
use uuid::Uuid;

/// An instant of a day in November, so many seconds after noon in Shanghai.
pub fn at(seconds: i64) -> Instant {
    let noon: Instant = "2026-11-22T04:00:00Z".parse().unwrap();
    noon + chrono::Duration::seconds(seconds)
}

/// The business date of [`at`].
pub fn date() -> BusinessDate {
    BusinessDate("2026-11-22".parse().unwrap())
}

/// A number that ends with these digits.
pub fn number(digits: u64) -> String {
    format!("20261122{digits:016}")
}

pub fn order_no(digits: u64) -> OrderNo {
    OrderNo::try_new(number(digits)).unwrap()
}

/// The version of the merchant of [`order`].
pub const MERCHANT_VERSION: i32 = 7;

/// Writes the merchant of [`order`] into a database that nobody brought it into.
pub fn merchant(database: &super::database::TestDatabase) {
    let row = format!(
        "INSERT INTO merchants (code, kind, state, registered_at, updated_at, version) \
         VALUES ('portal', 'CHANNEL', 'ACTIVE', 0, 0, {MERCHANT_VERSION}) \
         ON CONFLICT (code) DO NOTHING"
    );
    database.execute(&row).expect("the merchant is written");
}

/// An order that was just made; its bill and request are its own.
pub fn order(digits: u64) -> Order {
    let item = ItemCode::try_new("sh-telecom-topup").unwrap();
    let bill_no = BillNo::try_new(format!("{:011}", 13_000_000_000 + digits)).unwrap();
    let amount = Money::new(5_000, Currency::CNY);
    Order {
        order_no: order_no(digits),
        merchant: MerchantCode::try_new("portal").unwrap(),
        request_no: RequestNo::try_new(format!("R{digits}")).unwrap(),
        fingerprint: fingerprint(&item, &bill_no, amount),
        item,
        biller: BillerCode::try_new("sh-telecom").unwrap(),
        bill_no,
        bill_ref: None,
        amount,
        state: OrderState::Created,
        reason: None,
        business_date: date(),
        expires_at: at(7200),
        created_at: at(0),
        updated_at: at(0),
        version: 0,
    }
}

/// A move of an order to a state, so many seconds after [`at`], with its audit row and nothing else.
pub fn step(order: &Order, state: OrderState, seconds: i64) -> Move {
    let after = Order {
        state,
        version: order.version + 1,
        updated_at: at(seconds),
        ..order.clone()
    };
    Move {
        before: order.clone(),
        audits: vec![audit(&after, state.as_str())],
        after,
        permit: None,
        start: None,
        conclude: Vec::new(),
        attempts: Vec::new(),
        exception: ExceptionMove::Keep,
        case: CaseMove::Keep,
        notify: None,
        admission: None,
    }
}

/// The payment flow of an order, just started.
pub fn payment(order: &Order, digits: u64) -> Flow {
    Flow {
        flow_no: FlowNo::try_new(number(digits)).unwrap(),
        order_no: order.order_no.clone(),
        kind: FlowKind::Payment,
        step: 1,
        adapter: AdapterName::try_new("bank").unwrap(),
        amount: order.amount,
        state: FlowState::Started,
        code: None,
        upstream_ref: None,
        message: None,
        business_date: date(),
        started_at: at(1),
        concluded_at: None,
        version: 0,
    }
}

/// The exception of an order in doubt, due at once.
pub fn exception(order: &Order, flow: &Flow) -> Exception {
    Exception {
        exception_id: Uuid::now_v7(),
        order_no: order.order_no.clone(),
        payment_flow_no: flow.flow_no.clone(),
        reversal_flow_no: None,
        phase: Phase::Query,
        polls: 0,
        unknowns: 0,
        not_found: 0,
        tries: 0,
        last_outcome: None,
        payment_started_at: at(1),
        opened_at: at(2),
        phase_at: at(2),
        next_at: at(2),
        alarm: AlarmLevel::None,
        escalated: false,
        lease_owner: None,
        lease_until: None,
        fence: 0,
        closed_at: None,
        holder_lost: false,
    }
}

/// A query that brought nothing.
pub fn attempt(flow: &Flow) -> Attempt {
    Attempt {
        attempt_id: Uuid::now_v7(),
        flow_no: flow.flow_no.clone(),
        order_no: flow.order_no.clone(),
        operation: Operation::Query,
        outcome: AttemptOutcome::Unknown,
        code: Some("-1".to_owned()),
        cause: Some("the far side does not know".to_owned()),
        asked_at: at(2),
        answered_at: at(3),
        job_run: None,
    }
}

/// An audit entry about an order.
pub fn audit(order: &Order, action: &str) -> AuditEntry {
    AuditEntry {
        at: order.updated_at,
        actor: "system".to_owned(),
        action: action.to_owned(),
        subject_kind: "ORDER",
        subject: order.order_no.to_string(),
        before: None,
        after: Some(order.state.as_str().to_owned()),
        detail: None,
        request_id: None,
    }
}
