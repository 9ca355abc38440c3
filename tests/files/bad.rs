//! Files that are broken in one way each: refused as a whole, with the line and the reason.

use super::sample::{changed, profile, refusal, rows, verdict, write};
use payhall::files::{BUILT_IN, Profile, Row, Verdict};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The text of a right file.
fn text(profile: &Profile) -> String {
    let plain = |row: Row<'static>| Row {
        request_no: "R-1",
        upstream_ref: "U-2",
        bill_no: "S1",
        ..row
    };
    let plain: Vec<Row<'_>> = rows().into_iter().map(plain).collect();
    String::from_utf8(write(profile, &plain).0).unwrap()
}

/// The text with a digest that is right again.
fn sealed(text: &str) -> String {
    let Some(at) = text.find("#END,") else {
        return text.to_owned();
    };
    let (rows, end) = text.split_at(at);
    let (claims, _) = end.rsplit_once(',').unwrap();
    let mut sealed = format!("{rows}{claims},");
    for byte in Sha256::digest(rows.as_bytes()) {
        write!(sealed, "{byte:02x}").unwrap();
    }
    sealed + "\n"
}

/// The profile without its packing, in UTF-8, so that its text can be changed.
fn readable(name: &str) -> Profile {
    let profile = profile(name);
    let parse = |text: &str| Profile::parse(name, text).unwrap();
    let built_in = BUILT_IN.iter().find(|(known, _)| known == &name).unwrap();
    let kept = built_in
        .1
        .lines()
        .filter(|line| !line.starts_with("packing") && !line.starts_with("entry_name"));
    let text: String = kept.map(|line| format!("{line}\n")).collect();
    let readable = parse(&text.replace("\"GBK\"", "\"UTF-8\""));
    assert_eq!(readable.columns, profile.columns);
    readable
}

/// A profile of ours with a column for the day on which a line counts.
fn with_days() -> Profile {
    let text = BUILT_IN.iter().find(|(name, _)| *name == "payhall-csv");
    let day = "[[columns]]\nfield = \"BUSINESS_DATE\"\nname = \"day\"\n";
    Profile::parse("days", &format!("{}\n{day}", text.unwrap().1)).unwrap()
}

#[test]
fn a_line_of_another_day_refuses_the_file() {
    let profile = with_days();
    let right = text(&profile);
    assert!(matches!(
        verdict(&profile, right.as_bytes()),
        Verdict::Checked(_)
    ));
    let mut lines: Vec<&str> = right.lines().collect();
    let before = lines[2].strip_suffix("2026-11-22").unwrap();
    let other = format!("{before}2026-11-21");
    lines[2] = &other;
    let wrong = sealed(&(lines.join("\n") + "\n"));
    let refusal = refusal(&profile, wrong.as_bytes());
    let wanted = "day: the line is of 2026-11-21, and the file is of 2026-11-22";
    assert_eq!(refusal, (3, wanted.to_owned()));
}

