//! Runs: dry, again, two at once; explained; decided.

use super::town::{Town, today};
use crate::support::bank::{code, operator, refused};
use crate::support::database::TestDatabase;
use payhall::domain::case::Decision;
use payhall::domain::progress::Silent;
use payhall::domain::reconciliation::{Class, Rule};
use payhall::domain::refusal::RefusalCode;
use payhall::engine::{Actor, DayOutcome};
use payhall::storage::discrepancies;

/// A day with one difference; gives the number.
fn a_day(town: &Town) -> String {
    let orders = town.paid(1, 4);
    let number = town.payment(&orders[1]);
    town.send(
        today(),
        |bank| bank.retain(|said| said.flow_no != number),
        |_| {},
    );
    number
}

#[test]
fn a_dry_run_shows_everything_and_writes_nothing() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let number = a_day(&town);
        town.go_to_night_after(today());
        town.close();
        town.fetch();
        let before = town.bank.facts();
        let shown = town.dry_run(today());
        assert_eq!(shown.differences.len(), 1);
        assert_eq!(shown.differences[0].flow_no, number);
        assert!(!shown.sums.is_empty());
        assert_eq!(town.versions(today()), 0);
        let after = town.bank.facts();
        assert_eq!(before.cases, after.cases);
        let rows = |facts: &crate::support::bank::inspect::Facts| -> usize {
            facts.chains.iter().map(Vec::len).sum()
        };
        assert_eq!(rows(&before), rows(&after), "no audit row");
        let kept = town.folder.path().join("files/reconciliation");
        assert!(!kept.exists(), "no result file");
        assert_eq!(town.reconcile().published, [today()]);
        assert_eq!(town.run_of(today()).result_hash, shown.run.result_hash);
    }
}

#[test]
fn the_same_inputs_give_the_same_result_and_nothing_is_doubled() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        a_day(&town);
        town.night(today());
        let first = town.run_of(today());
        let actor = Actor::system();
        let again = town.bank.engine().reconcile_again(today(), &actor, &Silent);
        let again = town.bank.wait(again).unwrap();
        assert!(
            matches!(&again, DayOutcome::Same(run) if run.result_hash == first.result_hash),
            "{again:?}"
        );
        assert_eq!(town.versions(today()), 1);
        let found = town
            .bank
            .read(|c| discrepancies::list(c, &Default::default(), None, 100));
        assert_eq!(found.len(), 1);
        // The result file is what the row says.
        let path = town.folder.path().join("files").join(&first.file_path);
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(sha256(&bytes), first.file_sha256);
        let text = String::from_utf8(bytes).unwrap();
        let lines = i64::try_from(text.lines().count()).unwrap();
        assert_eq!(lines - 1, first.flow_count);
        assert!(text.starts_with("flow_no,class,rule"), "{text}");
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn two_replicas_publish_one_result() {
    for database in TestDatabase::all() {
        let mut town = Town::new(database);
        a_day(&town);
        town.go_to_night_after(today());
        town.close();
        town.fetch();
        let other = town.bank.start_replica();
        let run = |place: usize| {
            let engine = town.bank.house(place).engine.clone();
            town.bank.start(async move {
                let actor = Actor::job("reconcile_day");
                engine.reconcile_days(&actor, &Silent).await.unwrap()
            })
        };
        let both = [run(0), run(other), run(0), run(other)];
        let reports = town.bank.wait(futures_util::future::join_all(both));
        let reports: Vec<_> = reports.into_iter().map(Result::unwrap).collect();
        let published: usize = reports.iter().map(|report| report.published.len()).sum();
        assert_eq!(published, 1);
        assert!(
            reports.iter().all(|report| report.failed.is_empty()),
            "who was overtaken has not failed: {reports:?}"
        );
        assert_eq!(town.versions(today()), 1);
        assert_eq!(town.classes(today()).len(), 1);
    }
}

#[test]
fn one_flow_is_explained_with_both_rows() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let missing = a_day(&town);
        town.night(today());
        let explain = |number: &str| {
            let explained = town.bank.engine().reconciliation_explain(number);
            town.bank.wait(explained).unwrap()
        };
        let short = explain(&missing).expect("it is known");
        assert_eq!(
            (short.verdict.class, short.verdict.rule),
            (Class::Short, Rule::BankMissing)
        );
        assert_eq!(short.heard.len(), 1);
        assert_eq!(short.found.len(), 1);
        assert_eq!(short.cases.len(), 1);
        let matched = town.honest(today()).remove(0).flow_no;
        let matched = explain(&matched).expect("it is known");
        assert_eq!(matched.verdict.class, Class::Matched);
        let lines: Vec<(String, u32)> = matched
            .heard
            .iter()
            .map(|heard| (heard.file.partner.to_string(), heard.row.line))
            .collect();
        assert_eq!(
            lines,
            [("first-bank".to_owned(), 2), ("telecom".to_owned(), 2)]
        );
        assert_eq!(matched.runs.len(), 1);
        assert!(explain("202611220000000000000000").is_none());
        assert!(explain("nobody's").is_none());
    }
}

#[test]
fn two_people_decide_about_a_difference() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let number = a_day(&town);
        town.night(today());
        let engine = town.bank.engine();
        let case_no = town.differences(today())[&number].case_no.clone().unwrap();
        let (ann, bob) = (operator("ann"), operator("bob"));
        let keep = engine.case_propose(&case_no, Decision::Keep, "the bank pays it back", &ann);
        let proposed = refused(town.bank.wait(keep)).unwrap();
        let alone = engine.case_approve(&case_no, proposed.version, &ann);
        assert_eq!(
            code(refused(town.bank.wait(alone))),
            RefusalCode::MakerIsChecker
        );
        let approve = engine.case_approve(&case_no, proposed.version, &bob);
        refused(town.bank.wait(approve)).unwrap();
        // Decided is decided: the same difference opens no other case.
        let actor = Actor::system();
        town.bank
            .wait(engine.reconcile_again(today(), &actor, &Silent))
            .unwrap();
        let cases = town
            .bank
            .read(move |c| payhall::storage::cases::of_flow(c, &number));
        assert_eq!(cases.len(), 1);
    }
}
