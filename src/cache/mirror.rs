//! From the commit to Redis, without making anybody wait.
//!
//! Whoever committed hands the snapshots over and goes on. One task takes whatever has gathered
//! and writes it in one round trip. A write that fails is repeated once after Redis has rested,
//! then given up: snapshots are copies, and an open state lives so briefly that a lost one is
//! forgotten soon. The life of a value counts from the hand-over, so one that waited here does not
//! live longer than one that did not.

use super::floor::Floor;
use super::link::{REST, Trouble};
use super::remote::{Remote, Write};
use super::settings::Lives;
use super::snapshot::{Mark, Snapshot, encode_bill};
use crate::domain::bill::Bill;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// How many values go out in one round trip at most.
const BATCH_MAX: usize = 256;

/// The name of the counter of snapshots that never reached Redis.
pub(super) const DROPPED: &str = "payhall_cache_mirror_dropped_total";

#[expect(
    clippy::large_enum_variant,
    reason = "nearly every message is a write; a box would cost each of them an allocation"
)]
enum Message {
    /// Write this; the time is that of the hand-over.
    Write(Load, Instant),
    /// Answer once everything before is done.
    Drain(oneshot::Sender<()>),
}

enum Load {
    /// A committed state that every reader should see soon.
    Committed(Snapshot),
    /// A state that a reader found in the database.
    Found(Snapshot),
    /// A bill under its key.
    Bill(String, Bill),
}

/// The near end: hands over.
#[derive(Clone)]
pub(super) struct Mirror {
    queue: mpsc::Sender<Message>,
    floor: Arc<Floor>,
}

impl Mirror {
    /// Starts the far end on the current runtime; it ends when the last clone of this is gone.
    pub(super) fn start(
        remote: Arc<Remote>,
        floor: Arc<Floor>,
        lives: Lives,
        queue_max: usize,
    ) -> Self {
        let (queue, messages) = mpsc::channel(queue_max.max(1));
        let writer = Writer {
            remote,
            floor: Arc::clone(&floor),
            lives,
        };
        tokio::spawn(writer.run(messages));
        Self { queue, floor }
    }

    /// Hands committed states over; what finds no room is dropped and counted.
    pub(super) fn committed(&self, snapshots: Vec<Snapshot>) {
        let now = Instant::now();
        for snapshot in snapshots {
            let (mark, version) = (Mark::of(&snapshot), snapshot.version());
            self.floor.hand_over(mark, version, now);
            let message = Message::Write(Load::Committed(snapshot), now);
            if self.queue.try_send(message).is_err() {
                self.floor.lost(mark, version, now);
                metrics::counter!(DROPPED).increment(1);
            }
        }
    }

    /// Hands over what a reader found in the database. Only where there is plenty of room: the
    /// queue is for commits first.
    pub(super) fn found(&self, snapshot: Snapshot) {
        self.offer(Load::Found(snapshot));
    }

    /// Hands a bill over, likewise.
    pub(super) fn bill(&self, key: String, bill: Bill) {
        self.offer(Load::Bill(key, bill));
    }

    fn offer(&self, load: Load) {
        if self.queue.capacity() > self.queue.max_capacity() / 2 {
            // Nothing depends on it: the next reader who misses offers it again.
            let _ = self.queue.try_send(Message::Write(load, Instant::now()));
        }
    }

    /// Waits until everything handed over before is written or given up.
    pub(super) async fn drain(&self) {
        let (done, is_done) = oneshot::channel();
        if self.queue.send(Message::Drain(done)).await.is_ok() {
            let _ = is_done.await;
        }
    }
}

/// The far end: writes.
struct Writer {
    remote: Arc<Remote>,
    floor: Arc<Floor>,
    lives: Lives,
}

impl Writer {
    async fn run(self, mut messages: mpsc::Receiver<Message>) {
        let mut taken = Vec::with_capacity(BATCH_MAX);
        while messages.recv_many(&mut taken, BATCH_MAX).await > 0 {
            let (mut batch, mut waiting) = (Batch::new(self.lives), Vec::new());
            for message in taken.drain(..) {
                match message {
                    Message::Write(load, since) => batch.add(load, since),
                    Message::Drain(done) => waiting.push(done),
                }
            }
            self.write(batch).await;
            for done in waiting {
                let _ = done.send(());
            }
        }
    }

    async fn write(&self, batch: Batch) {
        if !batch.writes.is_empty() {
            let mut answer = self.remote.write(&batch.writes).await;
            if matches!(answer, Err(Trouble::TimedOut | Trouble::Failed(_))) {
                tokio::time::sleep(REST).await;
                answer = self.remote.write(&batch.writes).await;
            }
            let done = answer.unwrap_or_default();
            self.report(&batch.marks, &done);
        }
        self.report(&batch.outlived, &[]);
    }

    /// Tells the floor what became of each commit.
    fn report(&self, marks: &[Option<(Mark, i32)>], done: &[bool]) {
        let now = Instant::now();
        let mut dropped = 0_u64;
        for (index, mark) in marks.iter().enumerate() {
            let Some((mark, version)) = *mark else {
                continue;
            };
            if done.get(index).copied().unwrap_or(false) {
                self.floor.written(mark, version);
            } else {
                self.floor.lost(mark, version, now);
                dropped += 1;
            }
        }
        if dropped > 0 {
            metrics::counter!(DROPPED).increment(dropped);
        }
    }
}

/// What goes out in one round trip.
struct Batch {
    now: Instant,
    lives: Lives,
    writes: Vec<Write>,
    /// Of each write: which commit it is, where it is one.
    marks: Vec<Option<(Mark, i32)>>,
    /// Commits that waited here for longer than they may live.
    outlived: Vec<Option<(Mark, i32)>>,
}

impl Batch {
    fn new(lives: Lives) -> Self {
        Self {
            now: Instant::now(),
            lives,
            writes: Vec::new(),
            marks: Vec::new(),
            outlived: Vec::new(),
        }
    }

    fn add(&mut self, load: Load, since: Instant) {
        let mark = match &load {
            Load::Committed(snapshot) => Some((Mark::of(snapshot), snapshot.version())),
            Load::Found(_) | Load::Bill(..) => None,
        };
        let (key, version, text, life) = match load {
            Load::Committed(snapshot) | Load::Found(snapshot) => (
                snapshot.key(),
                Some(snapshot.version()),
                snapshot.encode(),
                snapshot.life(&self.lives),
            ),
            Load::Bill(key, bill) => (key, None, encode_bill(&bill), self.lives.bill),
        };
        let left = life.checked_sub(self.now.saturating_duration_since(since));
        match (text, left) {
            (Some(text), Some(life)) => {
                self.writes.push(Write {
                    key,
                    version,
                    text,
                    life,
                });
                self.marks.push(mark);
            }
            _ => self.outlived.push(mark),
        }
    }
}
