//! Hostile bodies in decent envelopes: every one is `Unknown`, at every call.
//!
//! Each row spoils the right answer in one place, so that the spoil and nothing else is what makes
//! it unknown. The first test shows that the unspoiled answer concludes every call.

use super::far_side::{Act, Caller, FarSide, RIGHT, ok, settings};
use crate::domain::bill::LookupError;
use crate::domain::flow::Operation;
use crate::domain::outcome::{Cause, Reply};

/// The class of a cause, for the tables.
pub(super) fn class(reply: &Reply) -> &'static str {
    match reply {
        Reply::Unknown(Cause::TimedOut) => "late",
        Reply::Unknown(Cause::ConnectionLost(_)) => "lost",
        Reply::Unknown(Cause::HttpStatus(_)) => "status",
        Reply::Unknown(Cause::Malformed(_)) => "malformed",
        Reply::Unknown(Cause::Mismatch(_)) => "mismatch",
        Reply::Unknown(Cause::SaidUnknown(_)) => "said unknown",
        Reply::Unknown(Cause::UnmappedCode(_)) => "unmapped",
        Reply::Unknown(Cause::NoCode) => "no code",
        Reply::Unknown(Cause::OutOfPlace(_)) => "out of place",
        Reply::Succeeded(_) => "SUCCEEDED",
        Reply::Refused { .. } => "REFUSED",
        Reply::NotSent(_) => "NOT SENT",
        Reply::Pending => "PENDING",
        Reply::NotFound => "NOT FOUND",
        Reply::PaymentStands(_) => "PAYMENT STANDS",
    }
}

/// Asserts that a body is unknown for this reason at every call, and no bill for a lookup.
async fn assert_unknown(name: &str, wanted: &str, body: impl AsRef<[u8]>) {
    let far_side = FarSide::always(Act::Say(ok(body))).await;
    let adapter = far_side.adapter(settings());
    let caller = Caller::new();
    for &operation in Operation::ALL {
        let reply = caller.call(&adapter, operation).await;
        assert_eq!(class(&reply), wanted, "{name}, {operation}: {reply:?}");
    }
    // Who is asked for a bill does not know our numbers, so these two may differ.
    if !name.contains("flow_no") && !name.contains("for payments only") {
        let found = caller.lookup(&adapter).await;
        let none = matches!(found, Err(LookupError::Unavailable { .. }));
        assert!(none, "{name}, lookup: {found:?}");
    }
}

/// The right answer with one piece exchanged.
fn spoiled(piece: &str, with: &str) -> String {
    assert!(RIGHT.contains(piece), "{piece} is not in the right answer");
    RIGHT.replacen(piece, with, 1)
}

#[tokio::test]
async fn the_unspoiled_answer_concludes_every_call() {
    let far_side = FarSide::always(Act::Say(ok(RIGHT))).await;
    let adapter = far_side.adapter(settings());
    let caller = Caller::new();
    for &operation in Operation::ALL {
        let reply = caller.call(&adapter, operation).await;
        assert!(matches!(reply, Reply::Succeeded(_)), "{reply:?}");
    }
    assert!(caller.lookup(&adapter).await.is_ok());
}

#[tokio::test]
async fn what_is_no_json_object_is_malformed() {
    let twice = format!("{RIGHT}{RIGHT}");
    let half = &RIGHT[..RIGHT.len() / 2];
    let list = format!("[{RIGHT}]");
    let quoted = format!("{RIGHT:?}");
    let deep = "[".repeat(60_000);
    let table: &[(&str, &str)] = &[
        ("empty", ""),
        ("white space", " \r\n\t "),
        ("half an answer", half),
        ("an open brace", "{"),
        ("null", "null"),
        ("true", "true"),
        ("a number", "1"),
        ("a text", "\"SUCCESS\""),
        ("an answer in quotes", &quoted),
        ("an empty list", "[]"),
        ("an answer in a list", &list),
        ("two answers", &twice),
        ("lists without an end", &deep),
        ("HTML", "<html><body>502 Bad Gateway</body></html>"),
        ("XML", "<?xml version=\"1.0\"?><status>1</status>"),
        ("a form", "status=1&amount_minor=12345"),
        ("a callback", "callback({\"status\":1})"),
        ("NaN", "NaN"),
    ];
    for (name, body) in table {
        assert_unknown(name, "malformed", body).await;
    }
}

