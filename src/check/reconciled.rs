//! I13: every flow of a day that was reconciled is in exactly one class of its result; counts and sums add
//! up on each side to what the side listed; and the result file is the one that was published.
//!
//! The file is read line by line beside our flows, both in the sequence of their numbers, so a day of
//! millions needs no memory. Nothing is compared anew: that is the engine's work; this holds its result
//! against what went in.

use super::report::{Findings, Invariant};
use crate::domain::audit::hex;
use crate::domain::partner::PartnerFile;
use crate::domain::reconciled::{Counted, ReconciliationRun, RunState, SideSum};
use crate::domain::reconciliation::{Class, Side};
use crate::domain::time::BusinessDate;
use crate::output::{Objects, ObjectsError};
use crate::storage::reconciliations::{self, Filter};
use crate::storage::{StoreError, View, discrepancies, partner_files};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

/// Results are read so many at a time, and flows too.
const PAGE: i64 = 1_000;

/// A result and what is found wrong with it.
struct Judge<'a> {
    run: &'a ReconciliationRun,
    sums: &'a [SideSum],
    findings: &'a mut Findings,
}

/// Judges every result that counts.
pub(super) fn judge(
    view: &mut View,
    objects: Option<&Objects>,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let filter = Filter::default();
        let runs = reconciliations::list(view.connection(), &filter, after, PAGE)?;
        let Some(last) = runs.last() else {
            return Ok(());
        };
        after = Some(last.run_id);
        for run in &runs {
            judge_one(view, objects, run, findings)?;
        }
    }
}

fn judge_one(
    view: &mut View,
    objects: Option<&Objects>,
    run: &ReconciliationRun,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let c = view.connection();
    let sums = reconciliations::sums_of(c, run.run_id)?;
    let (ours, ours_minor) = our_flows(view, run.business_date)?;
    let c = view.connection();
    let mut files = Vec::new();
    for input in &run.inputs.files {
        let found = partner_files::version(c, &input.partner, run.business_date, input.version)?;
        files.extend(found.filter(|file| file.sha256 == input.sha256));
    }
    let mut by_class: BTreeMap<Class, u64> = BTreeMap::new();
    let found = discrepancies::of_run(c, run.run_id)?;
    for one in &found {
        *by_class.entry(one.class).or_default() += 1;
    }
    let mut strays = Vec::new();
    for one in &found {
        let Some(ended) = &one.ended else { continue };
        let by = reconciliations::find(c, ended.run_id)?;
        if by.is_none_or(|by| by.state != RunState::Current || by.business_date != ended.on) {
            strays.push(one.flow_no.clone());
        }
    }
    let mut judge = Judge {
        run,
        sums: &sums,
        findings,
    };
    for number in strays {
        let problem = "a flow was ended by a result that does not count";
        judge.tell(problem, format!("flow {number}"));
    }
    judge.counts(&by_class);
    // Flows that were committed since are in the next result.
    if ours <= u64::try_from(run.inputs.flows).unwrap_or(0) {
        judge.side(Side::Ours, (ours, ours_minor));
    }
    judge.partners(&files);
    if let Some(objects) = objects {
        judge.file(view, objects)?;
    }
    Ok(())
}

/// How many flows a date has, and what they sum up to.
fn our_flows(view: &mut View, date: BusinessDate) -> Result<(u64, i128), StoreError> {
    let (mut count, mut minor, mut after) = (0, 0, None::<String>);
    loop {
        let c = view.connection();
        let page = reconciliations::flows_of(c, date, after.as_deref(), PAGE)?;
        let Some(last) = page.last() else {
            return Ok((count, minor));
        };
        after = Some(last.flow_no.clone());
        count += u64::try_from(page.len()).unwrap_or(0);
        minor += page
            .iter()
            .map(|flow| i128::from(flow.amount_minor))
            .sum::<i128>();
    }
}

