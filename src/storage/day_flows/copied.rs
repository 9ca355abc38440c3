//! The flows of a day as PostgreSQL copies them out.

use super::{DayFlows, Interrupted, corrupt, kind_of, question, state_of};
use crate::domain::money::Currency;
use crate::domain::statement::{DayFlow, PartyKind};
use crate::storage::business_days::stretch_of;
use crate::storage::error::StoreError;
use diesel::connection::SimpleConnection;
use diesel::pg::{CopyTarget, Pg};
use diesel::prelude::*;
use diesel::query_builder::AstPass;
use diesel::sql_types::Text;
use std::borrow::Cow;
use std::io::BufRead;

/// Where PostgreSQL's session keeps what a question asks for.
macro_rules! between {
    () => {
        " AND f.flow_no >= current_setting('payhall.from') \
         AND f.flow_no < current_setting('payhall.to')"
    };
}
macro_rules! of_party {
    () => {
        " AND f.currency = current_setting('payhall.currency')"
    };
}

/// A question that PostgreSQL copies out.
macro_rules! copied {
    ($name:ident, $($text:expr),+) => {
        struct $name;

        impl CopyTarget for $name {
            type Table = crate::storage::schema::flows::table;
            type SqlType = diesel::sql_types::Text;

            fn walk_target(mut pass: AstPass<'_, '_, Pg>) -> QueryResult<()> {
                pass.push_sql(concat!("(SELECT ", $($text,)+ " ORDER BY f.flow_no)"));
                Ok(())
            }
        }
    };
}
copied!(AllOfDay, question!(bare), between!());
copied!(
    OfMerchant,
    question!(full),
    between!(),
    of_party!(),
    " AND f.merchant = current_setting('payhall.party')"
);
copied!(
    OfBiller,
    question!(full),
    between!(),
    of_party!(),
    " AND f.biller = current_setting('payhall.party')"
);

/// The text of the question about a merchant's flows, for whoever measures it against the database's own
/// client. `from`, `to`, `currency` and `party` are asked of the session.
pub const OF_MERCHANT: &str = concat!(
    "SELECT ",
    question!(full),
    between!(),
    of_party!(),
    " AND f.merchant = current_setting('payhall.party') ORDER BY f.flow_no"
);

/// What this question is asked with: it is compiled for longer than it saves, and a day of a large party is
/// joined and sorted in memory rather than on the disk.
const SESSION: &str = "BEGIN READ ONLY; SET LOCAL jit = off; SET LOCAL work_mem = '64MB'";