#[tokio::test]
async fn what_surrounds_an_answer_spoils_it() {
    let table = [
        ("rubbish behind", format!("{RIGHT}x")),
        ("a NUL behind", format!("{RIGHT}\0")),
        ("a comma behind", format!("{RIGHT},")),
        ("a brace behind", format!("{RIGHT}}}")),
        ("a byte order mark", format!("\u{feff}{RIGHT}")),
        ("a no-break space before", format!("\u{a0}{RIGHT}")),
        ("a guard line before", format!(")]}}',\n{RIGHT}")),
        ("a comment before", format!("/* ok */{RIGHT}")),
    ];
    for (name, body) in table {
        assert_unknown(name, "malformed", body).await;
    }
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_malformed() {
    let utf16: Vec<u8> = RIGHT.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let broken = |bytes: &[u8]| {
        let (before, after) = RIGHT.split_once("done").unwrap();
        [before.as_bytes(), bytes, after.as_bytes()].concat()
    };
    let table = [
        ("UTF-16", utf16),
        ("a lone continuation byte", broken(&[0x80])),
        ("GBK", broken(&[0xb3, 0xc9, 0xb9, 0xa6])),
        ("an overlong form", broken(&[0xc0, 0xaf])),
        ("a surrogate in UTF-8", broken(&[0xed, 0xa0, 0x80])),
        ("behind the answer", [RIGHT.as_bytes(), &[0xff]].concat()),
    ];
    for (name, body) in table {
        assert_unknown(name, "malformed", body).await;
    }
}

#[tokio::test]
async fn a_status_that_is_no_plain_integer_is_malformed() {
    let bad = [
        "\"1\"",
        "1.0",
        "1e0",
        "1E0",
        "0.1e1",
        "-0",
        "01",
        "+1",
        "0x1",
        "1_0",
        "1e999",
        "-1e999",
        "NaN",
        "-Infinity",
        "true",
        "[1]",
        "[]",
        "{\"code\":1}",
        "9223372036854775808",
        "18446744073709551616",
        "-9223372036854775809",
        "100000000000000000000000000000000000000000000",
        "undefined",
        "",
        "１",
    ];
    for status in bad {
        let body = spoiled("\"status\":1", &format!("\"status\":{status}"));
        assert_unknown(&format!("status {status}"), "malformed", body).await;
    }
}

#[tokio::test]
async fn an_amount_that_is_no_whole_number_of_minor_units_is_malformed() {
    let bad = [
        "123.45",
        "12345.0",
        "1.2345e4",
        "1e999",
        "NaN",
        "-12345",
        "\"-12345\"",
        "\"+12345\"",
        "\"123.45\"",
        "\"12345.00\"",
        "\"12,345\"",
        "\"12345 \"",
        "\" 12345\"",
        "\"1e3\"",
        "\"0x3039\"",
        "\"\"",
        "\"１２３４５\"",
        "\"١٢٣٤٥\"",
        "\"12345\\u0000\"",
        "\"12345 CNY\"",
        "\"99999999999999999999\"",
        "99999999999999999999",
        "true",
        "[12345]",
        "{\"minor\":12345}",
    ];
    for amount in bad {
        let body = spoiled("\"12345\"", amount);
        assert_unknown(&format!("amount {amount}"), "malformed", body).await;
    }
}

#[tokio::test]
async fn json_that_only_looks_like_json_is_malformed() {
    let nested = format!("{{\"more\":{}{},", "[".repeat(500), "]".repeat(500));
    let table = [
        ("single quotes", RIGHT.replace('"', "'")),
        ("a key without quotes", spoiled("\"status\"", "status")),
        ("a comma at the end", spoiled("\"done\"}", "\"done\",}")),
        ("a comment inside", spoiled("\"status\"", "//\n\"status\"")),
        ("a bare line break in a text", spoiled("done", "do\nne")),
        ("half a surrogate pair", spoiled("done", "\\ud800")),
        ("an unknown escape", spoiled("done", "\\x41")),
        ("a text without an end", spoiled("\"done\"}", "\"done}")),
        ("a missing colon", spoiled("\"status\":", "\"status\" ")),
        ("a missing comma", spoiled("1,", "1 ")),
        (
            "an unknown field out of range",
            spoiled("{", "{\"x\":1e999,"),
        ),
        ("an unknown field NaN", spoiled("{", "{\"x\":[NaN],")),
        ("lists in lists in lists", spoiled("{", &nested)),
        ("a key that is no text", spoiled("{", "{1:2,")),
    ];
    for (name, body) in table {
        assert_unknown(name, "malformed", body).await;
    }
}

#[tokio::test]
async fn a_field_that_stands_twice_is_malformed() {
    let table = [
        ("status, the same", spoiled("{", "{\"status\":1,")),
        ("status, another", spoiled("{", "{\"status\":-1,")),
        ("status, null first", spoiled("{", "{\"status\":null,")),
        (
            "status, null last",
            spoiled("\"done\"", "\"done\",\"status\":null"),
        ),
        ("status, escaped", spoiled("{", "{\"\\u0073tatus\":1001,")),
        ("amount_minor", spoiled("{", "{\"amount_minor\":\"12345\",")),
        ("bill_no", spoiled("{", "{\"bill_no\":\"9\",")),
        ("currency", spoiled("{", "{\"currency\":\"CNY\",")),
        ("an unknown field", spoiled("{", "{\"x\":1,\"x\":1,")),
        ("flow_no", spoiled("{", "{\"flow_no\":\"9\",")),
    ];
    for (name, body) in table {
        assert_unknown(name, "malformed", body).await;
    }
    let many: String = (0..100).map(|n| format!("\"x{n}\":0,")).collect();
    let body = spoiled("{", &format!("{{{many}"));
    assert_unknown("a hundred fields", "malformed", body).await;
}

#[tokio::test]
async fn a_field_of_the_wrong_kind_is_malformed() {
    let long = format!("\"{}\"", "9".repeat(2_000));
    let table = [
        ("a numeric bill_no", spoiled("\"1234567890\"", "1234567890")),
        (
            "a list of bills",
            spoiled("\"1234567890\"", "[\"1234567890\"]"),
        ),
        ("a bill_no with a NUL", spoiled("7890\"", "7890\\u0000\"")),
        ("a bill_no without an end", spoiled("\"1234567890\"", &long)),
        ("a boolean currency", spoiled("\"CNY\"", "false")),
        ("a numeric currency", spoiled("\"CNY\"", "156")),
        (
            "a numeric flow_no",
            spoiled("\"202611220000000000000001\"", "1"),
        ),
        (
            "a reference with a NUL, for payments only",
            spoiled("U-1", "U\\u0000"),
        ),
        (
            "a long reference, for payments only",
            spoiled("\"U-1\"", &long),
        ),
        (
            "a nested reference, for payments only",
            spoiled("\"U-1\"", "{}"),
        ),
        (
            "a numeric message, for payments only",
            spoiled("\"done\"", "0"),
        ),
    ];
    for (name, body) in table {
        assert_unknown(name, "malformed", body).await;
    }
}

#[tokio::test]
async fn an_answer_about_something_else_is_a_mismatch() {
    let table = [
        ("another flow_no", spoiled("0001\"", "0002\"")),
        ("no flow_no", spoiled("\"flow_no\"", "\"flow\"")),
        (
            "a null flow_no",
            spoiled("\"202611220000000000000001\"", "null"),
        ),
        ("a longer flow_no", spoiled("0001\"", "00010\"")),
        ("a flow_no with a space", spoiled("0001\"", "0001 \"")),
        ("another bill_no", spoiled("67890", "67891")),
        ("no bill_no", spoiled("\"bill_no\"", "\"Bill_No\"")),
        ("a null bill_no", spoiled("\"1234567890\"", "null")),
        (
            "another amount, for payments only",
            spoiled("\"12345\"", "\"12346\""),
        ),
        ("an amount of 0", spoiled("\"12345\"", "0")),
        ("no amount", spoiled("\"amount_minor\"", "\"amount\"")),
        ("a null amount", spoiled("\"12345\"", "null")),
        ("another currency", spoiled("CNY", "USD")),
        ("a lower-case currency", spoiled("CNY", "cny")),
        ("no currency", spoiled("\"currency\"", "\"ccy\"")),
        ("a null currency", spoiled("\"CNY\"", "null")),
    ];
    for (name, body) in table {
        assert_unknown(name, "mismatch", body).await;
    }
}

#[tokio::test]
async fn a_code_that_says_nothing_is_unknown() {
    let table = [
        ("said unknown", "\"status\":-1"),
        ("said unknown", "\"status\":4002"),
        ("unmapped", "\"status\":0"),
        ("unmapped", "\"status\":7777"),
        ("unmapped", "\"status\":9223372036854775807"),
        ("no code", "\"status\":null"),
        ("no code", "\"Status\":1"),
        ("no code", "\"code\":1"),
    ];
    for (wanted, status) in table {
        assert_unknown(status, wanted, spoiled("\"status\":1", status)).await;
    }
    assert_unknown("an empty object", "no code", "{}").await;
}

#[tokio::test]
async fn causes_never_quote_what_they_found() {
    const SECRET: &str = "zhang-san";
    let table = [
        format!("\"{SECRET}\""),
        format!("{{\"{SECRET}\":1,\"{SECRET}\":2}}"),
        format!("{{\"status\":\"{SECRET}\"}}"),
        format!("{{\"status\":1,\"amount_minor\":\"{SECRET}\"}}"),
        format!("{{\"status\":1,\"bill_no\":[\"{SECRET}\"]}}"),
        format!("{{\"status\":1 {SECRET}"),
        SECRET.to_owned(),
    ];
    for body in table {
        let far_side = FarSide::always(Act::Say(ok(&body))).await;
        let adapter = far_side.adapter(settings());
        let reply = Caller::new().pay(&adapter).await;
        let found = Caller::new().lookup(&adapter).await;
        assert_eq!(class(&reply), "malformed");
        assert!(
            !format!("{reply:?} {found:?}").contains(SECRET),
            "{reply:?}"
        );
    }
}
