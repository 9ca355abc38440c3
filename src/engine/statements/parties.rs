//! For whom there are statements of a day: everybody who has flows on it, and everybody else who is at work,
//! so that an empty day is told apart from a missing file.

use super::content::{Told, code_of, currency_of, told};
use super::{Engine, StatementError, work_of};
use crate::domain::business_day::ClosedDay;
use crate::domain::merchant::MerchantState;
use crate::domain::money::Currency;
use crate::domain::statement::{Party, PartyKind, StatementKey};
use crate::domain::time::Instant;
use crate::storage::day_flows::{self, DayLine};
use crate::storage::{business_days, contracts, merchants, statements};
use std::collections::BTreeSet;

impl Engine {
    /// The statements of a kind of party that a day has, with what they tell, sorted.
    pub(super) async fn parties_of(
        &self,
        day: &ClosedDay,
        kind: PartyKind,
    ) -> Result<Vec<Told>, StatementError> {
        let (date, end) = (day.date, self.0.options.day.end_of(day.date));
        let read = move |c: &mut _| {
            let stated = match business_days::is_worked(c, date, work_of(kind))? {
                true => Some(statements::of_day(c, date)?),
                false => None,
            };
            Ok((day_flows::lines_of(c, date)?, contracts::load(c)?, stated))
        };
        let (lines, contracts, stated) = self.0.store.scan(read).await?;
        let mut keys: BTreeSet<(String, &'static str)> = BTreeSet::new();
        for line in &lines {
            if let Some(currency) = currency_of(line) {
                keys.insert((code_of(line, kind).to_owned(), currency.code()));
            }
        }
        let with_flows: BTreeSet<String> = keys.iter().map(|(code, _)| code.clone()).collect();
        // Who was at work is asked once: of a day that is stated again, those who had nothing keep what they have.
        let others: BTreeSet<String> = match stated {
            Some(stated) => {
                let of_kind = stated.into_iter().filter(|one| one.key.party.kind == kind);
                of_kind.map(|one| one.key.party.code).collect()
            }
            None => self.at_work(kind, end).await?.into_iter().collect(),
        };
        for code in others {
            if !with_flows.contains(&code) {
                keys.insert((code, Currency::CNY.code()));
            }
        }
        let parties = keys.into_iter().filter_map(|(code, currency)| {
            let key = StatementKey {
                party: Party { kind, code },
                date,
                currency: Currency::try_new(currency).ok()?,
            };
            Some(told(key, &lines, &contracts))
        });
        Ok(parties.collect())
    }

    /// What one statement has to tell as its flows stand now.
    pub(super) async fn told_now(&self, key: StatementKey) -> Result<Told, StatementError> {
        let date = key.date;
        let read = move |c: &mut _| Ok((day_flows::lines_of(c, date)?, contracts::load(c)?));
        let (lines, contracts): (Vec<DayLine>, _) = self.0.store.scan(read).await?;
        Ok(told(key, &lines, &contracts))
    }

    /// The merchants or billers that were at work when a day ended.
    async fn at_work(&self, kind: PartyKind, end: Instant) -> Result<Vec<String>, StatementError> {
        match kind {
            PartyKind::Merchant => {
                let states = [MerchantState::Active, MerchantState::Suspended];
                let read = move |c: &mut _| merchants::registered_before(c, end, &states);
                Ok(self.0.store.read(read).await?)
            }
            PartyKind::Biller => {
                self.refresh_catalogue().await?;
                let catalogue = self.catalogue();
                let codes = catalogue.billers().map(|biller| biller.code.to_string());
                Ok(codes.collect())
            }
        }
    }
}
