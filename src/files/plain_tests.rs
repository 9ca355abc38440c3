//! The same files read both ways: the plain way says the same as the general one, or gives up.

use super::super::profile::Profile;
use super::super::reader::{Expect, Limits, Line, Lines, Verdict, check};
use super::super::{Field, profile_by_names};
use super::{Form, PIECE_BYTES, Plain, PlainError, Source, read_plain};
use crate::domain::money::Currency;
use crate::domain::progress::{Progress, Silent};
use crate::domain::time::{BusinessDate, BusinessDay};
use proptest::prelude::*;
use std::io::{Cursor, Read};
use std::sync::Mutex;

const NAMES: &str = "upstream_ref,flow_no,amount_minor,status,finished_at";
const GOOD: &str = "U1,202611220000000000000001,100,SUCCEEDED,2026-11-22T10:00:00+08:00";

fn expect() -> Expect<'static> {
    Expect {
        business_date: BusinessDate("2026-11-22".parse().unwrap()),
        currency: Currency::CNY,
        zone: BusinessDay::SHANGHAI.zone,
        digest: None,
        limits: Limits::default(),
    }
}

/// Each row with its line; none where the file is refused.
type Rows = Option<Vec<(u64, String)>>;

fn shown(line: Line<'_>) -> (u64, String) {
    (line.line, format!("{:?}", line.row))
}

fn in_general(profile: &Profile, text: &[u8]) -> Rows {
    let file = || Cursor::new(text);
    let Verdict::Checked(checked) = check(profile, &expect(), file(), &Silent).unwrap() else {
        return None;
    };
    let mut lines = Lines::open(profile, &expect(), &checked, file()).unwrap();
    let mut rows = Vec::new();
    while let Some(line) = lines.next().unwrap() {
        rows.push(shown(line));
    }
    Some(rows)
}

/// The same the plain way, in pieces of so many bytes; none where it gives up.
fn plainly(profile: &Profile, text: &[u8], piece_bytes: usize, threads: usize) -> Rows {
    let expect = expect();
    let mut form = Form::of(profile, &expect)?;
    form.piece_bytes = piece_bytes;
    let source = Mutex::new(Source::new(text, profile));
    let mut takers = vec![Vec::new(); threads];
    let take = |taker: &mut Vec<_>, line: Line<'_>| {
        taker.push(shown(line));
        Ok::<_, ()>(())
    };
    let read = form.read_all(&source, &mut takers, take, &Silent).unwrap();
    assert!(
        takers.iter().all(|taker| taker.is_sorted()),
        "each in its sequence"
    );
    let Plain::Read(count) = read else {
        return None;
    };
    let mut rows = takers.concat();
    rows.sort();
    assert_eq!(rows.len() as u64, count);
    Some(rows)
}

fn by_names(names: &str) -> Profile {
    profile_by_names(format!("{names}\n").as_bytes()).unwrap()
}

/// A cell as files have it, or nearly.
fn cell(field: &'static str) -> BoxedStrategy<String> {
    let words =
        |words: &'static [&'static str]| prop::sample::select(words).prop_map(str::to_owned);
    match field {
        "flow_no" => prop_oneof![
            8 => "20261122[0-9]{16}",
            1 => words(&["A-1", "202611220000000000000001x", "２０２６", "", "=1", "'=1", "a b"]),
        ]
        .boxed(),
        "amount_minor" => prop_oneof![
            8 => "[1-9][0-9]{0,6}",
            1 => words(&["0", "-1", "-0", "007", "1.5", "", "999999999999999999",
                "9223372036854775807", "9223372036854775808", "+1", "1e3", "１"]),
        ]
        .boxed(),
        "status" => prop_oneof![
            8 => words(&["SUCCEEDED", "1", "FAILED", "PENDING", "-1"]),
            1 => words(&["", "succeeded", "0", " 1"]),
        ]
        .boxed(),
        "finished_at" | "started_at" => prop_oneof![
            8 => "2026-11-2[1-3]T[01][0-9]:[0-5][0-9]:[0-5][0-9][+]08:00",
            2 => "2026-11-22T2[0-3]:00:[0-5][0-9](Z|[+-]0[0-9]:30|[.]123Z)",
            1 => words(&["", "2026-11-22", "2026-11-22T24:00:00+08:00", "2026-11-22T10:60:00+08:00",
                "2026-11-22T10:00:00+24:00", "2026-13-22T10:00:00+08:00", "2026-11-22T10:00:00+08-00",
                "2026-11-22 10:00:00+08:00", "2026-02-29T10:00:00+08:00"]),
        ]
        .boxed(),
        "kind" => prop_oneof![8 => words(&["PAYMENT", "REVERSAL"]), 1 => words(&["", "PAY"])].boxed(),
        "currency" => prop_oneof![9 => words(&["CNY"]), 1 => words(&["USD", "", "cny"])].boxed(),
        _ => prop_oneof![
            8 => "[A-Z0-9]{1,12}",
            1 => words(&["", "水", "\"a\"", "\"a,b\"", "'", "'-1", "-1", "a\tb", "a\rb", "a b", "\u{0}"]),
        ]
        .boxed(),
    }
}

