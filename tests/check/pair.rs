//! A database and a ledger that agree, one order of each kind, made by hand so that a test can
//! spoil either of them in one place.

use crate::support::database::TestDatabase;
use crate::support::given;
use payhall::check::{CheckOptions, Invariant, Report, run};
use payhall::domain::audit::AuditEntry;
use payhall::domain::case::{Case, CaseKind, CaseState, Decision, Proposal};
use payhall::domain::exception::{Exception, Phase};
use payhall::domain::flow::{Flow, FlowKind, FlowState};
use payhall::domain::ids::{CaseNo, FlowNo};
use payhall::domain::order::{Order, OrderState};
use payhall::storage::{CaseMove, ExceptionMove, Move, Moved, NewOrder, Store, StoreError};
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;

// One order of each kind, by its digits.
pub const CREATED: u64 = 1;
pub const CLOSED: u64 = 2;
pub const SUCCEEDED: u64 = 3;
pub const FAILED: u64 = 4;
pub const UNKNOWN: u64 = 5;
pub const REVERSED: u64 = 6;
pub const MANUAL: u64 = 7;
/// FAILED as not found, then paid after all: a case is open.
pub const LATE: u64 = 8;
/// FAILED by two people.
pub const DECIDED: u64 = 9;
pub const PAYING: u64 = 10;
/// How many there are.
pub const ORDERS: u64 = 10;

/// The number of an order's payment.
pub fn payment_no(digits: u64) -> String {
    given::number(1_000 + digits)
}

/// The number of an order's reversal.
pub fn reversal_no(digits: u64) -> String {
    given::number(2_000 + digits)
}

/// The number of an order's case.
pub fn case_no(digits: u64) -> String {
    given::number(3_000 + digits)
}

/// The two witnesses.
pub struct Pair {
    pub database: TestDatabase,
    /// The ledger's lines, without their numbers.
    pub lines: Vec<Value>,
    pub options: CheckOptions,
    folder: TempDir,
}

impl Pair {
    /// A sound pair.
    pub async fn new(database: TestDatabase) -> Self {
        let folder = TempDir::new().unwrap();
        let ledger = folder.path().join("ledger.jsonl");
        let options = CheckOptions::new(&database.url, ledger, given::at(100));
        let mut pair = Self {
            database,
            lines: Vec::new(),
            options,
            folder,
        };
        Store::migrate(&pair.database.options("made")).unwrap();
        given::merchant(&pair.database);
        let store = pair.store("made");
        let mut lives = Lives {
            store: &store,
            lines: &mut pair.lines,
        };
        lives.all().await;
        store.solo(tell_of_merchant).await.unwrap();
        store.close().await;
        pair
    }

    /// The database, for further moves; its audit rows stand in a chain of this name.
    pub fn store(&self, instance: &str) -> Store {
        let mut options = self.database.options(instance);
        options.writers = 1;
        Store::open(&options, Arc::new(|_| ())).unwrap()
    }

    /// Spoils the database.
    pub fn sql(&mut self, statements: &str) {
        self.database.execute(statements).unwrap();
    }

    /// The lines of an event about an order.
    pub fn find(&self, event: &str, digits: u64) -> Vec<usize> {
        let order_no = given::number(digits);
        let is_it = |line: &Value| line["event"] == event && line["order_no"] == order_no;
        (0..self.lines.len())
            .filter(|place| is_it(&self.lines[*place]))
            .collect()
    }

    /// Takes the lines of an event about an order away.
    pub fn without(&mut self, event: &str, digits: u64) {
        let places = self.find(event, digits);
        assert!(!places.is_empty(), "there is no {event} about {digits}");
        for place in places.into_iter().rev() {
            self.lines.remove(place);
        }
    }

    /// Writes the ledger and checks.
    pub fn check(&self) -> Report {
        let mut text = String::new();
        for (line, seq) in self.lines.iter().zip(1..) {
            let mut line = line.clone();
            line["seq"] = json!(seq);
            text.push_str(&format!("{line}\n"));
        }
        std::fs::write(self.folder.path().join("ledger.jsonl"), text).unwrap();
        run(&self.options).unwrap()
    }

