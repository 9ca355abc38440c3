//! Which run of a job comes next. All of it is read from rows, so every replica comes to the same.
//!
//! In this sequence: one that a replica left behind, when it died; one that somebody asked for; the due
//! time that has no run. A job that makes up for missed times does one at a time everywhere, so that dates
//! come in order; replicas may run a SKIP job beside each other.
//!
//! **After.** A run begins when each job that its plan names is done with the same business date: by what it
//! left behind, where it can say that (`Job::standing`), else by a run that succeeded. Of a job that makes up for missed times, the dates behind one that waits wait as well.
//!
//! **The business date** of a due time is the last that had ended by then, by the center's zone and cut-off:
//! a job at 00:05 on the 30th works on the 29th, and so does one at 23:55.
//!
//! **A clock that was set back** shows due times again that have their runs. Of a job that makes up for
//! missed times, a due time stands for a date, and is never run twice: it rests until there is a new one. Of
//! a SKIP job a due time is only a beat. There, a due time counts as run only by a run that began before
//! now: as long as there are runs that began in the future (by more than `on_time`), due times are run
//! again, in a *pass* of their own, whose rows are scheduled a microsecond later than those of the pass
//! before. So the poller rests for `on_time` at most, and two replicas still run each due time of a pass
//! once. How one could break it: by telling passes apart by what was read a moment ago.

use super::plan::{CatchUp, Plan};
use super::table::{Entry, JobTable};
use crate::domain::time::{BusinessDate, BusinessDay, Instant};
use crate::engine::Engine;
use crate::storage::{AnyConnection, StoreError, job_runs};
use chrono::TimeDelta;

/// A run that may come next.
pub(super) struct Coming {
    pub scheduled_at: Instant,
    /// With which business date the jobs before it have to be done; none where it began already.
    pub awaits: Option<BusinessDate>,
}

/// The runs that may come next, the first that is ready before all others.
pub(super) fn choose(
    c: &mut AnyConnection,
    entry: &Entry,
    day: BusinessDay,
    now: Instant,
) -> Result<Vec<Coming>, StoreError> {
    let running = job_runs::running(c, entry.name)?;
    if let Some(lapsed) = running.iter().find(|run| run.lease_until <= now) {
        return Ok(vec![Coming {
            scheduled_at: lapsed.scheduled_at,
            awaits: None,
        }]);
    }
    if entry.plan.catch_up != CatchUp::Skip && !running.is_empty() {
        return Ok(Vec::new());
    }
    let waiting = job_runs::waiting(c, entry.name)?.into_iter();
    let mut coming: Vec<Coming> = waiting
        .map(|run| Coming {
            scheduled_at: run.scheduled_at,
            awaits: Some(run.business_date),
        })
        .collect();
    if let Some((due, pass)) = next_due(c, entry, (day, now))? {
        coming.push(Coming {
            scheduled_at: due + TimeDelta::microseconds(pass),
            awaits: Some(day.last_ended(due)),
        });
    }
    Ok(coming)
}

/// Whether each job that comes before is done with the date that a run awaits.
pub(super) async fn is_ready(
    engine: &Engine,
    table: &JobTable,
    plan: &Plan,
    awaits: Option<BusinessDate>,
) -> Result<bool, StoreError> {
    let Some(date) = awaits else {
        return Ok(true);
    };
    for before in &plan.after {
        if !engine.is_done(table, before, date).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Behind which instant a job that never ran begins, where it comes after others: with the first date that
/// they have a run of, so that it misses none on which they failed at first; but no further back than a
/// week, so that a job which is new to an old center does not go through its whole history.
fn first_after(
    c: &mut AnyConnection,
    plan: &Plan,
    (day, now): (BusinessDay, Instant),
) -> Result<Option<Instant>, StoreError> {
    let mut first = None;
    for before in &plan.after {
        first = first.max(job_runs::first_date(c, before)?);
    }
    let week = day.last_ended(now - TimeDelta::days(6));
    let begin = first.map(|first| day.end_of(first.max(week)));
    Ok(begin.map(|begin| begin - TimeDelta::microseconds(1)))
}

/// The due time that has no run, and in which pass.
fn next_due(
    c: &mut AnyConnection,
    entry: &Entry,
    (day, now): (BusinessDay, Instant),
) -> Result<Option<(Instant, i64)>, StoreError> {
    let (job, plan) = (entry.name, &entry.plan);
    let pass = match plan.catch_up {
        CatchUp::Skip => {
            let on_time = TimeDelta::from_std(plan.on_time).unwrap_or_default();
            let ahead = job_runs::pass_ahead(c, job, now + on_time, on_time)?;
            ahead.map_or(0, |pass| pass + 1)
        }
        CatchUp::RunOnce | CatchUp::RunAll => 0,
    };
    let mut last = job_runs::last_due(c, job, now, pass)?;
    if last.is_none() && plan.catch_up == CatchUp::RunAll {
        last = first_after(c, plan, (day, now))?;
    }
    let asked_for = job_runs::asked_for(c, job, last)?;
    loop {
        match plan.due(last, now) {
            // Somebody asked for that one, which has its row.
            Some(due) if asked_for.contains(&due) => last = Some(due),
            due => return Ok(due.map(|due| (due, pass))),
        }
    }
}