impl Judge<'_> {
    fn tell(&mut self, problem: &str, evidence: String) {
        let run = self.run;
        let evidence = format!("{} version {}: {evidence}", run.business_date, run.version);
        self.findings
            .general(Invariant::OneClass, problem, evidence);
    }

    /// Flow numbers by class.
    fn flows(&self) -> BTreeMap<Class, u64> {
        let mut flows = BTreeMap::new();
        for sum in self.sums.iter().filter(|sum| sum.counted == Counted::Flows) {
            *flows.entry(sum.class).or_default() += sum.tally.paid.count;
        }
        flows
    }

    /// The flows of the classes, and those that are kept one by one.
    fn counts(&mut self, found: &BTreeMap<Class, u64>) {
        let flows = self.flows();
        let all: u64 = flows.values().sum();
        let matched = flows.get(&Class::Matched).copied().unwrap_or(0);
        let count = |number: i64| u64::try_from(number).unwrap_or(u64::MAX);
        if all != count(self.run.flow_count) || all - matched != count(self.run.difference_count) {
            let evidence = format!(
                "{all} flows with {matched} matched by class, {} flows with {} differences in all",
                self.run.flow_count, self.run.difference_count
            );
            self.tell("the classes do not add up to the flows", evidence);
        }
        for class in Class::ALL.iter().filter(|class| **class != Class::Matched) {
            let (sum, kept) = (flows.get(class), found.get(class));
            if sum.unwrap_or(&0) != kept.unwrap_or(&0) {
                let evidence = format!(
                    "{class}: {} counted, {} kept",
                    sum.unwrap_or(&0),
                    kept.unwrap_or(&0)
                );
                self.tell(
                    "the flows of a class are not those that were counted",
                    evidence,
                );
            }
        }
    }

    /// The rows of a side add up to what it listed.
    fn side(&mut self, side: Side, listed: (u64, i128)) {
        let its = self
            .sums
            .iter()
            .filter(|sum| sum.counted == Counted::Rows(side));
        let found = its.fold((0, 0), |(count, minor), sum| {
            let tally = sum.tally;
            (
                count + tally.paid.count + tally.returned.count + tally.unmoved.count,
                minor + tally.paid.minor + tally.returned.minor + tally.unmoved.minor,
            )
        });
        if found != listed {
            let evidence = format!(
                "{side}: {} rows over {} in its classes, {} rows over {} listed",
                found.0, found.1, listed.0, listed.1
            );
            self.tell(
                "the classes of a side do not add up to what it listed",
                evidence,
            );
        }
    }

    fn partners(&mut self, files: &[PartnerFile]) {
        if files.len() != self.run.inputs.files.len() {
            let evidence = format!("{} of {} files", files.len(), self.run.inputs.files.len());
            self.tell(
                "files that went into a result are not in the database",
                evidence,
            );
            return;
        }
        for side in [Side::Bank, Side::Biller] {
            let its = files
                .iter()
                .filter(|file| file.side.as_str() == side.as_str());
            let listed = its.fold((0, 0), |(count, minor), file| {
                let sums = file.sums.values().map(|sum| i128::from(sum.sum_minor));
                let rows = u64::try_from(file.row_count).unwrap_or(0);
                (count + rows, minor + sums.sum::<i128>())
            });
            self.side(side, listed);
        }
    }

    /// The result file: its digest, and every flow of the date in it once.
    fn file(&mut self, view: &mut View, objects: &Objects) -> Result<(), StoreError> {
        let bytes = u64::try_from(self.run.file_bytes).unwrap_or(u64::MAX);
        let file = match objects.file(&self.run.file_path, bytes) {
            Ok(file) => file,
            Err(error) => {
                let problem = match &error {
                    ObjectsError::Missing(_) => "the result file is not there",
                    _ => "the result file cannot be read",
                };
                self.tell(problem, format!("{}: {error}", self.run.file_path));
                return Ok(());
            }
        };
        match self.read(view, BufReader::new(file)) {
            Ok(read) => read,
            Err(error) => {
                let evidence = format!("{}: {error}", self.run.file_path);
                self.tell("the result file cannot be read", evidence);
                Ok(())
            }
        }
    }

    fn read(
        &mut self,
        view: &mut View,
        mut file: impl BufRead,
    ) -> std::io::Result<Result<(), StoreError>> {
        let (mut whole, mut result) = (Sha256::new(), Sha256::new());
        let mut ours = Ours::new(self.run.business_date);
        let mut classes: BTreeMap<String, u64> = BTreeMap::new();
        let (mut line, mut last, mut is_head) = (Vec::new(), Vec::new(), true);
        loop {
            line.clear();
            if file.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            whole.update(&line);
            if std::mem::take(&mut is_head) {
                continue;
            }
            result.update(&line);
            // A number of ours is never quoted; a foreign one is not looked for.
            let text = String::from_utf8_lossy(&line);
            let behind = if text.starts_with('"') { "\"," } else { "," };
            let Some((number, rest)) = text.split_once(behind) else {
                continue;
            };
            let class = rest.split(',').next().unwrap_or_default();
            *classes.entry(class.to_owned()).or_default() += 1;
            if number.as_bytes() == last {
                self.tell("a flow is in a result twice", format!("flow {number}"));
            }
            last = number.as_bytes().to_vec();
            match ours.pass(view, number) {
                Ok(missed) => self.missed(&missed),
                Err(error) => return Ok(Err(error)),
            }
        }
        match ours.pass(view, "~") {
            Ok(missed) => self.missed(&missed),
            Err(error) => return Ok(Err(error)),
        }
        self.digests(&hex(&whole.finalize()), &hex(&result.finalize()));
        for (class, count) in self.flows() {
            let listed = classes.get(class.as_str()).copied().unwrap_or(0);
            if listed != count {
                let evidence = format!("{class}: {listed} in the file, {count} counted");
                self.tell(
                    "the result file has other classes than were counted",
                    evidence,
                );
            }
        }
        Ok(Ok(()))
    }

    fn missed(&mut self, numbers: &[String]) {
        for number in numbers {
            let problem = "a flow of a reconciled day is in no class";
            self.tell(problem, format!("flow {number}"));
        }
    }

    fn digests(&mut self, whole: &str, result: &str) {
        let run = self.run;
        if run.file_sha256 != whole || run.result_hash != result {
            let evidence = format!("{}: sha256 {whole}, result {result}", run.file_path);
            self.tell(
                "the result file is not the one that was published",
                evidence,
            );
        }
    }
}

