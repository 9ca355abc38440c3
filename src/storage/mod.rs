//! The only room that knows diesel and r2d2. Reads go through a pool; every write goes through the
//! writer (`writer.rs`), which commits in groups. A file a table family.

pub mod archive;
pub mod audit;
pub mod business_days;
pub mod case_batches;
pub mod cases;
pub mod catalogue;
pub mod contracts;
pub mod day_flows;
pub mod discrepancies;
pub mod exceptions;
pub mod flows;
pub mod job_alarms;
pub mod job_runs;
pub mod keys;
pub mod merchant_days;
pub mod merchants;
pub mod notifications;
pub mod operators;
pub mod orders;
pub mod partner_files;
pub mod partner_looks;
pub mod reconciliations;
pub mod settings;
pub mod settlement_summaries;
pub mod statements;
pub mod told;
pub mod walk;

mod apply;
mod batch;
mod change;
mod connection;
mod error;
mod finder;
mod job_claims;
mod migrate;
mod nonces;
mod publication;
mod queue;
mod redact;
mod refused_tries;
mod row;
mod schema;
mod schema_night;
mod view;
mod writer;

pub use change::{
    Admission, Admitted, CaseMove, Created, DayLimit, Denied, ExceptionMove, Move, Moved, NewOrder,
    Permit, Tell, Told, Touch, Touched,
};
pub use connection::AnyConnection;
pub use error::StoreError;
pub use publication::{Publication, Published};
pub use refused_tries::Counted;
pub use view::View;

use crate::domain::audit::{AuditEntry, ChainHead};
use crate::domain::flow::Flow;
use crate::domain::ids::{KeyId, OrderNo};
use crate::domain::key::Key;
use crate::domain::order::Order;
use crate::domain::time::Instant;
use connection::{Limits, Opener, Purpose, Target};
use diesel::r2d2::{ManageConnection, Pool};
use finder::{Finder, Question};
use queue::{Manners, Queue};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use writer::{Outcome, Solo, Ticket, Work, Writer};

/// Runs the same lines on whichever connection is inside, for what diesel's own enum cannot say.
macro_rules! either {
    ($connection:expr, |$inner:ident| $body:expr) => {
        match $connection {
            $crate::storage::AnyConnection::Postgres($inner) => $body,
            $crate::storage::AnyConnection::Sqlite($inner) => $body,
        }
    };
}
use either;

/// How long a statement of [`Store::scan`] may run.
const SCAN_TIMEOUT: Duration = Duration::from_secs(3_600);

/// So many changes share well what a transaction costs.
const COMPANY: usize = 64;
/// A transaction that keeps others waiting for longer waits itself, for the disk or for somebody's lock.
const PATIENCE: Duration = Duration::from_millis(5);

/// How storage is opened; the section `[storage]` of the settings.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// `postgres://…` or `sqlite:PATH`.
    pub url: String,
    /// How many connections read.
    pub readers: u32,
    /// How many threads write; SQLite always has one.
    pub writers: u32,
    /// At most so many changes share a commit.
    pub batch_max: usize,
    /// More queued changes than this are refused.
    pub queue_max: usize,
    /// How long a read waits for a connection, and a group read for its answer.
    pub pool_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
    /// The name of this run of the program: its audit chains are called after it.
    pub instance: String,
}

/// What a commit put into the database; told to the mirror right after it.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// The orders as they now stand.
    pub orders: Vec<Order>,
    /// The flows as they now stand.
    pub flows: Vec<Flow>,
    /// How many notifications it brought.
    pub notifications: usize,
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    is_sqlite: bool,
    pool: Pool<Opener>,
    /// For what takes long: see [`Store::scan`].
    scanner: Opener,
    permits: Arc<Semaphore>,
    /// Fewer than `permits`: listings never hold every connection.
    browsing: Arc<Semaphore>,
    pool_timeout: Duration,
    /// To the writers.
    tickets: Arc<Queue<Ticket>>,
    /// To the finder.
    questions: Arc<Queue<Question>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Inner {
    /// Takes nothing in any more; the threads end when they have done what is queued.
    fn close_queues(&self) {
        self.tickets.close();
        self.questions.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close_queues();
    }
}

