//! What the flows of a day come to between each merchant and biller.

use crate::domain::time::BusinessDate;
use crate::storage::business_days::stretch_of;
use crate::storage::connection::AnyConnection;
use crate::storage::either;
use crate::storage::error::StoreError;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

/// What the concluded flows of a day between a merchant and a biller come to, by kind, state and the day of
/// the payment that a reversal undoes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayLine {
    /// The merchant.
    pub merchant: String,
    /// The biller.
    pub biller: String,
    /// The currency's three letters.
    pub currency: String,
    /// Pay or reverse.
    pub kind: String,
    /// What became of them.
    pub state: String,
    /// Eight digits for reversals; nothing for payments, which are of the day itself.
    pub paid_on: String,
    /// How many.
    pub flows: i64,
    /// What they sum up to, in minor units.
    pub amount_minor: i64,
    /// What their versions sum up to.
    pub versions: i64,
}

/// The questions about payments and about reversals, with what a line's amount is and what else parts the
/// lines. They are two, because only the few reversals have to be held against their payments.
macro_rules! questions {
    ($amount:literal, $by:literal) => {
        [
            questions!(
                $amount,
                $by,
                "''",
                "",
                "PAYMENT"
            ),
            questions!(
                $amount,
                $by,
                "SUBSTR(p.flow_no, 1, 8)",
                " LEFT JOIN flows p ON p.order_no = f.order_no AND p.kind = 'PAYMENT' AND p.step = 1",
                "REVERSAL"
            ),
        ]
    };
    ($amount:literal, $by:literal, $paid_on:literal, $join:literal, $kind:literal) => {
        concat!(
            "SELECT f.merchant, f.biller, f.currency, f.kind, f.state, ",
            $paid_on,
            " AS paid_on, COUNT(*) AS flows, ",
            $amount,
            " AS amount_minor, CAST(SUM(f.version) AS BIGINT) AS versions FROM flows f",
            $join,
            " WHERE f.flow_no >= $1 AND f.flow_no < $2 AND f.state <> 'STARTED' AND f.kind = '",
            $kind,
            "' GROUP BY 1, 2, 3, 4, 5, 6",
            $by
        )
    };
}

/// What the concluded flows of a day come to, sorted.
pub fn lines_of(c: &mut AnyConnection, date: BusinessDate) -> Result<Vec<DayLine>, StoreError> {
    ask(
        c,
        questions!("CAST(SUM(f.amount_minor) AS BIGINT)", ""),
        date,
    )
}

/// The same, a line for each amount: `amount_minor` is that of each flow of the line.
pub fn amounts_of(c: &mut AnyConnection, date: BusinessDate) -> Result<Vec<DayLine>, StoreError> {
    ask(c, questions!("f.amount_minor", ", f.amount_minor"), date)
}

fn ask(
    c: &mut AnyConnection,
    questions: [&'static str; 2],
    date: BusinessDate,
) -> Result<Vec<DayLine>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        merchant: String,
        #[diesel(sql_type = Text)]
        biller: String,
        #[diesel(sql_type = Text)]
        currency: String,
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Text)]
        state: String,
        #[diesel(sql_type = Text)]
        paid_on: String,
        #[diesel(sql_type = BigInt)]
        flows: i64,
        #[diesel(sql_type = BigInt)]
        amount_minor: i64,
        #[diesel(sql_type = BigInt)]
        versions: i64,
    }
    let (from, to) = stretch_of(date);
    let mut rows: Vec<Row> = Vec::new();
    for question in questions {
        let found: Vec<Row> = either!(c, |c| {
            diesel::sql_query(question)
                .bind::<Text, _>(&from)
                .bind::<Text, _>(&to)
                .load(c)
        })?;
        rows.extend(found);
    }
    let lines = rows.into_iter().map(|row| DayLine {
        merchant: row.merchant,
        biller: row.biller,
        currency: row.currency,
        kind: row.kind,
        state: row.state,
        paid_on: row.paid_on,
        flows: row.flows,
        amount_minor: row.amount_minor,
        versions: row.versions,
    });
    let mut lines: Vec<DayLine> = lines.collect();
    lines.sort();
    Ok(lines)
}
