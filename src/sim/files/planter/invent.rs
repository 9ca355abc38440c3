//! Lines of payments that never were, which look like all the others.

use chrono::{DateTime, TimeDelta, Utc};

use super::Planter;
use crate::sim::files::partner::Partner;
use crate::sim::files::row::{Kind, Row, Status};
use crate::sim::protocol::CURRENCY;

impl Planter<'_> {
    /// A payment under a number that nobody knows; order and bill are the model's, if there is one.
    pub(super) fn invent(&mut self, model: Option<Row>) -> Result<Row, String> {
        let (start, end) = self.inside();
        let span_us = (end - start).num_microseconds().unwrap_or_default();
        let after_us = self
            .dice
            .below(usize::try_from(span_us).unwrap_or_default());
        let after_us = after_us.and_then(|us| i64::try_from(us).ok());
        let after_us = after_us.ok_or("edge_s: nothing of the day is left between its edges")?;
        let at = start + TimeDelta::microseconds(after_us);
        let flow_no = loop {
            let number = self.number(at);
            if !(self.ground.known)(&number) && self.ground.taken.insert(number.clone()) {
                break number;
            }
        };
        let model = model.unwrap_or_else(|| self.nobody(at));
        Ok(Row {
            at,
            status: Status::Succeeded,
            flow_no,
            ..model
        })
    }

    /// A payment of an order that does not exist, for a bill that looks like the others.
    fn nobody(&mut self, at: DateTime<Utc>) -> Row {
        let rows = self.ground.rows;
        let like = self.dice.below(rows.len()).and_then(|at| rows.get(at));
        let biller = match (self.ground.partner, like) {
            (Partner::Biller(biller), _) => biller.name,
            (Partner::Bank(_), Some(row)) => row.biller.as_str(),
            (Partner::Bank(_), None) => "sh-telecom",
        };
        Row {
            at,
            kind: Kind::Payment,
            status: Status::Succeeded,
            flow_no: String::new(),
            payment_flow_no: None,
            order_no: self.number(at),
            biller: biller.to_owned(),
            bill_no: like.map_or_else(|| "13900000000".to_owned(), |row| row.bill_no.clone()),
            amount_minor: 100 + (self.dice.roll() % 49_901) as i64,
            currency: CURRENCY.to_owned(),
        }
    }

    /// A number as callers make them: the date, the microsecond of the day, five digits.
    fn number(&mut self, at: DateTime<Utc>) -> String {
        let date = self.ground.date.format("%Y%m%d");
        let us = (at - self.ground.times.start)
            .num_microseconds()
            .unwrap_or_default();
        let tag = self.dice.roll() % 100_000;
        format!("{date}{:011}{tag:05}", us.rem_euclid(86_400_000_000))
    }
}