/// What is wrong with the third line of `payhall-csv` when a cell of it says something else.
#[test]
fn cells_that_say_what_they_cannot() {
    let profile = profile("payhall-csv");
    let right = text(&profile);
    let row = right.lines().nth(2).unwrap();
    for (from, to, reason) in [
        (",1,0,1,", ",,0,1,", "amount_minor"),
        (",1,0,1,", ",-1,0,1,", "cannot be negative"),
        (",1,0,1,", ",+1,0,1,", "digits only"),
        (",1,0,1,", ",1e3,0,1,", "digits only"),
        (",1,0,1,", ",\"1,000\",0,1,", "digits only"),
        (",1,0,1,", ",1.00,0,1,", "digits only"),
        (",1,0,1,", ", 1,0,1,", "digits only"),
        (",1,0,1,", ",1 ,0,1,", "digits only"),
        (",1,0,1,", ",１,0,1,", "digits only"),
        (",1,0,1,", ",1２,0,1,", "digits only"),
        (
            ",1,0,1,",
            ",9223372036854775808,0,1,",
            "larger than an amount",
        ),
        (",1,0,1,", ",1,x,1,", "fee_minor"),
        (",1,0,1,", ",1,0,--1,", "net_minor"),
        ("20261122", "２0261122", "full-width"),
        ("20261122", " 20261122", "visible ASCII"),
        ("202611220000000000020002", "", "every line needs one"),
        ("PAYMENT", "PAYED", "it knows PAYMENT, REVERSAL"),
        ("PAYMENT", "payment", "kind"),
        ("PAYMENT", "REVERSAL", "has to be negative"),
        ("SUCCEEDED", "OK", "it knows SUCCEEDED, FAILED, PENDING"),
        ("CNY", "USD", "not the file's currency, CNY"),
        ("T09:59:58", "T24:59:58", "started_at"),
        ("+08:00", "", "with its offset"),
        ("2026-11-22T", "2026-11-31T", "started_at"),
        ("shop-1", "shop\u{0}1", "control character '\\0'"),
        ("shop-1", "shop\u{1b}1", "control character"),
        ("shop-1", "shop\r1", "control character '\\r'"),
        ("shop-1", "shop\"1", "within a cell that is not quoted"),
        ("shop-1", "\"shop-1", "not closed in its line"),
        ("shop-1", "\"shop\"-1", "behind a closing quotation mark"),
        ("shop-1", "shop,1", "18 cells; the profile has 17 columns"),
        (",CNY", "", "16 cells; the profile has 17 columns"),
    ] {
        let broken = row.replacen(from, to, 1);
        assert_ne!(broken, row, "{from}");
        let (line, found) = refusal(&profile, sealed(&right.replace(row, &broken)).as_bytes());
        assert_eq!(line, 3, "{to}: {found}");
        assert!(found.contains(reason), "{to}: {found}");
    }
}

#[test]
fn files_that_are_not_whole() {
    let profile = profile("payhall-csv");
    let right = text(&profile);
    let row = right.lines().nth(2).unwrap();
    let names = right.lines().next().unwrap();
    let row_line = format!("{row}\n");
    for (broken, line, reason) in [
        (String::new(), 0, "cut off"),
        ("\n".to_owned(), 1, "is missing"),
        (right.replace(&row_line, ""), 4, "sha256"),
        (
            sealed(&right.replace(&row_line, "")),
            4,
            "rows: the line says 3 rows, and the rows make 2",
        ),
        (
            sealed(&right.replace(&row_line, &row_line.repeat(2))),
            6,
            "the rows make 4",
        ),
        (right.replace(",1,0,1,", ",2,0,1,"), 5, "sha256"),
        (
            sealed(&right.replace(",1,0,1,", ",2,0,1,")),
            5,
            "amount: the line says 1 in minor",
        ),
        (right.replace("#END,3,1,", "#END,3,2,"), 5, "amount"),
        (right.replace("#END,3,1,", "#END,03x,1,"), 5, "no count"),
        (right.replace("#END,3,1,", "#END,,1,"), 5, "no count"),
        (right.replace("#END,3,1,", "#END,3,１,"), 5, "digits only"),
        (right.replace("#END,3,", "#END;3,"), 5, "3 cells"),
        (
            right.clone() + "\n",
            6,
            "behind the last line of the trailer",
        ),
        (
            right.clone() + row + "\n",
            6,
            "behind the last line of the trailer",
        ),
        (right.trim_end().to_owned(), 5, "no line end"),
        (format!("\u{feff}{right}"), 1, "byte order mark"),
        (right.replace('\n', "\r\n"), 1, "CR LF"),
        (right.replacen("\n20", "\r\n20", 1), 1, "CR LF"),
        (right.replace(names, "a,b"), 1, "\"flow_no\" is missing"),
        (
            right.replace("order_no,", "flow_no,"),
            1,
            "two columns are called \"flow_no\"",
        ),
        (right.replace(",item", ",thing"), 1, "\"item\" is missing"),
        (
            right.replace(",item", ",item,more"),
            1,
            "knows no column \"more\"",
        ),
        (
            right.replace("flow_no,order_no", "order_no,flow_no"),
            1,
            "in this order",
        ),
        (
            right.replace(names, &format!("{names}\n{names}")),
            2,
            "knows no such word",
        ),
        (
            right.replace(&row_line, &format!("\n{row_line}")),
            3,
            "1 cells",
        ),
    ] {
        let (found_line, found) = refusal(&profile, broken.as_bytes());
        assert!(found.contains(reason), "{reason}: {found}");
        assert_eq!(found_line, line, "{reason}: {found}");
    }
}

