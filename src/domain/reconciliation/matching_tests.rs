//! Matching against a model that anybody can see through: a sorted map from the number to its rows.

use super::class::{Class, Side};
use super::judge::{Verdict, classify};
use super::matching::{Compared, Matching, MatchingError};
use super::packed::any_row;
use super::result::{RESULT_HEAD, write_result};
use super::row::{Row, Sides};
use super::rules::{Rules, Waited};
use super::totals::Totals;
use crate::domain::progress::{Progress, Silent};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;

type Listed = (Side, String, Row);

fn rules() -> Vec<Rules> {
    let lenient = Rules {
        tolerance_minor: [("CNY".to_owned(), 1)].into(),
        ..Rules::default()
    };
    vec![Rules::default(), lenient]
}

/// Everything in lots of some rows each, the lots of a side handed in one after the other.
fn compared(listed: &[Listed], lot_rows: usize, threads: usize) -> Compared {
    let mut matching = Matching::new(rules());
    for side in Side::ALL {
        let rows: Vec<_> = listed.iter().filter(|(of, ..)| of == side).collect();
        for some in rows.chunks(lot_rows) {
            let mut lot = matching.lot(*side).unwrap();
            for (_, flow_no, row) in some {
                lot.push(flow_no, *row).unwrap();
            }
            assert_eq!(lot.rows(), some.len() as u64);
            matching.add(lot).unwrap();
        }
    }
    let threads = NonZeroUsize::new(threads).unwrap();
    matching.compare(threads, &Silent).unwrap()
}

fn shown(compared: &Compared) -> String {
    let mut out = RESULT_HEAD.as_bytes().to_vec();
    let write = |flow_no: &str, sides: Sides<'_>, verdict: &Verdict| {
        write_result(&mut out, flow_no, sides, verdict);
        Ok::<_, std::convert::Infallible>(())
    };
    compared.each(write).unwrap();
    String::from_utf8(out).unwrap()
}

/// The same by the model: the result as text, the totals, and the numbers that somebody has to look at.
fn model(listed: &[Listed]) -> (String, Totals, Vec<String>) {
    let mut flows: BTreeMap<&str, [Vec<Row>; 3]> = BTreeMap::new();
    for (side, flow_no, row) in listed {
        flows.entry(flow_no).or_default()[*side as usize].push(*row);
    }
    let mut out = RESULT_HEAD.as_bytes().to_vec();
    let (mut totals, mut differences) = (Totals::default(), Vec::new());
    for (flow_no, [ours, bank, biller]) in &flows {
        let sides = Sides { ours, bank, biller };
        let verdict = classify(sides, &rules(), Waited(0));
        write_result(&mut out, flow_no, sides, &verdict);
        totals.count(sides, &verdict).unwrap();
        if verdict.class != Class::Matched || verdict.proves.is_some() {
            differences.push((*flow_no).to_owned());
        }
    }
    (String::from_utf8(out).unwrap(), totals, differences)
}

/// Few numbers, so that they meet: ours of two dates, the least and the largest, and foreign ones that
/// sort before, between and behind them.
fn any_number() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..30_u32).prop_map(|n| format!("20261122{n:016}")),
        2 => (0..5_u32).prop_map(|n| format!("20261123{n:016}")),
        1 => Just("0".repeat(24)),
        1 => Just("9".repeat(24)),
        1 => prop_oneof![
            Just(""), Just("2026"), Just("202611220000000000000003x"), Just("A-1"), Just("水"),
            Just("２０２６11220000000000000003"), Just("20261122 000000000000003"),
        ]
        .prop_map(str::to_owned),
    ]
}

fn any_side() -> impl Strategy<Value = Side> {
    prop_oneof![3 => Just(Side::Ours), 3 => Just(Side::Bank), 2 => Just(Side::Biller)]
}

