//! Whose run it is: races, lapsed leases, take-overs, and holders that wake too late.

use crate::support::database::TestDatabase;
use crate::worker::{
    Act, Manner, RENEWAL, Worker, at, every_night, every_ten_seconds, patient, ran,
};
use payhall::domain::job::{JobRun, JobRunState};
use payhall::jobs::Ticked;
use std::sync::Arc;
use tokio::sync::Semaphore;

#[tokio::test]
async fn two_replicas_run_each_due_time_once() {
    for database in TestDatabase::all() {
        let mut a = Worker::start(&database, every_ten_seconds(Act::Report(1))).await;
        let b = Manner {
            name: "b",
            ..every_ten_seconds(Act::Report(1))
        };
        let mut b = Worker::start(&database, b).await;
        for _ in 0..20 {
            let (by_a, by_b) = tokio::join!(a.tick(), b.tick());
            assert_eq!(by_a.len() + by_b.len(), 1, "{}", database.kind);
            a.advance(10);
            b.advance(10);
        }
        let runs = a.runs().await;
        assert_eq!(runs.len(), 20);
        for (run, place) in runs.iter().zip(0..) {
            let due = at("2026-11-22T04:00:00Z") + chrono::TimeDelta::seconds(10 * place);
            assert_eq!((run.scheduled_at, run.state), (due, JobRunState::Succeeded));
            assert_eq!(run.report.as_deref(), Some("{\"done\":1}"));
            assert_eq!(run.fence, 1);
        }
        let mut begun = 0;
        while a.began.try_recv().is_ok() || b.began.try_recv().is_ok() {
            begun += 1;
        }
        assert_eq!(begun, 20);
    }
}

#[tokio::test]
async fn what_a_paused_holder_let_lapse_is_taken_over_and_it_cannot_write() {
    for database in TestDatabase::all() {
        let gate = Arc::new(Semaphore::new(0));
        let paused = Manner {
            act: Act::Gate(gate.clone(), 1),
            ..every_night("paused", "2026-11-21T18:00:00Z", "RUN_ONCE")
        };
        let mut paused = Worker::start(&database, paused).await;
        let tick = paused.tick_beside();
        let first = paused.began().await.run;

        let early = every_night("b", "2026-11-21T18:00:59Z", "RUN_ONCE");
        let early = Worker::start(&database, early).await;
        assert_eq!(early.tick().await, [], "{}", database.kind);

        let late = Manner {
            act: Act::Report(2),
            ..every_night("c", "2026-11-21T18:01:00Z", "RUN_ONCE")
        };
        let late = Worker::start(&database, late).await;
        let taken = late.tick().await;
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].run_id, taken[0].fence), (first.run_id, 2));

        gate.add_permits(1);
        let ended = patient(tick).await.unwrap();
        assert!(matches!(ended, Ticked::Ran(runs) if runs.is_empty()));
        let runs = late.runs().await;
        assert_eq!(runs.len(), 1);
        assert_eq!((runs[0].owner.as_str(), runs[0].fence), ("c", 2));
        assert_eq!(runs[0].report.as_deref(), Some("{\"done\":2}"));
    }
}

#[tokio::test]
async fn a_holder_that_learns_of_its_loss_ends_the_work() {
    for database in TestDatabase::all() {
        let hanging = Manner {
            act: Act::Hang,
            ..every_night("hanging", "2026-11-21T18:00:00Z", "RUN_ONCE")
        };
        let mut hanging = Worker::start(&database, hanging).await;
        let tick = hanging.tick_beside();
        let context = hanging.began().await;
        let late = every_night("late", "2026-11-21T18:05:00Z", "RUN_ONCE");
        let late = Worker::start(&database, late).await;
        assert_eq!(late.tick().await.len(), 1);
        // Its next renewal is refused, and long before its time-out nothing else would end it.
        hanging.advance(RENEWAL);
        assert_eq!(ran(tick).await, []);
        assert!(context.stop.is_cancelled());
        assert!(!hanging.replica.stop.is_cancelled());
        assert_eq!(late.runs().await[0].owner, "late");
    }
}

#[tokio::test]
async fn a_holder_that_cannot_renew_ends_the_work_with_its_lease() {
    let database = TestDatabase::sqlite();
    let hanging = Manner {
        act: Act::Hang,
        ..every_night("hanging", "2026-11-21T18:00:00Z", "RUN_ONCE")
    };
    let mut hanging = Worker::start(&database, hanging).await;
    let tick = hanging.tick_beside();
    let context = hanging.began().await;
    hanging.replica.engine.store().close().await;
    hanging.advance(59);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!tick.is_finished(), "the lease is not over yet");
    // Another replica may take it from now on.
    patient(async {
        while !tick.is_finished() {
            hanging.advance(1);
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(context.stop.is_cancelled());
    assert!(matches!(tick.await.unwrap(), Ticked::Ran(runs) if runs.is_empty()));
    let now = hanging.replica.engine.clock().now();
    assert!(now < at("2026-11-21T18:10:00Z"), "ended by its time-out");
}

#[tokio::test]
async fn a_long_run_keeps_its_lease() {
    for database in TestDatabase::all() {
        let gate = Arc::new(Semaphore::new(0));
        let long = Manner {
            act: Act::Gate(gate.clone(), 1),
            ..every_night("long", "2026-11-21T18:00:00Z", "RUN_ONCE")
        };
        let mut long = Worker::start(&database, long).await;
        let tick = long.tick_beside();
        long.began().await;
        // Moves on while the renewals follow, until the first lease is over three times.
        let three_leases = at("2026-11-21T18:04:00Z");
        patient(async {
            while long.runs().await[0].lease_until < three_leases {
                let now = long.replica.engine.clock().now();
                if long.runs().await[0].lease_until > now + chrono::TimeDelta::seconds(5) {
                    long.advance(5);
                }
            }
        })
        .await;
        let other = every_night("other", "2026-11-21T18:03:00Z", "RUN_ONCE");
        let other = Worker::start(&database, other).await;
        assert_eq!(other.tick().await, []);
        gate.add_permits(1);
        let ended = patient(tick).await.unwrap();
        assert!(matches!(ended, Ticked::Ran(runs) if runs[0].fence == 1));
    }
}

#[tokio::test]
async fn a_run_that_kills_its_holders_is_given_up() {
    for database in TestDatabase::all() {
        let hanging = every_night("a", "2026-11-21T18:00:00Z", "RUN_ONCE");
        let worker = Worker::start(&database, hanging).await;
        let store = worker.replica.engine.store();
        let now = at("2026-11-21T18:00:00Z");
        // Its row as five dead holders leave it behind.
        let run = JobRun {
            run_id: uuid::Uuid::now_v7(),
            job: "probe".to_owned(),
            scheduled_at: now,
            business_date: worker.replica.engine.business_day().last_ended(now),
            asked_by: None,
            state: JobRunState::Running,
            owner: "dead".to_owned(),
            fence: 5,
            lease_until: now,
            started_at: now,
            finished_at: None,
            progress: None,
            report: None,
            error: None,
        };
        store.solo(move |tx| tx.claim_run(&run)).await.unwrap();
        let ended = worker.tick().await;
        assert_eq!(ended[0].state, JobRunState::Failed);
        let error = ended[0].error.as_deref().unwrap();
        assert!(error.contains("5 replicas that held this run"), "{error}");
        assert_eq!(worker.tick().await, []);
    }
}
