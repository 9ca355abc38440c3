//! Publishes a result: the file first, and then one transaction with the run, its sums, its flows, what of
//! the pool it ends, its cases and its audit rows.

use super::plan::Plan;
use super::weigh::{Found, Weighed};
use super::{CompareFault, DayOutcome, FileFault, Mode, Proof, Reconciled};
use crate::domain::audit::AuditEntry;
use crate::domain::case::{Case, CaseKind, CaseState};
use crate::domain::exception::later;
use crate::domain::reconciled::{Discrepancy, Ended, PartnerRow, ReconciliationRun, RunState};
use crate::domain::reconciliation::{Class, Row};
use crate::engine::{Actor, Engine};
use crate::storage::reconciliations::{self, OurFlow};
use crate::storage::{AnyConnection, Publication, Published};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Flows are looked up so many at a time.
const LOOK_UP: usize = 500;

impl Engine {
    /// Publishes, or only shows.
    pub(super) async fn publish_day(
        &self,
        plan: Plan,
        weighed: Weighed,
        proofs: Vec<Proof>,
        (mode, actor): (Mode, &Actor),
    ) -> Result<DayOutcome, FileFault> {
        let run = self.run_of(&plan, &weighed, actor);
        let differences = self.differences_of(&plan, &weighed, run.run_id).await?;
        let done = Reconciled {
            sums: weighed.sums.clone(),
            differences,
            proofs,
            run,
        };
        if mode == Mode::DryRun {
            return Ok(DayOutcome::Shown(Box::new(done)));
        }
        let publication = self.publication(&plan, &weighed, &done, actor);
        if let Some(current) = &plan.current
            && current.result_hash == done.run.result_hash
            && current.inputs.are_of_the_same_day(&done.run.inputs)
            && publication.ends.iter().all(|end| has_ended(end, current))
        {
            return self.still_holds(current.clone(), &done.run, actor).await;
        }
        let objects = self.objects()?;
        objects
            .keep(&done.run.file_path, weighed.file.path())
            .await?;
        let write = move |tx: &mut crate::storage::Tx<'_>| tx.publish_reconciliation(&publication);
        match self.0.store.solo(write).await? {
            Published::Done { cases } => {
                self.tell(&done, cases);
                Ok(DayOutcome::Published(Box::new(done)))
            }
            Published::Overtaken => Ok(DayOutcome::Overtaken),
        }
    }