    /// Checks, and holds the checker to a finding: this rule, this order, these words somewhere.
    pub fn assert_found(&self, invariant: Invariant, digits: u64, words: &str) {
        let report = self.check();
        let order_no = given::number(digits);
        let is_it = |order: &Option<String>| order.as_deref().is_none_or(|no| no == order_no);
        let found = report.findings.iter().any(|finding| {
            finding.invariant == invariant
                && is_it(&finding.order_no)
                && finding.to_string().contains(words)
        });
        let kind = self.database.kind;
        assert!(
            found,
            "{kind}: {invariant} {words:?} about {digits} is missing:\n{report}"
        );
        for finding in &report.findings {
            assert!(
                is_it(&finding.order_no),
                "{kind}: this order is sound: {finding}"
            );
        }
    }
}

/// The audit rows of the merchant that [`given::merchant`] has written.
fn tell_of_merchant(tx: &mut payhall::storage::Tx<'_>) -> Result<(), StoreError> {
    for version in 0..=given::MERCHANT_VERSION {
        tx.audit(AuditEntry {
            at: given::at(i64::from(version)),
            actor: "operator:ann".to_owned(),
            action: "MERCHANT_EDIT".to_owned(),
            subject_kind: "MERCHANT",
            subject: "portal".to_owned(),
            before: None,
            after: None,
            detail: None,
            request_id: None,
        })?;
    }
    Ok(())
}

/// Runs a test on every kind of database that is there.
pub async fn on_each<F: AsyncFn(Pair)>(test: F) {
    for database in TestDatabase::all() {
        test(Pair::new(database).await).await;
    }
}

/// Runs a test on SQLite alone: one row of a table of plantings, which differ in nothing
/// that a database could see.
pub async fn on_sqlite<F: AsyncFn(Pair)>(test: F) {
    test(Pair::new(TestDatabase::sqlite()).await).await;
}

/// A line about a payment.
pub fn paid(event: &str, order: &Order, flow_no: &str, at_s: i64) -> Value {
    json!({
        "at": given::at(at_s), "event": event, "bank": "bank", "flow_no": flow_no,
        "order_no": order.order_no, "biller": order.biller, "bill_no": order.bill_no,
        "amount_minor": order.amount.amount_minor.to_string(),
        "currency": order.amount.currency.code(),
    })
}

/// A line about a reversal.
pub fn undone(event: &str, order: &Order, numbers: (&str, &str), at_s: i64) -> Value {
    let mut line = paid(event, order, numbers.0, at_s);
    line["payment_flow_no"] = json!(numbers.1);
    line
}

/// A line about a call.
pub fn call(op: &str, order: &Order, flow_no: &str, answer: &str, at_s: i64) -> Value {
    json!({
        "at": given::at(at_s), "event": "CALL", "bank": "bank", "op": op, "flow_no": flow_no,
        "order_no": order.order_no, "bill_no": order.bill_no, "answer": answer,
    })
}

/// A step of an order with its audit row.
pub fn step(order: &Order, action: &str, state: OrderState, at_s: i64) -> Move {
    let step = given::step(order, state, at_s);
    let mut audit = given::audit(&step.after, action);
    audit.before = Some(order.state.as_str().to_owned());
    Move {
        audits: vec![audit],
        ..step
    }
}

/// Writes a step and gives the order as it then stands.
pub async fn write(store: &Store, step: Move) -> Order {
    let after = step.after.clone();
    assert_eq!(store.move_order(step).await.unwrap(), Moved::Done);
    after
}

/// A flow with its outcome.
pub fn concluded(flow: &Flow, state: FlowState, code: Option<&str>) -> Flow {
    Flow {
        state,
        code: code.map(ToOwned::to_owned),
        upstream_ref: code
            .filter(|code| *code == "1")
            .map(|_| format!("B{}", flow.flow_no)),
        concluded_at: Some(given::at(9)),
        version: flow.version + 1,
        ..flow.clone()
    }
}

/// An open case about an order.
pub fn case(order: &Order, digits: u64, kind: CaseKind) -> Case {
    Case {
        case_no: CaseNo::try_new(case_no(digits)).unwrap(),
        order_no: Some(order.order_no.clone()),
        flow_no: None,
        owner: None,
        kind,
        state: CaseState::Open,
        cause: "no answer".to_owned(),
        opened_at: given::at(8),
        due_at: given::at(4_000),
        proposal: None,
        checker: None,
        closed_at: None,
        resolution: None,
        version: 0,
    }
}

/// The audit row about a case.
pub fn case_audit(case: &Case, action: &str, before: Option<&str>, actor: &str) -> AuditEntry {
    AuditEntry {
        at: given::at(10 + i64::from(case.version)),
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject_kind: "CASE",
        subject: case.case_no.to_string(),
        before: before.map(ToOwned::to_owned),
        after: Some(case.state.as_str().to_owned()),
        detail: None,
        request_id: None,
    }
}

