//! The reader alone: what it takes, and what it does to texts. What it refuses is in `body_tests`.

use super::*;

fn payment(body: &str) -> WireAnswer {
    read_payment(body).unwrap()
}

#[test]
fn every_field_is_taken_as_it_stands() {
    let answer = payment(
        "\n {\"status\" : -1, \"flow_no\":\"F\", \"bill_no\":\"B\", \"amount_minor\":\"007\",\
         \"currency\":\"CNY\", \"upstream_ref\":\"\\u0055\", \"message\":\"成功\"}\r\n",
    );
    let text = |text: &str| Some(text.to_owned());
    let wanted = WireAnswer {
        status: Some(-1),
        flow_no: text("F"),
        bill_no: text("B"),
        amount_minor: Some(7),
        currency: text("CNY"),
        upstream_ref: text("U"),
        message: text("成功"),
    };
    assert_eq!(answer, wanted);
}

#[test]
fn an_amount_may_be_an_integer() {
    assert_eq!(
        payment("{\"amount_minor\":12345}").amount_minor,
        Some(12345)
    );
    assert_eq!(payment("{\"amount_minor\":0}").amount_minor, Some(0));
}

#[test]
fn the_whole_range_of_codes_is_taken() {
    for status in [i64::MIN, -1, 0, i64::MAX] {
        let answer = payment(&format!("{{\"status\":{status}}}"));
        assert_eq!(answer.status, Some(status));
    }
}

#[test]
fn null_is_absent() {
    let nulls = "{\"status\":null,\"flow_no\":null,\"bill_no\":null,\"amount_minor\":null,\
                 \"currency\":null,\"upstream_ref\":null,\"message\":null}";
    assert_eq!(payment(nulls), WireAnswer::default());
    assert_eq!(payment("{}"), WireAnswer::default());
    let nulls = "{\"status\":null,\"period\":null,\"holder\":null,\"bill_ref\":null}";
    assert_eq!(read_lookup(nulls).unwrap(), LookupAnswer::default());
}

#[test]
fn unknown_fields_are_tolerated_whatever_they_hold() {
    let answer = payment(
        "{\"a\":1.5,\"b\":[1,{\"c\":null,\"c\":true}],\"d\":{\"status\":9},\"status\":1,\
         \"trace\":\"x\\ny\"}",
    );
    assert_eq!(answer.status, Some(1));
}

#[test]
fn a_message_is_cleaned_and_cut_instead_of_refused() {
    let message = |text: &str| {
        payment(&format!("{{\"message\":\"{text}\"}}"))
            .message
            .unwrap()
    };
    assert_eq!(message("a\\u0000b\\nc\\u007fd\\u0085e"), "a b c d e");
    assert_eq!(message(&"额".repeat(5_000)), "额".repeat(200));
}

#[test]
fn a_reference_keeps_its_bounds() {
    let reference = |text: &str| read_payment(&format!("{{\"upstream_ref\":\"{text}\"}}"));
    assert!(reference(&"9".repeat(128)).is_ok());
    for bad in [&"9".repeat(129), "a\\u0000", "a\\n", "\\u001b[2J"] {
        let cause = reference(bad).unwrap_err();
        assert!(cause.to_string().contains("upstream_ref"), "{cause}");
    }
}

#[test]
fn a_lookup_has_fields_of_its_own() {
    let body = "{\"status\":1,\"bill_no\":\"B\",\"amount_minor\":\"5\",\"currency\":\"CNY\",\
                \"period\":\"2026-10\",\"holder\":\"张*\",\"bill_ref\":\"r\"}";
    let answer = read_lookup(body).unwrap();
    assert_eq!((answer.status, answer.amount_minor), (Some(1), Some(5)));
    assert_eq!(answer.holder.as_deref(), Some("张*"));
    for field in ["period", "holder", "bill_ref"] {
        for bad in [
            "1",
            "[]",
            "\"\\u0000\"",
            &format!("\"{}\"", "x".repeat(129)),
        ] {
            let cause = read_lookup(&format!("{{\"{field}\":{bad}}}")).unwrap_err();
            assert!(cause.to_string().contains(field), "{cause}");
        }
    }
}

#[test]
fn defects_are_named() {
    let table = [
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("{\"status\":1", "EOF"),
        ("{\"status\":1,\"status\":1}", "status stands twice"),
        ("{\"x\":1,\"x\":1}", "an unknown field stands twice"),
        ("{\"status\":true}", "status is a boolean"),
        ("{\"status\":1.5}", "status is not a 64-bit integer"),
        ("{\"status\":9223372036854775808}", "status is too large"),
        ("{\"amount_minor\":-1}", "amount_minor is negative"),
        (
            "{\"amount_minor\":\"1.5\"}",
            "amount_minor is not a string of digits",
        ),
        ("{\"flow_no\":{}}", "flow_no is an object"),
        ("{} {}", "trailing characters"),
    ];
    for (body, wanted) in table {
        let cause = read_payment(body).unwrap_err().to_string();
        assert!(cause.contains(wanted), "{body}: {cause}");
    }
}
