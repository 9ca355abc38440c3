//! The table of answers: each row is what came over the wire and what it is worth.

use super::*;
use crate::domain::money::Currency;

fn codes() -> CodeMap {
    let entry = |code: &str, meaning, reason: Option<&str>| {
        (
            code.to_owned(),
            CodeEntry {
                meaning,
                reason: reason.map(str::to_owned),
            },
        )
    };
    CodeMap(BTreeMap::from([
        entry("1", CodeMeaning::Succeeded, None),
        entry("-1", CodeMeaning::Unknown, None),
        entry("2", CodeMeaning::Pending, None),
        entry("4", CodeMeaning::NotFound, None),
        entry("5", CodeMeaning::Reversed, None),
        entry("1001", CodeMeaning::Refused, Some("INSUFFICIENT_FUNDS")),
        entry("4001", CodeMeaning::PaymentStands, None),
    ]))
}

const FLOW: &str = "202611220000000000000001";

fn right(status: i64) -> WireAnswer {
    WireAnswer {
        status: Some(status),
        flow_no: Some(FLOW.to_owned()),
        bill_no: Some("123".to_owned()),
        amount_minor: Some(500),
        currency: Some("CNY".to_owned()),
        upstream_ref: Some("U1".to_owned()),
        message: None,
    }
}

fn worth(operation: Operation, answer: WireAnswer) -> Reply {
    let flow_no = FlowNo::try_new(FLOW).unwrap();
    let bill_no = BillNo::try_new("123").unwrap();
    let amount = Money::new(500, Currency::CNY);
    let expected = Expected {
        operation,
        flow_no: &flow_no,
        bill_no: &bill_no,
        amount,
    };
    classify(&codes(), &expected, Delivery::Answered(answer))
}

#[test]
fn every_code_at_every_call() {
    use AttemptOutcome as A;
    use Operation::{Pay, Query, Reverse};
    let table = [
        (Pay, 1, A::Succeeded),
        (Pay, -1, A::Unknown),
        (Pay, 2, A::Pending),
        (Pay, 4, A::Unknown),
        (Pay, 5, A::Refused),
        (Pay, 1001, A::Refused),
        (Pay, 4001, A::Unknown),
        (Pay, 7777, A::Unknown),
        (Query, 1, A::Succeeded),
        (Query, -1, A::Unknown),
        (Query, 2, A::Pending),
        (Query, 4, A::NotFound),
        (Query, 5, A::Refused),
        (Query, 1001, A::Refused),
        (Query, 4001, A::Unknown),
        (Reverse, 1, A::Succeeded),
        (Reverse, -1, A::Unknown),
        (Reverse, 2, A::Unknown),
        (Reverse, 4, A::Unknown),
        (Reverse, 5, A::Succeeded),
        (Reverse, 1001, A::Unknown),
        (Reverse, 4001, A::PaymentStands),
    ];
    for (operation, status, expected) in table {
        let reply = worth(operation, right(status));
        assert_eq!(reply.outcome(), expected, "{operation} {status}: {reply:?}");
    }
}

#[test]
fn a_conclusion_that_does_not_match_is_unknown() {
    type Spoil = fn(&mut WireAnswer);
    let spoils: [(&str, Spoil); 8] = [
        ("flow_no", |a| {
            a.flow_no = Some("202611220000000000000002".to_owned())
        }),
        ("flow_no", |a| a.flow_no = None),
        ("bill_no", |a| a.bill_no = Some("124".to_owned())),
        ("bill_no", |a| a.bill_no = None),
        ("amount_minor", |a| a.amount_minor = Some(501)),
        ("amount_minor", |a| a.amount_minor = None),
        ("currency", |a| a.currency = Some("USD".to_owned())),
        ("currency", |a| a.currency = None),
    ];
    for (field, spoil) in spoils {
        for (operation, status) in [
            (Operation::Pay, 1),
            (Operation::Pay, 1001),
            (Operation::Query, 1),
            (Operation::Query, 5),
            (Operation::Reverse, 1),
            (Operation::Reverse, 4001),
        ] {
            let mut answer = right(status);
            spoil(&mut answer);
            let reply = worth(operation, answer);
            assert!(
                reply.is_mismatch(),
                "{field} {operation} {status}: {reply:?}"
            );
            assert!(reply.cause().unwrap().contains(field));
        }
    }
}

#[test]
fn not_found_needs_only_our_number() {
    let bare = WireAnswer {
        status: Some(4),
        flow_no: Some(FLOW.to_owned()),
        ..Default::default()
    };
    assert_eq!(worth(Operation::Query, bare.clone()), Reply::NotFound);
    let foreign = WireAnswer {
        flow_no: Some("X".to_owned()),
        ..bare
    };
    assert!(worth(Operation::Query, foreign).is_mismatch());
}

#[test]
fn no_code_is_unknown_and_never_sent_is_known() {
    let silent = WireAnswer {
        status: None,
        ..right(1)
    };
    assert_eq!(worth(Operation::Pay, silent), Reply::Unknown(Cause::NoCode));
    let flow_no = FlowNo::try_new(FLOW).unwrap();
    let bill_no = BillNo::try_new("123").unwrap();
    let amount = Money::new(500, Currency::CNY);
    let expected = Expected {
        operation: Operation::Pay,
        flow_no: &flow_no,
        bill_no: &bill_no,
        amount,
    };
    let of = |delivery| classify(&codes(), &expected, delivery).outcome();
    assert_eq!(
        of(Delivery::NotSent("refused".to_owned())),
        AttemptOutcome::NotSent
    );
    for cause in [
        Cause::TimedOut,
        Cause::ConnectionLost("reset".to_owned()),
        Cause::HttpStatus(502),
        Cause::Malformed("html".to_owned()),
    ] {
        assert_eq!(of(Delivery::Broken(cause)), AttemptOutcome::Unknown);
    }
}
