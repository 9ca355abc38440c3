//! A statement that cannot be written: everybody else has theirs, and it comes when its cause is mended.

use crate::given::{Given, PAID, at, contract, day};
use crate::making::{rules, statement};
use crate::support::database::TestDatabase;
use crate::support::replica::{Manner, Replica};
use payhall::domain::progress::Silent;
use payhall::domain::statement::{Party, PartyKind};
use payhall::engine::{Actor, Standing, StatementError, StatementRules, StatementsReport};
use payhall::files::{BUILT_IN, Profiles};
use payhall::output::Objects;
use payhall::storage::settlement_summaries;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The party whose statements are written by a profile of its own; it comes before all others.
const ODD: &str = "a-shop";

/// A replica where the bill numbers of the odd one's profile have so much room.
async fn replica(database: &TestDatabase, folder: &Path, (name, width): (&str, &str)) -> Replica {
    let mut built_in = BUILT_IN.iter();
    let (_, text) = built_in.find(|(name, _)| *name == "unionpay-zm").unwrap();
    assert!(text.contains("width = 64"));
    let text = text.replace("width = 64", &format!("width = {width}"));
    let rules = rules(Objects::folder(folder).unwrap());
    let rules = StatementRules {
        profiles: Profiles::load([("odd", text.as_str())]).unwrap(),
        profile_of: [(format!("merchant:{ODD}"), "odd".to_owned())].into(),
        ..rules
    };
    let manner = Manner::keeping(Arc::new(rules));
    Replica::start_as(database, name, at("2026-11-22T17:00:00Z"), manner).await
}

async fn make(replica: &Replica) -> Result<StatementsReport, StatementError> {
    let (actor, stop) = (Actor::job("night"), CancellationToken::new());
    let engine = &replica.engine;
    engine.close_days(&actor, &Silent).await.unwrap();
    let made = engine.make_statements(PartyKind::Merchant, &actor, (Arc::new(Silent), &stop));
    made.await
}

async fn standing(replica: &Replica) -> [Standing; 3] {
    let of = async |date| {
        let standing = replica.engine.statements_of(PartyKind::Merchant, day(date));
        standing.await.unwrap()
    };
    [
        of("2026-11-20").await,
        of("2026-11-21").await,
        of("2026-11-22").await,
    ]
}

#[tokio::test]
async fn who_cannot_be_stated_keeps_nobody_else_waiting() {
    for database in TestDatabase::all() {
        let folder = tempfile::tempdir().unwrap();
        let narrow = replica(&database, folder.path(), ("a", "4")).await;
        let given = [
            ("2026-11-20", ODD, 1, 1),
            ("2026-11-20", "portal", 2, 2),
            ("2026-11-21", ODD, 1, 3),
            ("2026-11-21", "portal", 2, 4),
            ("2026-11-22", "portal", 1, 5),
        ];
        for (date, merchant, n, order) in given {
            let flow = Given {
                n,
                date,
                merchant,
                order,
                ..PAID
            };
            flow.write(&database);
        }
        // The second run finds everybody else's as they are, and fails of the same.
        for _ in 0..2 {
            let error = make(&narrow).await.unwrap_err();
            let told = error.to_string();
            assert_eq!(
                told, "the statement of merchant:a-shop for 2026-11-20 cannot be written",
                "{}",
                database.kind
            );
            for date in ["2026-11-20", "2026-11-21", "2026-11-22"] {
                let stated = statement(&narrow, Party::merchant("portal"), date).await;
                assert_eq!(stated.map(|one| one.version), Some(1), "{date}");
                assert_eq!(statement(&narrow, Party::merchant(ODD), date).await, None);
            }
            let due = [Standing::Open, Standing::Open, Standing::Done];
            assert_eq!(standing(&narrow).await, due);
        }
        let mended = replica(&database, folder.path(), ("b", "64")).await;
        let report = make(&mended).await.unwrap();
        assert_eq!(report.days, [day("2026-11-20"), day("2026-11-21")]);
        assert_eq!((report.made, report.stood, report.reissued), (2, 2, 0));
        for date in ["2026-11-20", "2026-11-21"] {
            let stated = statement(&mended, Party::merchant(ODD), date).await;
            assert_eq!(stated.map(|one| one.flows), Some(1), "{date}");
        }
        assert_eq!(standing(&mended).await, [Standing::Done; 3]);
        assert_eq!(make(&mended).await.unwrap(), StatementsReport::default());
    }
}

#[tokio::test]
async fn a_day_that_cannot_be_summed_up_keeps_no_other_one_waiting() {
    for database in TestDatabase::all() {
        let folder = tempfile::tempdir().unwrap();
        let replica = replica(&database, folder.path(), ("a", "64")).await;
        // Two fees of a size that no sum can hold.
        contract(&database, "2026-11-20", 0, i64::MAX / 2 + 1);
        contract(&database, "2026-11-21", 0, 10);
        let given = [
            ("2026-11-20", 1, 1),
            ("2026-11-20", 2, 2),
            ("2026-11-21", 1, 3),
        ];
        for (date, n, order) in given {
            let flow = Given {
                n,
                date,
                order,
                ..PAID
            };
            flow.write(&database);
        }
        let (actor, stop) = (Actor::job("night"), CancellationToken::new());
        let engine = &replica.engine;
        engine.close_days(&actor, &Silent).await.unwrap();
        let summed = engine.summarise_settlement(&actor, (&Silent, &stop)).await;
        let told = summed.unwrap_err().to_string();
        assert_eq!(told, "the settlement of 2026-11-20 cannot be summed up");
        let of = async |date| {
            let date = day(date);
            let read = move |c: &mut _| settlement_summaries::of_day(c, date);
            let found = engine.store().read(read).await.unwrap();
            found.iter().map(|sum| sum.fees_minor).collect::<Vec<_>>()
        };
        assert_eq!(
            (of("2026-11-20").await, of("2026-11-21").await),
            (vec![], vec![10])
        );
        // When its cause is mended it comes by itself.
        let mended = "UPDATE contracts SET fixed_minor = 20 WHERE valid_from = '2026-11-20'";
        database.execute(mended).unwrap();
        let summed = engine.summarise_settlement(&actor, (&Silent, &stop)).await;
        assert_eq!(summed.unwrap().days, [day("2026-11-20")]);
        assert_eq!(of("2026-11-20").await, [40]);
    }
}
