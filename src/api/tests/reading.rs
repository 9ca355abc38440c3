//! Browsing, looking up, listing.

use super::support::*;
use serde_json::{Value, json};

#[tokio::test]
async fn what_can_be_paid_is_found_by_region_or_by_place() {
    let world = World::new().await;
    let document = "query($r: String, $a: Degrees, $o: Degrees) {
        payableItems(region: $r, latitude: $a, longitude: $o) {
            region { code parent { code parent { code } } }
            groups { category items { code biller { code } } } } }";
    let shenzhen = json!([
        { "category": "WATER", "items": [{ "code": "water", "biller": { "code": "utility" } }] },
        { "category": "TELECOM", "items": [{ "code": "phone", "biller": { "code": "utility" } }] },
    ]);
    for variables in [
        json!({ "r": "440305" }),
        json!({ "r": "440300" }),
        json!({ "a": "22.6", "o": "114.1" }),
        json!({ "a": 22.6, "o": 114.1 }),
    ] {
        let found =
            world.ask(None, document, variables.clone()).await.data()["payableItems"].clone();
        assert_eq!(found["groups"], shenzhen, "{variables}");
        assert_eq!(found["region"]["code"], "440300");
        assert_eq!(
            found["region"]["parent"],
            json!({ "code": "440000", "parent": null })
        );
    }
    for (variables, code, field) in [
        (json!({}), "INVALID_ARGUMENT", "region"),
        (
            json!({ "r": "440300", "a": "1", "o": "1" }),
            "INVALID_ARGUMENT",
            "region",
        ),
        (json!({ "a": "22.6" }), "INVALID_ARGUMENT", "region"),
        (
            json!({ "a": "north", "o": "1" }),
            "INVALID_ARGUMENT",
            "latitude",
        ),
        (
            json!({ "a": "91", "o": "1" }),
            "INVALID_ARGUMENT",
            "latitude",
        ),
        (json!({ "r": "4403" }), "INVALID_ARGUMENT", "region"),
        (json!({ "r": "990000" }), "REGION_NOT_FOUND", "region"),
    ] {
        let answer = world.ask(None, document, variables.clone()).await;
        assert_eq!(answer.code(), code, "{variables}");
        assert_eq!(answer.error()["extensions"]["field"], field, "{variables}");
        assert_eq!(answer.status.as_u16(), 200);
    }
}

#[tokio::test]
async fn the_catalogue_is_open_to_everybody() {
    let world = World::new().await;
    let ask = async |document: &str| world.ask(None, document, json!({})).await.data();
    let data = ask("{ regions { code } billers { code } }").await;
    assert_eq!(data["regions"].as_array().unwrap().len(), 3);
    assert_eq!(data["billers"], json!([{ "code": "utility" }]));
    let data = ask("{ p: regions(level: PREFECTURE) { code latitude longitude } q: regions(parent: \"440000\") { code } }").await;
    assert_eq!(
        data["p"],
        json!([{ "code": "440300", "latitude": "22.5431", "longitude": "114.0579" }])
    );
    assert_eq!(data["q"], json!([{ "code": "440300" }]));
    let data = ask("{ item(code: \"off\") { enabled mode amountRule { kind least { minor } most { minor } } } }").await;
    assert_eq!(data["item"]["enabled"], json!(false));
    assert_eq!(
        data["item"]["amountRule"],
        json!({ "kind": "RANGE", "least": { "minor": "1000" }, "most": { "minor": "50000" } })
    );
    assert!(ask("{ item(code: \"nothing\") { code } }").await["item"].is_null());
    assert!(ask("{ region(code: \"990000\") { code } }").await["region"].is_null());
    let info = world
        .field(
            OPERATOR,
            "{ serverInfo { caller businessDate time } }",
            json!({}),
        )
        .await;
    assert_eq!(info["caller"], "operator:olga (OPERATOR)");
    assert_eq!(info["businessDate"], "2026-11-22");
    assert_eq!(info["time"], "2026-11-22T04:00:00+00:00");
    assert_eq!(
        ask("{ serverInfo { caller } }").await["serverInfo"]["caller"],
        "anonymous"
    );
}

#[tokio::test]
async fn a_bill_is_shown_or_the_reason_why_not() {
    let world = World::new().await;
    let document = "query($i: String!, $b: String!) { bill(item: $i, billNo: $b) {
        billNo due { display } period holderMasked billRef item { code biller { code } } } }";
    let bill = world
        .field(ALPHA, document, json!({ "i": "water", "b": "10000001" }))
        .await;
    assert_eq!(
        bill,
        json!({
            "billNo": "10000001", "due": { "display": "86.50" }, "period": "2026-10",
            "holderMasked": "王*", "billRef": "REF",
            "item": { "code": "water", "biller": { "code": "utility" } },
        })
    );
    let asked = world.bank.lookups();
    for (item, bill_no, code, field, calls) in [
        ("water", "10000000", "BILL_ALREADY_PAID", "billNo", 1),
        ("water", "10000009", "BILL_NOT_FOUND", "billNo", 1),
        ("water", "12", "BILL_NO_INVALID", "billNo", 0),
        ("water", "a b", "INVALID_ARGUMENT", "billNo", 0),
        ("nothing", "10000001", "ITEM_NOT_FOUND", "item", 0),
        ("phone", "13800000001", "ITEM_NOT_LOOKED_UP", "item", 0),
    ] {
        let before = world.bank.lookups();
        let answer = world
            .ask(Some(ALPHA), document, json!({ "i": item, "b": bill_no }))
            .await;
        assert_eq!(answer.code(), code);
        assert_eq!(answer.error()["extensions"]["field"], field);
        assert_eq!(world.bank.lookups() - before, calls, "{code}");
    }
    assert_eq!(asked, 1);
}

