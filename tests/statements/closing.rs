//! Closing days: each once, in order, whatever was missed, whoever races, and whatever slips in.

use crate::given::{Given, PAID, at, day};
use crate::support::database::TestDatabase;
use crate::support::replica::Replica;
use payhall::domain::flow::{FlowKind, FlowState};
use payhall::domain::progress::{Progress, Silent};
use payhall::domain::time::BusinessDate;
use payhall::engine::{Actor, CloseReport};
use payhall::storage::business_days;
use std::time::Duration;

async fn close(replica: &Replica) -> CloseReport {
    let actor = Actor::job("close_day");
    replica.engine.close_days(&actor, &Silent).await.unwrap()
}

async fn closed(replica: &Replica) -> Vec<BusinessDate> {
    let read = |c: &mut _| business_days::closed_after(c, None, 100);
    let days = replica.engine.store().read(read).await.unwrap();
    days.into_iter().map(|day| day.date).collect()
}

fn days(texts: &[&str]) -> Vec<BusinessDate> {
    texts.iter().map(|text| day(text)).collect()
}

#[tokio::test]
async fn a_day_is_closed_once_and_a_grace_after_its_cutoff() {
    for database in TestDatabase::all() {
        let replica = Replica::start(&database, "a", at("2026-11-22T16:04:59Z")).await;
        PAID.write(&database);
        assert_eq!(close(&replica).await, CloseReport::default());
        replica.clock.advance(Duration::from_secs(1));
        let report = close(&replica).await;
        assert_eq!(report.closed, days(&["2026-11-22"]), "{}", database.kind);
        assert_eq!(close(&replica).await, CloseReport::default());
    }
}

#[tokio::test]
async fn missed_days_are_closed_in_order_from_the_first_flow_on() {
    for database in TestDatabase::all() {
        let replica = Replica::start(&database, "a", at("2026-11-22T12:00:00Z")).await;
        for (n, date) in (1..).zip(["2026-11-18", "2026-11-21"]) {
            let flow = Given {
                date,
                order: n,
                ..PAID
            };
            flow.write(&database);
        }
        let wanted = days(&["2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21"]);
        assert_eq!(close(&replica).await.closed, wanted);
        assert_eq!(closed(&replica).await, wanted);
        // Somebody brings flows from before in.
        let before = Given {
            date: "2026-11-16",
            order: 9,
            ..PAID
        };
        before.write(&database);
        replica.clock.set(at("2026-11-23T12:00:00Z"));
        let wanted = days(&["2026-11-16", "2026-11-17", "2026-11-22"]);
        assert_eq!(close(&replica).await.closed, wanted);
    }
}

/// Dies as soon as it is told that something is done.
struct Deadly;

impl Progress for Deadly {
    fn at(&self, _done: u64, _total: Option<u64>) {
        panic!("killed");
    }
}

#[tokio::test]
async fn a_run_that_dies_among_older_days_leaves_no_gap() {
    for database in TestDatabase::all() {
        let replica = Replica::start(&database, "a", at("2026-11-22T12:00:00Z")).await;
        let write = |date, n| {
            let flow = Given {
                date,
                order: n,
                ..PAID
            };
            flow.write(&database);
        };
        write("2026-11-18", 1);
        assert_eq!(close(&replica).await.closed.len(), 4);
        // Flows from before are brought in, and the run that closes their days dies after the first.
        write("2026-11-10", 2);
        write("2026-11-14", 3);
        for dead in ["2026-11-10", "2026-11-11"] {
            let engine = replica.engine.clone();
            let run = tokio::spawn(async move {
                let actor = Actor::job("close_day");
                engine.close_days(&actor, &Deadly).await.map(drop)
            });
            assert!(run.await.unwrap_err().is_panic());
            assert!(closed(&replica).await.contains(&day(dead)));
        }
        replica.clock.set(at("2026-11-23T12:00:00Z"));
        let left = [
            "2026-11-12",
            "2026-11-13",
            "2026-11-14",
            "2026-11-15",
            "2026-11-16",
            "2026-11-17",
            "2026-11-22",
        ];
        let report = close(&replica).await;
        assert_eq!(report.closed, days(&left), "{}", database.kind);
        assert_eq!(closed(&replica).await.len(), 13);
        let read = |c: &mut _| business_days::find(c, day("2026-11-14"));
        let brought = replica.engine.store().read(read).await.unwrap();
        assert_eq!(brought.unwrap().flows, 1);
        assert_eq!(close(&replica).await, CloseReport::default());
    }
}

