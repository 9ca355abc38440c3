//! `payhall check` over nights (I13): a sound one has no finding, and each thing that is wrong is found.

use super::town::{Town, today};
use crate::support::database::TestDatabase;
use payhall::check::{CheckOptions, Invariant, run};
use payhall::engine::Clock;
use payhall::output::Objects;

/// A town after a night with one difference.
fn after_a_night(database: TestDatabase) -> Town {
    let town = Town::new(database);
    let orders = town.paid(1, 5);
    let number = town.payment(&orders[1]);
    town.send(
        today(),
        |bank| bank.retain(|said| said.flow_no != number),
        |_| {},
    );
    town.night(today());
    town
}

/// What is found of the nights, in words. The ledger is the simulated world's, and there is none here.
fn found(town: &Town) -> Vec<String> {
    found_in(town, town.objects())
}

/// The same where files are kept somewhere else.
pub fn found_in(town: &Town, files: Objects) -> Vec<String> {
    let ledger = town.folder.path().join("ledger.jsonl");
    std::fs::write(&ledger, "").unwrap();
    let mut options = CheckOptions::new(&town.bank.database.url, ledger, town.bank.clock.now());
    options.files = Some(files);
    let report = run(&options).unwrap();
    let of_nights = report
        .findings
        .iter()
        .filter(|finding| finding.invariant == Invariant::OneClass);
    of_nights.map(ToString::to_string).collect()
}

#[test]
fn a_sound_night_has_no_finding() {
    for database in TestDatabase::all() {
        let town = after_a_night(database);
        assert_eq!(found(&town), [""; 0]);
    }
}

#[test]
fn each_thing_that_is_wrong_is_found() {
    let spoilt = [
        (
            "UPDATE reconciliations SET flow_count = flow_count + 1",
            "do not add up to the flows",
        ),
        (
            "UPDATE reconciliations SET difference_count = 0",
            "do not add up to the flows",
        ),
        (
            "DELETE FROM discrepancies",
            "the flows of a class are not those",
        ),
        (
            "UPDATE reconciliation_sums SET paid_minor = paid_minor + 1 WHERE side = 'OURS'",
            "OURS: 5 rows over 5017",
        ),
        (
            "UPDATE reconciliation_sums SET paid_count = paid_count + 1 WHERE side = 'BANK'",
            "BANK: 5 rows",
        ),
        (
            "DELETE FROM reconciliation_sums WHERE side = 'BILLER'",
            "BILLER: 0 rows",
        ),
        (
            "DELETE FROM partner_files WHERE side = 'BANK'",
            "files that went into a result",
        ),
        (
            "UPDATE reconciliations SET result_hash = 'other'",
            "not the one that was published",
        ),
        (
            "UPDATE discrepancies SET ended_on = business_date, ended_run = discrepancy_id, \
             ended_class = 'MATCHED', ended_rule = 'ALL_AGREE'",
            "ended by a result that does not count",
        ),
    ];
    for (statement, words) in spoilt {
        let town = after_a_night(TestDatabase::sqlite());
        town.bank.database.execute(statement).unwrap();
        let found = found(&town);
        assert!(
            found.iter().any(|finding| finding.contains(words)),
            "{statement}: {words:?} is not among {found:#?}"
        );
    }
}

#[test]
fn a_result_file_that_was_changed_is_found() {
    let town = after_a_night(TestDatabase::sqlite());
    let path = town
        .folder
        .path()
        .join("files")
        .join(town.run_of(today()).file_path);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let write = |lines: &[&str]| std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let told = |words: &str| {
        let found = found(&town);
        let is_told = found.iter().any(|finding| finding.contains(words));
        assert!(is_told, "{words:?} is not among {found:#?}");
    };
    write(&[&lines[..2], &lines[3..]].concat());
    told("is in no class");
    told("not the one that was published");
    write(&[&lines[..], &lines[lines.len() - 1..]].concat());
    told("in a result twice");
    write(&lines);
    assert_eq!(found(&town), [""; 0], "it is as it was");
    std::fs::remove_file(&path).unwrap();
    told("the result file is not there");
}