const PAGE: &str =
    "query($f: OrderFilter, $first: Int, $after: String, $last: Int, $before: String) {
    orders(filter: $f, first: $first, after: $after, last: $last, before: $before) {
        edges { cursor node { orderNo flows { flowNo } } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";

fn numbers(page: &Value) -> Vec<String> {
    let edges = page["edges"].as_array().unwrap();
    edges
        .iter()
        .map(|edge| edge["node"]["orderNo"].as_str().unwrap().to_owned())
        .collect()
}

fn info(page: &Value) -> (bool, bool) {
    let info = &page["pageInfo"];
    (
        info["hasPreviousPage"].as_bool().unwrap(),
        info["hasNextPage"].as_bool().unwrap(),
    )
}

#[tokio::test]
async fn a_listing_is_walked_in_both_directions() {
    let world = World::new().await;
    let mut made = Vec::new();
    for n in 1..=5 {
        made.push(
            world
                .order(ALPHA, &format!("R-{n}"), &format!("1380000000{n}"))
                .await,
        );
    }
    made.reverse();
    let page = async |variables: Value| world.field(ALPHA, PAGE, variables).await;

    let first = page(json!({ "first": 2 })).await;
    assert_eq!(
        (numbers(&first).as_slice(), info(&first)),
        (&made[0..2], (false, true))
    );
    let second = page(json!({ "first": 2, "after": first["pageInfo"]["endCursor"] })).await;
    assert_eq!(
        (numbers(&second).as_slice(), info(&second)),
        (&made[2..4], (true, true))
    );
    let third = page(json!({ "first": 2, "after": second["pageInfo"]["endCursor"] })).await;
    assert_eq!(
        (numbers(&third).as_slice(), info(&third)),
        (&made[4..5], (true, false))
    );

    let back = page(json!({ "last": 2, "before": third["pageInfo"]["startCursor"] })).await;
    assert_eq!(
        (numbers(&back).as_slice(), info(&back)),
        (&made[2..4], (true, true))
    );
    let back = page(json!({ "last": 2, "before": back["pageInfo"]["startCursor"] })).await;
    assert_eq!(
        (numbers(&back).as_slice(), info(&back)),
        (&made[0..2], (false, true))
    );
    let end = page(json!({ "last": 2 })).await;
    assert_eq!(
        (numbers(&end).as_slice(), info(&end)),
        (&made[3..5], (true, false))
    );

    // A row that comes in meanwhile moves nothing.
    let newest = world.order(ALPHA, "R-6", "13800000006").await;
    let second = page(json!({ "first": 2, "after": first["pageInfo"]["endCursor"] })).await;
    assert_eq!(numbers(&second).as_slice(), &made[2..4]);
    assert_eq!(numbers(&page(json!({})).await)[0], newest);
    let past = page(json!({ "first": 2, "after": end["pageInfo"]["endCursor"] })).await;
    assert_eq!((numbers(&past).len(), info(&past)), (0, (true, false)));
    assert!(past["pageInfo"]["endCursor"].is_null());
}

#[tokio::test]
async fn a_page_that_makes_no_sense_is_refused_by_name() {
    let world = World::new().await;
    for (variables, field) in [
        (json!({ "first": 101 }), "first"),
        (json!({ "first": 0 }), "first"),
        (json!({ "last": 101 }), "last"),
        (json!({ "first": 1, "last": 1 }), "last"),
        (json!({ "after": "nonsense" }), "after"),
        (json!({ "last": 1, "before": "nonsense" }), "before"),
    ] {
        let answer = world.ask(Some(ALPHA), PAGE, variables.clone()).await;
        assert_eq!(answer.code(), "INVALID_ARGUMENT", "{variables}");
        assert_eq!(answer.error()["extensions"]["field"], field, "{variables}");
    }
    for listing in ["exceptions", "cases", "jobRuns"] {
        for arguments in ["first: 101", "after: \"nonsense\""] {
            let document = format!("{{ {listing}({arguments}) {{ pageInfo {{ hasNextPage }} }} }}");
            let answer = world.ask(Some(VIEWER), &document, json!({})).await;
            assert_eq!(answer.code(), "INVALID_ARGUMENT", "{document}");
        }
    }
}

/// What no row can have is refused by the name of its argument on every database alike: PostgreSQL
/// would not even take a NUL.
#[tokio::test]
async fn what_cannot_be_filtered_for_is_refused_by_its_name() {
    let world = World::new().await;
    let odd = ["", "\u{0}", "a b", "账单", "a\n"];
    let mut filters: Vec<_> = ["merchant", "biller", "billNo"]
        .into_iter()
        .flat_map(|field| odd.map(|text| (field, json!({ field: text }))))
        .collect();
    let days = json!({ "from": "2026-11-23", "to": "2026-11-22" });
    filters.push(("from", days));
    for (listing, argument, kind) in [
        ("orders", "filter", "OrderFilter"),
        ("flows", "filter", "FlowFilter"),
        ("exceptions", "orders", "OrderFilter"),
        ("cases", "orders", "OrderFilter"),
    ] {
        let document =
            format!("query($f: {kind}) {{ {listing}({argument}: $f) {{ edges {{ cursor }} }} }}");
        for (field, filter) in &filters {
            let answer = world
                .ask(Some(VIEWER), &document, json!({ "f": filter }))
                .await;
            assert_eq!(answer.code(), "INVALID_ARGUMENT", "{filter}");
            assert_eq!(answer.error()["extensions"]["field"], *field, "{filter}");
        }
    }
    let runs = "query($job: String) { jobRuns(job: $job) { edges { cursor } } }";
    for text in odd {
        let answer = world.ask(Some(VIEWER), runs, json!({ "job": text })).await;
        assert_eq!(answer.code(), "INVALID_ARGUMENT", "{text:?}");
        assert_eq!(answer.error()["extensions"]["field"], "job");
    }
    let known = json!({ "job": "poll_exceptions" });
    assert_eq!(world.field(VIEWER, runs, known).await["edges"], json!([]));
}

#[tokio::test]
async fn filters_narrow_and_the_flows_of_a_page_come_with_it() {
    let world = World::new().await;
    let paid = world.order(ALPHA, "R-1", "13800000001").await;
    let open = world.order(ALPHA, "R-2", "13800000002").await;
    world.confirm(ALPHA, &paid).await;
    let find = async |filter: Value| {
        let page = world.field(ALPHA, PAGE, json!({ "f": filter })).await;
        numbers(&page)
    };
    assert_eq!(
        find(json!({ "states": ["SUCCEEDED"] })).await,
        std::slice::from_ref(&paid)
    );
    assert_eq!(
        find(json!({ "states": ["CREATED", "CREATED"] })).await,
        std::slice::from_ref(&open)
    );
    assert_eq!(
        find(json!({ "billNo": "13800000002" })).await,
        std::slice::from_ref(&open)
    );
    assert_eq!(find(json!({ "biller": "nobody" })).await, [""; 0]);
    assert_eq!(
        find(json!({ "from": "2026-11-22", "to": "2026-11-22" })).await,
        [open.clone(), paid.clone()]
    );
    assert_eq!(find(json!({ "from": "2026-11-23" })).await, [""; 0]);
    let page = world.field(ALPHA, PAGE, json!({})).await;
    let flows = |n: usize| page["edges"][n]["node"]["flows"].as_array().unwrap().len();
    assert_eq!((flows(0), flows(1)), (0, 1));
    let bad = world
        .ask(Some(ALPHA), PAGE, json!({ "f": { "from": "tomorrow" } }))
        .await;
    assert_eq!(bad.code(), "BAD_REQUEST");
    let bad = world
        .ask(Some(ALPHA), PAGE, json!({ "f": { "states": ["PAID"] } }))
        .await;
    assert_eq!(bad.code(), "BAD_REQUEST");

    let document =
        "{ flows(filter: { states: [SUCCEEDED] }) { edges { cursor node { orderNo kind } } } }";
    let page = world.field(ALPHA, document, json!({})).await;
    assert_eq!(
        page["edges"][0]["node"],
        json!({ "orderNo": paid, "kind": "PAYMENT" })
    );
    // A cursor of one listing is none of another.
    let cursor = &page["edges"][0]["cursor"];
    let answer = world
        .ask(Some(ALPHA), PAGE, json!({ "after": cursor }))
        .await;
    assert_eq!(answer.code(), "INVALID_ARGUMENT");
}

#[tokio::test]
async fn a_timeline_tells_why_and_what_next() {
    let world = World::new().await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let document = "query($n: String!) { orderTimeline(orderNo: $n) {
        order { state } entries { kind text } next { text at } } }";
    let timeline = world.field(ALPHA, document, json!({ "n": order_no })).await;
    assert_eq!(timeline["order"]["state"], "CREATED");
    assert_eq!(timeline["entries"][0]["kind"], "TRANSITION");
    assert_eq!(timeline["next"]["at"], "2026-11-22T06:00:00+00:00");
    let missing = world
        .ask(
            Some(ALPHA),
            document,
            json!({ "n": "202001010000000000000000" }),
        )
        .await;
    assert_eq!(missing.code(), "ORDER_NOT_FOUND");
    let malformed = world.ask(Some(ALPHA), document, json!({ "n": "x" })).await;
    assert_eq!(
        (
            malformed.code().as_str(),
            &malformed.error()["extensions"]["field"]
        ),
        ("INVALID_ARGUMENT", &json!("orderNo"))
    );
}
