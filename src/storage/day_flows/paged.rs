//! The flows of a day as SQLite is asked for them: page by page, in one transaction.

use super::{DayFlows, Interrupted, corrupt, kind_of, question, state_of};
use crate::domain::money::Currency;
use crate::domain::statement::{DayFlow, PartyKind};
use crate::storage::business_days::stretch_of;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

/// How many rows are asked for at once.
const PAGE: i64 = 2_000;

#[derive(QueryableByName)]
struct PageRow {
    #[diesel(sql_type = Text)]
    flow_no: String,
    #[diesel(sql_type = Text)]
    order_no: String,
    #[diesel(sql_type = Text)]
    merchant: String,
    #[diesel(sql_type = Text)]
    biller: String,
    #[diesel(sql_type = Text)]
    bill_no: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    amount_minor: i64,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Nullable<Text>)]
    upstream_ref: Option<String>,
    #[diesel(sql_type = BigInt)]
    started_at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    concluded_at: Option<i64>,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Nullable<Text>)]
    payment_flow_no: Option<String>,
    #[diesel(sql_type = Text)]
    request_no: String,
    #[diesel(sql_type = Text)]
    item: String,
}

/// The questions that SQLite is asked: a page of rows after a number.
const PAGES: [&str; 3] = [
    concat!(
        "SELECT ",
        question!(bare),
        " AND f.flow_no > ? AND f.flow_no < ? AND ? = ? ORDER BY f.flow_no LIMIT ?"
    ),
    concat!(
        "SELECT ",
        question!(full),
        " AND f.flow_no > ? AND f.flow_no < ? AND f.currency = ? AND f.merchant = ? \
         ORDER BY f.flow_no LIMIT ?"
    ),
    concat!(
        "SELECT ",
        question!(full),
        " AND f.flow_no > ? AND f.flow_no < ? AND f.currency = ? AND f.biller = ? \
         ORDER BY f.flow_no LIMIT ?"
    ),
];

pub(super) fn each<E>(
    c: &mut SqliteConnection,
    flows: &DayFlows,
    take: &mut dyn FnMut(&DayFlow<'_>) -> Result<(), E>,
) -> Result<u64, Interrupted<E>> {
    let (mut after, to) = stretch_of(flows.date());
    let (question, currency, party) = match flows {
        DayFlows::All(_) => (PAGES[0], "", ""),
        DayFlows::Of(key) => {
            let question = match key.party.kind {
                PartyKind::Merchant => PAGES[1],
                PartyKind::Biller => PAGES[2],
            };
            (question, key.currency.code(), key.party.code.as_str())
        }
    };
    // One transaction, so that all pages show the same moment.
    let mut end = None;
    let passed = c.transaction(|c| {
        let mut rows = 0;
        loop {
            let page: Vec<PageRow> = diesel::sql_query(question)
                .bind::<Text, _>(&after)
                .bind::<Text, _>(&to)
                .bind::<Text, _>(currency)
                .bind::<Text, _>(party)
                .bind::<BigInt, _>(PAGE)
                .load(c)?;
            for row in &page {
                if let Err(error) = hand_out_row(row, take) {
                    end = Some(error);
                    return Err(diesel::result::Error::RollbackTransaction);
                }
                rows += 1;
            }
            match page.into_iter().last() {
                Some(last) => after = last.flow_no,
                None => return Ok(rows),
            }
        }
    });
    match (passed, end) {
        (Err(_), Some(error)) => Err(error),
        (passed, _) => Ok(passed?),
    }
}

fn hand_out_row<E>(
    row: &PageRow,
    take: &mut dyn FnMut(&DayFlow<'_>) -> Result<(), E>,
) -> Result<(), Interrupted<E>> {
    let flow = DayFlow {
        flow_no: &row.flow_no,
        order_no: &row.order_no,
        merchant: &row.merchant,
        biller: &row.biller,
        bill_no: &row.bill_no,
        kind: kind_of(&row.flow_no, &row.kind)?,
        state: state_of(&row.flow_no, &row.state)?,
        amount_minor: row.amount_minor,
        currency: Currency::try_new(&row.currency)
            .map_err(|error| corrupt(&row.flow_no, &error.to_string()))?,
        upstream_ref: row.upstream_ref.as_deref().unwrap_or_default(),
        started_at: row.started_at,
        concluded_at: row.concluded_at,
        version: row.version,
        payment_flow_no: row.payment_flow_no.as_deref().unwrap_or_default(),
        request_no: &row.request_no,
        item: &row.item,
    };
    take(&flow).map_err(Interrupted::Taker)
}