/// A transaction of its own, handed to [`Store::solo`].
pub struct Tx<'a> {
    /// The connection, inside the transaction.
    pub c: &'a mut AnyConnection,
    chain: &'a mut ChainHead,
}

impl Tx<'_> {
    /// Writes an audit row.
    pub fn audit(&mut self, entry: AuditEntry) -> Result<(), StoreError> {
        Ok(audit::append(self.c, self.chain, entry)?)
    }

    /// Leases due exceptions.
    pub fn lease_exceptions(
        &mut self,
        request: &exceptions::LeaseRequest,
    ) -> Result<Vec<crate::domain::exception::Exception>, StoreError> {
        exceptions::lease_due(self.c, request)
    }

    /// Raises the alarm of an exception; false when somebody else has done so already.
    pub fn raise_alarm(
        &mut self,
        exception: &crate::domain::exception::Exception,
        to: crate::domain::exception::AlarmLevel,
    ) -> Result<bool, StoreError> {
        Ok(exceptions::raise_alarm(
            self.c,
            exception.exception_id,
            exception.alarm,
            to,
        )?)
    }

    /// Writes calls down that belong to no move; one that is there already stays as it is.
    pub fn keep_attempts(
        &mut self,
        attempts: &[crate::domain::flow::Attempt],
    ) -> Result<(), StoreError> {
        for attempt in attempts {
            flows::insert_attempt(self.c, attempt)?;
        }
        Ok(())
    }

    /// Opens a case unless one of its kind is open for the order.
    pub fn open_case(&mut self, case: &crate::domain::case::Case) -> Result<bool, StoreError> {
        Ok(cases::open(self.c, case)?)
    }

    /// Writes a case's new values if nobody changed it since it was read.
    pub fn replace_case(&mut self, case: &crate::domain::case::Case) -> Result<bool, StoreError> {
        Ok(cases::replace(self.c, case)?)
    }

    /// Writes a partner's file down unless its bytes came before.
    pub fn keep_partner_file(
        &mut self,
        file: &crate::domain::partner::PartnerFile,
    ) -> Result<partner_files::Kept, StoreError> {
        partner_files::keep(self.c, file)
    }

    /// Writes what the source says of a partner's file by now.
    pub fn mark_partner_file(
        &mut self,
        file_id: uuid::Uuid,
        mark: Option<&str>,
    ) -> Result<(), StoreError> {
        Ok(partner_files::mark(self.c, file_id, mark)?)
    }

    /// Marks that people were called because a partner's file is not there; false where they were before.
    pub fn raise_partner_alarm(
        &mut self,
        partner: &crate::domain::partner::PartnerName,
        date: crate::domain::time::BusinessDate,
        now: Instant,
    ) -> Result<bool, StoreError> {
        Ok(partner_files::raise_alarm(self.c, partner, date, now)?)
    }

    /// Writes a new key.
    pub fn insert_key(&mut self, key: &Key) -> Result<(), StoreError> {
        Ok(keys::insert(self.c, key)?)
    }

    /// Writes a key's new values if nobody changed it since it was read.
    pub fn replace_key(&mut self, key: &Key) -> Result<bool, StoreError> {
        Ok(keys::replace(self.c, key)?)
    }

    /// Keeps the sealed private part of a key.
    pub fn keep_key_secret(&mut self, secret: &keys::KeySecret) -> Result<(), StoreError> {
        Ok(keys::keep_secret(self.c, secret)?)
    }

    /// Writes a private part's data key as another master key wraps it, if nobody did so before.
    pub fn rewrap_key_secret(
        &mut self,
        before: &keys::KeySecret,
        after: &keys::KeySecret,
    ) -> Result<bool, StoreError> {
        Ok(keys::rewrap(self.c, before, after)?)
    }

    /// Forgets the sealed private part of a key; false where there was none.
    pub fn forget_key_secret(&mut self, key_id: &KeyId) -> Result<bool, StoreError> {
        Ok(keys::forget_secret(self.c, key_id)?)
    }

    /// Forgets nonces that cannot be sent again, so many at a time; tells how many went.
    pub fn forget_nonces(&mut self, now: Instant, limit: i64) -> Result<usize, StoreError> {
        Ok(nonces::forget(self.c, now, limit)?)
    }

    /// Writes an open exception's new values if nobody has leased it since they were read.
    pub fn replace_exception(
        &mut self,
        exception: &crate::domain::exception::Exception,
    ) -> Result<bool, StoreError> {
        Ok(exceptions::replace(self.c, exception)?)
    }
}

