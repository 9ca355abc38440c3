//! Killed in the middle: whatever was done by then, the next run comes to the same result, once.

use super::town::{Town, today};
use crate::support::database::TestDatabase;
use payhall::domain::progress::{Progress, Silent};
use payhall::engine::Actor;
use std::sync::atomic::{AtomicU32, Ordering};

/// Panics at the n-th word of progress: a death between two steps of a comparison.
struct Deadly(AtomicU32);

impl Progress for Deadly {
    fn at(&self, _done: u64, _total: Option<u64>) {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            panic!("killed");
        }
    }
}

#[test]
fn a_run_that_dies_in_the_middle_leaves_nothing_behind() {
    for database in TestDatabase::all() {
        let mut town = Town::new(database);
        let orders = town.paid(1, 4);
        let number = town.payment(&orders[1]);
        town.send(
            today(),
            |bank| bank.retain(|said| said.flow_no != number),
            |_| {},
        );
        town.go_to_night_after(today());
        town.close();
        town.fetch();
        let wanted = town.dry_run(today()).run.result_hash;
        for death in 1..=3 {
            let engine = town.bank.engine().clone();
            let run = town.bank.start(async move {
                let (actor, deadly) = (Actor::system(), Deadly(AtomicU32::new(death)));
                engine.reconcile_days(&actor, &deadly).await
            });
            assert!(town.bank.wait(run).unwrap_err().is_panic());
            assert_eq!(town.versions(today()), 0);
        }
        // Killed at a moment that nobody chose.
        let engine = town.bank.engine().clone();
        drop(town.bank.start(async move {
            let actor = Actor::system();
            engine.reconcile_days(&actor, &Silent).await.map(drop)
        }));
        town.bank.crash();
        town.reconcile();
        let run = town.run_of(today());
        assert_eq!((run.result_hash, town.versions(today())), (wanted, 1));
        assert_eq!(town.classes(today()).len(), 1);
    }
}
