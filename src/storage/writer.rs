//! Group commit: callers queue their changes, a writer takes whatever is there and commits it as ONE
//! transaction, then answers each caller. A lone caller is not delayed; under load the batches grow by
//! themselves, because work queues up during a commit. When a second writer begins beside the first is
//! told in `queue.rs`.
//!
//! One bad change never harms its neighbours: if a batch fails, its changes are run one by one. A
//! commit whose answer was lost is not repeated blindly: the batch's own audit rows tell whether it
//! is in the database. Two changes to one thing never share a batch, so each sees the other's result.
//!
//! How one could break this: by answering a caller before the commit; by letting a change into a
//! batch whose second run could do something else than its first.

use super::apply::{self, Failure};
use super::change::{
    Admission, Admitted, Created, Denied, ExceptionMove, Move, Moved, NewOrder, Tell, Told, Touch,
    Touched,
};
use super::connection::{self, AnyConnection, Opener};
use super::error::StoreError;
use super::queue::Queue;
use super::{Committed, audit, batch, nonces, notifications};
use crate::domain::audit::ChainHead;
use diesel::r2d2::ManageConnection;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A change that may share a transaction with others.
#[derive(Debug)]
pub(super) enum Work {
    Create(Box<NewOrder>),
    Move(Arc<Move>),
    Touch(Box<Touch>),
    Tell(Box<Tell>),
    Admit(Box<Admission>),
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Outcome {
    Created(Box<Created>),
    Moved(Moved),
    Touched(Touched),
    Told(Told),
    Admitted(Admitted),
}

/// A change that has its transaction to itself.
pub(super) trait Solo: Send {
    /// Does the work; may be called again after the database gave way to another transaction.
    fn run(&mut self, c: &mut AnyConnection, chain: &mut ChainHead) -> Result<(), Failure>;
    /// Answers the caller after the commit, or after the failure.
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// One entry of the queue.
pub(super) enum Ticket {
    Shared(Work, oneshot::Sender<Result<Outcome, StoreError>>),
    Solo(Box<dyn Solo>),
}

type Shared = (Work, oneshot::Sender<Result<Outcome, StoreError>>);

/// How often a transaction is run again when the database gave way to another one.
const REPEATS_MAX: u32 = 3;

/// One writer thread: its own connection and its own audit chain.
pub(super) struct Writer {
    pub opener: Opener,
    pub stream: String,
    pub queue: Arc<Queue<Ticket>>,
    pub batch_max: usize,
    pub listener: Arc<dyn Fn(Committed) + Send + Sync>,
}

/// What a failed transaction leaves behind.
enum Broken {
    /// Nothing was written; the error is the database's.
    Clean(Failure),
    /// The database gave way; the same work may be run again.
    Repeat(String),
    /// The connection is gone, before anything was committed.
    Gone(String),
    /// The connection broke during COMMIT: it may or may not be in the database.
    InDoubt(String),
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub fn run(self) {
        let mut session = Session {
            connection: None,
            chain: ChainHead::start(&self.stream),
        };
        let mut seat = self.queue.seat();
        while let Some(tickets) = seat.next(self.batch_max) {
            let (mut shared, mut solos) = (Vec::new(), Vec::new());
            for ticket in tickets {
                match ticket {
                    Ticket::Shared(work, reply) => shared.push((work, reply)),
                    Ticket::Solo(solo) => solos.push(solo),
                }
            }
            while !shared.is_empty() {
                let (group, later) = split(shared);
                self.commit_group(&mut session, group);
                shared = later;
            }
            let mut solos = solos.into_iter();
            if let Some(solo) = solos.next() {
                seat.step_aside(solos.map(Ticket::Solo).collect());
                self.commit_solo(&mut session, solo);
            }
        }
    }

    fn commit_group(&self, session: &mut Session, group: Vec<Shared>) {
        let works: Vec<&Work> = group.iter().map(|(work, _)| work).collect();
        let run = self.transact(session, &mut |c, chain| run_group(c, chain, &works));
        match run {
            Ok(outcomes) => {
                metrics::histogram!("payhall_commit_batch_size").record(count(group.len()));
                self.announce(&works, &outcomes);
                for ((_, reply), outcome) in group.into_iter().zip(outcomes) {
                    let _ = reply.send(Ok(outcome));
                }
            }
            Err(failure) if group.len() > 1 && !failure.concerns_all() => {
                for one in group {
                    self.commit_group(session, vec![one]);
                }
            }
            Err(failure) => answer_failure(group, failure),
        }
    }

