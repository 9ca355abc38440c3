//! Making statements: what stands in them, when there is another version, and that the same day gives the same
//! bytes whoever makes them.

use crate::given::{Given, PAID, at, contract, day};
use crate::support::database::TestDatabase;
use crate::support::replica::{Manner, Replica};
use payhall::domain::catalogue::CatalogueParts;
use payhall::domain::contract::Contract;
use payhall::domain::flow::{FlowKind, FlowState};
use payhall::domain::money::Currency;
use payhall::domain::progress::Silent;
use payhall::domain::statement::{Party, PartyKind, Statement, StatementKey};
use payhall::engine::{Actor, Scope, StatementRules, StatementsReport};
use payhall::files::{Profiles, Sidecar};
use payhall::output::Objects;
use payhall::storage::day_flows::{self, DayFlows};
use payhall::storage::{Tx, business_days, catalogue, settlement_summaries, statements};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A center that keeps statements, with its database and folder.
pub struct House {
    pub replica: Replica,
    pub database: TestDatabase,
    pub folder: TempDir,
}

pub fn rules(objects: Objects) -> StatementRules {
    StatementRules {
        objects,
        profiles: Profiles::load([]).unwrap(),
        profile: "payhall-csv".to_owned(),
        profile_of: BTreeMap::from([("biller:sh-power".to_owned(), "pipe".to_owned())]),
        xlsx_rows_max: 100,
        keep_months: 2,
        ready_at: chrono::NaiveTime::from_hms_opt(2, 0, 0).unwrap(),
        link_lasts: Duration::from_secs(300),
    }
}

async fn replica(database: &TestDatabase, folder: &Path, name: &str) -> Replica {
    let manner = Manner::keeping(Arc::new(rules(Objects::folder(folder).unwrap())));
    Replica::start_as(database, name, at("2026-11-22T17:00:00Z"), manner).await
}

pub async fn houses() -> Vec<House> {
    let mut houses = Vec::new();
    for database in TestDatabase::all() {
        let folder = tempfile::tempdir().unwrap();
        let replica = replica(&database, folder.path(), "a").await;
        houses.push(House {
            replica,
            database,
            folder,
        });
    }
    houses
}

/// Closes what is over and makes everything of it.
pub async fn night(replica: &Replica) -> (StatementsReport, StatementsReport) {
    let (actor, stop) = (Actor::job("night"), CancellationToken::new());
    let engine = &replica.engine;
    engine.close_days(&actor, &Silent).await.unwrap();
    let merchants = engine.make_statements(PartyKind::Merchant, &actor, (Arc::new(Silent), &stop));
    let merchants = merchants.await.unwrap();
    let billers = engine.make_statements(PartyKind::Biller, &actor, (Arc::new(Silent), &stop));
    let billers = billers.await.unwrap();
    let settled = engine.summarise_settlement(&actor, (&Silent, &stop));
    settled.await.unwrap();
    (merchants, billers)
}

pub async fn statement(replica: &Replica, party: Party, date: &str) -> Option<Statement> {
    let key = StatementKey {
        party,
        date: day(date),
        currency: Currency::CNY,
    };
    let found = replica.engine.statement(&key, None, &Scope::All).await;
    found.unwrap()
}

