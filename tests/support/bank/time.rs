//! How time passes at a test bank, and the jobs with it.

use super::inspect::Facts;
use super::{ALARM_AGES, ORPHAN_AFTER, PATIENCE, TICK, TestBank, alarms};
use payhall::domain::exception::{AlarmLevel, Phase, later};
use payhall::domain::order::OrderState;
use payhall::domain::time::Instant;
use payhall::engine::{Actor, Clock, PollReport};
use std::time::Duration;
use tokio::task::JoinHandle;

impl TestBank {
    /// One run of the polling job; no exception may fail on our side.
    pub fn poll(&self) -> PollReport {
        self.poll_at(0)
    }

    /// The same at one of several programs.
    pub fn poll_at(&self, place: usize) -> PollReport {
        let report = self
            .wait(self.start_poll(place))
            .expect("polling does not panic");
        assert_eq!(
            report.failed,
            0,
            "errors of the process: {:?}",
            alarms::errors()
        );
        report
    }

    /// Begins a run of the polling job and does not wait.
    pub fn start_poll(&self, place: usize) -> JoinHandle<PollReport> {
        let engine = self.houses[place].engine.clone();
        self.start(async move {
            let actor = Actor::job("poll_exceptions");
            engine.poll(None, &actor).await.expect("the poll runs")
        })
    }

    /// One run of the expiry job; tells how many orders were closed.
    pub fn expire(&self) -> u32 {
        let actor = Actor::job("expire_orders");
        let report = self.wait(self.engine().expire_orders(&actor));
        report.expect("the expiry runs").closed
    }

    /// Lets time pass. Whoever sleeps meanwhile wakes at its own time, and is waited for.
    pub fn advance(&self, by: Duration) {
        self.settle_down();
        let until = later(self.clock.now(), by);
        while let Some(due) = self.clock.next_try().filter(|due| *due <= until) {
            self.clock.advance_to(due);
            self.settle_down();
        }
        self.clock.advance_to(until);
        self.settle_down();
    }

    /// Lets time pass with the jobs at work, polling and expiry each 10 s.
    pub fn run_for(&self, by: Duration) {
        self.run_until(by, || false);
    }

    /// The same until something is so; tells whether it came to be. Ticks at which no job would
    /// find anything to do are leapt over.
    pub fn run_until(&self, at_most: Duration, is_so: impl Fn() -> bool) -> bool {
        let until = later(self.clock.now(), at_most);
        while !is_so() {
            let now = self.clock.now();
            if now >= until {
                return false;
            }
            let left = ticks_until(now, until);
            let idle = self.next_due().map_or(left, |due| ticks_until(now, due));
            self.advance(TICK * idle.clamp(1, left));
            self.poll();
            self.expire();
        }
        true
    }

    /// When a job will next find something to do; none if never. Now, while anybody is at work.
    fn next_due(&self) -> Option<Instant> {
        let now = self.clock.now();
        if self.houses.iter().any(|house| !house.tasks.is_empty()) {
            return Some(now);
        }
        let facts = self.read(Facts::read);
        let orders = facts.orders.iter().filter_map(|order| match order.state {
            OrderState::Created => Some(order.expires_at),
            OrderState::Paying => Some(later(order.updated_at, ORPHAN_AFTER)),
            _ => None,
        });
        let open = facts.exceptions.iter().filter(|e| e.closed_at.is_none());
        let exceptions = open.flat_map(|exception| {
            let free_at = exception.lease_until.unwrap_or(exception.next_at);
            let louder = match exception.alarm {
                _ if exception.phase == Phase::Watch => None,
                AlarmLevel::None => Some(ALARM_AGES.warn),
                AlarmLevel::Warn => Some(ALARM_AGES.critical),
                AlarmLevel::Critical => None,
            };
            let alarm = louder.map(|age| later(exception.opened_at, age));
            [Some(exception.next_at.max(free_at)), alarm]
        });
        orders.chain(exceptions.flatten()).min()
    }

    /// Waits until so many calls hang at the far side.
    pub fn wait_until_hanging(&self, calls: usize) {
        let mut changes = self.far.changes();
        let hanging = changes.wait_for(|now| now.calls >= calls);
        let waited = self.wait(async { tokio::time::timeout(PATIENCE, hanging).await.is_ok() });
        assert!(waited, "{} calls hang, not {calls}", self.far.hanging());
    }

    /// Waits until all callers and all detached work sleep on the clock, hang at the bank or are done.
    pub fn settle_down(&self) {
        // The callers come first: one that sleeps has begun its work by then, and it is counted below.
        let is_quiet = || {
            let callers_rest = self.callers.len() <= self.clock.answers_asleep();
            let busy: usize = self.houses.iter().map(|house| house.tasks.len()).sum();
            callers_rest && busy <= self.clock.tries_asleep() + self.far.hanging()
        };
        self.wait(async {
            let deadline = tokio::time::Instant::now() + PATIENCE;
            while !is_quiet() {
                assert!(
                    tokio::time::Instant::now() < deadline,
                    "the engine never comes to rest"
                );
                // Nobody tells when a task ends, so this looks again until it has.
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        });
    }
}

/// How many ticks bring the time to an instant or just past it.
fn ticks_until(now: Instant, due: Instant) -> u32 {
    let wait = (due - now).to_std().unwrap_or_default();
    u32::try_from(wait.as_micros().div_ceil(TICK.as_micros())).expect("no test runs that long")
}
