//! Lets signed requests in, many at a time: on PostgreSQL, by a connection of its own that does not wait
//! for the disk.
//!
//! Why that loses nothing: PostgreSQL's log is one sequence. Whatever an admitted request changes is
//! committed after its nonce and does wait for the disk, and takes the nonce there with it. So a
//! nonce can be lost, by a crash of the database, only together with everything that its request did; sent
//! again, the request does for the first time what it did not do before. (SQLite has one writer, who
//! does it there.)

use super::batch;
use super::change::{Admission, Admitted};
use super::connection::{AnyConnection, Opener};
use super::{StorageOptions, StoreError};
use diesel::connection::SimpleConnection;
use diesel::r2d2::ManageConnection;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::oneshot;

/// A request at the door, and where its answer goes.
pub(super) struct Caller {
    pub admission: Admission,
    pub reply: oneshot::Sender<Result<Admitted, StoreError>>,
}

/// The thread at the door.
pub(super) struct Doorkeeper {
    pub opener: Opener,
    pub callers: Receiver<Caller>,
    /// At most so many requests share a statement.
    pub batch_max: usize,
}

impl Doorkeeper {
    /// One that is ready to run, and the way to it.
    pub fn new(opener: Opener, options: &StorageOptions) -> (SyncSender<Caller>, Self) {
        let (door, callers) = sync_channel(options.queue_max);
        let keeper = Self {
            opener,
            callers,
            batch_max: options.batch_max.max(1),
        };
        (door, keeper)
    }

    /// Answers until nobody can come any more.
    pub fn run(self) {
        let mut connection = None;
        while let Ok(first) = self.callers.recv() {
            let mut callers = vec![first];
            let mut rest = self.callers.try_iter();
            let mut twice = None;
            // One nonce twice is told apart in two statements: the second sees the first.
            while callers.len() < self.batch_max
                && let Some(next) = rest.next()
            {
                if callers.iter().any(|one| is_same(one, &next)) {
                    twice = Some(next);
                    break;
                }
                callers.push(next);
            }
            self.answer(&mut connection, callers);
            if let Some(last) = twice {
                self.answer(&mut connection, vec![last]);
            }
        }
    }

    fn answer(&self, connection: &mut Option<AnyConnection>, callers: Vec<Caller>) {
        let admissions: Vec<&Admission> = callers.iter().map(|caller| &caller.admission).collect();
        match self.admit(connection, &admissions) {
            Ok(answers) => {
                for (caller, answer) in callers.into_iter().zip(answers) {
                    let _ = caller.reply.send(Ok(answer));
                }
            }
            Err(error) => {
                for caller in callers {
                    let _ = caller.reply.send(Err(error.again()));
                }
            }
        }
    }

    /// Writes the nonces. A connection that broke since it was last used is replaced once.
    fn admit(
        &self,
        connection: &mut Option<AnyConnection>,
        admissions: &[&Admission],
    ) -> Result<Vec<Admitted>, StoreError> {
        let is_used = connection.is_some();
        let c = match connection {
            Some(c) => c,
            None => {
                let mut c = self.opener.connect()?;
                c.batch_execute("SET synchronous_commit = off")?;
                connection.insert(c)
            }
        };
        let admitted = batch::admit(c, admissions).map_err(super::writer::into_store_error);
        if admitted.is_err() && self.opener.has_broken(c) {
            *connection = None;
            if is_used {
                return self.admit(connection, admissions);
            }
        }
        admitted
    }
}

fn is_same(one: &Caller, other: &Caller) -> bool {
    let (one, other) = (&one.admission, &other.admission);
    one.nonce == other.nonce && one.key_id == other.key_id
}
