//! The scenario files of `tests/scenarios`, each on both databases, and the proof that together they
//! walk every arrow of the state machine.

#[path = "support/scenario/mod.rs"]
mod scenario;
mod support;

use payhall::domain::order::{OrderEvent, OrderState, Transition, next};
use scenario::parse::parse;
use scenario::run::{Arrow, play};
use scenario::{Scenario, read_all};
use std::collections::BTreeSet;
use std::path::Path;
use support::database::TestDatabase;

fn scenarios() -> Vec<Scenario> {
    read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios"))
}

/// How many scenarios are played beside each other: most of their time they wait for the database.
const BESIDE: usize = 4;

/// Plays every scenario, each on a thread of its own, so that one that fails hides no other.
fn play_all(fresh: fn() -> Option<TestDatabase>) -> BTreeSet<Arrow> {
    let (mut walked, mut failed) = (BTreeSet::new(), Vec::new());
    for group in scenarios().chunks(BESIDE) {
        let playing: Vec<_> = group
            .iter()
            .cloned()
            .map(|scenario| {
                let name = scenario.name.clone();
                let play = move || fresh().map(|database| play(&scenario, database));
                (name, std::thread::spawn(play))
            })
            .collect();
        for (name, playing) in playing {
            match playing.join() {
                Ok(arrows) => walked.extend(arrows.into_iter().flatten()),
                Err(_) => failed.push(name),
            }
        }
    }
    assert!(
        failed.is_empty(),
        "these scenarios failed, see above: {failed:?}"
    );
    walked
}

#[test]
fn every_scenario_on_sqlite_and_every_arrow_is_walked() {
    let walked = play_all(|| Some(TestDatabase::sqlite()));
    let mut missing = Vec::new();
    for &state in OrderState::ALL {
        for &event in OrderEvent::ALL {
            let Ok(Transition::To(to)) = next(state, event) else {
                continue;
            };
            let arrow = [state.as_str(), event.as_str(), to.as_str()].map(str::to_owned);
            if !walked.contains(&arrow.clone().into()) {
                missing.push(arrow);
            }
        }
    }
    assert!(missing.is_empty(), "no scenario walks {missing:?}");
}

#[test]
fn every_scenario_on_postgres() {
    play_all(TestDatabase::postgres);
}

#[test]
fn there_are_enough_of_them_and_each_says_what_it_is_about() {
    let all = scenarios();
    assert!(all.len() >= 25, "{} scenarios", all.len());
    for scenario in all {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/scenarios/{}.txt", scenario.name));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.starts_with("# "),
            "{} begins with a sentence about itself",
            scenario.name
        );
    }
}

#[test]
fn a_sentence_that_is_not_known_is_an_error() {
    for line in [
        "order A of bill 1 over 5",
        "order A of bill 1 over 5.0",
        "confirm A -> HAPPY",
        "confirm A -> refused BECAUSE",
        "the bank answers pay of A: perhaps",
        "the bank answers pay of A: refused MOODILY",
        "the bank debited A often",
        "after 3 days",
        "A is probably SUCCEEDED",
        "ann proposes FAILED for A with \"",
        "ann proposes FAILED for A with nothing",
        "poll until A is SUCCEEDED",
    ] {
        assert!(
            parse(line).is_err(),
            "{line:?} was understood: {:?}",
            parse(line)
        );
    }
}

#[test]
#[should_panic(expected = "line 3")]
fn a_scenario_that_is_not_so_fails_with_its_line() {
    let text = "# A story\norder A of bill 13800000001 over 50.00\nA is SUCCEEDED\n";
    let scenario = Scenario {
        name: "untrue".to_owned(),
        lines: scenario::sentences(text),
    };
    play(&scenario, TestDatabase::sqlite());
}