/// The ways that an order can go.
struct Lives<'a> {
    store: &'a Store,
    lines: &'a mut Vec<Value>,
}

impl Lives<'_> {
    async fn all(&mut self) {
        self.create(CREATED).await;
        let order = self.create(CLOSED).await;
        self.write(step(&order, "CANCELLED", OrderState::Closed, 3))
            .await;
        self.succeeded().await;
        self.failed().await;
        self.in_doubt(UNKNOWN).await;
        self.reversed().await;
        self.manual(MANUAL).await;
        self.late().await;
        self.decided().await;
        self.confirm(PAYING, 99).await;
    }

    async fn write(&self, step: Move) -> Order {
        write(self.store, step).await
    }

    async fn create(&self, digits: u64) -> Order {
        let order = given::order(digits);
        let audit = given::audit(&order, "CREATED");
        let new = NewOrder {
            order: order.clone(),
            merchant_version: given::MERCHANT_VERSION,
            audit,
            admission: None,
        };
        self.store.create(new).await.unwrap();
        order
    }

    async fn confirm(&self, digits: u64, at_s: i64) -> (Order, Flow) {
        let order = self.create(digits).await;
        let flow = Flow {
            started_at: given::at(at_s),
            ..given::payment(&order, 1_000 + digits)
        };
        let confirmed = Move {
            start: Some(flow.clone()),
            ..step(&order, "CONFIRMED", OrderState::Paying, at_s)
        };
        (self.write(confirmed).await, flow)
    }

    fn moves_money(&mut self, order: &Order, flow: &Flow, at_s: i64) {
        let flow_no = flow.flow_no.as_str();
        self.lines.push(paid("DEBIT", order, flow_no, at_s));
        self.lines.push(paid("CREDIT", order, flow_no, at_s));
    }

    fn calls(&mut self, op: &str, order: &Order, flow: &Flow, answer: &str, at_s: i64) {
        self.lines
            .push(call(op, order, flow.flow_no.as_str(), answer, at_s));
    }

    async fn succeeded(&mut self) {
        let (order, flow) = self.confirm(SUCCEEDED, 1).await;
        self.moves_money(&order, &flow, 2);
        self.calls("PAY", &order, &flow, "1", 2);
        let paid = Move {
            conclude: vec![concluded(&flow, FlowState::Succeeded, Some("1"))],
            ..step(&order, "PAYMENT_SUCCEEDED", OrderState::Succeeded, 3)
        };
        self.write(paid).await;
    }

    async fn failed(&mut self) {
        let (order, flow) = self.confirm(FAILED, 1).await;
        let mut refusal = paid("REFUSAL", &order, flow.flow_no.as_str(), 2);
        refusal["code"] = json!(1001);
        self.lines.push(refusal);
        self.calls("PAY", &order, &flow, "1001", 2);
        let refused = Move {
            conclude: vec![concluded(&flow, FlowState::Failed, Some("1001"))],
            ..step(&order, "PAYMENT_REFUSED", OrderState::Failed, 3)
        };
        self.write(refused).await;
    }

    /// UNKNOWN with an open exception; the bank has paid.
    async fn in_doubt(&mut self, digits: u64) -> (Order, Flow, Exception) {
        let (order, flow) = self.confirm(digits, 1).await;
        self.moves_money(&order, &flow, 2);
        self.calls("PAY", &order, &flow, "-1", 2);
        self.doubted(order, flow).await
    }

    async fn doubted(&mut self, order: Order, flow: Flow) -> (Order, Flow, Exception) {
        let exception = given::exception(&order, &flow);
        let doubted = Move {
            exception: ExceptionMove::Open(exception.clone()),
            ..step(&order, "PAYMENT_UNKNOWN", OrderState::Unknown, 3)
        };
        let order = self.write(doubted).await;
        self.calls("QUERY", &order, &flow, "-1", 4);
        (order, flow, exception)
    }

    async fn reversed(&mut self) {
        let (order, flow, exception) = self.in_doubt(REVERSED).await;
        let reversal = Flow {
            flow_no: FlowNo::try_new(reversal_no(REVERSED)).unwrap(),
            kind: FlowKind::Reversal,
            started_at: given::at(5),
            ..flow.clone()
        };
        let reversing = Move {
            start: Some(reversal.clone()),
            exception: ExceptionMove::Replace(Exception {
                phase: Phase::Reverse,
                reversal_flow_no: Some(reversal.flow_no.clone()),
                ..exception
            }),
            ..step(&order, "REVERSAL_STARTED", OrderState::Reversing, 5)
        };
        let order = self.write(reversing).await;
        let numbers = (reversal.flow_no.as_str(), flow.flow_no.as_str());
        self.lines.push(undone("REVERSAL", &order, numbers, 6));
        self.lines.push(undone("CREDIT_BACK", &order, numbers, 6));
        let mut sent = call("REVERSE", &order, numbers.0, "1", 6);
        sent["payment_flow_no"] = json!(numbers.1);
        self.lines.push(sent);
        let reversed = Move {
            conclude: vec![
                concluded(&flow, FlowState::Reversed, None),
                concluded(&reversal, FlowState::Succeeded, Some("1")),
            ],
            exception: ExceptionMove::Close,
            ..step(&order, "REVERSAL_SUCCEEDED", OrderState::Reversed, 7)
        };
        self.write(reversed).await;
    }

    async fn manual(&mut self, digits: u64) -> (Order, Flow, Case) {
        let (order, flow) = self.confirm(digits, 1).await;
        self.lines
            .push(paid("HELD", &order, flow.flow_no.as_str(), 2));
        self.calls("PAY", &order, &flow, "HANG", 2);
        let (order, flow, exception) = self.doubted(order, flow).await;
        let case = case(&order, digits, CaseKind::Doubt);
        let mut manual = step(&order, "LADDER_USED_UP", OrderState::Manual, 8);
        manual
            .audits
            .push(case_audit(&case, "OPENED", None, "job:poll"));
        manual.case = CaseMove::Open(case.clone());
        manual.exception = ExceptionMove::Replace(Exception {
            escalated: true,
            ..exception
        });
        (self.write(manual).await, flow, case)
    }

    async fn late(&mut self) {
        let (order, flow) = self.confirm(LATE, 1).await;
        self.lines
            .push(paid("HELD", &order, flow.flow_no.as_str(), 2));
        self.calls("PAY", &order, &flow, "-1", 2);
        let (order, flow, exception) = self.doubted(order, flow).await;
        self.calls("QUERY", &order, &flow, "4", 5);
        let not_found = Move {
            conclude: vec![concluded(&flow, FlowState::Failed, None)],
            exception: ExceptionMove::Open(Exception {
                exception_id: uuid::Uuid::now_v7(),
                phase: Phase::Watch,
                ..exception
            }),
            ..step(&order, "PAYMENT_NOT_FOUND", OrderState::Failed, 6)
        };
        let order = self.write(not_found).await;
        self.moves_money(&order, &flow, 7);
        let case = case(&order, LATE, CaseKind::LateSuccess);
        let audit = case_audit(&case, "OPENED", None, "job:poll");
        let open = move |tx: &mut payhall::storage::Tx<'_>| {
            tx.audit(audit.clone())?;
            tx.open_case(&case)
        };
        assert!(self.store.solo(open).await.unwrap());
    }

    async fn decided(&mut self) {
        let (order, flow, case) = self.manual(DECIDED).await;
        let proposed = Case {
            state: CaseState::Proposed,
            proposal: Some(Proposal {
                decision: Decision::Failed,
                evidence: "the bank's letter".to_owned(),
                maker: "operator:ann".to_owned(),
                proposed_at: given::at(11),
            }),
            version: 1,
            ..case
        };
        let audit = case_audit(&proposed, "PROPOSED", Some("OPEN"), "operator:ann");
        let replaced = proposed.clone();
        let replace = move |tx: &mut payhall::storage::Tx<'_>| {
            tx.audit(audit.clone())?;
            tx.replace_case(&replaced)
        };
        assert!(self.store.solo(replace).await.unwrap());
        let closed = Case {
            state: CaseState::Closed,
            checker: Some("operator:bob".to_owned()),
            closed_at: Some(given::at(12)),
            version: 2,
            ..proposed
        };
        let mut decided = step(&order, "DECIDED_FAILED", OrderState::Failed, 12);
        decided.audits[0].actor = "operator:bob".to_owned();
        let audit = case_audit(&closed, "APPROVED", Some("PROPOSED"), "operator:bob");
        decided.audits.push(audit);
        decided.conclude = vec![concluded(&flow, FlowState::Failed, None)];
        decided.exception = ExceptionMove::Close;
        decided.case = CaseMove::Replace(closed);
        self.write(decided).await;
    }
}
