//! The flows of a business day, handed out one by one in the order of their numbers, however many there are.
//!
//! PostgreSQL copies them out as `psql \copy` does, which is the fastest that it has: nothing is decoded
//! twice, and no row is kept. COPY takes no parameters, so the question reads them from the session's own
//! settings, where they were put by a statement that does take some. SQLite is asked page by page.
//!
//! How one could break it: by putting a value into the text of the question; by reading a page's rows by
//! place instead of by number, which skips a row when one comes in meanwhile.

mod copied;
mod lines;
mod paged;

pub use copied::OF_MERCHANT;
pub use lines::{DayLine, amounts_of, lines_of};

use super::connection::AnyConnection;
use super::error::StoreError;
use crate::domain::flow::{FlowKind, FlowState};
use crate::domain::statement::{DayFlow, StatementKey};
use crate::domain::time::BusinessDate;

/// Which flows of a day.
#[derive(Clone, Debug)]
pub enum DayFlows {
    /// Those of a statement, with what their orders say beside them.
    Of(StatementKey),
    /// All of a day; of their orders nothing is told.
    All(BusinessDate),
}

/// Why a pass over the flows ended early.
#[derive(Debug)]
pub enum Interrupted<E> {
    /// The database failed, or a row cannot be read.
    Store(StoreError),
    /// Whoever takes the flows had enough.
    Taker(E),
}

impl<E> From<StoreError> for Interrupted<E> {
    fn from(error: StoreError) -> Self {
        Interrupted::Store(error)
    }
}

impl<E> From<diesel::result::Error> for Interrupted<E> {
    fn from(error: diesel::result::Error) -> Self {
        Interrupted::Store(error.into())
    }
}

/// What stands in a question between `SELECT` and the end of its conditions.
macro_rules! question {
    (bare) => {
        "f.flow_no, f.order_no, f.merchant, f.biller, f.bill_no, f.kind, f.state, f.amount_minor, \
         f.currency, f.upstream_ref, f.started_at, f.concluded_at, f.version, \
         CASE WHEN f.kind = 'REVERSAL' THEN (SELECT p.flow_no FROM flows p WHERE \
         p.order_no = f.order_no AND p.kind = 'PAYMENT' AND p.step = 1) ELSE '' END AS payment_flow_no, \
         '' AS request_no, '' AS item FROM flows f WHERE f.state <> 'STARTED'"
    };
    (full) => {
        "f.flow_no, f.order_no, f.merchant, f.biller, f.bill_no, f.kind, f.state, f.amount_minor, \
         f.currency, f.upstream_ref, f.started_at, f.concluded_at, f.version, \
         CASE WHEN f.kind = 'REVERSAL' THEN (SELECT p.flow_no FROM flows p WHERE \
         p.order_no = f.order_no AND p.kind = 'PAYMENT' AND p.step = 1) ELSE '' END AS payment_flow_no, \
         o.request_no, o.item FROM flows f JOIN orders o ON o.order_no = f.order_no \
         WHERE f.state <> 'STARTED'"
    };
}

use question;

impl DayFlows {
    fn date(&self) -> BusinessDate {
        match self {
            DayFlows::Of(key) => key.date,
            DayFlows::All(date) => *date,
        }
    }
}

/// Hands out the flows that have concluded, sorted by number; tells how many there were.
///
/// # Errors
/// The database failed, a row cannot be read, or `take` had enough. Then the connection is in the middle of
/// something, and has to be given up: this is for [`crate::storage::Store::scan`] alone.
pub fn each<E>(
    c: &mut AnyConnection,
    flows: &DayFlows,
    take: &mut dyn FnMut(&DayFlow<'_>) -> Result<(), E>,
) -> Result<u64, Interrupted<E>> {
    match c {
        AnyConnection::Postgres(c) => copied::each(c, flows, take),
        AnyConnection::Sqlite(c) => paged::each(c, flows, take),
    }
}

fn kind_of(flow_no: &str, word: &str) -> Result<FlowKind, StoreError> {
    word.parse()
        .map_err(|error: crate::domain::UnknownName| corrupt(flow_no, &error.to_string()))
}

fn state_of(flow_no: &str, word: &str) -> Result<FlowState, StoreError> {
    word.parse()
        .map_err(|error: crate::domain::UnknownName| corrupt(flow_no, &error.to_string()))
}

fn corrupt(flow_no: &str, why: &str) -> StoreError {
    StoreError::Corrupt {
        table: "flows",
        key: flow_no.to_owned(),
        why: why.to_owned(),
    }
}
