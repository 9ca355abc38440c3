//! What a night leaves behind, for the fields that show it: a file, a result, what differs, what people
//! say and decide about it.

use super::super::support::*;
use super::center::Center;
use crate::domain::audit::AuditEntry;
use crate::domain::case::{Case, CaseKind, CaseState};
use crate::domain::ids::{CaseNo, OrderNo};
use crate::domain::money::Currency;
use crate::domain::partner::{PartnerFile, PartnerFileState, PartnerName, PartnerSide};
use crate::domain::reconciled::{
    Counted, Discrepancy, Ended, InputFile, Inputs, PartnerRow, ReconciliationRun, RunState,
    SideSum,
};
use crate::domain::reconciliation::{Class, RowState, Rule, Side, Sum, Tally};
use crate::domain::time::BusinessDate;
use crate::engine::Clock;
use crate::storage::{Publication, Tx};
use serde_json::json;
use uuid::Uuid;

/// Writes a night, and gives both merchants the things of it.
pub async fn furnish(center: &mut Center) {
    let date = BusinessDate("2026-11-22".parse().unwrap());
    let file = file(center, date);
    let kept = file.clone();
    let store = &center.world.store;
    let keep = move |tx: &mut Tx<'_>| tx.keep_partner_file(&kept);
    store.solo(keep).await.unwrap();
    let what = publication(center, date);
    let publish = move |tx: &mut Tx<'_>| tx.publish_reconciliation(&what);
    store.solo(publish).await.unwrap();
    // A second run in place of the first, which ends what the first found.
    let read = move |c: &mut crate::storage::AnyConnection| {
        crate::storage::reconciliations::current(c, date)
    };
    let first = store.read(read).await.unwrap().unwrap();
    let again = again(center, date, first.run_id);
    let publish = move |tx: &mut Tx<'_>| tx.publish_reconciliation(&again);
    store.solo(publish).await.unwrap();
    for letter in ['a', 'b'] {
        let case = center.things[&letter]["case"].clone();
        let comment = json!({ "caseNo": case, "body": "they call back" });
        center.run(Some(OPERATOR), "caseComment", comment).await;
    }
    let case = center.things[&'a']["case"].clone();
    let version = json!({ "caseNo": case, "version": 3, "owner": "vera" });
    center.run(Some(OPERATOR), "caseHand", version).await;
    let csv = format!("case_no,decision,evidence\n{},KEEP,a letter\n", case_no());
    let propose = json!({ "csv": csv, "mode": "PROPOSE" });
    let payload = center
        .run(Some(OPERATOR), "caseBatchPropose", propose)
        .await;
    let batch = payload["batch"]["batchId"].as_str().unwrap().to_owned();
    let which = json!({ "batchId": batch, "contentHash": payload["contentHash"] });
    center.run(Some(REVIEWER), "caseBatchApply", which).await;
    for things in center.things.values_mut() {
        things.insert("batch", batch.clone());
    }
}

/// The case about the difference.
fn case_no() -> String {
    "202611220000000000077777".to_owned()
}

fn file(center: &Center, date: BusinessDate) -> PartnerFile {
    PartnerFile {
        file_id: Uuid::now_v7(),
        partner: PartnerName::try_new("first-bank").unwrap(),
        business_date: date,
        version: 1,
        side: PartnerSide::Bank,
        profile: "payhall-csv".to_owned(),
        name: "flows.csv".to_owned(),
        path: "partner/first-bank/2026-11-22/v1.flows.csv".to_owned(),
        sha256: "00".repeat(32),
        bytes: 10,
        row_count: 0,
        sums: Default::default(),
        state: PartnerFileState::Refused,
        line: Some(2),
        reason: Some("it ends in the middle of a line".to_owned()),
        mark: None,
        actor: "job:fetch_partner_files".to_owned(),
        received_at: center.world.clock.now(),
    }
}

