//! Flows as they stand in the database, written there without an engine.

use crate::support::database::TestDatabase;
use payhall::domain::time::{BusinessDate, Instant};

/// A flow, with its order.
#[derive(Clone, Copy)]
pub struct Given {
    /// Counts the flows of a date.
    pub n: u64,
    /// Its date.
    pub date: &'static str,
    pub kind: &'static str,
    pub state: &'static str,
    pub amount_minor: i64,
    pub merchant: &'static str,
    pub biller: &'static str,
    /// Counts the orders: a reversal has its payment's.
    pub order: u64,
}

/// A payment that succeeded, of an order of its own.
pub const PAID: Given = Given {
    n: 1,
    date: "2026-11-22",
    kind: "PAYMENT",
    state: "SUCCEEDED",
    amount_minor: 10_000,
    merchant: "portal",
    biller: "sh-telecom",
    order: 1,
};

impl Given {
    /// Its number.
    pub fn flow_no(&self) -> String {
        format!("{}{:011}00007", self.date.replace('-', ""), self.n)
    }

    /// Writes it down.
    pub fn write(&self, database: &TestDatabase) {
        let (flow_no, order_no) = (self.flow_no(), format!("20261101{:016}", self.order));
        let Self {
            date,
            kind,
            state,
            amount_minor,
            merchant,
            biller,
            order,
            ..
        } = self;
        let concluded = match *state {
            "STARTED" => "NULL",
            _ => "1764000000000000",
        };
        let bill_no = format!("{}", 13_000_000_000 + order);
        database
            .execute(&format!(
                "INSERT INTO orders (order_no, merchant, request_no, fingerprint, item, biller, \
                 bill_no, amount_minor, currency, state, business_date, expires_at, created_at, \
                 updated_at, version) VALUES ('{order_no}', '{merchant}', 'r{order}', 'f', \
                 'sh-telecom-topup', '{biller}', '{bill_no}', {amount_minor}, 'CNY', 'SUCCEEDED', \
                 '{date}', 0, 0, 0, 1) ON CONFLICT (order_no) DO NOTHING; \
                 INSERT INTO flows (flow_no, order_no, merchant, biller, bill_no, kind, step, \
                 adapter, amount_minor, currency, state, upstream_ref, business_date, started_at, \
                 concluded_at, version) VALUES ('{flow_no}', '{order_no}', '{merchant}', \
                 '{biller}', '{bill_no}', '{kind}', 1, 'bank', {amount_minor}, 'CNY', '{state}', \
                 'B{order}', '{date}', 1763990000000000, {concluded}, 1)"
            ))
            .expect("the flow is written");
    }
}

/// An instant.
pub fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

/// A date.
pub fn day(text: &str) -> BusinessDate {
    BusinessDate(text.parse().unwrap())
}

/// A contract of portal and sh-telecom.
pub fn contract(database: &TestDatabase, from: &str, basis_points: i32, fixed_minor: i64) {
    let row = format!(
        "INSERT INTO contracts (merchant, biller, currency, valid_from, basis_points, fixed_minor) \
         VALUES ('portal', 'sh-telecom', 'CNY', '{from}', {basis_points}, {fixed_minor})"
    );
    database.execute(&row).expect("the contract is written");
}
