//! The rows: what the far side does with one bill, and where that bill's order may end.

use super::support::world::{FEE, TOPUP};
use serde_json::{Value, json};

/// Every row.
pub fn all_rows() -> Vec<Row> {
    let groups = [
        time_outs(),
        broken_answers(),
        doubtful_answers(),
        crossed_answers(),
        bad_reversals(),
    ];
    groups.into_iter().flatten().collect()
}

/// One row: what goes wrong with one bill, and where its order may end.
pub struct Row {
    /// What goes wrong.
    pub name: &'static str,
    /// The item, and with it the bank.
    pub item: &'static str,
    /// The faults of the simulated world, for this row's bill.
    pub faults: Vec<Value>,
    /// The states in which the order may end.
    pub ends: &'static [&'static str],
    /// The reason that it has to end with.
    pub reason: Option<&'static str>,
    /// The alarm that has to be raised.
    pub alarm: Option<&'static str>,
}

/// A row at the bank that can reverse, which has to end paid.
fn row(name: &'static str, faults: Vec<Value>) -> Row {
    Row {
        name,
        item: TOPUP,
        faults,
        ends: &["SUCCEEDED"],
        reason: None,
        alarm: None,
    }
}

impl Row {
    fn ends(mut self, ends: &'static [&'static str]) -> Self {
        self.ends = ends;
        self
    }

    fn reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    fn alarm(mut self, kind: &'static str) -> Self {
        self.alarm = Some(kind);
        self
    }

    fn at_the_older_bank(mut self) -> Self {
        self.item = FEE;
        self
    }
}

/// What happens to the payment.
pub fn pay(effect: &str, answer: Value) -> Value {
    json!({ "op": "PAY", "effect": effect, "answer": answer })
}

/// What happens to the reversal.
pub fn reverse(effect: &str, answer: Value) -> Value {
    json!({ "op": "REVERSE", "effect": effect, "answer": answer })
}

/// What is answered to queries.
pub fn query(answer: Value) -> Value {
    json!({ "op": "QUERY", "answer": answer })
}

/// The same, for the first so many calls only.
pub fn times(mut fault: Value, times: u32) -> Value {
    fault["times"] = json!(times);
    fault
}

/// The bank does not know.
pub fn unknown() -> Value {
    json!({ "status": -1 })
}

/// A right answer in every point but these.
pub fn but(fields: Value) -> Value {
    json!({ "status": 1, "override": fields })
}

/// The bank does it and answers so.
fn done(name: &'static str, answer: Value) -> Row {
    row(name, vec![pay("NOW", answer)])
}

/// The bank does nothing and answers so.
fn undone(name: &'static str, answer: Value) -> Row {
    row(name, vec![pay("NONE", answer)])
        .ends(&["FAILED"])
        .reason("NOT_FOUND")
}

/// Nothing comes, or not in time.
fn time_outs() -> Vec<Row> {
    let hang = || json!({ "hang": true });
    let once = times(pay("NONE", hang()), 1);
    let drips = times(query(json!({ "drip_ms": 40 })), 3);
    vec![
        done("time-out after the effect", hang()),
        done("time-out after the effect at the older bank", hang()).at_the_older_bank(),
        undone("time-out before the effect", hang()),
        undone("time-out before the effect at the older bank", hang()).at_the_older_bank(),
        row("time-out before the effect, once", vec![once]).ends(&["SUCCEEDED", "FAILED"]),
        done("the answer drips", json!({ "drip_ms": 40 })),
        row(
            "the answers to queries drip",
            vec![pay("NOW", unknown()), drips],
        ),
    ]
}

/// Something comes that is no answer.
fn broken_answers() -> Vec<Row> {
    let html = "<html>502 Bad Gateway</html>";
    let proxy = json!({ "http": 502, "content_type": "text/html", "body": html });
    let elsewhere = json!({ "location": "http://127.0.0.1:1/elsewhere" });
    vec![
        done("the answer is lost", json!({ "close": true })),
        done("the connection is reset", json!({ "reset": true })),
        undone("reset before the effect", json!({ "reset": true })),
        done("cut after 0 bytes", json!({ "cut_after": 0 })),
        done("cut after 1 byte", json!({ "cut_after": 1 })),
        done("cut in the head", json!({ "cut_after": 40 })),
        done("cut in the body", json!({ "cut_after": 170 })),
        undone("cut before the effect", json!({ "cut_after": 1 })),
        done("ten megabytes", json!({ "huge_mb": 10 })),
        done("a gzip bomb", json!({ "gzip_bomb": true })),
        done("HTML from a proxy", proxy),
        done("a redirect", json!({ "http": 307, "headers": elsewhere })),
    ]
}