    /// The same result: it holds with what is beside it now.
    async fn still_holds(
        &self,
        current: ReconciliationRun,
        now: &ReconciliationRun,
        actor: &Actor,
    ) -> Result<DayOutcome, FileFault> {
        if current.input_hash == now.input_hash {
            return Ok(DayOutcome::Same(Box::new(current)));
        }
        let audit = AuditEntry {
            subject_kind: "RECONCILIATION",
            subject: current.business_date.to_string(),
            after: Some(now.input_hash.clone()),
            before: Some(current.input_hash.clone()),
            detail: Some(format!(
                "version {} holds with other results and files beside it, and with what has moved since",
                current.version
            )),
            ..self.audit(now.made_at, actor, "RECONCILIATION_CONFIRMED")
        };
        let confirmed = ReconciliationRun {
            inputs: now.inputs.clone(),
            input_hash: now.input_hash.clone(),
            ..current
        };
        let run = confirmed.clone();
        let write = move |tx: &mut crate::storage::Tx<'_>| {
            let is_current = tx.confirm_reconciliation(&run)?;
            if is_current {
                tx.audit(audit.clone())?;
            }
            Ok(is_current)
        };
        match self.0.store.solo(write).await? {
            true => Ok(DayOutcome::Same(Box::new(confirmed))),
            false => Ok(DayOutcome::Overtaken),
        }
    }

    fn run_of(&self, plan: &Plan, weighed: &Weighed, actor: &Actor) -> ReconciliationRun {
        let version = plan.current.as_ref().map_or(0, |run| run.version) + 1;
        let digits: String = weighed.file_sha256.chars().take(8).collect();
        let date = plan.date;
        ReconciliationRun {
            run_id: Uuid::now_v7(),
            business_date: date,
            version,
            state: RunState::Current,
            replaces: plan.current.as_ref().map(|run| run.run_id),
            input_hash: plan.inputs.hash(),
            inputs: plan.inputs.clone(),
            result_hash: weighed.result_hash.clone(),
            flow_count: weighed.flows,
            difference_count: i64::try_from(weighed.differences.len()).unwrap_or(i64::MAX),
            file_path: format!("reconciliation/{date}/v{version}.{digits}.csv"),
            file_sha256: weighed.file_sha256.clone(),
            file_bytes: weighed.file_bytes,
            actor: actor.who.clone(),
            made_at: self.now(),
        }
    }

    /// The flows that are not matched, with what we know of them.
    async fn differences_of(
        &self,
        plan: &Plan,
        weighed: &Weighed,
        run_id: Uuid,
    ) -> Result<Vec<Discrepancy>, FileFault> {
        let mut differences = Vec::with_capacity(weighed.differences.len());
        for part in weighed.differences.chunks(LOOK_UP) {
            let numbers: Vec<String> = part.iter().map(|found| found.flow_no.clone()).collect();
            let read = move |c: &mut AnyConnection| reconciliations::flows_by_number(c, &numbers);
            let flows = self.0.store.read(read).await?;
            let flows: BTreeMap<&str, &OurFlow> = flows
                .iter()
                .map(|flow| (flow.flow_no.as_str(), flow))
                .collect();
            for found in part {
                let flow = flows.get(found.flow_no.as_str()).copied();
                // A number of another day that is in our database is no flow of this day.
                let flow = flow.filter(|_| !found.ours.is_empty());
                differences.push(self.difference(plan, weighed, (found, flow), run_id)?);
            }
        }
        Ok(differences)
    }

    fn difference(
        &self,
        plan: &Plan,
        weighed: &Weighed,
        (found, flow): (&Found, Option<&OurFlow>),
        run_id: Uuid,
    ) -> Result<Discrepancy, CompareFault> {
        let verdict = &found.verdict;
        let origin = weighed.carried.get(&found.flow_no);
        let origin = origin.and_then(|one| one.origin.as_ref());
        let rows = [&found.ours, &found.bank, &found.biller];
        let kind = rows
            .iter()
            .flat_map(|rows| rows.iter())
            .find_map(|row| row.kind);
        let row = |rows: &[Row], before: Option<&PartnerRow>| {
            let row = rows.first()?;
            if plan.is_carried(row) && before.is_some() {
                return before.cloned();
            }
            Some(PartnerRow {
                file: plan.party_of(row)?.file.path.clone(),
                line: i64::from(row.line),
                status: row.state,
                amount_minor: row.amount.amount_minor,
            })
        };
        let days = plan
            .parties
            .iter()
            .map(|party| party.partner.rules.pool_days)
            .max();
        let due_on = match origin.and_then(|one| one.due_on) {
            Some(due_on) => due_on,
            None => self
                .calendar()
                .add_business_days(plan.date, days.unwrap_or(0)),
        };
        let order_no = flow.and_then(|flow| flow.order_no.parse().ok());
        let ours = found.ours.first();
        Ok(Discrepancy {
            discrepancy_id: Uuid::now_v7(),
            run_id,
            business_date: plan.date,
            flow_no: found.flow_no.clone(),
            kind: kind.map_or(String::new(), |kind| kind.as_str().to_owned()),
            order_no,
            merchant: flow.map(|flow| flow.merchant.clone()),
            biller: flow.map(|flow| flow.biller.clone()),
            adapter: flow.map(|flow| flow.adapter.clone()),
            class: verdict.class,
            rule: verdict.rule,
            currency: verdict.at_risk.currency,
            our_state: ours.map(|row| verdict.proves.unwrap_or(row.state)),
            our_minor: ours.map(|row| row.amount.amount_minor),
            bank: row(&found.bank, origin.and_then(|one| one.bank.as_ref())),
            biller_row: row(
                &found.biller,
                origin.and_then(|one| one.biller_row.as_ref()),
            ),
            risk_minor: verdict.at_risk.amount_minor,
            due_on: (verdict.class == Class::Expected).then_some(due_on),
            ended: None,
            case_no: None,
        })
    }

    fn publication(
        &self,
        plan: &Plan,
        weighed: &Weighed,
        done: &Reconciled,
        actor: &Actor,
    ) -> Publication {
        let now = done.run.made_at;
        let end =
            |(number, (class, rule)): (&String, &(Class, crate::domain::reconciliation::Rule))| {
                let origin = weighed.carried.get(number)?.origin.as_ref()?;
                let ended = Ended {
                    on: plan.date,
                    run_id: done.run.run_id,
                    class: *class,
                    rule: *rule,
                };
                Some((origin.clone(), ended))
            };
        let needs_case = done.differences.iter().filter(|one| one.needs_person());
        Publication {
            run: done.run.clone(),
            sums: done.sums.clone(),
            differences: done.differences.clone(),
            ends: weighed.ended.iter().filter_map(end).collect(),
            cases: needs_case.map(|one| self.case_about(one, now)).collect(),
            audit: AuditEntry {
                subject_kind: "RECONCILIATION",
                subject: plan.date.to_string(),
                after: Some(done.run.result_hash.clone()),
                before: plan.current.as_ref().map(|run| run.result_hash.clone()),
                detail: Some(format!(
                    "version {}: {} flows, {} differences",
                    done.run.version, done.run.flow_count, done.run.difference_count
                )),
                ..self.audit(now, actor, "RECONCILED")
            },
            case_audit: self.audit(now, actor, "OPENED"),
        }
    }

    fn case_about(&self, one: &Discrepancy, now: crate::domain::time::Instant) -> Case {
        Case {
            case_no: self.0.numbers.case(now),
            order_no: one.order_no.clone(),
            flow_no: Some(one.flow_no.clone()),
            kind: CaseKind::Discrepancy,
            state: CaseState::Open,
            cause: one.sentence(),
            opened_at: now,
            due_at: later(now, self.0.options.case_due),
            owner: None,
            proposal: None,
            checker: None,
            closed_at: None,
            resolution: None,
            version: 0,
        }
    }

    fn tell(&self, done: &Reconciled, cases: u32) {
        let run = &done.run;
        metrics::counter!("payhall_reconciled_days_total").increment(1);
        for one in &done.differences {
            metrics::counter!("payhall_discrepancies_total", "class" => one.class.as_str())
                .increment(1);
        }
        tracing::info!(
            business_date = %run.business_date,
            version = run.version,
            flows = run.flow_count,
            differences = run.difference_count,
            cases,
            "a day was reconciled"
        );
        if cases > 0 {
            self.0.alarms.raise(crate::engine::Alarm {
                level: crate::domain::exception::AlarmLevel::Warn,
                kind: crate::engine::AlarmKind::Reconciliation,
                order_no: None,
                message: format!(
                    "{} was reconciled: {} of {} flows differ, {cases} cases wait for people",
                    run.business_date, run.difference_count, run.flow_count
                ),
            });
        }
    }
}

/// Whether what an earlier day left is ended by the result that counts, in this very way.
fn has_ended((origin, end): &(Discrepancy, Ended), current: &ReconciliationRun) -> bool {
    let wanted = Ended {
        run_id: current.run_id,
        ..end.clone()
    };
    origin.ended.as_ref() == Some(&wanted)
}