#[tokio::test]
async fn a_center_without_flows_begins_with_the_last_day_that_is_over() {
    for database in TestDatabase::all() {
        let replica = Replica::start(&database, "a", at("2026-11-22T12:00:00Z")).await;
        assert_eq!(close(&replica).await.closed, days(&["2026-11-21"]));
        replica.clock.set(at("2026-11-24T12:00:00Z"));
        let wanted = days(&["2026-11-22", "2026-11-23"]);
        assert_eq!(close(&replica).await.closed, wanted);
    }
}

#[tokio::test]
async fn two_replicas_that_race_close_each_day_once() {
    for database in TestDatabase::all() {
        let a = Replica::start(&database, "a", at("2026-11-29T12:00:00Z")).await;
        let b = Replica::start(&database, "b", at("2026-11-29T12:00:00Z")).await;
        PAID.write(&database);
        let (by_a, by_b) = tokio::join!(close(&a), close(&b));
        let mut all = [by_a.closed, by_b.closed].concat();
        all.sort();
        assert_eq!(all, closed(&a).await, "{}", database.kind);
        assert_eq!(all.len(), 7);
    }
}

#[tokio::test]
async fn what_slips_in_or_is_decided_later_is_found() {
    for database in TestDatabase::all() {
        let replica = Replica::start(&database, "a", at("2026-11-22T17:00:00Z")).await;
        PAID.write(&database);
        let doubtful = Given {
            n: 2,
            order: 2,
            state: "STARTED",
            ..PAID
        };
        doubtful.write(&database);
        assert_eq!(close(&replica).await.closed.len(), 1);
        let read = |c: &mut _| {
            let date = day("2026-11-22");
            let sums = business_days::sums_of(c, date)?;
            Ok((business_days::find(c, date)?.unwrap(), sums))
        };
        let (before, sums) = replica.engine.store().read(read).await.unwrap();
        assert_eq!((before.flows, before.undecided, before.late), (2, 1, 0));
        let kinds: Vec<_> = sums.iter().map(|sum| (sum.kind, sum.state)).collect();
        let payment = FlowKind::Payment;
        assert_eq!(
            kinds,
            [
                (payment, FlowState::Started),
                (payment, FlowState::Succeeded)
            ]
        );
        let late = Given {
            n: 3,
            order: 3,
            ..PAID
        };
        late.write(&database);
        replica.clock.advance(Duration::from_secs(600));
        assert_eq!(close(&replica).await.changed, days(&["2026-11-22"]));
        let (after, _) = replica.engine.store().read(read).await.unwrap();
        assert_eq!((after.flows, after.undecided, after.late), (3, 1, 1));
        assert_ne!(after.told_by, before.told_by);
        // Long afterwards, when days are not counted again for their age.
        replica.clock.set(at("2026-12-20T12:00:00Z"));
        assert_eq!(close(&replica).await.changed, []);
        let decide = "UPDATE flows SET state = 'SUCCEEDED', concluded_at = 1766200000000000, \
                      version = 2 WHERE state = 'STARTED'";
        database.execute(decide).unwrap();
        replica.clock.advance(Duration::from_secs(600));
        let changed = close(&replica).await.changed;
        assert_eq!(changed, days(&["2026-11-22"]), "{}", database.kind);
        // A decided case moves a flow that had an outcome. The second one was decided before the count that the
        // first one brought about, and committed after it.
        for (place, (state, decided_at)) in [
            ("FAILED", "2026-12-20T12:11:00Z"),
            ("SUCCEEDED", "2026-12-20T12:17:00Z"),
        ]
        .into_iter()
        .enumerate()
        {
            let decided = format!(
                "UPDATE flows SET state = '{state}', version = version + 1 WHERE flow_no = '{}'; \
                 INSERT INTO cases (case_no, order_no, kind, state, cause, opened_at, due_at, \
                 closed_at, version) VALUES ('20261220000000000000000{place}', '20261101{:016}', \
                 'DOUBT', 'CLOSED', 'x', 0, 0, {}, 1)",
                PAID.flow_no(),
                PAID.order,
                at(decided_at).timestamp_micros(),
            );
            database.execute(&decided).unwrap();
            replica.clock.advance(Duration::from_secs(600));
            assert_eq!(close(&replica).await.changed, days(&["2026-11-22"]));
        }
        replica.clock.advance(Duration::from_secs(600));
        assert_eq!(close(&replica).await, CloseReport::default());
    }
}