/// The bank answers, and does not know or says something else first.
fn doubtful_answers() -> Vec<Row> {
    let later = |ms: u64| json!({ "op": "PAY", "effect": "LATER_MS", "later_ms": ms, "answer": { "status": -1 } });
    vec![
        row(
            "-1, then it settles after some polls",
            vec![pay("NOW", unknown()), times(query(unknown()), 5)],
        ),
        row(
            "pending, then it settles",
            vec![
                pay("NOW", json!({ "status": 2 })),
                times(query(json!({ "status": 2 })), 5),
            ],
        ),
        row(
            "-1 about a refusal",
            vec![
                times(pay("NONE", json!({ "status": 1001 })), 1),
                times(query(unknown()), 3),
            ],
        )
        .ends(&["FAILED"])
        .reason("INSUFFICIENT_FUNDS"),
        row(
            "-1 for ever",
            vec![pay("NONE", unknown()), query(unknown())],
        )
        .ends(&["REVERSED"]),
        row(
            "paid, and -1 for ever",
            vec![pay("NOW", unknown()), query(unknown())],
        )
        .ends(&["REVERSED"]),
        row(
            "-1 for ever at the older bank",
            vec![pay("NOW", unknown()), query(unknown())],
        )
        .at_the_older_bank()
        .ends(&["MANUAL"])
        .alarm("CASE_OPENED"),
        row("success after \"not found\"", vec![later(2_500)]),
        row(
            "success after \"not found\" at the older bank",
            vec![later(7_000)],
        )
        .at_the_older_bank(),
        row(
            "a code that nobody knows",
            vec![pay("NOW", json!({ "status": 777 }))],
        ),
        row(
            "\"not found\" to a payment",
            vec![pay("NOW", json!({ "status": 4 }))],
        ),
    ]
}

/// Answers about something else.
fn crossed_answers() -> Vec<Row> {
    let other = "209901010000000000000001";
    let twice = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    vec![
        row(
            "another amount",
            vec![pay("NOW", but(json!({ "amount_minor": "5001" })))],
        )
        .alarm("MISMATCH"),
        row(
            "another order's flow",
            vec![pay("NOW", but(json!({ "flow_no": other })))],
        )
        .alarm("MISMATCH"),
        row(
            "another currency",
            vec![pay("NOW", but(json!({ "currency": "USD" })))],
        )
        .alarm("MISMATCH"),
        row(
            "another bill",
            vec![pay("NOW", but(json!({ "bill_no": "13900000000" })))],
        )
        .alarm("MISMATCH"),
        row(
            "a refusal with another amount",
            vec![pay(
                "NOW",
                json!({
                    "status": 1001, "override": { "amount_minor": "5001" },
                }),
            )],
        )
        .ends(&["SUCCEEDED", "FAILED"])
        .alarm("MISMATCH"),
        row(
            "queries are answered about another flow",
            vec![
                pay("NOW", unknown()),
                times(query(but(json!({ "flow_no": other }))), 3),
            ],
        )
        .alarm("MISMATCH"),
        row(
            "success of another flow, and nothing paid",
            vec![
                pay("NONE", but(json!({ "flow_no": other }))),
                times(query(but(json!({ "flow_no": other }))), 3),
            ],
        )
        .ends(&["FAILED", "SUCCEEDED"])
        .alarm("MISMATCH"),
        row(
            "two answers to one call",
            vec![pay("NOW", json!({ "raw": format!("{twice}{twice}") }))],
        ),
    ]
}

/// Reversals that go wrong themselves. Asking never settles these.
fn bad_reversals() -> Vec<Row> {
    let doubtful = |reversal: Value| vec![pay("NOW", unknown()), query(unknown()), reversal];
    vec![
        row(
            "the reversal is refused: the payment stands",
            doubtful(reverse("NONE", json!({ "status": 4001 }))),
        ),
        row(
            "the reversal times out, then works",
            doubtful(times(reverse("NONE", json!({ "hang": true })), 2)),
        )
        .ends(&["REVERSED"]),
        row(
            "the reversal works, its answer is lost",
            doubtful(times(reverse("NOW", json!({ "close": true })), 1)),
        )
        .ends(&["REVERSED"]),
        row(
            "the reversal is -1, then works",
            doubtful(times(reverse("NONE", unknown()), 2)),
        )
        .ends(&["REVERSED"]),
        row(
            "the reversal is not possible now, then works",
            doubtful(times(reverse("NONE", json!({ "status": 4002 })), 2)),
        )
        .ends(&["REVERSED"]),
        row(
            "the reversal is answered about another flow",
            doubtful(times(
                reverse(
                    "NONE",
                    but(json!({ "flow_no": "209901010000000000000001" })),
                ),
                2,
            )),
        )
        .ends(&["REVERSED"])
        .alarm("MISMATCH"),
        row(
            "the reversal hangs for ever",
            doubtful(reverse("NONE", json!({ "hang": true }))),
        )
        .ends(&["MANUAL"])
        .alarm("CASE_OPENED"),
        row(
            "-1 for ever, the reversal as well",
            doubtful(reverse("NONE", unknown())),
        )
        .ends(&["MANUAL"])
        .alarm("CASE_OPENED"),
    ]
}