pub(super) fn each<E>(
    c: &mut PgConnection,
    flows: &DayFlows,
    take: &mut dyn FnMut(&DayFlow<'_>) -> Result<(), E>,
) -> Result<u64, Interrupted<E>> {
    let (from, to) = stretch_of(flows.date());
    let (party, currency) = match flows {
        DayFlows::Of(key) => (key.party.code.as_str(), key.currency.code()),
        DayFlows::All(_) => ("", ""),
    };
    c.batch_execute(SESSION)?;
    diesel::sql_query(
        "SELECT set_config('payhall.from', $1, true), set_config('payhall.to', $2, true), \
         set_config('payhall.party', $3, true), set_config('payhall.currency', $4, true)",
    )
    .bind::<Text, _>(from)
    .bind::<Text, _>(to)
    .bind::<Text, _>(party)
    .bind::<Text, _>(currency)
    .execute(c)?;
    let rows = match flows {
        DayFlows::All(_) => read(diesel::copy_to(AllOfDay).load_raw(c)?, take),
        DayFlows::Of(key) => match key.party.kind {
            PartyKind::Merchant => read(diesel::copy_to(OfMerchant).load_raw(c)?, take),
            PartyKind::Biller => read(diesel::copy_to(OfBiller).load_raw(c)?, take),
        },
    }?;
    // The library does not tell a copy that broke off from one that came to its end. This fails in a
    // transaction in which anything went wrong, and makes the connection fit for another question.
    c.batch_execute("SELECT 1")?;
    c.batch_execute("COMMIT")?;
    Ok(rows)
}

/// Reads what PostgreSQL copies out: a line for each row, its cells apart by tabs.
fn read<E>(
    mut lines: impl BufRead,
    take: &mut dyn FnMut(&DayFlow<'_>) -> Result<(), E>,
) -> Result<u64, Interrupted<E>> {
    let mut rows = 0;
    let mut kept = Vec::new();
    loop {
        let failed = |error: std::io::Error| StoreError::Unavailable(error.to_string());
        let buffer = lines.fill_buf().map_err(failed)?;
        if buffer.is_empty() {
            return Ok(rows);
        }
        // The library hands one row out at a time, whole; were it otherwise, a row is put together first.
        let (used, line) = match memchr::memchr(b'\n', buffer) {
            Some(end) if kept.is_empty() => (end + 1, Some(&buffer[..end])),
            Some(end) => {
                kept.extend_from_slice(&buffer[..end]);
                (end + 1, None)
            }
            None => {
                kept.extend_from_slice(buffer);
                let used = buffer.len();
                lines.consume(used);
                continue;
            }
        };
        line_of(line.unwrap_or(&kept), take)?;
        rows += 1;
        kept.clear();
        lines.consume(used);
    }
}

/// How many cells a line has.
const CELLS: usize = 16;

fn line_of<E>(
    line: &[u8],
    take: &mut dyn FnMut(&DayFlow<'_>) -> Result<(), E>,
) -> Result<(), Interrupted<E>> {
    let text = std::str::from_utf8(line).map_err(|_| corrupt("", "it is no text"))?;
    let mut cells = [""; CELLS];
    let mut rest = text;
    for (place, cell) in cells.iter_mut().enumerate() {
        let end = memchr::memchr(b'\t', rest.as_bytes());
        match (end, place + 1 == CELLS) {
            (Some(end), false) => {
                *cell = &rest[..end];
                rest = &rest[end + 1..];
            }
            (None, true) => *cell = rest,
            _ => return Err(corrupt(text, "its cells are too few or too many").into()),
        }
    }
    if memchr::memchr(b'\\', line).is_none() {
        return hand_out(&cells, take);
    }
    let plain = cells.map(unescaped);
    hand_out(&plain.each_ref().map(AsRef::as_ref), take)
}

/// A cell as PostgreSQL's text format has it; one that is null is empty.
fn unescaped(cell: &str) -> Cow<'_, str> {
    if cell == "\\N" {
        return Cow::Borrowed("");
    }
    if memchr::memchr(b'\\', cell.as_bytes()).is_none() {
        return Cow::Borrowed(cell);
    }
    let mut plain = String::with_capacity(cell.len());
    let mut chars = cell.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('v') => '\u{b}',
                Some(other) => other,
                None => '\\',
            }),
            other => plain.push(other),
        }
    }
    Cow::Owned(plain)
}

fn hand_out<E>(
    cells: &[&str; CELLS],
    take: &mut dyn FnMut(&DayFlow<'_>) -> Result<(), E>,
) -> Result<(), Interrupted<E>> {
    let [
        flow_no,
        order_no,
        merchant,
        biller,
        bill_no,
        kind,
        state,
        amount,
        currency,
        upstream_ref,
        started_at,
        concluded_at,
        version,
        payment_flow_no,
        request_no,
        item,
    ] = *cells;
    let number = |text: &str| {
        let read: Result<i64, _> = text.parse();
        read.map_err(|_| corrupt(flow_no, &format!("{text:?} is no number")))
    };
    let flow = DayFlow {
        flow_no,
        order_no,
        merchant,
        biller,
        bill_no,
        kind: kind_of(flow_no, kind)?,
        state: state_of(flow_no, state)?,
        amount_minor: number(amount)?,
        currency: Currency::try_new(currency)
            .map_err(|error| corrupt(flow_no, &error.to_string()))?,
        upstream_ref,
        started_at: number(started_at)?,
        concluded_at: match concluded_at {
            "" => None,
            at => Some(number(at)?),
        },
        version: number(version)?,
        payment_flow_no,
        request_no,
        item,
    };
    take(&flow).map_err(Interrupted::Taker)
}
