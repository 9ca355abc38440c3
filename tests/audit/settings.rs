//! Settings: each that is another than at the last start has its row, and no row holds a secret.

use crate::support::database::TestDatabase;
use crate::support::process::run;
use crate::support::world::Setup;
use payhall::domain::audit::AuditRow;
use payhall::engine::{SettingInForce, Whose, record_settings};
use payhall::storage::{StorageOptions, Store, View, settings, walk};
use payhall::trust::Masters;
use secrecy::SecretString;
use std::sync::Arc;

const MASTER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// The audit rows about settings, by path and time.
fn rows(database: &TestDatabase) -> Vec<AuditRow> {
    let mut view = View::open(&database.url).unwrap();
    let all = walk::Stretch::default();
    let rows = walk::audit_about(view.connection(), "SETTING", all).unwrap();
    rows.into_iter().map(Result::unwrap).collect()
}

fn deeds(rows: &[AuditRow]) -> Vec<String> {
    let deed = |row: &AuditRow| {
        let entry = &row.entry;
        let (before, after) = (entry.before.as_deref(), entry.after.as_deref());
        let (before, after) = (before.unwrap_or("-"), after.unwrap_or("-"));
        format!("{} {} {before} {after}", entry.subject, entry.action)
    };
    rows.iter().map(deed).collect()
}

fn setting(path: &str, shown: &str, secret: Option<&str>) -> SettingInForce {
    SettingInForce {
        path: path.to_owned(),
        shown: shown.to_owned(),
        secret: secret.map(SecretString::from),
        whose: Whose::Center,
    }
}

/// The address that a replica listens on, and a setting that all of them have.
fn listening_on(port: usize) -> Vec<SettingInForce> {
    let listen = SettingInForce {
        whose: Whose::Replica,
        ..setting("server.listen", &format!("127.0.0.1:{port}"), None)
    };
    vec![listen, setting("polling.batch", "50", None)]
}

#[tokio::test]
async fn each_change_has_one_row_and_two_replicas_write_it_once() {
    for database in TestDatabase::all() {
        let options = database.options("a");
        Store::migrate(&options).unwrap();
        let store = Store::open(&options, Arc::new(|_| ())).unwrap();
        let masters = Masters::read([MASTER]).unwrap();
        let now = "2026-11-22T04:00:00Z".parse().unwrap();
        let start = |all: Vec<SettingInForce>| {
            let (store, masters) = (&store, &masters);
            async move {
                record_settings(store, masters, all, ("a", now))
                    .await
                    .unwrap()
            }
        };
        let first = || {
            vec![
                setting("polling.batch", "50", None),
                setting("cache.url", "redis://***", Some("redis://u:one@h")),
            ]
        };
        let (one, two) = tokio::join!(start(first()), start(first()));
        assert_eq!((one + two, one * two), (2, 0), "{}", database.kind);
        assert_eq!(start(first()).await, 0, "nothing has changed");
        let told = deeds(&rows(&database));
        let set = ["cache.url SET - redis://***", "polling.batch SET - 50"];
        assert_eq!(told, set);
        let second = vec![
            setting("cache.url", "redis://***", Some("redis://u:two@h")),
            setting("polling.parallel", "9", None),
        ];
        assert_eq!(start(second).await, 3);
        let all = rows(&database);
        let told = deeds(&all);
        for deed in [
            "cache.url CHANGED redis://*** redis://***",
            "polling.batch REMOVED 50 -",
            "polling.parallel SET - 9",
        ] {
            assert!(told.contains(&deed.to_owned()), "{told:?}");
        }
        let another = all
            .iter()
            .find(|row| row.entry.action == "CHANGED")
            .unwrap();
        let words = another.entry.detail.clone().unwrap();
        assert!(words.contains("the secret in it is another one"), "{words}");
        let known = store.read(settings::load).await.unwrap();
        let kept = format!("{known:?} {all:?}");
        assert!(!kept.contains("one@h") && !kept.contains("two@h"));
        assert_eq!(known.settings.len(), 2);
    }
}

/// However many start at once, and although each has something of its own, none is told to try again.
#[tokio::test(flavor = "multi_thread")]
async fn many_replicas_at_once_write_theirs_down_and_nothing_at_their_next_start() {
    for database in TestDatabase::all() {
        const MANY: usize = 16;
        Store::migrate(&database.options("0")).unwrap();
        let now = "2026-11-22T04:00:00Z".parse().unwrap();
        let open = |number: usize| {
            let options = StorageOptions {
                readers: 1,
                writers: 1,
                ..database.options(&number.to_string())
            };
            Store::open(&options, Arc::new(|_| ())).unwrap()
        };
        // On SQLite there is one writer, whom all of them share.
        let stores: Vec<Store> = match database.kind {
            "sqlite" => vec![open(0); MANY],
            _ => (0..MANY).map(open).collect(),
        };
        for told in [MANY + 1, 0] {
            let stores = stores.iter().cloned().enumerate();
            let starts = stores.map(|(number, store)| {
                tokio::spawn(async move {
                    let by = (&*number.to_string(), now);
                    record_settings(&store, &Masters::default(), listening_on(number), by).await
                })
            });
            let mut sum = 0;
            for start in starts.collect::<Vec<_>>() {
                sum += start.await.unwrap().unwrap();
            }
            assert_eq!(sum, told, "{}", database.kind);
        }
        let all = rows(&database);
        assert!(all.iter().all(|row| row.entry.action == "SET"));
        assert_eq!(all.len(), MANY + 1, "one each, and one that they share");
        let store = &stores[0];
        let known = store.read(settings::load).await.unwrap();
        assert_eq!(known.settings.len(), MANY + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_writes_down_what_has_changed_since_its_last_start() {
    for database in TestDatabase::all() {
        let mut world = Setup::on(database).set("keys.master", MASTER).start().await;
        let mut daemon = world.daemon().await;
        daemon.terminate().await;
        let first = rows(&world.database);
        assert!(first.iter().all(|row| row.entry.action == "SET"));
        let told = deeds(&first);
        for deed in [
            "job poll_exceptions.schedule SET - */1 * * * * *",
            "center.zone SET - \"Asia/Shanghai\"",
            "keys.master SET - \"***\"",
        ] {
            assert!(told.contains(&deed.to_owned()), "{told:#?}");
        }
        world.set("polling.batch", 77);
        world.set("alarms.webhook_url", "http://127.0.0.1:9/canary-4711");
        let mut daemon = world.daemon().await;
        daemon.terminate().await;
        let all = rows(&world.database);
        let second = all.iter().filter(|row| row.entry.action != "SET");
        let mut changed: Vec<&str> = second.map(|row| row.entry.subject.as_str()).collect();
        changed.sort_unstable();
        assert_eq!(changed, ["alarms.webhook_url", "polling.batch"]);
        // Each daemon of the tests has an address of its own.
        let listening = all
            .iter()
            .filter(|row| row.entry.subject == "server.listen");
        assert_eq!(listening.count(), 2);
        assert_eq!(all.len(), first.len() + 3);
        let kept = format!("{all:?}");
        for secret in [MASTER, "canary-4711", crate::support::client::MERCHANT] {
            assert!(!kept.contains(secret), "{secret}");
        }
        world.verify_audit();
        let said = run(&["audit".to_owned(), "verify".to_owned(), "--help".to_owned()]);
        assert!(said.status.success());
    }
}
