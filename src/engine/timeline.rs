//! Why an order is where it is, and what happens next, when: everything that was done about it, in
//! order, from the audit rows, the calls, the decisions, the notifications and the job runs.

use super::confirm::not_found;
use super::{Engine, EngineError, Scope};
use crate::domain::audit::AuditRow;
use crate::domain::case::{Case, CaseState};
use crate::domain::exception::{Exception, Phase};
use crate::domain::flow::{Attempt, Flow};
use crate::domain::ids::OrderNo;
use crate::domain::job::JobRun;
use crate::domain::named_enum;
use crate::domain::notification::{Notification, NotificationTry, TryOutcome};
use crate::domain::order::{Order, OrderState};
use crate::domain::time::Instant;
use crate::storage::notifications::Tries;
use crate::storage::{
    StoreError, audit, cases, exceptions, flows, job_runs, notifications, orders,
};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

named_enum! {
    /// What kind of thing happened.
    pub enum TimelineKind {
        /// The order moved from one state to another.
        Transition = "TRANSITION",
        /// A money instruction was committed.
        FlowStarted = "FLOW_STARTED",
        /// Its outcome was committed.
        FlowConcluded = "FLOW_CONCLUDED",
        /// A call that did not conclude its flow.
        Attempt = "ATTEMPT",
        /// An exception was opened or closed.
        Exception = "EXCEPTION",
        /// Something was done about a case.
        Decision = "DECISION",
        /// Something about telling the merchant: made, tried, delivered, given up, sent again.
        Notification = "NOTIFICATION",
        /// A job's run that worked on the order.
        JobRun = "JOB_RUN",
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When.
    pub at: Instant,
    /// What kind.
    pub kind: TimelineKind,
    /// In words.
    pub text: String,
    /// Who did it, where somebody did.
    pub actor: Option<String>,
}

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// In words.
    pub text: String,
    /// When, where that is known.
    pub at: Option<Instant>,
}

/// Everything about an order, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The order as it stands in the database.
    pub order: Order,
    /// What happened, oldest first.
    pub entries: Vec<TimelineEntry>,
    /// What happens next; none for an order at rest.
    pub next: Option<NextStep>,
}

/// Everything that is read for a timeline.
struct Sources {
    order: Order,
    audit: Vec<AuditRow>,
    flows: Vec<Flow>,
    attempts: Vec<Attempt>,
    exceptions: Vec<Exception>,
    cases: Vec<Case>,
    notifications: Vec<Notification>,
    tries: HashMap<Uuid, Tries>,
    runs: Vec<JobRun>,
}

impl Engine {
    /// The timeline of an order.
    ///
    /// # Errors
    /// A refusal when there is no such order or it is not the caller's.
    pub async fn timeline(
        &self,
        order_no: &OrderNo,
        scope: &Scope,
    ) -> Result<Timeline, EngineError> {
        let number = order_no.clone();
        let sources = self.0.store.read(move |c| read(c, &number)).await?;
        let sources = sources
            .filter(|sources| scope.sees(&sources.order.merchant))
            .ok_or_else(|| not_found(order_no))?;
        let next = next_step(&sources);
        Ok(Timeline {
            entries: entries(&sources),
            next,
            order: sources.order,
        })
    }
}

fn read(
    c: &mut crate::storage::AnyConnection,
    order_no: &OrderNo,
) -> Result<Option<Sources>, StoreError> {
    let Some(order) = orders::find(c, order_no)? else {
        return Ok(None);
    };
    let attempts = flows::attempts_of(c, order_no)?;
    let runs: BTreeSet<Uuid> = attempts
        .iter()
        .filter_map(|attempt| attempt.job_run)
        .collect();
    let runs: Vec<Uuid> = runs.into_iter().collect();
    let cases = cases::of_order(c, order_no)?;
    let mut audit = audit::about(c, order_no.as_str())?;
    for case in &cases {
        audit.extend(audit::about(c, case.case_no.as_str())?);
    }
    let notifications = notifications::of_order(c, order_no)?;
    for notification in &notifications {
        let id = notification.notification_id.to_string();
        audit.extend(audit::about(c, &id)?);
    }
    let ids: Vec<Uuid> = notifications.iter().map(|n| n.notification_id).collect();
    Ok(Some(Sources {
        tries: notifications::tries_of(c, &ids)?,
        notifications,
        flows: flows::of_orders(c, std::slice::from_ref(order_no))?,
        exceptions: exceptions::of_order(c, order_no)?,
        runs: job_runs::find_many(c, &runs)?,
        order,
        audit,
        attempts,
        cases,
    }))
}