fn run(center: &Center, date: BusinessDate) -> ReconciliationRun {
    ReconciliationRun {
        run_id: Uuid::now_v7(),
        business_date: date,
        version: 1,
        state: RunState::Current,
        replaces: None,
        inputs: Inputs {
            files: vec![InputFile {
                partner: PartnerName::try_new("nobody-any-more").unwrap(),
                version: 1,
                sha256: "00".repeat(32),
                rows: 1,
            }],
            ..Inputs::default()
        },
        input_hash: "11".repeat(32),
        result_hash: "22".repeat(32),
        flow_count: 2,
        difference_count: 1,
        file_path: "reconciliation/2026-11-22/v1.csv".to_owned(),
        file_sha256: "33".repeat(32),
        file_bytes: 10,
        actor: "job:reconcile_day".to_owned(),
        made_at: center.world.clock.now(),
    }
}

fn audit(center: &Center, action: &str) -> AuditEntry {
    AuditEntry {
        at: center.world.clock.now(),
        actor: "job:reconcile_day".to_owned(),
        action: action.to_owned(),
        subject_kind: "RECONCILIATION",
        subject: "2026-11-22".to_owned(),
        before: None,
        after: None,
        detail: None,
        request_id: None,
    }
}

/// What a run found of each merchant's flow.
fn found(center: &Center, run: &ReconciliationRun) -> Vec<Discrepancy> {
    let row = |line| PartnerRow {
        file: "partner/first-bank/2026-11-22/v1.flows.csv".to_owned(),
        line,
        status: RowState::Succeeded,
        amount_minor: 4_000,
    };
    let one = |letter: char, class| Discrepancy {
        discrepancy_id: Uuid::now_v7(),
        run_id: run.run_id,
        business_date: run.business_date,
        flow_no: center.things[&letter]["flow"].clone(),
        kind: "PAYMENT".to_owned(),
        order_no: center.things[&letter]["order"].parse().ok(),
        merchant: None,
        biller: None,
        adapter: None,
        class,
        rule: Rule::AmountDiffers,
        currency: Currency::CNY,
        our_state: Some(RowState::Succeeded),
        our_minor: Some(5_000),
        bank: Some(row(2)),
        biller_row: Some(row(3)),
        risk_minor: 1_000,
        due_on: (class == Class::Expected).then_some(run.business_date),
        ended: None,
        case_no: None,
    };
    vec![one('a', Class::Amount), one('b', Class::Expected)]
}

fn publication(center: &Center, date: BusinessDate) -> Publication {
    let run = run(center, date);
    let differences = found(center, &run);
    let one = Sum {
        count: 1,
        minor: 5_000,
    };
    let sum = |counted| SideSum {
        counted,
        partner: "first-bank".to_owned(),
        class: Class::Amount,
        currency: Currency::CNY,
        tally: Tally {
            paid: one,
            ..Tally::default()
        },
    };
    Publication {
        sums: vec![sum(Counted::Rows(Side::Ours)), sum(Counted::Flows)],
        ends: Vec::new(),
        cases: vec![case(center, &differences[0])],
        audit: audit(center, "RECONCILED"),
        case_audit: audit(center, "OPENED"),
        differences,
        run,
    }
}

fn again(center: &Center, date: BusinessDate, replaces: Uuid) -> Publication {
    let first = publication(center, date);
    let run = ReconciliationRun {
        version: 2,
        replaces: Some(replaces),
        ..run(center, date)
    };
    let mut differences = found(center, &run);
    let waiting = &mut differences[1];
    waiting.ended = Some(Ended {
        on: date,
        run_id: run.run_id,
        class: Class::Matched,
        rule: Rule::AllAgree,
    });
    Publication {
        cases: vec![case(center, &differences[0])],
        differences,
        run,
        ..first
    }
}

fn case(center: &Center, about: &Discrepancy) -> Case {
    let now = center.world.clock.now();
    Case {
        case_no: CaseNo::try_new(case_no()).unwrap(),
        order_no: Some(OrderNo::try_new(center.things[&'a']["order"].clone()).unwrap()),
        flow_no: Some(about.flow_no.clone()),
        kind: CaseKind::Discrepancy,
        state: CaseState::Open,
        cause: about.sentence(),
        opened_at: now,
        due_at: now,
        owner: None,
        proposal: None,
        checker: None,
        closed_at: None,
        resolution: None,
        version: 0,
    }
}
