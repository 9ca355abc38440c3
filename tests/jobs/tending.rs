//! The jobs that tend the center's records: copies held against the database, and what is deleted.

use crate::support::database::TestDatabase;
use crate::support::given;
use crate::worker::{Act, Manner, Worker, at, every_night};
use payhall::domain::job::JobRunState;
use payhall::domain::progress::Silent;
use payhall::engine::{ArchiveReport, CacheAuditReport, Scope};
use payhall::storage::NewOrder;
use tokio_util::sync::CancellationToken;

/// An order that is in the database and in the cache.
async fn shown(worker: &Worker, database: &TestDatabase, digits: u64) -> String {
    given::merchant(database);
    let order = given::order(digits);
    let new = NewOrder {
        audit: given::audit(&order, "CREATED"),
        order: order.clone(),
        merchant_version: given::MERCHANT_VERSION,
        admission: None,
    };
    let store = worker.replica.engine.store();
    store.create(new).await.unwrap();
    let engine = &worker.replica.engine;
    assert!(
        engine
            .order(&order.order_no, &Scope::All)
            .await
            .unwrap()
            .is_some()
    );
    order.order_no.to_string()
}

#[tokio::test]
async fn what_the_cache_shows_is_held_against_the_database() {
    for database in TestDatabase::all() {
        let night = every_night("a", "2026-11-22T04:00:10Z", "RUN_ALL");
        let worker = Worker::start(&database, night).await;
        let mut numbers = Vec::new();
        for digits in 1..=4 {
            numbers.push(shown(&worker, &database, digits).await);
        }
        let audit = async || worker.replica.engine.audit_cache(&Silent).await.unwrap();
        assert_eq!(
            audit().await,
            CacheAuditReport::default(),
            "{}",
            database.kind
        );
        let set = |order_no: &str, what: &str| {
            let update = format!("UPDATE orders SET {what} WHERE order_no = '{order_no}'");
            database.execute(&update).unwrap();
        };
        // The database lost a state that readers were shown; another row was changed past the program; a
        // third order has come to rest, and its copy was not renewed.
        set(&numbers[0], "version = -1");
        set(&numbers[1], "amount_minor = 4999");
        set(&numbers[2], "version = 3, state = 'CLOSED'");
        let found = audit().await;
        assert_eq!((found.ahead, found.different, found.outlived), (1, 1, 0));
        assert_eq!(found.named, numbers[..2]);
        worker.advance(60);
        assert_eq!(audit().await.outlived, 1, "{}", database.kind);
        database
            .execute(&format!(
                "DELETE FROM orders WHERE order_no = '{}'",
                numbers[3]
            ))
            .unwrap();
        assert_eq!(audit().await.ahead, 1, "what is not sampled is not seen");
    }
}

#[tokio::test]
async fn what_is_old_goes_and_what_tells_of_money_stays() {
    for database in TestDatabase::all() {
        let night = Manner {
            act: Act::Fail,
            ..every_night("a", "2026-11-19T18:00:01Z", "RUN_ALL")
        };
        let worker = Worker::start(&database, night).await;
        shown(&worker, &database, 1).await;
        for _ in 0..3 {
            worker.tick().await;
            worker.advance(86_400);
        }
        worker.rest().await;
        let asked = worker.ask("probe", None).await;
        database
            .execute(
                "INSERT INTO job_runs (run_id, job, scheduled_at, state, owner, fence, lease_until, \
                 started_at, finished_at, business_date) VALUES \
                 ('01809000-0000-7000-8000-000000000000', 'poll_exceptions', 7, 'SUCCEEDED', 'a', 1, 7, 7, \
                 7, '2024-12-01');
                 INSERT INTO operators (name, display_name, role, password_hash, failures, \
                 password_is_temporary, created_at, version) VALUES ('ann', 'Ann', 'VIEWER', '', 0, FALSE, \
                 0, 0);
                 INSERT INTO sessions (secret_hash, operator, created_at, seen_at, fresh_until) VALUES \
                 ('x', 'ann', 1, 2, 3);
                 INSERT INTO notifications (notification_id, order_no, order_version, merchant, \
                 order_state, state, reason, series, tries, next_at, fence, created_at, concluded_at) \
                 VALUES ('01809000-0000-7000-8000-000000000001', 'n1', 1, 'portal', 'SUCCEEDED', \
                 'DELIVERED', NULL, 1, 1, 5, 1, 5, 6), ('01809000-0000-7000-8000-000000000002', 'n2', 1, \
                 'portal', 'SUCCEEDED', 'PENDING', NULL, 1, 1, 5, 1, 5, NULL);
                 INSERT INTO notification_tries (try_id, notification_id, series, number, started_at, \
                 outcome) VALUES ('t', '01809000-0000-7000-8000-000000000001', 1, 1, 5, 'STARTED')",
            )
            .unwrap();
        let archive = async || {
            let stop = CancellationToken::new();
            let engine = &worker.replica.engine;
            engine.archive_records(&Silent, &stop).await.unwrap()
        };
        let young = ArchiveReport {
            notifications: 1,
            sessions: 1,
            ..ArchiveReport::default()
        };
        assert_eq!(archive().await, young, "{}", database.kind);
        // Whatever the year of the machine is, the rows of this test are old by then.
        worker.replica.clock.set(at("2200-01-01T00:00:00Z"));
        let old = ArchiveReport {
            job_runs: 3,
            job_alarms: 3,
            ..ArchiveReport::default()
        };
        assert_eq!(archive().await, old, "{}", database.kind);
        assert_eq!(archive().await, ArchiveReport::default());
        let left = worker.runs().await;
        let mut left: Vec<_> = left
            .iter()
            .map(|run| (run.job.as_str(), run.state))
            .collect();
        left.sort_unstable();
        let stays = [
            ("poll_exceptions", JobRunState::Succeeded),
            ("probe", JobRunState::Waiting),
        ];
        assert_eq!(left, stays);
        assert_eq!(asked.state, JobRunState::Waiting);
        let order_no = given::order_no(1);
        let engine = &worker.replica.engine;
        assert!(
            engine
                .order_stored(&order_no, &Scope::All)
                .await
                .unwrap()
                .is_some()
        );
    }
}