    fn commit_solo(&self, session: &mut Session, mut solo: Box<dyn Solo>) {
        let outcome = self.transact(session, &mut |c, chain| solo.run(c, chain));
        if outcome.is_err() {
            // Its error may hide what the connection or the chain has come to: both are looked at anew.
            session.connection = None;
        }
        solo.finish(outcome.map_err(into_store_error));
    }

    /// Tells the mirror what is now in the database.
    fn announce(&self, works: &[&Work], outcomes: &[Outcome]) {
        let mut committed = Committed::default();
        for (work, outcome) in works.iter().zip(outcomes) {
            match (work, outcome) {
                (Work::Create(new), Outcome::Created(created)) if **created == Created::New => {
                    committed.orders.push(new.order.clone());
                }
                (Work::Move(step), Outcome::Moved(Moved::Done)) => {
                    committed.orders.push(step.after.clone());
                    committed
                        .flows
                        .extend(step.start.iter().chain(&step.conclude).cloned());
                    committed.notifications += usize::from(step.notify.is_some());
                }
                _ => {}
            }
        }
        if !committed.orders.is_empty() {
            (self.listener)(committed);
        }
    }

    /// Runs work in a transaction, again where the database gave way, and finds out what became of
    /// a commit whose answer was lost.
    fn transact<T>(
        &self,
        session: &mut Session,
        work: &mut dyn FnMut(&mut AnyConnection, &mut ChainHead) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut repeats = 0;
        loop {
            session.connect(&self.opener)?;
            let before = session.chain.clone();
            let mut result = None;
            let broken = match session.attempt(work, &mut result) {
                Ok(()) => return result.ok_or(Failure::Void),
                Err(broken) => broken,
            };
            let linked = std::mem::replace(&mut session.chain, before.clone());
            let cause = match broken {
                Broken::Clean(failure) => return Err(failure),
                Broken::Repeat(cause) => cause,
                Broken::Gone(cause) => {
                    session.connection = None;
                    cause
                }
                Broken::InDoubt(cause) => {
                    session.connection = None;
                    session.connect(&self.opener)?;
                    let is_there = session.chain.seq >= linked.seq && linked.seq > before.seq;
                    if is_there && let Some(result) = result {
                        tracing::warn!(cause, "a commit lost its answer; it is in the database");
                        return Ok(result);
                    }
                    cause
                }
            };
            repeats += 1;
            if repeats > REPEATS_MAX {
                return Err(Failure::Store(StoreError::Unavailable(cause)));
            }
            tracing::warn!(cause, repeats, "a transaction is run again");
            std::thread::sleep(jitter(repeats));
        }
    }
}

/// The writer's connection and the end of its chain.
struct Session {
    connection: Option<AnyConnection>,
    chain: ChainHead,
}

impl Session {
    /// Connects where there is no connection, and reads the end of the own chain.
    fn connect(&mut self, opener: &Opener) -> Result<(), Failure> {
        if self.connection.is_none() {
            let mut connection = opener.connect()?;
            self.chain = audit::head(&mut connection, &self.chain.stream)?;
            self.connection = Some(connection);
        }
        Ok(())
    }

