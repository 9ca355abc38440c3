//! `payhall reconcile day`: a closed day, once more, or only shown.

use super::shown_progress::ShownProgress;
use crate::config::Config;
use crate::daemon::Bare;
use crate::domain::reconciled::{Counted, Discrepancy, SideSum};
use crate::domain::reconciliation::Class;
use crate::domain::time::BusinessDate;
use crate::engine::{Actor, DayOutcome, Mode, Reconciled};
use clap::Args;
use std::collections::BTreeMap;
use std::fmt;

/// How many differences are printed.
const SHOWN_MAX: usize = 1_000;

/// Which day, and whether it may change anything.
#[derive(Clone, Debug, Args)]
pub struct DayArgs {
    /// The business date, such as 2026-11-22; it has to be closed.
    #[arg(value_name = "DATE")]
    date: chrono::NaiveDate,
    /// Shows what it would come to, and writes nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What a day came to, for people.
#[derive(Debug)]
pub struct DayReport {
    head: String,
    sums: Vec<SideSum>,
    differences: Vec<Discrepancy>,
    proofs: Vec<String>,
    is_clean: bool,
}

impl DayReport {
    /// Whether everything matched.
    pub fn is_clean(&self) -> bool {
        self.is_clean
    }
}

/// Reconciles.
///
/// # Errors
/// The day cannot be reconciled yet, or something failed.
pub async fn day(config: &Config, args: &DayArgs) -> anyhow::Result<DayReport> {
    let desk = Bare::for_command(config).await?;
    let date = BusinessDate(args.date);
    let actor = Actor::system();
    let progress = ShownProgress::new("flows and lines", 0);
    let done = match args.dry_run {
        true => {
            let mode = Mode::DryRun;
            desk.engine
                .reconcile_day(date, mode, &actor, &progress)
                .await
        }
        false => desk.engine.reconcile_again(date, &actor, &progress).await,
    };
    drop(progress);
    let report = match done {
        Ok(done) => report(&desk, date, done).await,
        Err(error) => Err(error.into()),
    };
    desk.stop().await;
    report
}

async fn report(desk: &Bare, date: BusinessDate, done: DayOutcome) -> anyhow::Result<DayReport> {
    let of = |mode: Mode, done: Reconciled| {
        let run = &done.run;
        let replaces = match run.replaces {
            Some(_) => format!(", in place of version {}", run.version - 1),
            None => String::new(),
        };
        let found = format!(
            "{} flows, {} differences; result {}",
            run.flow_count, run.difference_count, run.result_hash
        );
        DayReport {
            head: match mode {
                Mode::Publish => format!(
                    "{date} is reconciled: version {}{replaces}; {found}; file {}",
                    run.version, run.file_path
                ),
                Mode::DryRun => format!("{date} would come to {found}; nothing was written"),
            },
            is_clean: run.difference_count == 0,
            sums: done.sums,
            proofs: done
                .proofs
                .iter()
                .map(|proof| format!("{} {} by {}", proof.flow_no, proof.says, proof.line))
                .collect(),
            differences: done.differences,
        }
    };
    match done {
        DayOutcome::Published(done) => Ok(of(Mode::Publish, *done)),
        DayOutcome::Shown(done) => Ok(of(Mode::DryRun, *done)),
        DayOutcome::Same(run) => Ok(DayReport {
            head: format!(
                "{date} comes to the same: version {} stays; {} flows, {} differences; result {}",
                run.version, run.flow_count, run.difference_count, run.result_hash
            ),
            sums: desk.engine.reconciliation_sums(run.run_id).await?,
            is_clean: run.difference_count == 0,
            differences: Vec::new(),
            proofs: Vec::new(),
        }),
        DayOutcome::Waits(lacking) => {
            anyhow::bail!("{date} cannot be reconciled yet: {}", lacking.join("; "))
        }
        DayOutcome::Overtaken => {
            anyhow::bail!(
                "{date} was reconciled by somebody else at this moment; look at the result"
            )
        }
    }
}

impl fmt::Display for DayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)?;
        let mut flows: BTreeMap<Class, u64> = BTreeMap::new();
        for sum in &self.sums {
            let tally = sum.tally;
            match sum.counted {
                Counted::Flows => *flows.entry(sum.class).or_default() += tally.paid.count,
                Counted::Rows(side) => write!(
                    f,
                    "\n  {side:6} {:16} {:9} {}  paid {} {}  returned {} {}  unmoved {} {}",
                    sum.partner,
                    sum.class.as_str(),
                    sum.currency,
                    tally.paid.count,
                    tally.paid.minor,
                    tally.returned.count,
                    tally.returned.minor,
                    tally.unmoved.count,
                    tally.unmoved.minor
                )?,
            }
        }
        for (class, count) in flows {
            write!(f, "\n  flows {class}: {count}")?;
        }
        for proof in &self.proofs {
            write!(f, "\n  proved {proof}")?;
        }
        for one in self.differences.iter().take(SHOWN_MAX) {
            write!(f, "\n  {} {}", one.flow_no, one.sentence())?;
        }
        if self.differences.len() > SHOWN_MAX {
            let more = self.differences.len() - SHOWN_MAX;
            write!(f, "\n  and {more} more; the result file has all of them")?;
        }
        Ok(())
    }
}