impl Store {
    /// Opens the database and starts the writers. The schema has to be up to date; see
    /// [`Store::migrate`]. `listener` is told of every commit, on the writer's thread.
    pub fn open(
        options: &StorageOptions,
        listener: Arc<dyn Fn(Committed) + Send + Sync>,
    ) -> Result<Store, StoreError> {
        let target = Target::parse(&options.url)?;
        let limits = Limits {
            statement_timeout: options.statement_timeout,
            lock_timeout: options.lock_timeout,
        };
        let opener = |purpose| Opener {
            target: target.clone(),
            limits,
            purpose,
        };
        drop(target.connect(limits, Purpose::Queries)?);
        let pool = Pool::builder()
            .max_size(options.readers)
            .min_idle(Some(1))
            .connection_timeout(options.pool_timeout)
            .test_on_check_out(false)
            .build_unchecked(opener(Purpose::Queries));
        let manners = Manners {
            company: COMPANY.min(options.batch_max).min(options.queue_max),
            patience: PATIENCE,
        };
        let tickets = Arc::new(Queue::new(options.queue_max, manners));
        let questions = Arc::new(Queue::new(options.queue_max, manners));
        let count = if target.is_sqlite() {
            1
        } else {
            options.writers.max(1)
        };
        let finder = Finder {
            opener: opener(Purpose::Keys),
            questions: questions.clone(),
            batch_max: options.batch_max.max(1),
        };
        let finder = spawn("finder".to_owned(), move || finder.run());
        let threads = (1..=count)
            .map(|number| {
                let writer = Writer {
                    opener: opener(Purpose::Keys),
                    stream: format!("{}-{number}", options.instance),
                    queue: tickets.clone(),
                    batch_max: options.batch_max.max(1),
                    listener: listener.clone(),
                };
                spawn(format!("writer-{number}"), move || writer.run())
            })
            .chain([finder])
            .collect::<Result<Vec<_>, _>>()?;
        let readers = usize::try_from(options.readers).unwrap_or(1);
        Ok(Store(Arc::new(Inner {
            is_sqlite: target.is_sqlite(),
            pool,
            scanner: Opener {
                limits: Limits {
                    statement_timeout: SCAN_TIMEOUT.max(options.statement_timeout),
                    ..limits
                },
                ..opener(Purpose::Queries)
            },
            permits: Arc::new(Semaphore::new(readers)),
            browsing: Arc::new(Semaphore::new((readers - readers.div_ceil(4)).max(1))),
            pool_timeout: options.pool_timeout,
            tickets,
            questions,
            threads: Mutex::new(threads),
        })))
    }

    /// Brings the schema up to date under a guard; returns the names of the migrations it ran.
    pub fn migrate(options: &StorageOptions) -> Result<Vec<String>, StoreError> {
        migrate::migrate(&mut Self::connect(options)?, &options.instance)
    }

    /// The migrations that are not run yet.
    pub fn pending_migrations(options: &StorageOptions) -> Result<Vec<String>, StoreError> {
        migrate::pending(&mut Self::connect(options)?)
    }

    fn connect(options: &StorageOptions) -> Result<AnyConnection, StoreError> {
        let limits = Limits {
            statement_timeout: options.statement_timeout,
            lock_timeout: options.lock_timeout,
        };
        Target::parse(&options.url)?.connect(limits, Purpose::Queries)
    }

    /// Whether the database is SQLite: then no other replica can be at work.
    pub fn is_sqlite(&self) -> bool {
        self.0.is_sqlite
    }

    /// Reads a listing, which may take its time: a quarter of the connections is left to payments and
    /// jobs, whoever browses meanwhile.
    pub async fn browse<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
    {
        let _permit = self.permit(&self.0.browsing).await?;
        self.read(work).await
    }

    async fn permit(&self, of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
        tokio::time::timeout(self.0.pool_timeout, of.clone().acquire_owned())
            .await
            .map_err(|_| StoreError::Unavailable("no connection became free in time".to_owned()))?
            .map_err(|_| StoreError::Closed)
    }