    fn attempt<T>(
        &mut self,
        work: &mut dyn FnMut(&mut AnyConnection, &mut ChainHead) -> Result<T, Failure>,
        result: &mut Option<T>,
    ) -> Result<(), Broken> {
        let Some(c) = self.connection.as_mut() else {
            return Err(Broken::Gone("not connected".to_owned()));
        };
        connection::begin(c).map_err(|error| broken_at_begin(c, error))?;
        match work(c, &mut self.chain) {
            Ok(done) => *result = Some(done),
            Err(failure) => {
                let rolled_back = connection::rollback(c);
                return Err(broken_inside(failure, rolled_back.is_err()));
            }
        }
        connection::commit(c).map_err(|error| {
            if StoreError::is_repeatable(&error) {
                let _ = connection::rollback(c);
                Broken::Repeat(error.to_string())
            } else {
                let _ = connection::rollback(c);
                Broken::InDoubt(error.to_string())
            }
        })
    }
}

/// What a failure inside the transaction means; `is_gone` when not even the rollback went through.
fn broken_inside(failure: Failure, is_gone: bool) -> Broken {
    match failure {
        Failure::Diesel(error) if StoreError::is_repeatable(&error) => {
            Broken::Repeat(error.to_string())
        }
        Failure::Store(StoreError::GaveWay(cause)) => Broken::Repeat(cause),
        // Another writer opened a payment of the same bill a moment ago. Looked at again, it is seen.
        Failure::Diesel(error) if violates(&error, "orders_open_payment") => {
            Broken::Repeat(error.to_string())
        }
        Failure::Diesel(error) if is_gone || took_our_place(&error) => {
            Broken::Gone(error.to_string())
        }
        failure => Broken::Clean(failure),
    }
}

/// Whether a row of our own chain is there already: a commit that seemed lost arrived late. The end
/// of the chain is then read again.
fn took_our_place(error: &diesel::result::Error) -> bool {
    violates(error, "audit_pkey") || error.to_string().contains("audit.seq")
}

/// Whether a unique index of this name refused a row.
fn violates(error: &diesel::result::Error, index: &str) -> bool {
    use diesel::result::{DatabaseErrorKind, Error};
    match error {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
            info.constraint_name() == Some(index)
        }
        _ => false,
    }
}

fn broken_at_begin(c: &mut AnyConnection, error: diesel::result::Error) -> Broken {
    let _ = connection::rollback(c);
    if StoreError::is_repeatable(&error) {
        Broken::Repeat(error.to_string())
    } else {
        Broken::Gone(error.to_string())
    }
}

/// Runs a group in the open transaction; the outcomes are in the order of the group.
fn run_group(
    c: &mut AnyConnection,
    chain: &mut ChainHead,
    works: &[&Work],
) -> Result<Vec<Outcome>, Failure> {
    if matches!(c, AnyConnection::Sqlite(_)) {
        return works.iter().map(|work| run_one(c, chain, work)).collect();
    }
    let denied = admit_group(c, works)?;
    let let_in = || {
        works
            .iter()
            .zip(&denied)
            .filter(|(_, denied)| denied.is_none())
    };
    let mut entries = Vec::with_capacity(works.len());
    let creates: Vec<&NewOrder> = let_in().filter_map(|(work, _)| work.as_create()).collect();
    let moves: Vec<&Move> = let_in().filter_map(|(work, _)| work.as_move()).collect();
    let mut created = Vec::new().into_iter();
    if !creates.is_empty() {
        created = batch::create(c, &mut entries, &creates)?.into_iter();
    }
    let mut moved = Vec::new().into_iter();
    if !moves.is_empty() {
        moved = batch::move_orders(c, chain, &mut entries, &moves)?.into_iter();
    }
    let outcomes = works
        .iter()
        .zip(&denied)
        .map(|(work, denied)| match work {
            work if let Some(why) = denied => work.denied(why).ok_or(Failure::Void),
            Work::Create(_) => created
                .next()
                .map(|created| Outcome::Created(Box::new(created)))
                .ok_or(Failure::Void),
            Work::Move(_) => moved.next().map(Outcome::Moved).ok_or(Failure::Void),
            Work::Touch(touch) => apply::touch(c, touch).map(Outcome::Touched),
            Work::Admit(_) => Ok(Outcome::Admitted(Admitted::Done)),
            Work::Tell(tell) => Ok(Outcome::Told(notifications::tell(c, tell)?)),
        })
        .collect::<Result<Vec<Outcome>, Failure>>()?;
    batch::append_audit(c, chain, &mut entries)?;
    Ok(outcomes)
}

/// Lets the signed requests of a group in, before anything else is done for them; tells beside each
/// change why not. A change that no signed request waits with is never denied.
fn admit_group(c: &mut AnyConnection, works: &[&Work]) -> Result<Vec<Option<Denied>>, Failure> {
    let admissions: Vec<&Admission> = works.iter().filter_map(|work| work.admission()).collect();
    if admissions.is_empty() {
        return Ok(vec![None; works.len()]);
    }
    let mut admitted = batch::admit(c, &admissions)?.into_iter();
    works
        .iter()
        .map(|work| match work.admission() {
            None => Ok(None),
            Some(_) => match admitted.next().ok_or(Failure::Void)? {
                Admitted::Done => Ok(None),
                Admitted::Denied(why) => Ok(Some(why)),
            },
        })
        .collect()
}

fn run_one(c: &mut AnyConnection, chain: &mut ChainHead, work: &Work) -> Result<Outcome, Failure> {
    if let Some(admission) = work.admission()
        && let Admitted::Denied(why) = nonces::admit(c, admission)?
    {
        return work.denied(&why).ok_or(Failure::Void);
    }
    Ok(match work {
        Work::Create(new) => Outcome::Created(Box::new(apply::create(c, chain, new)?)),
        Work::Move(step) => Outcome::Moved(apply::move_order(c, chain, step)?),
        Work::Touch(touch) => Outcome::Touched(apply::touch(c, touch)?),
        Work::Admit(_) => Outcome::Admitted(Admitted::Done),
        Work::Tell(tell) => Outcome::Told(notifications::tell(c, tell)?),
    })
}

impl Work {
    fn as_create(&self) -> Option<&NewOrder> {
        match self {
            Work::Create(new) => Some(new),
            Work::Move(_) | Work::Touch(_) | Work::Tell(_) | Work::Admit(_) => None,
        }
    }