fn any_rows() -> impl Strategy<Value = Vec<Listed>> {
    prop::collection::vec((any_side(), any_number(), any_row()), 0..120).prop_map(|mut listed| {
        for (place, (_, _, row)) in listed.iter_mut().enumerate() {
            row.line = place as u32 + 1;
        }
        listed
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn matching_finds_what_the_model_finds(
        listed in any_rows(),
        lot_rows in 1..50_usize,
        threads in 1..4_usize,
    ) {
        let compared = compared(&listed, lot_rows, threads);
        let (text, totals, differences) = model(&listed);
        prop_assert_eq!(shown(&compared), text);
        prop_assert_eq!(&compared.totals, &totals);
        let found: Vec<_> = compared.differences.iter().map(|one| one.flow_no.to_string()).collect();
        prop_assert_eq!(found, differences);
    }

    #[test]
    fn the_sequence_of_the_rows_decides_nothing(
        listed in any_rows(),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let mut turned = listed.clone();
        if !turned.is_empty() {
            let place = shuffled.index(turned.len());
            turned.rotate_left(place);
            turned.reverse();
        }
        let (one, other) = (compared(&listed, 7, 2), compared(&turned, 1_000, 1));
        prop_assert_eq!(shown(&one), shown(&other));
        prop_assert_eq!(one.totals, other.totals);
        prop_assert_eq!(one.differences, other.differences);
    }
}

#[test]
fn nothing_is_compared_with_nothing() {
    let compared = compared(&[], 1, 1);
    assert_eq!(shown(&compared), RESULT_HEAD);
    assert!(compared.totals.all_matched());
    assert!(compared.differences.is_empty());
}

/// Keeps what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<(u64, Option<u64>)>>);

impl Progress for Told {
    fn at(&self, done: u64, total: Option<u64>) {
        self.0.lock().unwrap().push((done, total));
    }
}

#[test]
fn many_rows_fill_many_pieces_and_progress_never_goes_back() {
    const FLOWS: u64 = 600_000;
    let mut matching = Matching::new(Vec::new());
    let row = super::judge_tests::row("Y100");
    for side in [Side::Ours, Side::Bank] {
        let mut lot = matching.lot(side).unwrap();
        for n in 0..FLOWS {
            // The bank's come in another sequence, and each side lacks one.
            let n = if side == Side::Bank {
                n * 7_919 % FLOWS
            } else {
                n
            };
            let is_missing = n == if side == Side::Bank { 5 } else { 7 };
            if !is_missing {
                let asked = super::row::Asked::Bank;
                lot.push(&format!("20261122{n:016}"), Row { asked, ..row })
                    .unwrap();
            }
        }
        matching.add(lot).unwrap();
    }
    let told = Told::default();
    let compared = matching
        .compare(NonZeroUsize::new(3).unwrap(), &told)
        .unwrap();
    assert_eq!(compared.totals.flows(Class::Matched), FLOWS - 2);
    let found: Vec<_> = compared
        .differences
        .iter()
        .map(|one| (&*one.flow_no, one.verdict.class))
        .collect();
    let expected = [
        ("202611220000000000000005", Class::Short),
        ("202611220000000000000007", Class::Long),
    ];
    assert_eq!(found, expected);
    let told = told.0.into_inner().unwrap();
    assert!(told.is_sorted(), "{told:?}");
    assert_eq!(told.last(), Some(&(2 * FLOWS - 2, Some(2 * FLOWS - 2))));
    let mut seen = 0;
    let mut last = String::new();
    compared
        .each(|flow_no, _, _| {
            assert!(*flow_no > *last);
            last.replace_range(.., flow_no);
            seen += 1;
            Ok::<_, std::convert::Infallible>(())
        })
        .unwrap();
    assert_eq!(seen, FLOWS);
}

#[test]
fn lots_have_an_end() {
    let mut matching = Matching::new(Vec::new());
    for _ in 0..0x8000 {
        matching.lot(Side::Biller).unwrap();
    }
    assert!(matches!(
        matching.lot(Side::Biller),
        Err(MatchingError::TooManyLots)
    ));
}