/// Our flows of a date, walked along beside the lines of a file.
struct Ours {
    date: BusinessDate,
    page: std::collections::VecDeque<String>,
    after: Option<String>,
    is_over: bool,
}

impl Ours {
    fn new(date: BusinessDate) -> Self {
        Self {
            date,
            page: Default::default(),
            after: None,
            is_over: false,
        }
    }

    /// Goes on to a number; gives those of ours before it, which no line was about.
    fn pass(&mut self, view: &mut View, number: &str) -> Result<Vec<String>, StoreError> {
        let mut missed = Vec::new();
        loop {
            if self.page.is_empty() && !self.is_over {
                let c = view.connection();
                let page = reconciliations::flows_of(c, self.date, self.after.as_deref(), PAGE)?;
                self.is_over = page.is_empty();
                self.after = page.last().map(|flow| flow.flow_no.clone());
                self.page.extend(page.into_iter().map(|flow| flow.flow_no));
            }
            match self.page.front().map(|first| first.as_str().cmp(number)) {
                Some(std::cmp::Ordering::Less) => missed.extend(self.page.pop_front()),
                Some(std::cmp::Ordering::Equal) => {
                    self.page.pop_front();
                    return Ok(missed);
                }
                Some(std::cmp::Ordering::Greater) | None => return Ok(missed),
            }
        }
    }
}
