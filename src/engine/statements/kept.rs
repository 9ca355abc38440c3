//! Reads statements for whoever may see them, issues one by an operator's order, and forgets those whose time
//! is over.

use super::issue::{Issued, Order};
use super::render::Watch;
use super::{Engine, StatementError, StatementRules};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::statement::{Party, PartyKind, Statement, StatementKey};
use crate::domain::time::BusinessDate;
use crate::engine::{Actor, EngineError, Listing, Scope};
use crate::storage::statements::{Filter, Place};
use crate::storage::{Tx, business_days, statements};
use chrono::Months;

/// How many statements are forgotten in one go.
const FORGOTTEN_AT_ONCE: i64 = 100;

/// What came of an operator's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reissued {
    /// The version that is the last one now.
    pub statement: Statement,
    /// Whether it is a new one; otherwise the last one tells the same.
    pub is_new: bool,
}

impl Scope {
    /// Whether statements of a party may be seen: a merchant sees its own.
    pub fn sees_party(&self, party: &Party) -> bool {
        match self {
            Scope::All => true,
            Scope::Merchant(own) => party.kind == PartyKind::Merchant && party.code == own.as_str(),
        }
    }
}

impl Engine {
    /// A page of statements, newest day first.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn statements(
        &self,
        filter: Filter,
        after: Option<Place>,
        limit: i64,
        scope: &Scope,
    ) -> Result<Listing<Statement>, EngineError> {
        let filter = match scope {
            Scope::All => filter,
            Scope::Merchant(own) => {
                let party = Party::merchant(own);
                let is_own = |asked: &Party| *asked == party;
                let is_others = filter.party.as_ref().is_some_and(|asked| !is_own(asked));
                if is_others || filter.kind == Some(PartyKind::Biller) {
                    return Ok(Listing::cut(Vec::new(), limit, false));
                }
                Filter {
                    party: Some(party),
                    ..filter
                }
            }
        };
        let read = move |c: &mut _| statements::list(c, &filter, after.as_ref(), limit + 1);
        let rows = self.0.store.browse(read).await?;
        Ok(Listing::cut(rows, limit, false))
    }

    /// One statement: its last version, or a certain one.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn statement(
        &self,
        key: &StatementKey,
        version: Option<i32>,
        scope: &Scope,
    ) -> Result<Option<Statement>, EngineError> {
        if !scope.sees_party(&key.party) {
            return Ok(None);
        }
        let key = key.clone();
        let read = move |c: &mut _| statements::find(c, &key, version);
        Ok(self.0.store.read(read).await?)
    }

    /// Issues a statement by an operator's order: a further version, if its bytes differ from the last one's.
    ///
    /// # Errors
    /// A refusal where the day is not closed or nothing was issued of it yet; whatever stops it.
    pub async fn reissue_statement(
        &self,
        key: StatementKey,
        actor: &Actor,
    ) -> Result<Reissued, StatementError> {
        let read = {
            let key = key.clone();
            move |c: &mut _| {
                let day = business_days::find(c, key.date)?;
                Ok((day, statements::find(c, &key, None)?))
            }
        };
        let (day, last) = self.0.store.read(read).await?;
        let (Some(day), Some(_)) = (day, last) else {
            let message = format!(
                "{} has no statement of {} in {}",
                key.party, key.date, key.currency
            );
            let refusal = Refusal::new(RefusalCode::StatementNotFound, message);
            return Err(EngineError::from(refusal).into());
        };
        self.refresh_center_key().await?;
        let told = self.told_now(key).await?;
        let issued = self
            .issue(&day, (&told, &Watch::silent()), Order::ByOperator, actor)
            .await?;
        let (statement, is_new) = match issued {
            Issued::Stood(statement) => (statement, false),
            Issued::New(statement) => (statement, true),
        };
        Ok(Reissued {
            statement: *statement,
            is_new,
        })
    }

    /// The first date whose statements are kept; none where that lies before all dates.
    pub(super) fn oldest_kept(&self, rules: &StatementRules) -> Option<BusinessDate> {
        let today = self.0.options.day.date_of(self.now());
        let oldest = today.0.checked_sub_months(Months::new(rules.keep_months));
        oldest.map(BusinessDate)
    }

    /// Forgets the statements that were kept long enough: the row first, so that nobody is shown a file that
    /// is gone. An object whose row is gone and that could not be removed is in nobody's way.
    pub(super) async fn forget_statements(
        &self,
        rules: &StatementRules,
    ) -> Result<u64, StatementError> {
        let Some(oldest) = self.oldest_kept(rules) else {
            return Ok(0);
        };
        let mut forgotten = 0;
        loop {
            let read = move |c: &mut _| statements::before(c, oldest, FORGOTTEN_AT_ONCE);
            let old = self.0.store.read(read).await?;
            if old.is_empty() {
                return Ok(forgotten);
            }
            for statement in old {
                let gone = statement.clone();
                let forget = move |tx: &mut Tx<'_>| tx.forget_statement(&gone);
                self.0.store.solo(forget).await?;
                let files = [Some(&statement.file), statement.xlsx.as_ref()];
                let objects = files.into_iter().flatten().map(|file| &file.object);
                for object in objects.chain([&statement.sidecar_object]) {
                    rules.objects.remove(object).await?;
                }
                forgotten += 1;
            }
        }
    }
}