    fn as_move(&self) -> Option<&Move> {
        match self {
            Work::Move(step) => Some(step),
            Work::Create(_) | Work::Touch(_) | Work::Tell(_) | Work::Admit(_) => None,
        }
    }

    /// The signed request that is let in with the change, or not at all.
    fn admission(&self) -> Option<&Admission> {
        match self {
            Work::Create(new) => new.admission.as_ref(),
            Work::Move(step) => step.admission.as_ref(),
            Work::Admit(admission) => Some(admission),
            Work::Touch(_) | Work::Tell(_) => None,
        }
    }

    /// The outcome of a change whose request was not let in; none for one that comes without a request.
    fn denied(&self, why: &Denied) -> Option<Outcome> {
        let why = why.clone();
        Some(match self {
            Work::Create(_) => Outcome::Created(Box::new(Created::Denied(why))),
            Work::Move(_) => Outcome::Moved(Moved::Denied(why)),
            Work::Admit(_) => Outcome::Admitted(Admitted::Denied(why)),
            Work::Touch(_) | Work::Tell(_) => return None,
        })
    }

    /// The things that the change touches; two changes with one in common never share a batch.
    fn keys(&self) -> Vec<String> {
        let mut keys = self.own_keys();
        let admission = self.admission();
        keys.extend(admission.map(|one| format!("n {} {}", one.key_id, one.nonce)));
        keys
    }

    fn own_keys(&self) -> Vec<String> {
        match self {
            Work::Create(new) => {
                vec![format!("r {} {}", new.order.merchant, new.order.request_no)]
            }
            Work::Move(step) => {
                let mut keys = vec![format!("o {}", step.after.order_no)];
                if apply::opens_payment(step) {
                    keys.push(format!("b {} {}", step.after.biller, step.after.bill_no));
                }
                if let ExceptionMove::Replace(exception) = &step.exception {
                    keys.push(format!("e {}", exception.exception_id));
                }
                keys
            }
            Work::Touch(touch) => vec![
                format!("o {}", touch.exception.order_no),
                format!("e {}", touch.exception.exception_id),
            ],
            Work::Admit(_) => Vec::new(),
            Work::Tell(tell) => vec![format!("t {}", tell.notification.notification_id)],
        }
    }
}

/// Splits off what cannot share a batch with what stands before it.
fn split(shared: Vec<Shared>) -> (Vec<Shared>, Vec<Shared>) {
    let mut taken = HashSet::new();
    shared.into_iter().partition(|(work, _)| {
        let keys = work.keys();
        let free = keys.iter().all(|key| !taken.contains(key));
        taken.extend(keys);
        free
    })
}

/// Answers a change that failed alone, or all changes where the failure concerns them all.
fn answer_failure(group: Vec<Shared>, failure: Failure) {
    let is_void = matches!(failure, Failure::Void);
    let error = into_store_error(failure);
    for (work, reply) in group {
        let answer = match work {
            // A request that was let in with it was not: the caller must not ask again without it.
            Work::Move(step) if is_void && step.admission.is_none() => {
                Ok(Outcome::Moved(Moved::Lost))
            }
            Work::Create(_) | Work::Move(_) | Work::Touch(_) | Work::Tell(_) | Work::Admit(_) => {
                Err(error.again())
            }
        };
        let _ = reply.send(answer);
    }
}

impl Failure {
    /// Whether every change of the group would fail in the same way.
    fn concerns_all(&self) -> bool {
        matches!(
            self,
            Failure::Store(StoreError::Unavailable(_) | StoreError::Closed)
        )
    }
}

fn into_store_error(failure: Failure) -> StoreError {
    match failure {
        Failure::Diesel(error) => error.into(),
        Failure::Store(error) => error,
        Failure::Void => StoreError::Refused("the change is void".to_owned()),
    }
}

/// A short wait that differs from writer to writer, so that two which met do not meet again.
fn jitter(repeats: u32) -> Duration {
    let spread = u64::from(rand::random::<u8>() % 16);
    Duration::from_millis(u64::from(repeats) * 4 + spread)
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
