//! Decisions of many cases from a file: looked at, proposed by one person, applied by another.

use super::town::{Town, today};
use crate::support::bank::{code, operator, refused};
use crate::support::database::TestDatabase;
use payhall::domain::case::{BatchState, Case, CaseKind, CaseState};
use payhall::domain::refusal::RefusalCode;
use payhall::storage::case_batches::CaseBatch;
use payhall::storage::cases;

/// A town in which people have three differences to look at.
fn with_cases(database: TestDatabase) -> (Town, Vec<Case>) {
    let town = Town::new(database);
    town.paid(1, 3);
    town.send(today(), |bank| bank.clear(), |_| {});
    town.night(today());
    let found = open(&town);
    assert_eq!(found.len(), 3);
    (town, found)
}

fn open(town: &Town) -> Vec<Case> {
    let filter = cases::Filter {
        kinds: vec![CaseKind::Discrepancy],
        states: vec![CaseState::Open, CaseState::Proposed],
        ..cases::Filter::default()
    };
    town.bank.read(move |c| cases::list(c, &filter, None, 100))
}

fn file(cases: &[Case]) -> String {
    let mut text = "case_no,decision,evidence\n".to_owned();
    for case in cases {
        text.push_str(&format!(
            "{},KEEP,\"the bank lists it on Monday, they say\"\n",
            case.case_no
        ));
    }
    text
}

/// A file that Ann has proposed.
fn proposed(town: &Town, text: &str) -> CaseBatch {
    let (engine, ann) = (town.bank.engine(), operator("ann"));
    let proposed = town.bank.wait(engine.batch_propose(text, &ann));
    refused(proposed).unwrap().batch.unwrap()
}

/// Bob applies all files, or did when the program died.
fn take_all(town: &Town) {
    let taken = "UPDATE case_batches SET state = 'APPLYING', checker = 'operator:bob'";
    town.bank.database.execute(taken).unwrap();
}

#[test]
fn a_file_is_looked_at_and_nothing_happens() {
    let (town, cases) = with_cases(TestDatabase::sqlite());
    let engine = town.bank.engine();
    let mut text = file(&cases);
    text.push_str(&format!("{},KEEP,once more\n", cases[0].case_no));
    text.push_str("202611220000000000000000,KEEP,nobody's\n");
    text.push_str(&format!("{},FAILED,\n", cases[1].case_no));
    let preview = refused(town.bank.wait(engine.batch_preview(&text))).unwrap();
    assert!(!preview.is_right());
    let wrong: Vec<(u64, &str)> = preview
        .lines
        .iter()
        .filter_map(|line| Some((line.line, line.problem.as_deref()?)))
        .collect();
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert_eq!((wrong[0].0, wrong[1].0, wrong[2].0), (5, 6, 7));
    assert_eq!(
        preview
            .lines
            .iter()
            .filter(|line| line.does.is_some())
            .count(),
        3
    );
    let ann = operator("ann");
    let proposed = engine.batch_propose(&text, &ann);
    assert_eq!(
        code(refused(town.bank.wait(proposed))),
        RefusalCode::BatchInvalid
    );
    assert!(open(&town).iter().all(|case| case.state == CaseState::Open));
}

#[test]
fn one_person_proposes_a_file_and_another_applies_it() {
    for database in TestDatabase::all() {
        let (town, cases) = with_cases(database);
        let engine = town.bank.engine();
        let (ann, bob) = (operator("ann"), operator("bob"));
        let batch = proposed(&town, &file(&cases));
        assert!(open(&town).iter().all(|case| case.state == CaseState::Open));
        let apply = |who, hash: &str| {
            let applied = engine.batch_apply(batch.batch_id, hash, who);
            refused(town.bank.wait(applied))
        };
        assert_eq!(
            code(apply(&ann, &batch.content_hash)),
            RefusalCode::MakerIsChecker
        );
        assert_eq!(code(apply(&bob, "another")), RefusalCode::BatchChanged);
        // One of them is decided meanwhile: its line says so, and the others are done.
        let decision = payhall::domain::case::Decision::Keep;
        let first = &cases[0].case_no;
        let other = engine.case_propose(first, decision, "a letter", &ann);
        let other = refused(town.bank.wait(other)).unwrap();
        let approved = engine.case_approve(first, other.version, &bob);
        refused(town.bank.wait(approved)).unwrap();
        let applied = apply(&bob, &batch.content_hash).unwrap();
        let problems = applied.lines.iter().filter(|line| line.problem.is_some());
        assert_eq!(problems.count(), 1);
        assert_eq!(applied.batch.unwrap().state, BatchState::Applied);
        assert!(open(&town).is_empty());
        assert_eq!(
            code(apply(&bob, &batch.content_hash)),
            RefusalCode::BatchChanged
        );
    }
}