fn entries(sources: &Sources) -> Vec<TimelineEntry> {
    let mut all = Vec::new();
    all.extend(sources.audit.iter().map(transition));
    for flow in &sources.flows {
        all.extend(flow_entries(flow));
    }
    all.extend(sources.attempts.iter().map(attempt));
    for exception in &sources.exceptions {
        all.extend(exception_entries(exception));
    }
    for notification in &sources.notifications {
        all.extend(notification_entries(notification));
    }
    for tries in sources.tries.values() {
        all.extend(left_out(tries));
        all.extend(tries.last.iter().filter_map(notification_try));
    }
    all.extend(sources.runs.iter().map(run));
    // Things of one instant keep the sequence in which cause comes before effect.
    all.sort_by_key(|entry| entry.at);
    all
}

fn transition(row: &AuditRow) -> TimelineEntry {
    let entry = &row.entry;
    let before = entry.before.as_deref().unwrap_or("nothing");
    let after = entry.after.as_deref().unwrap_or("nothing");
    let detail = entry
        .detail
        .as_ref()
        .map(|detail| format!(" ({detail})"))
        .unwrap_or_default();
    let (kind, subject) = match entry.subject_kind {
        "CASE" => (TimelineKind::Decision, format!("case {} ", entry.subject)),
        "NOTIFICATION" => (
            TimelineKind::Notification,
            format!("notification {} ", entry.subject),
        ),
        _ => (TimelineKind::Transition, String::new()),
    };
    TimelineEntry {
        at: entry.at,
        kind,
        text: format!("{subject}{}: {before} -> {after}{detail}", entry.action),
        actor: Some(entry.actor.clone()),
    }
}

fn flow_entries(flow: &Flow) -> Vec<TimelineEntry> {
    let name = format!("{} flow {}", flow.kind, flow.flow_no);
    let started = TimelineEntry {
        at: flow.started_at,
        kind: TimelineKind::FlowStarted,
        text: format!(
            "{name} of {} was committed for adapter {}",
            flow.amount, flow.adapter
        ),
        actor: None,
    };
    let concluded = flow.concluded_at.map(|at| {
        let code = flow
            .code
            .as_ref()
            .map(|code| format!(", code {code}"))
            .unwrap_or_default();
        let number = flow.upstream_ref.as_ref();
        let number = number
            .map(|n| format!(", bank's reference {n}"))
            .unwrap_or_default();
        TimelineEntry {
            at,
            kind: TimelineKind::FlowConcluded,
            text: format!("{name} is {}{code}{number}", flow.state),
            actor: None,
        }
    });
    std::iter::once(started).chain(concluded).collect()
}

fn attempt(attempt: &Attempt) -> TimelineEntry {
    let cause = attempt
        .cause
        .as_ref()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    TimelineEntry {
        at: attempt.answered_at,
        kind: TimelineKind::Attempt,
        text: format!(
            "{} about flow {} brought {}{cause}",
            attempt.operation, attempt.flow_no, attempt.outcome
        ),
        actor: attempt.job_run.map(|run| format!("job run {run}")),
    }
}

fn exception_entries(exception: &Exception) -> Vec<TimelineEntry> {
    let entry = |at, text: String| TimelineEntry {
        at,
        kind: TimelineKind::Exception,
        text,
        actor: None,
    };
    let what = match exception.phase {
        Phase::Watch => "watch",
        Phase::Query | Phase::Reverse => "exception",
    };
    let opened = entry(
        exception.opened_at,
        format!("an {what} was opened").replace("an w", "a w"),
    );
    let closed = exception.closed_at.map(|at| {
        let text = format!(
            "the {what} was closed after {} polls and {} reversal tries",
            exception.polls, exception.tries
        );
        entry(at, text)
    });
    std::iter::once(opened).chain(closed).collect()
}