#[test]
fn sums_that_leave_64_bits() {
    let profile = profile("payhall-csv");
    let right = text(&profile);
    let most = format!(",{},0,1,", i64::MAX);
    let (line, reason) = refusal(&profile, right.replace(",1,0,1,", &most).as_bytes());
    assert_eq!((line, reason.contains("larger")), (3, true), "{reason}");
}

#[test]
fn cut_off_at_any_byte() {
    for (name, _) in BUILT_IN {
        let profile = profile(name);
        let plain: Vec<Row<'_>> = rows()
            .into_iter()
            .map(|row| Row {
                request_no: "R",
                upstream_ref: "U",
                bill_no: "S",
                ..row
            })
            .collect();
        let (bytes, _) = write(&profile, &plain);
        let may_miss = match profile.last_line_end {
            payhall::files::profile::LastLineEnd::Required => 0,
            payhall::files::profile::LastLineEnd::Optional => 2,
        };
        let is_packed = profile.packing != payhall::files::profile::Packing::None;
        let most = bytes.len() - if is_packed { 0 } else { may_miss };
        for end in 0..most {
            let (_, reason) = refusal(&profile, &bytes[..end]);
            assert!(!reason.is_empty(), "{name} {end}");
        }
        for end in most..bytes.len() {
            assert!(
                matches!(verdict(&profile, &bytes[..end]), Verdict::Checked(_)),
                "{name} {end}"
            );
        }
    }
}

#[test]
fn without_any_one_of_its_lines() {
    for (name, _) in BUILT_IN {
        let profile = readable(name);
        let right = text(&profile);
        let lines: Vec<&str> = right.split_inclusive('\n').collect();
        for at in 0..lines.len() {
            let mut left = lines.clone();
            left.remove(at);
            let (_, reason) = refusal(&profile, left.concat().as_bytes());
            assert!(!reason.is_empty(), "{name}: {at}");
        }
    }
}

/// One digit of an amount changed, line end or first word changed, in the files of every profile.
#[test]
fn every_profile_is_held_to_its_own_rules() {
    for (name, from, to, line, reason) in [
        (
            "pipe",
            "3|1\n",
            "2|1\n",
            1,
            "the line says 2 rows, and the rows make 3",
        ),
        ("pipe", "3|1\n", "3|2\n", 1, "amount: the line says 2"),
        ("pipe", "3|1\n", "3|1|\n", 1, "digits only"),
        ("pipe", "|P|12345|", "|P|12346|", 1, "the rows make 2"),
        ("pipe", "|R|-12345|", "|R|12345|", 4, "has to be negative"),
        ("pipe", "|P|1|", "|P|1|x|", 3, "10 cells"),
        (
            "pipe",
            "|1|20261122100000",
            "|9|20261122100000",
            2,
            "it knows 1, 0, 2",
        ),
        ("pipe", "|1|20261122100000", "|1|2026112210000", 2, "time"),
        ("wechat", "`123.45", "`123.46", 6, "payment_amount"),
        ("wechat", "`123.45", "`123.4", 2, "two decimals"),
        ("wechat", "`123.45", "`1,123.45", 2, "28 cells"),
        ("wechat", "`123.45", "``123.45", 2, "two decimals"),
        ("wechat", "`123.45", "`-123.45", 2, "cannot be negative"),
        ("wechat", "REFUND", "REFUNDING", 4, "knows no such word"),
        ("wechat", "总交易单数", "总交易", 5, "cells"),
        (
            "wechat-like",
            "\u{feff}",
            "",
            1,
            "without a byte order mark",
        ),
        ("wechat-like", "支付,", "付款,", 2, "knows no such word"),
        ("wechat-like", "`3\r\n", "`4\r\n", 7, "the rows make 3"),
        ("alipay", "\r\n", "\n", 1, "LF alone"),
        ("alipay", "#账号", "账号", 2, "is not of the form"),
        ("alipay", "-123.45", "-123.46", 12, "amount"),
        ("alipay", "3笔", "４笔", 12, "no count"),
        (
            "alipay-like",
            "[2026-11-22]",
            "[2026-11-23]",
            3,
            "business_date",
        ),
        ("unionpay-zm", "S22 ", "S2 ", 1, "bytes; the profile has"),
        (
            "unionpay-zm",
            "000000012345",
            "00000012345 ",
            1,
            "digits only",
        ),
        (
            "unionpay-zm",
            "000000012345",
            "-00000012345",
            1,
            "cannot be negative",
        ),
        (
            "unionpay-zm",
            "TRL 0000000003",
            "TRL 0000000004",
            4,
            "the rows make 3",
        ),
        ("unionpay-zm", "S32", "S33", 3, "it knows S22, S32"),
    ] {
        let profile = readable(name);
        let right = text(&profile);
        assert!(right.contains(from), "{name} has no {from:?}: {right}");
        let (found_line, found) = refusal(&profile, right.replacen(from, to, 1).as_bytes());
        assert!(found.contains(reason), "{name} {to}: {found}");
        assert_eq!(found_line, line, "{name} {to}: {found}");
    }
}