    /// Reads on a thread that may block.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
    {
        let permit = self.permit(&self.0.permits).await?;
        let pool = self.0.pool.clone();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut connection = pool
                .get()
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
            work(&mut connection)
        })
        .await
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    /// Reads what may take minutes, such as all flows of a day, over a connection of its own: neither a
    /// caller nor a job waits for one meanwhile.
    ///
    /// # Errors
    /// There is no connection, or the work fails.
    pub async fn scan<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
    {
        let scanner = self.0.scanner.clone();
        tokio::task::spawn_blocking(move || {
            let mut connection = scanner.connect()?;
            work(&mut connection)
        })
        .await
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    /// One order, read from the database together with whatever else is asked for at the moment.
    pub async fn find_order(&self, order_no: &OrderNo) -> Result<Option<Order>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let order_no = order_no.clone();
        self.0.questions.put(Question { order_no, reply })?;
        tokio::time::timeout(self.0.pool_timeout, answer)
            .await
            .map_err(|_| StoreError::Unavailable("it did not answer in time".to_owned()))?
            .map_err(|_| StoreError::Closed)?
    }

    /// Makes an order; durable when this returns.
    pub async fn create(&self, new: NewOrder) -> Result<Created, StoreError> {
        match self.submit(Work::Create(Box::new(new))).await? {
            Outcome::Created(created) => Ok(*created),
            other => Err(crossed(&other)),
        }
    }

    /// Moves an order; durable when this returns.
    pub async fn move_order(&self, step: impl Into<Arc<Move>>) -> Result<Moved, StoreError> {
        match self.submit(Work::Move(step.into())).await? {
            Outcome::Moved(moved) => Ok(moved),
            other => Err(crossed(&other)),
        }
    }

    /// Writes an ask that settled nothing.
    pub async fn touch(&self, touch: Touch) -> Result<Touched, StoreError> {
        match self.submit(Work::Touch(Box::new(touch))).await? {
            Outcome::Touched(touched) => Ok(touched),
            other => Err(crossed(&other)),
        }
    }

    /// Writes what came of a try to notify a merchant.
    pub async fn tell(&self, tell: Tell) -> Result<Told, StoreError> {
        match self.submit(Work::Tell(Box::new(tell))).await? {
            Outcome::Told(told) => Ok(told),
            other => Err(crossed(&other)),
        }
    }

    /// Lets a signed request in, once; its nonce is kept when this returns.
    pub async fn admit(&self, admission: Admission) -> Result<Admitted, StoreError> {
        match self.submit(Work::Admit(Box::new(admission))).await? {
            Outcome::Admitted(admitted) => Ok(admitted),
            other => Err(crossed(&other)),
        }
    }

    /// Runs work in a transaction of its own, on the writer. It may be run again when the database
    /// gave way to another transaction, so it must have no effect outside the database.
    pub async fn solo<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let solo = SoloWork {
            work,
            result: None,
            reply,
        };
        self.0.tickets.put(Ticket::Solo(Box::new(solo)))?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn submit(&self, work: Work) -> Result<Outcome, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.tickets.put(Ticket::Shared(work, reply))?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Commits what is queued and stops the threads.
    pub async fn close(&self) {
        self.0.close_queues();
        let threads = self.0.threads.lock();
        let threads = std::mem::take(&mut *threads.unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a thread of storage panicked");
                }
            }
        });
        if joined.await.is_err() {
            tracing::error!("the threads of storage could not be joined");
        }
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    // A thread that panicked would leave its callers without an answer for ever. Whatever it was at is
    // taken up when the program starts again.
    let work = move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            tracing::error!("a thread of storage panicked; the program stops");
            std::process::abort();
        }
    };
    std::thread::Builder::new()
        .name(name)
        .spawn(work)
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

fn crossed(outcome: &Outcome) -> StoreError {
    StoreError::Refused(format!("the writer answered another question: {outcome:?}"))
}

/// A closure as a [`Solo`].
struct SoloWork<T, F> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Solo for SoloWork<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, c: &mut AnyConnection, chain: &mut ChainHead) -> Result<(), apply::Failure> {
        self.result = Some((self.work)(&mut Tx { c, chain })?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let SoloWork { result, reply, .. } = *self;
        let _ = reply.send(outcome.and_then(|()| result.ok_or(StoreError::Closed)));
    }
}
