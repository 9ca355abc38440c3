use super::*;

const NUMBER: &str = "202611220123456789012345";

fn args(
    first: Option<i32>,
    after: Option<&str>,
    last: Option<i32>,
    before: Option<&str>,
) -> Result<Page, Refusal> {
    PageArgs {
        first,
        after: after.map(str::to_owned),
        last,
        before: before.map(str::to_owned),
    }
    .page(Kind::Order)
}

#[test]
fn a_page_goes_forward_or_backward() {
    let cursor = Kind::Order.write(NUMBER);
    let page = |after: Option<&str>, before: Option<&str>, limit| Page {
        after: after.map(str::to_owned),
        before: before.map(str::to_owned),
        limit,
    };
    assert_eq!(args(None, None, None, None), Ok(page(None, None, 20)));
    assert_eq!(args(Some(100), None, None, None), Ok(page(None, None, 100)));
    let forward = args(Some(1), Some(&cursor), None, None);
    assert_eq!(forward, Ok(page(Some(NUMBER), None, 1)));
    let backward = args(None, None, Some(5), Some(&cursor));
    assert_eq!(backward, Ok(page(None, Some(NUMBER), 5)));
    // The end of the listing: before nothing.
    assert_eq!(args(None, None, Some(5), None), Ok(page(None, Some(""), 5)));
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let cursor = Kind::Order.write(NUMBER);
    let other = Kind::Flow.write(NUMBER);
    let field = |result: Result<Page, Refusal>| result.unwrap_err().field.unwrap();
    assert_eq!(field(args(Some(0), None, None, None)), "first");
    assert_eq!(field(args(Some(101), None, None, None)), "first");
    assert_eq!(field(args(Some(-1), None, None, None)), "first");
    assert_eq!(field(args(None, None, Some(101), None)), "last");
    assert_eq!(field(args(Some(1), None, Some(1), None)), "last");
    assert_eq!(field(args(Some(1), None, None, Some(&cursor))), "before");
    assert_eq!(field(args(None, Some(&cursor), Some(1), None)), "after");
    assert_eq!(
        field(args(None, Some(&cursor), None, Some(&cursor))),
        "after"
    );
    for bad in ["", "x", "ü", NUMBER, &other, "bzIwMjYxMQ"] {
        assert_eq!(field(args(None, Some(bad), None, None)), "after", "{bad:?}");
        assert_eq!(
            field(args(None, None, Some(1), Some(bad))),
            "before",
            "{bad:?}"
        );
    }
}

#[test]
fn a_cursor_leads_back_to_its_row() {
    let id = uuid::Uuid::now_v7().to_string();
    for (kind, number) in [
        (Kind::Order, NUMBER),
        (Kind::Flow, NUMBER),
        (Kind::Case, NUMBER),
        (Kind::Exception, &id),
        (Kind::JobRun, &id),
    ] {
        let cursor = kind.write(number);
        assert!(!cursor.contains(number), "a cursor is opaque");
        assert_eq!(kind.read("after", &cursor).unwrap(), number);
    }
    assert!(
        Kind::Exception
            .read("after", &Kind::Exception.write(NUMBER))
            .is_err()
    );
    assert!(Kind::Order.read("after", &Kind::Order.write(&id)).is_err());
}

#[test]
fn a_longer_page_costs_more() {
    assert_eq!(cost(None, None, 7), 17);
    assert_eq!(cost(Some(20), None, 7), 17);
    assert_eq!(cost(None, Some(100), 7), 45);
    // What is out of bounds is refused later and must not make the cost wrong.
    assert_eq!(cost(Some(i32::MAX), None, 7), 45);
    assert_eq!(cost(Some(i32::MIN), None, 7), 17);
}