const LAYOUTS: &[&[&str]] = &[
    &[
        "upstream_ref",
        "flow_no",
        "amount_minor",
        "status",
        "finished_at",
    ],
    &["flow_no", "amount_minor"],
    &[
        "flow_no",
        "kind",
        "amount_minor",
        "currency",
        "started_at",
        "whatever",
        "bill_no",
        "status",
    ],
];

/// A file of one of the layouts, right or nearly.
fn any_file() -> impl Strategy<Value = (String, Vec<u8>)> {
    (0..LAYOUTS.len()).prop_flat_map(|layout| {
        let columns = LAYOUTS[layout];
        let cells: Vec<_> = columns.iter().map(|name| cell(name)).collect();
        let end =
            prop_oneof![30 => Just("\n"), 1 => Just("\r\n"), 1 => Just(""), 1 => Just("\n\n")];
        let line = (cells, end).prop_map(|(cells, end)| cells.join(",") + end);
        let cut = prop_oneof![8 => Just(0_usize), 1 => 1..40_usize];
        (prop::collection::vec(line, 0..12), cut).prop_map(move |(lines, cut)| {
            let names = columns.join(",");
            let mut text = format!("{names}\n{}", lines.concat()).into_bytes();
            text.truncate(text.len().saturating_sub(cut));
            (names, text)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]
    #[test]
    fn what_is_read_plainly_is_read_alike(
        (names, text) in any_file(),
        piece_bytes in 200..600_usize,
        threads in 1..4_usize,
    ) {
        let profile = by_names(&names);
        if let Some(rows) = plainly(&profile, &text, piece_bytes, threads) {
            prop_assert_eq!(in_general(&profile, &text), Some(rows));
        }
    }

    #[test]
    fn a_plain_file_is_never_given_up(
        rows in prop::collection::vec(
            ("U[0-9]{1,6}", "20261122[0-9]{16}", "[1-9][0-9]{0,6}", "2[0-3]:[0-5][0-9]:[0-5][0-9]"), 0..40,
        ),
        threads in 1..4_usize,
    ) {
        let mut text = format!("{NAMES}\n");
        for (upstream_ref, flow_no, amount, time) in rows {
            text += &format!("{upstream_ref},{flow_no},{amount},1,2026-11-22T{time}+08:00\n");
        }
        let profile = by_names(NAMES);
        let rows = plainly(&profile, text.as_bytes(), 256, threads);
        prop_assert!(rows.is_some());
        prop_assert_eq!(rows, in_general(&profile, text.as_bytes()));
    }
}

/// Every byte that a good line may have at any place, and every place at which a file may end.
#[test]
fn one_byte_more_or_less_is_read_alike() {
    let profile = by_names(NAMES);
    let good = format!("{NAMES}\n{GOOD}\n{GOOD}\n").into_bytes();
    for place in 0..=good.len() {
        let cut = &good[..place];
        if let Some(rows) = plainly(&profile, cut, 512, 1) {
            assert_eq!(in_general(&profile, cut), Some(rows), "cut at {place}");
        }
        for byte in [
            0, b'\n', b'\r', b' ', b'"', b'\'', b',', b'-', b'0', b':', b'A', 0x7f, 0xff,
        ] {
            let mut other = good.clone();
            match other.get_mut(place) {
                Some(there) => *there = byte,
                None => other.push(byte),
            }
            if let Some(rows) = plainly(&profile, &other, 512, 1) {
                let text = String::from_utf8_lossy(&other).into_owned();
                assert_eq!(in_general(&profile, &other), Some(rows), "{text}");
            }
        }
    }
}

#[test]
fn sums_and_lines_have_an_end() {
    let profile = by_names(NAMES);
    let large = GOOD.replace(",100,", ",999999999999999999,");
    let text = |rows: usize| format!("{NAMES}\n{}", format!("{large}\n").repeat(rows)).into_bytes();
    assert!(plainly(&profile, &text(9), 512, 2).is_some());
    assert_eq!(in_general(&profile, &text(10)), None);
    assert_eq!(plainly(&profile, &text(10), 512, 2), None);
    let long = format!("{NAMES}\n{}\n", "1".repeat(PIECE_BYTES + 1)).into_bytes();
    assert_eq!(plainly(&profile, &long, PIECE_BYTES, 2), None);
    let names = format!("{NAMES},whatever");
    let profile = by_names(&names);
    let long = format!("{names}\n{GOOD},{}\n", "1".repeat(65 * 1_024)).into_bytes();
    assert_eq!(plainly(&profile, &long, PIECE_BYTES, 2), None);
    assert_eq!(in_general(&profile, &long), None);
}

#[test]
fn only_plain_profiles_are_tried() {
    let plain = by_names(NAMES);
    assert!(plain.has(Field::FlowNo) && Form::of(&plain, &expect()).is_some());
    for (name, text) in super::super::BUILT_IN {
        let profile = Profile::parse(name, text).unwrap();
        assert!(
            Form::of(&profile, &expect()).is_none(),
            "{name} has a trailer"
        );
    }
    for names in [
        "flow_no|amount|note",
        "flow_no,amount,business_date",
        "\u{feff}flow_no,amount",
    ] {
        assert!(Form::of(&by_names(names), &expect()).is_none(), "{names}");
    }
}

/// A file that breaks off.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("the disk is gone"))
    }
}

#[test]
fn what_goes_wrong_is_told_and_ends_everybody() {
    let profile = by_names(NAMES);
    let take = |_: &mut (), _: Line<'_>| Err("full");
    let read = |file: &mut (dyn Read + Send)| {
        read_plain(&profile, &expect(), file, &mut [(), ()], take, &Silent)
    };
    assert!(matches!(read(&mut Broken), Err(PlainError::Io(_))));
    let text = format!("{NAMES}\n{GOOD}\n");
    assert!(matches!(
        read(&mut text.as_bytes()),
        Err(PlainError::Taker("full"))
    ));
}

#[derive(Default)]
struct Told(Mutex<Vec<u64>>);

impl Progress for Told {
    fn at(&self, done: u64, _total: Option<u64>) {
        self.0.lock().unwrap().push(done);
    }
}

#[test]
fn progress_is_told_in_bytes_and_never_goes_back() {
    let profile = by_names(NAMES);
    let text = format!("{NAMES}\n{}", format!("{GOOD}\n").repeat(40_000));
    let told = Told::default();
    let take = |rows: &mut u64, _: Line<'_>| {
        *rows += 1;
        Ok::<_, ()>(())
    };
    let mut takers = [0, 0, 0];
    let read = read_plain(
        &profile,
        &expect(),
        text.as_bytes(),
        &mut takers,
        take,
        &told,
    );
    assert_eq!(read.unwrap(), Plain::Read(40_000));
    assert_eq!(takers.iter().sum::<u64>(), 40_000);
    let told = told.0.into_inner().unwrap();
    assert!(told.is_sorted() && told.len() > 2, "{told:?}");
    assert_eq!(told.last(), Some(&(text.len() as u64)));
}