fn text(house: &House, object: &str) -> String {
    let bytes = std::fs::read(house.folder.path().join(object)).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Two payments, one of them undone, one that failed, one in doubt; and a reversal of an earlier day's payment.
pub fn a_day(database: &TestDatabase) {
    contract(database, "2026-11-01", 60, 10);
    contract(database, "2026-11-22", 100, 0);
    let flows = [
        PAID,
        Given {
            n: 2,
            order: 2,
            state: "REVERSED",
            amount_minor: 2_000,
            ..PAID
        },
        Given {
            n: 3,
            order: 2,
            kind: "REVERSAL",
            amount_minor: 2_000,
            ..PAID
        },
        Given {
            n: 4,
            order: 4,
            state: "FAILED",
            ..PAID
        },
        Given {
            n: 5,
            order: 5,
            state: "STARTED",
            ..PAID
        },
        Given {
            n: 6,
            order: 6,
            date: "2026-11-21",
            state: "REVERSED",
            amount_minor: 3_000,
            ..PAID
        },
        Given {
            n: 7,
            order: 6,
            kind: "REVERSAL",
            amount_minor: 3_000,
            ..PAID
        },
        Given {
            n: 8,
            order: 8,
            biller: "sh-power",
            amount_minor: 500,
            ..PAID
        },
    ];
    for flow in flows {
        flow.write(database);
    }
}

#[tokio::test]
async fn a_statement_lists_what_concluded_and_adds_up() {
    for house in houses().await {
        a_day(&house.database);
        let (merchants, billers) = night(&house.replica).await;
        assert_eq!(
            (merchants.made, billers.made),
            (2, 3),
            "{merchants:?} {billers:?}"
        );
        let portal = statement(&house.replica, Party::merchant("portal"), "2026-11-22").await;
        let portal = portal.unwrap();
        let sums: Vec<_> = portal
            .sums
            .iter()
            .map(|sum| {
                (
                    sum.kind,
                    sum.state,
                    sum.flows,
                    sum.amount_minor,
                    sum.fee_minor,
                )
            })
            .collect();
        // 1 % of 10000 and of 2000; back goes 1 % of 2000, and 0.6 % + 10 of the 3000 of the day before.
        assert_eq!(
            sums,
            [
                (FlowKind::Payment, FlowState::Succeeded, 3, 12_500, 120),
                (FlowKind::Payment, FlowState::Failed, 1, 10_000, 0),
                (FlowKind::Reversal, FlowState::Succeeded, 2, 5_000, -48),
            ],
            "{}",
            house.database.kind
        );
        let file = text(&house, &portal.file.object);
        assert_eq!(file.lines().count(), 8, "{file}");
        assert!(!file.contains("00000000500007"), "in doubt: {file}");
        let sidecar = text(&house, &portal.sidecar_object);
        let payload = sidecar.lines().nth(1).unwrap();
        let sidecar = Sidecar::read(format!("{payload}\n").as_bytes()).unwrap();
        assert_eq!((sidecar.rows, sidecar.fee_minor), (6, 72));
        assert_eq!(sidecar.net_minor, 12_500 - 5_000 - 72);
        assert_eq!(sidecar.sha256, portal.file.sha256);
        let audit = sidecar.audit_head.unwrap();
        assert!(audit.seq > 0);
        // The biller that asked for another profile has it.
        let power = statement(&house.replica, Party::biller("sh-power"), "2026-11-22").await;
        let power = power.unwrap();
        assert_eq!(power.profile, "pipe");
        assert!(
            text(&house, &power.file.object).starts_with('1'),
            "the count comes first"
        );
    }
}

#[tokio::test]
async fn what_is_settled_balances_with_the_statements_to_the_last_unit() {
    for house in houses().await {
        a_day(&house.database);
        night(&house.replica).await;
        balances(&house.replica).await;
    }
}

/// What is settled, and what the last versions of the statements say, come to the same.
async fn balances(replica: &Replica) {
    for date in ["2026-11-21", "2026-11-22"] {
        let date = day(date);
        let read = move |c: &mut _| {
            let filter = statements::Filter {
                from: Some(date),
                to: Some(date),
                latest_only: true,
                ..statements::Filter::default()
            };
            Ok((
                settlement_summaries::of_day(c, date)?,
                statements::list(c, &filter, None, 100)?,
            ))
        };
        let (settled, stated) = replica.engine.store().read(read).await.unwrap();
        for kind in [PartyKind::Merchant, PartyKind::Biller] {
            let of_kind = stated.iter().filter(|one| one.key.party.kind == kind);
            let sums: Vec<_> = of_kind.flat_map(|one| one.sums.clone()).collect();
            let total = |wanted: FlowKind, of: fn(&_) -> i64| -> i64 {
                let counted = sums.iter().filter(|sum| sum.state == FlowState::Succeeded);
                counted.filter(|sum| sum.kind == wanted).map(of).sum()
            };
            let amount: fn(&payhall::domain::statement::StatementSum) -> i64 =
                |sum| sum.amount_minor;
            let gross: i64 = settled.iter().map(|one| one.gross_minor).sum();
            let reversed: i64 = settled.iter().map(|one| one.reversed_minor).sum();
            let fees: i64 = settled.iter().map(|one| one.fees_minor).sum();
            let net: i64 = settled.iter().map(|one| one.net_minor()).sum();
            assert_eq!(total(FlowKind::Payment, amount), gross, "{date} {kind}");
            assert_eq!(total(FlowKind::Reversal, amount), reversed, "{date} {kind}");
            let of_statements: i64 = sums.iter().map(|sum| sum.fee_minor).sum();
            assert_eq!(of_statements, fees, "{date} {kind}");
            assert_eq!(net, gross - reversed - fees);
        }
        assert!(!settled.is_empty());
    }
}

/// A contract for days that are closed: they are stated and summed up again, all of them and once.
#[tokio::test]
async fn other_fees_for_closed_days_state_them_again() {
    for house in houses().await {
        a_day(&house.database);
        night(&house.replica).await;
        let import = async |basis_points| {
            let contract = Contract {
                merchant: "portal".to_owned(),
                biller: "sh-telecom".to_owned(),
                currency: Currency::CNY,
                valid_from: day("2026-11-22"),
                basis_points,
                fixed_minor: 0,
            };
            let parts = CatalogueParts {
                contracts: vec![contract],
                ..CatalogueParts::default()
            };
            let store = house.replica.engine.store();
            let (_, again) = store
                .solo(move |tx| tx.import_catalogue(&parts))
                .await
                .unwrap();
            again
        };
        assert_eq!(import(100).await, 0, "it is that contract already");
        let idle = night(&house.replica).await;
        assert_eq!(idle.0, StatementsReport::default());
        assert_eq!(import(250).await, 1, "the 22nd alone is closed since");
        // Last night, which was never stated, does not wait for what is stated once more; and who came since
        // has no statement of a day on which it was not there.
        house.replica.clock.set(at("2026-11-24T01:00:00Z"));
        let newcomer = "INSERT INTO billers (code, name_zh, name_en) VALUES ('newcomer', 'n', 'n')";
        house.database.execute(newcomer).unwrap();
        let (actor, engine) = (Actor::job("night"), &house.replica.engine);
        engine.close_days(&actor, &Silent).await.unwrap();
        let due = |c: &mut _| business_days::to_work_on(c, "SETTLEMENT", 10);
        let due = engine.store().read(due).await.unwrap();
        let due: Vec<_> = due.into_iter().map(|day| day.date).collect();
        assert_eq!(due, [day("2026-11-23"), day("2026-11-22")]);
        let (merchants, billers) = night(&house.replica).await;
        assert_eq!((merchants.reissued, billers.reissued), (1, 1));
        let newcomer = Party {
            kind: PartyKind::Biller,
            code: "newcomer".to_owned(),
        };
        let of_newcomer = async |date| statement(&house.replica, newcomer.clone(), date).await;
        assert!(of_newcomer("2026-11-23").await.is_some());
        assert!(of_newcomer("2026-11-22").await.is_none());
        balances(&house.replica).await;
        let date = day("2026-11-22");
        let store = house.replica.engine.store();
        let of_day = move |c: &mut _| {
            let closed = business_days::find(c, date)?.expect("it is closed");
            Ok((closed, settlement_summaries::of_day(c, date)?))
        };
        let (closed, settled) = store.read(of_day).await.unwrap();
        let version = store.read(catalogue::version).await.unwrap();
        // Somebody who summed up before the import, and comes to write it down only now.
        let keep = {
            let (closed, settled) = (closed.clone(), settled.clone());
            move |tx: &mut Tx<'_>| tx.keep_summaries(&closed, version - 1, settled.clone())
        };
        assert_eq!(store.solo(keep).await.unwrap(), None);
        let keep = move |tx: &mut Tx<'_>| tx.keep_summaries(&closed, version, settled.clone());
        assert_eq!(store.solo(keep).await.unwrap(), Some(0));
        let stated = statement(&house.replica, Party::merchant("portal"), "2026-11-22").await;
        assert_eq!(stated.unwrap().version, 2);
        let idle = night(&house.replica).await;
        assert_eq!(idle.1, StatementsReport::default());
        // What was forgotten is not stated anew, as if it were the first version.
        house.replica.clock.set(at("2027-01-24T12:00:00Z"));
        engine.tend_keys(&actor).await.unwrap();
        night(&house.replica).await;
        assert!(import(300).await > 1);
        night(&house.replica).await;
        let forgotten = statement(&house.replica, Party::merchant("portal"), "2026-11-22").await;
        assert_eq!(forgotten, None);
    }
}

#[tokio::test]
async fn nothing_is_made_twice_and_what_changed_is_another_version() {
    for house in houses().await {
        a_day(&house.database);
        night(&house.replica).await;
        let idle = night(&house.replica).await;
        assert_eq!(
            idle,
            (StatementsReport::default(), StatementsReport::default())
        );
        let first = statement(&house.replica, Party::merchant("portal"), "2026-11-22").await;
        let first = first.unwrap();
        let decide = "UPDATE flows SET state = 'SUCCEEDED', concluded_at = 1766200000000000, \
                      version = 2 WHERE state = 'STARTED'";
        house.database.execute(decide).unwrap();
        house.replica.clock.advance(Duration::from_secs(600));
        let (merchants, billers) = night(&house.replica).await;
        assert_eq!(
            (merchants.made, merchants.reissued, merchants.stood),
            (0, 1, 0)
        );
        assert_eq!((billers.made, billers.reissued, billers.stood), (0, 1, 1));
        let second = statement(&house.replica, Party::merchant("portal"), "2026-11-22").await;
        let second = second.unwrap();
        assert_eq!((second.version, second.flows), (2, first.flows + 1));
        // The first version stays as it was.
        assert_eq!(text(&house, &first.file.object).lines().count(), 8);
        // A payment that is undone later is a flow of its own day: the statement stands.
        let undo = format!(
            "UPDATE flows SET state = 'REVERSED', version = 2 WHERE flow_no = '{}'",
            PAID.flow_no()
        );
        house.database.execute(&undo).unwrap();
        house.replica.clock.advance(Duration::from_secs(600));
        let (merchants, _) = night(&house.replica).await;
        assert_eq!(
            (merchants.made, merchants.reissued, merchants.stood),
            (0, 0, 1)
        );
        let stood = statement(&house.replica, Party::merchant("portal"), "2026-11-22").await;
        let stood = stood.unwrap();
        assert_eq!((stood.version, &stood.file), (2, &second.file));
        let idle = night(&house.replica).await;
        assert_eq!(
            idle.0,
            StatementsReport::default(),
            "its new content is known"
        );
    }
}

#[tokio::test]
async fn the_same_day_gives_the_same_bytes_whoever_makes_them() {
    for house in houses().await {
        a_day(&house.database);
        let other = replica(&house.database, house.folder.path(), "b").await;
        let (ours, theirs) = tokio::join!(night(&house.replica), night(&other));
        let made = ours.0.made + theirs.0.made;
        assert_eq!(made, 2, "{ours:?} {theirs:?}");
        let store = house.replica.engine.store();
        let all = store
            .read(|c| statements::of_day(c, day("2026-11-22")))
            .await
            .unwrap();
        assert!(all.iter().all(|one| one.version == 1), "{all:#?}");
        both_sum_up_at_once(&house, &other).await;
        // What a run that died before its rows had written is written again, to the same names.
        let before = names(house.folder.path());
        let forget = "DELETE FROM statement_sums; DELETE FROM statements; \
                      DELETE FROM business_day_works";
        house.database.execute(forget).unwrap();
        night(&house.replica).await;
        assert_eq!(
            names(house.folder.path()),
            before,
            "{}",
            house.database.kind
        );
    }
}

/// However two replicas meet, a day is summed up once.
async fn both_sum_up_at_once(house: &House, other: &Replica) {
    let (actor, stop) = (Actor::job("night"), CancellationToken::new());
    let sum_up = |of: &Replica| {
        let (engine, actor, stop) = (of.engine.clone(), actor.clone(), stop.clone());
        async move { engine.summarise_settlement(&actor, (&Silent, &stop)).await }
    };
    for _ in 0..20 {
        let forget = "DELETE FROM settlement_summaries; \
                      DELETE FROM business_day_works WHERE work = 'SETTLEMENT'";
        house.database.execute(forget).unwrap();
        let (ours, theirs) = tokio::join!(sum_up(&house.replica), sum_up(other));
        let store = house.replica.engine.store();
        let all = settlement_summaries::Filter::default();
        let kept = store.read(move |c| settlement_summaries::list(c, &all, None, 100));
        let kept = kept.await.unwrap();
        let changed = ours.unwrap().changed + theirs.unwrap().changed;
        assert_eq!(changed, u64::try_from(kept.len()).unwrap());
        assert!(
            !kept.is_empty() && kept.iter().all(|one| one.version == 1),
            "{kept:#?}"
        );
    }
}

#[tokio::test]
async fn an_empty_day_is_a_file_and_old_ones_are_forgotten() {
    for house in houses().await {
        crate::support::given::merchant(&house.database);
        PAID.write(&house.database);
        house.replica.clock.set(at("2026-11-24T12:00:00Z"));
        night(&house.replica).await;
        let empty = statement(&house.replica, Party::merchant("portal"), "2026-11-23").await;
        let empty = empty.unwrap();
        assert_eq!((empty.flows, empty.version), (0, 1));
        assert_eq!(text(&house, &empty.file.object).lines().count(), 2);
        house.replica.clock.set(at("2027-01-24T12:00:00Z"));
        let actor = Actor::job("expire_keys");
        house.replica.engine.tend_keys(&actor).await.unwrap();
        let (merchants, _) = night(&house.replica).await;
        assert_eq!(merchants.forgotten, 3, "those of 22 and 23 November");
        let gone = statement(&house.replica, Party::merchant("portal"), "2026-11-23").await;
        assert_eq!(gone, None);
        assert!(!house.folder.path().join(&empty.file.object).exists());
    }
}

/// Every file of a folder, with its length.
fn names(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let path = entry.path().display().to_string();
                    found.push((path, entry.metadata().unwrap().len()));
                }
            }
        }
    }
    found.sort();
    found
}