/// Half a file is applied, and then the program dies: nobody can reject it any more, and applying it once more
/// does the rest.
#[test]
fn what_broke_off_is_gone_on_with() {
    for database in TestDatabase::all() {
        let (town, cases) = with_cases(database);
        let engine = town.bank.engine();
        let (ann, bob, eve) = (operator("ann"), operator("bob"), operator("eve"));
        let batch = proposed(&town, &file(&cases));
        let evidence = "the bank lists it on Monday, they say";
        let decision = payhall::domain::case::Decision::Keep;
        for (place, case) in cases.iter().take(2).enumerate() {
            let made = engine.case_propose(&case.case_no, decision, evidence, &ann);
            let made = refused(town.bank.wait(made)).unwrap();
            if place == 0 {
                let approved = engine.case_approve(&case.case_no, made.version, &bob);
                refused(town.bank.wait(approved)).unwrap();
            }
        }
        take_all(&town);
        let rejected = engine.batch_reject(batch.batch_id, &batch.content_hash, &eve);
        assert_eq!(
            code(refused(town.bank.wait(rejected))),
            RefusalCode::BatchChanged
        );
        let applied = engine.batch_apply(batch.batch_id, &batch.content_hash, &eve);
        let applied = refused(town.bank.wait(applied)).unwrap();
        assert!(applied.lines.iter().all(|line| line.problem.is_none()));
        assert_eq!(applied.batch.unwrap().state, BatchState::Applied);
        assert!(open(&town).is_empty());
    }
}

/// Two apply a file at the same time: each line is decided once, and both are told so.
#[test]
fn who_applies_a_file_beside_another_is_told_what_was_decided() {
    for database in TestDatabase::all() {
        let (town, cases) = with_cases(database);
        let engine = town.bank.engine();
        let (bob, eve) = (operator("bob"), operator("eve"));
        let batch = proposed(&town, &file(&cases));
        take_all(&town);
        let (id, hash) = (batch.batch_id, batch.content_hash.as_str());
        let (one, other) = town.bank.wait(async {
            let apply = engine.batch_apply(id, hash, &bob);
            tokio::join!(apply, engine.batch_apply(id, hash, &eve))
        });
        let [one, other] = [refused(one), refused(other)];
        assert!(one.is_ok() || other.is_ok(), "{one:?}, {other:?}");
        for applied in [one, other] {
            match applied {
                Ok(applied) => {
                    let problems = applied.lines.iter().find_map(|line| line.problem.clone());
                    assert_eq!(problems, None);
                    assert_eq!(applied.batch.unwrap().state, BatchState::Applied);
                }
                // Who comes when the other one is done is told that.
                Err(late) => assert_eq!(late.code, RefusalCode::BatchChanged, "{late:?}"),
            }
        }
        assert!(open(&town).is_empty());
    }
}

/// One applies a file while another rejects it: either all of it takes effect, or nothing.
#[test]
fn a_file_is_applied_or_rejected_and_never_both() {
    for database in TestDatabase::all() {
        let (town, cases) = with_cases(database);
        let engine = town.bank.engine();
        let (bob, eve) = (operator("bob"), operator("eve"));
        let batch = proposed(&town, &file(&cases));
        let (id, hash) = (batch.batch_id, batch.content_hash.as_str());
        let (applied, rejected) = town.bank.wait(async {
            let apply = engine.batch_apply(id, hash, &bob);
            tokio::join!(apply, engine.batch_reject(id, hash, &eve))
        });
        assert_ne!(applied.is_ok(), rejected.is_ok());
        let left = if applied.is_ok() { 0 } else { cases.len() };
        assert_eq!(open(&town).len(), left);
    }
}

#[test]
fn people_comment_on_a_case_and_hand_it_over() {
    for database in TestDatabase::all() {
        let (town, cases) = with_cases(database);
        let engine = town.bank.engine();
        let ann = operator("ann");
        let number = &cases[0].case_no;
        let comment = engine.case_comment(number, " they call back ", &ann);
        refused(town.bank.wait(comment)).unwrap();
        let empty = engine.case_comment(number, "  ", &ann);
        assert_eq!(
            code(refused(town.bank.wait(empty))),
            RefusalCode::InvalidArgument
        );
        let written = town.bank.wait(engine.case_comments(number)).unwrap();
        assert_eq!(written.len(), 1);
        assert_eq!(
            (written[0].body.as_str(), written[0].author.as_str()),
            ("they call back", "operator:ann")
        );
        let hand = |version, owner: &str| {
            let handed = engine.case_hand(number, version, Some(owner.to_owned()), &ann);
            refused(town.bank.wait(handed))
        };
        let handed = hand(0, "vera").unwrap();
        assert_eq!((handed.owner.as_deref(), handed.version), (Some("vera"), 1));
        assert_eq!(code(hand(0, "olga")), RefusalCode::CaseChanged);
        let filter = cases::Filter {
            owner: Some("vera".to_owned()),
            ..cases::Filter::default()
        };
        let hers = town.bank.read(move |c| cases::list(c, &filter, None, 10));
        assert_eq!(hers.len(), 1);
    }
}