fn notification_entries(of: &Notification) -> Vec<TimelineEntry> {
    let entry = |at, text: String| TimelineEntry {
        at,
        kind: TimelineKind::Notification,
        text,
        actor: None,
    };
    let name = format!("notification {}", of.notification_id);
    let made = entry(
        of.created_at,
        format!(
            "{name} of {} at version {} was made",
            of.order_state, of.order_version
        ),
    );
    let concluded = of.concluded_at.map(|at| {
        let reason = of.reason.map(|reason| format!(" ({reason})"));
        let reason = reason.unwrap_or_default();
        let text = format!("{name} is {}{reason} after {} tries", of.state, of.tries);
        entry(at, text)
    });
    std::iter::once(made).chain(concluded).collect()
}

/// What is said of tries before those that are shown, where there are any.
fn left_out(tries: &Tries) -> Option<TimelineEntry> {
    let first = tries.last.first()?;
    let shown = i64::try_from(tries.last.len()).unwrap_or(i64::MAX);
    let before = tries.total - shown;
    (before > 0).then(|| TimelineEntry {
        at: first.started_at,
        kind: TimelineKind::Notification,
        text: format!(
            "notification {} had {before} tries before its last {shown}, which are not shown",
            first.notification_id
        ),
        actor: None,
    })
}

/// A try that ended. Which address was called is for who reads the tries themselves.
fn notification_try(of: &NotificationTry) -> Option<TimelineEntry> {
    if of.outcome == TryOutcome::Started {
        return None;
    }
    let status = of.http_status.map(|status| format!(", status {status}"));
    let cause = of.cause.as_ref().map(|cause| format!(": {cause}"));
    Some(TimelineEntry {
        at: of.ended_at.unwrap_or(of.started_at),
        kind: TimelineKind::Notification,
        text: format!(
            "try {} of notification {} brought {}{}{}",
            of.number,
            of.notification_id,
            of.outcome,
            status.unwrap_or_default(),
            cause.unwrap_or_default()
        ),
        actor: None,
    })
}

fn run(run: &JobRun) -> TimelineEntry {
    TimelineEntry {
        at: run.started_at,
        kind: TimelineKind::JobRun,
        text: format!("job {} run {} is {}", run.job, run.run_id, run.state),
        actor: Some(run.owner.clone()),
    }
}

/// What happens next to an order that is not at rest.
fn next_step(sources: &Sources) -> Option<NextStep> {
    let step = |text: &str, at: Option<Instant>| {
        Some(NextStep {
            text: text.to_owned(),
            at,
        })
    };
    let order = &sources.order;
    let open = sources
        .exceptions
        .iter()
        .find(|exception| exception.closed_at.is_none());
    let due = open.map(|exception| exception.next_at);
    match order.state {
        OrderState::Created => step(
            "waits to be confirmed; closes by itself if nobody does",
            Some(order.expires_at),
        ),
        OrderState::Paying => step(
            "the bank is being called; an outcome or doubt follows",
            None,
        ),
        OrderState::Unknown => step("the bank is asked again", due),
        OrderState::Reversing => step("the reversal is sent again", due),
        OrderState::Manual => manual_step(sources, due),
        OrderState::Succeeded | OrderState::Failed | OrderState::Reversed | OrderState::Closed => {
            open.and_then(|_| step("the bank is asked once more, to be sure", due))
        }
    }
}

fn manual_step(sources: &Sources, due: Option<Instant>) -> Option<NextStep> {
    let open = sources
        .cases
        .iter()
        .find(|case| case.state != CaseState::Closed);
    let text = match open {
        Some(case) if case.state == CaseState::Proposed => {
            format!("case {} waits for a second person", case.case_no)
        }
        Some(case) => format!("case {} waits for a proposal", case.case_no),
        None => "waits for a person".to_owned(),
    };
    let text = if due.is_some() {
        format!("{text}; the bank is asked again meanwhile")
    } else {
        text
    };
    Some(NextStep {
        text,
        at: due.or_else(|| open.map(|case| case.due_at)),
    })
}