/// A copy that the server ends in the middle must not pass for a short day.
#[tokio::test]
async fn a_copy_that_breaks_off_is_no_statement() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let replica = replica(&database, folder.path(), "a").await;
    PAID.write(&database);
    let many = "INSERT INTO flows (flow_no, order_no, merchant, biller, bill_no, kind, step, adapter, \
                amount_minor, currency, state, business_date, started_at, concluded_at, version) \
                SELECT '20261122' || lpad((n + 1000)::text, 16, '0'), '20261101' || lpad(n::text, 16, '0'), \
                'portal', 'sh-telecom', '1', 'PAYMENT', 2, 'bank', 100, 'CNY', 'SUCCEEDED', \
                '2026-11-22', 0, 0, 1 FROM generate_series(1, 50000) n";
    database.execute(many).unwrap();
    // The last row cannot be told: by then megabytes of others have gone out.
    let broken = "ALTER TABLE flows RENAME TO kept_flows; CREATE VIEW flows AS SELECT flow_no, order_no, \
                  merchant, biller, bill_no, kind, step, adapter, CASE WHEN flow_no = \
                  '2026112200000000000' || '51000' THEN 1 / (length(flow_no) - 24) ELSE amount_minor END \
                  AS amount_minor, currency, state, code, upstream_ref, message, business_date, \
                  started_at, concluded_at, version FROM kept_flows";
    database.execute(broken).unwrap();
    // Row by row in the order of the numbers, and not sorted first.
    let streamed = "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || \
                    ' SET enable_sort = off'; EXECUTE 'ALTER DATABASE ' || current_database() || \
                    ' SET enable_seqscan = off'; END $$";
    database.execute(streamed).unwrap();
    let flows = DayFlows::All(day("2026-11-22"));
    let read = move |c: &mut _| {
        let mut seen = 0;
        let passed = day_flows::each(c, &flows, &mut |_| {
            seen += 1;
            Ok::<(), ()>(())
        });
        Ok((passed.is_err(), seen))
    };
    let (is_refused, seen) = replica.engine.store().scan(read).await.unwrap();
    assert!(seen > 0, "some rows have come");
    assert!(is_refused, "{seen} rows passed for the whole day");
}