#[test]
fn the_digest_of_a_file_beside() {
    let profile = changed("pipe", "names = ", "digest = \"BESIDE\"\nnames = ");
    assert_eq!(
        profile.digest_name("a.txt").as_deref(),
        Some("a.txt.sha256")
    );
    let (bytes, written) = write(&profile, &rows());
    let hex = payhall::domain::audit::hex(&written.sha256);
    for (digest, is_right) in [
        (None, false),
        (Some(String::new()), false),
        (Some("0".repeat(64)), false),
        (Some(hex.clone()), true),
        (Some(format!("{}  a.txt\n", hex.to_uppercase())), true),
    ] {
        let expect = payhall::files::Expect {
            digest: digest.as_deref(),
            ..super::sample::expect()
        };
        let file = std::io::Cursor::new(&bytes);
        let progress = payhall::domain::progress::Silent;
        let found = payhall::files::check(&profile, &expect, file, &progress).unwrap();
        assert_eq!(matches!(found, Verdict::Checked(_)), is_right, "{found:?}");
    }
}

#[test]
fn a_file_that_changed_after_its_check() {
    use payhall::files::{Lines, ReadError};
    let profile = profile("pipe");
    let (bytes, _) = write(&profile, &rows());
    let checked = super::sample::checked(&profile, &bytes);
    let text = String::from_utf8(bytes).unwrap();
    for other in [
        text.replace("|P|1|", "|P|2|"),
        text.clone() + "x",
        text.replace('P', "Q"),
    ] {
        let file = std::io::Cursor::new(other.as_bytes());
        let read = || {
            let mut lines = Lines::open(&profile, &super::sample::expect(), &checked, file)?;
            while lines.next()?.is_some() {}
            Ok::<_, ReadError>(())
        };
        assert!(matches!(read(), Err(ReadError::Changed)));
    }
}

/// With a digest, there is no byte that could be another one; without, nothing falls over.
#[test]
fn any_byte_that_is_another_one() {
    for (name, _) in BUILT_IN {
        let profile = profile(name);
        let plain = |row: Row<'static>| Row {
            request_no: "R",
            upstream_ref: "U",
            bill_no: "S",
            ..row
        };
        let plain: Vec<Row<'_>> = rows().into_iter().map(plain).collect();
        let (bytes, _) = write(&profile, &plain);
        for at in 0..bytes.len() {
            for mask in [0x01, 0x20, 0x80] {
                let mut other = bytes.clone();
                other[at] ^= mask;
                let found = verdict(&profile, &other);
                let is_refused = matches!(found, Verdict::Refused(_));
                assert!(is_refused || *name != "payhall-csv", "{at} {mask}");
            }
        }
    }
}
