//! Answers for one flow: which class, by which rule, what each side says in which line of which file, and on
//! which days it was looked at.

use super::bills;
use super::gather::row_of;
use super::plan::{Party, Plan, date_in};
use crate::domain::case::Case;
use crate::domain::partner::{PartnerFile, PartnerSide};
use crate::domain::reconciled::{Discrepancy, ReconciliationRun};
use crate::domain::reconciliation::{Row, RowState, Sides, Verdict, Waited, classify};
use crate::domain::time::BusinessDate;
use crate::engine::Engine;
use crate::engine::partner_files::{FileFault, blocking};
use crate::storage::reconciliations::OurFlow;
use crate::storage::{AnyConnection, cases, discrepancies, partner_files, reconciliations};

/// What a partner's file says of the flow.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The file.
    pub file: PartnerFile,
    /// The row, with its line.
    pub row: Row,
    /// The number of the bill that it names; empty where the file does not tell.
    pub bill_no: String,
}

/// The whole answer.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The number.
    pub flow_no: String,
    /// Our flow; none where we have none.
    pub ours: Option<OurFlow>,
    /// Our row.
    pub our_row: Option<Row>,
    /// Every line that names it, of the files that went into the results of its days.
    pub heard: Vec<Heard>,
    /// What the sides together come to, judged anew.
    pub verdict: Verdict,
    /// The results that it was looked at in, by date.
    pub runs: Vec<ReconciliationRun>,
    /// What those results found of it, where it was not matched; by date.
    pub found: Vec<Discrepancy>,
    /// The cases about it.
    pub cases: Vec<Case>,
}

impl Engine {
    /// Explains a flow; none where no side knows it.
    ///
    /// # Errors
    /// Storage, the store of files or a file failed.
    pub async fn reconciliation_explain(
        &self,
        flow_no: &str,
    ) -> Result<Option<Explained>, FileFault> {
        let number = flow_no.to_owned();
        let read = move |c: &mut AnyConnection| {
            let numbers = [number];
            let ours = reconciliations::flows_by_number(c, &numbers)?.pop();
            let found = discrepancies::of_numbers(c, &numbers)?;
            let cases = cases::of_flow(c, &numbers[0])?;
            Ok((ours, found, cases))
        };
        let (ours, found, cases) = self.0.store.read(read).await?;
        let own = date_in(flow_no);
        let mut dates: Vec<BusinessDate> = found.iter().map(|one| one.business_date).collect();
        let ended = found.iter().filter_map(|one| one.ended.as_ref());
        dates.extend(ended.map(|ended| ended.on));
        dates.extend(own);
        dates.sort_unstable();
        dates.dedup();
        let (mut runs, mut heard) = (Vec::new(), Vec::new());
        let mut plan = None;
        for date in dates {
            let Some(run) = self.reconciliation(date, None).await.map_err(store)? else {
                continue;
            };
            let of_day = self.plan_day(date).await?;
            let bill_no = ours.as_ref().map(|flow| flow.bill_no.clone());
            heard.extend(self.heard_in(&of_day, &run, (flow_no, bill_no)).await?);
            if plan.is_none() || Some(date) == own {
                plan = Some(of_day);
            }
            runs.push(run);
        }
        let Some(plan) = plan else {
            return Ok(None);
        };
        if ours.is_none() && heard.is_empty() {
            return Ok(None);
        }
        let our_row = self.our_row_now(&plan, ours.as_ref()).await?;
        let of_side = |side: PartnerSide| -> Vec<Row> {
            let its = heard.iter().filter(|one: &&Heard| one.file.side == side);
            its.map(|one| one.row).collect()
        };
        let (bank, biller) = (of_side(PartnerSide::Bank), of_side(PartnerSide::Biller));
        let sides = Sides {
            ours: our_row.as_slice(),
            bank: &bank,
            biller: &biller,
        };
        let last = runs.last().map_or(plan.date, |run| run.business_date);
        let waited = match found.is_empty() {
            true => Waited(0),
            false => self.waited(plan.date, last),
        };
        Ok(Some(Explained {
            flow_no: flow_no.to_owned(),
            verdict: classify(sides, &plan.rules(), waited),
            our_row,
            ours,
            heard,
            runs,
            found,
            cases,
        }))
    }

    /// Our row of a flow, as it is compared.
    async fn our_row_now(
        &self,
        plan: &Plan,
        ours: Option<&OurFlow>,
    ) -> Result<Option<Row>, FileFault> {
        let Some(flow) = ours else { return Ok(None) };
        let mut row = plan.our_row(flow, 0).map_err(FileFault::from)?;
        let numbers = vec![flow.flow_no.clone()];
        let plan = self.with_undone(plan.clone(), numbers).await?;
        let buried = self.buried(&plan).await;
        if buried.map_err(FileFault::from)?.contains(&flow.flow_no) {
            row.state = RowState::Failed;
        }
        Ok(Some(row))
    }

    /// The lines of a result's files that name a flow.
    async fn heard_in(
        &self,
        plan: &Plan,
        run: &ReconciliationRun,
        (flow_no, bill_no): (&str, Option<String>),
    ) -> Result<Vec<Heard>, FileFault> {
        let mut heard = Vec::new();
        for input in &run.inputs.files {
            let (name, date, version) = (input.partner.clone(), run.business_date, input.version);
            let read = move |c: &mut AnyConnection| partner_files::version(c, &name, date, version);
            let Some(file) = self.0.store.read(read).await? else {
                continue;
            };
            let Some((place, party)) = plan
                .parties
                .iter()
                .enumerate()
                .find(|(_, party)| party.partner.name == input.partner)
            else {
                continue;
            };
            let place = u8::try_from(place).unwrap_or(0);
            let party = Party {
                partner: party.partner.clone(),
                file,
            };
            let (plan, shelved) = (plan.clone(), self.shelved(&party)?);
            let (number, our_bill) = (flow_no.to_owned(), bill_no.clone());
            let search = move || {
                let mut found = Vec::new();
                shelved.each(|line| {
                    if line.row.flow_no == number {
                        let bill_no = line.row.bill_no;
                        let row = row_of(&plan, (place, shelved.party()), line);
                        found.push(Heard {
                            file: shelved.party().file.clone(),
                            row: Row {
                                bill: bills::hold(our_bill.as_deref(), bill_no),
                                ..row
                            },
                            bill_no: bill_no.to_owned(),
                        });
                    }
                    Ok(())
                })?;
                Ok(found)
            };
            heard.extend(blocking(search).await?);
        }
        Ok(heard)
    }
}

fn store(error: crate::engine::EngineError) -> FileFault {
    match error {
        crate::engine::EngineError::Store(error) => FileFault::Store(error),
        other => FileFault::Store(crate::storage::StoreError::Refused(other.to_string())),
    }
}
