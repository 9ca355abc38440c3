//! Business days in the world of these tests: where statements are kept, and how a day ends.

use super::support::World;
use crate::domain::progress::Silent;
use crate::domain::reconciled::ReconciliationRun;
use crate::domain::statement::PartyKind;
use crate::domain::time::BusinessDay;
use crate::engine::{Actor, Clock, DayOutcome, Mode, StatementRules};
use crate::files::Profiles;
use crate::output::Objects;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Statements in a folder, by the usual profile.
pub fn statement_rules(dir: &Path) -> StatementRules {
    StatementRules {
        objects: Objects::folder(&dir.join("files")).unwrap(),
        profiles: Profiles::load([]).unwrap(),
        profile: "payhall-csv".into(),
        profile_of: Default::default(),
        xlsx_rows_max: 1_000,
        keep_months: 24,
        ready_at: chrono::NaiveTime::from_hms_opt(2, 0, 0).unwrap(),
        link_lasts: Duration::from_secs(300),
    }
}

impl World {
    /// Ends the business day, closes it and makes its statements.
    pub async fn end_the_day(&self) {
        let now = self.clock.now();
        let end = BusinessDay::SHANGHAI.end_of(BusinessDay::SHANGHAI.date_of(now));
        self.clock.set(end + chrono::TimeDelta::minutes(30));
        let (actor, stop) = (Actor::job("night"), CancellationToken::new());
        self.engine.close_days(&actor, &Silent).await.unwrap();
        for kind in [PartyKind::Merchant, PartyKind::Biller] {
            let made = self
                .engine
                .make_statements(kind, &actor, (Arc::new(Silent), &stop));
            made.await.unwrap();
        }
        let summed = self.engine.summarise_settlement(&actor, (&Silent, &stop));
        summed.await.unwrap();
    }

    /// Ends the business day as [`World::end_the_day`] does, and publishes the result of reconciling it.
    pub async fn reconcile_the_day(&self) -> ReconciliationRun {
        let date = BusinessDay::SHANGHAI.date_of(self.clock.now());
        self.end_the_day().await;
        let actor = Actor::job("night");
        let done = self
            .engine
            .reconcile_day(date, Mode::Publish, &actor, &Silent);
        match done.await.unwrap() {
            DayOutcome::Published(new) => new.run,
            other => panic!("{date} is not reconciled: {other:?}"),
        }
    }
}
