//! Orders, flows and bills for the tests of this room; each call makes a new number.

use super::CacheSettings;
use crate::domain::bill::Bill;
use crate::domain::flow::{Flow, FlowKind, FlowState};
use crate::domain::ids::{
    AdapterName, BillNo, BillerCode, FlowNo, ItemCode, MerchantCode, OrderNo, RequestNo,
};
use crate::domain::money::{Currency, Money};
use crate::domain::order::{Order, OrderState};
use crate::domain::time::{BusinessDate, Instant};

fn number() -> String {
    format!("{:024}", rand::random::<u64>())
}

/// When the caches of the tests start.
pub(super) fn start() -> Instant {
    "2026-11-22T04:05:06.000006Z".parse().unwrap()
}

fn at() -> Instant {
    "2026-11-22T04:05:06.000007Z".parse().unwrap()
}

pub(super) fn order_at(version: i32, state: OrderState) -> Order {
    Order {
        order_no: OrderNo::try_new(number()).unwrap(),
        merchant: MerchantCode::try_new("portal").unwrap(),
        request_no: RequestNo::try_new("r-1").unwrap(),
        fingerprint: "f".repeat(64),
        item: ItemCode::try_new("bj-power-bill").unwrap(),
        biller: BillerCode::try_new("bj-power").unwrap(),
        bill_no: BillNo::try_new("0012345678").unwrap(),
        bill_ref: Some("ref|with a bar".to_owned()),
        amount: Money::new(12_345, Currency::CNY),
        state,
        reason: None,
        business_date: BusinessDate(at().date_naive()),
        expires_at: at(),
        created_at: at(),
        updated_at: at(),
        version,
    }
}

pub(super) fn flow_at(version: i32, state: FlowState) -> Flow {
    Flow {
        flow_no: FlowNo::try_new(number()).unwrap(),
        order_no: OrderNo::try_new(number()).unwrap(),
        kind: FlowKind::Payment,
        step: 1,
        adapter: AdapterName::try_new("bank").unwrap(),
        amount: Money::new(12_345, Currency::CNY),
        state,
        code: Some("1".to_owned()),
        upstream_ref: None,
        message: Some("已受理".to_owned()),
        business_date: BusinessDate(at().date_naive()),
        started_at: at(),
        concluded_at: None,
        version,
    }
}

pub(super) fn some_bill() -> Bill {
    Bill {
        bill_no: BillNo::try_new(number()).unwrap(),
        due: Money::new(8_800, Currency::CNY),
        period: Some("2026-10".to_owned()),
        holder_masked: Some("张*".to_owned()),
        bill_ref: Some("b-1".to_owned()),
    }
}

/// The defaults with another URL, and with deadlines that a busy machine does not miss.
pub(super) fn patient(url: &str) -> CacheSettings {
    CacheSettings {
        url: url.into(),
        command_timeout_ms: 20_000,
        ..CacheSettings::default()
    }
}
