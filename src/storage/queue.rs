//! What waits for the threads of storage: whoever becomes free takes whatever is there.
//!
//! A transaction costs the same few statements and one wait for the disk however many changes it holds, so
//! two half-empty ones are dearer than one. While somebody is at work, the next worker therefore leaves
//! what comes in to gather: it begins when there is company enough for a transaction of its own, or when
//! somebody has waited too long (a disk that is slow, a row that is locked). A lone caller finds nobody at
//! work, and is not delayed; one that comes during somebody's long work is delayed by that patience.
//!
//! How one could break this: by a way into the queue that wakes nobody, or by a wait for company that has
//! no end.

use super::StoreError;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When a worker begins beside one that is at work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    /// As soon as so many wait.
    pub company: usize,
    /// As soon as somebody has waited so long.
    pub patience: Duration,
}

/// A queue that many put into without waiting, and some workers take from, all that is there at once.
pub(super) struct Queue<T> {
    inside: Mutex<Inside<T>>,
    bell: Condvar,
    room: usize,
    manners: Manners,
}

struct Inside<T> {
    /// Each with the time when it came.
    waiting: VecDeque<(Instant, T)>,
    at_work: usize,
    is_closed: bool,
}

impl<T> Queue<T> {
    /// An empty queue for at most `room` things.
    pub fn new(room: usize, manners: Manners) -> Self {
        let inside = Inside {
            waiting: VecDeque::new(),
            at_work: 0,
            is_closed: false,
        };
        Self {
            inside: Mutex::new(inside),
            bell: Condvar::new(),
            room,
            manners,
        }
    }

    /// Puts something in, without waiting.
    ///
    /// # Errors
    /// The queue is full (`Busy`) or closed.
    pub fn put(&self, thing: T) -> Result<(), StoreError> {
        let mut inside = self.lock();
        if inside.is_closed {
            return Err(StoreError::Closed);
        }
        if inside.waiting.len() >= self.room {
            return Err(StoreError::Busy);
        }
        inside.waiting.push_back((Instant::now(), thing));
        let waiting = inside.waiting.len();
        drop(inside);
        // The first one calls somebody, who may leave it to gather company; a full company calls again.
        if waiting == 1 || waiting == self.manners.company {
            self.bell.notify_one();
        }
        Ok(())
    }

    /// Takes nothing in any more; what waits is still given out.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.bell.notify_all();
    }

    /// A place for one more worker.
    pub fn seat(&self) -> Seat<'_, T> {
        Seat {
            queue: self,
            is_at_work: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside<T>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one worker at a queue.
pub(super) struct Seat<'a, T> {
    queue: &'a Queue<T>,
    is_at_work: bool,
}

impl<T> Seat<'_, T> {
    /// Ends the work that was taken before, and waits for more: at least one thing, at most `most`, in the
    /// order in which they came. None once the queue is closed and empty.
    pub fn next(&mut self, most: usize) -> Option<Vec<T>> {
        let mut inside = self.queue.lock();
        self.end(&mut inside);
        loop {
            let bell = &self.queue.bell;
            inside = match self.queue.manners.judge(&inside) {
                Turn::Take => break,
                Turn::End => return None,
                Turn::Wait => bell.wait(inside).unwrap_or_else(PoisonError::into_inner),
                Turn::Gather(time) => {
                    let rung = bell.wait_timeout(inside, time);
                    rung.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let count = inside.waiting.len().min(most.max(1));
        let taken = inside.waiting.drain(..count).map(|(_, thing)| thing);
        let taken = taken.collect();
        inside.at_work += 1;
        self.is_at_work = true;
        if !inside.waiting.is_empty() {
            self.queue.bell.notify_one();
        }
        Some(taken)
    }

    /// Ends the work that was taken before for the others' sake: what the worker still has to do may take
    /// long, and nobody has to wait for it. What it has taken and not begun goes back to where it was.
    pub fn step_aside(&mut self, back: Vec<T>) {
        let mut inside = self.queue.lock();
        self.end(&mut inside);
        for thing in back.into_iter().rev() {
            inside.waiting.push_front((Instant::now(), thing));
        }
        drop(inside);
        self.queue.bell.notify_one();
    }

    fn end(&mut self, inside: &mut Inside<T>) {
        if std::mem::take(&mut self.is_at_work) {
            inside.at_work -= 1;
        }
    }
}

/// What a free worker does.
enum Turn {
    Take,
    Wait,
    Gather(Duration),
    End,
}

impl Manners {
    fn judge<T>(&self, inside: &Inside<T>) -> Turn {
        let Some((came, _)) = inside.waiting.front() else {
            return if inside.is_closed {
                Turn::End
            } else {
                Turn::Wait
            };
        };
        let begins_at_once = inside.at_work == 0 || inside.is_closed;
        if begins_at_once || inside.waiting.len() >= self.company {
            return Turn::Take;
        }
        match self.patience.saturating_sub(came.elapsed()) {
            Duration::ZERO => Turn::Take,
            left => Turn::Gather(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOR_EVER: Duration = Duration::from_secs(86_400);

    /// What a worker gets that comes to a queue where another one is at work; three are company enough.
    fn beside_one_at_work(
        patience: Duration,
        meanwhile: impl FnOnce(&Queue<u32>, &mut Seat<'_, u32>),
    ) -> Option<Vec<u32>> {
        let company = 3;
        let queue = Queue::new(5, Manners { company, patience });
        queue.put(1).unwrap();
        let mut first = queue.seat();
        assert_eq!(first.next(9), Some(vec![1]));
        std::thread::scope(|scope| {
            let second = scope.spawn(|| queue.seat().next(9));
            meanwhile(&queue, &mut first);
            second.join().unwrap()
        })
    }

    #[test]
    fn whoever_is_free_takes_all_that_is_there_in_order() {
        let (company, patience) = (2, FOR_EVER);
        let queue = Queue::new(5, Manners { company, patience });
        (1..=5).for_each(|n| queue.put(n).unwrap());
        assert!(matches!(queue.put(6), Err(StoreError::Busy)));
        let mut seat = queue.seat();
        assert_eq!(seat.next(3), Some(vec![1, 2, 3]));
        assert_eq!(seat.next(3), Some(vec![4, 5]));
        queue.put(6).unwrap();
        queue.close();
        assert!(matches!(queue.put(7), Err(StoreError::Closed)));
        assert_eq!(seat.next(3), Some(vec![6]));
        assert_eq!(seat.next(3), None);
    }

    #[test]
    fn beside_somebody_at_work_the_next_begins_with_company() {
        let second = beside_one_at_work(FOR_EVER, |queue, _| {
            // Whenever the second looks: with one or two it gathers.
            (2..=4).for_each(|n| queue.put(n).unwrap());
        });
        assert_eq!(second, Some(vec![2, 3, 4]));
    }

    #[test]
    fn what_gathered_goes_to_whoever_ends_its_work_first() {
        let second = beside_one_at_work(FOR_EVER, |queue, first| {
            queue.put(2).unwrap();
            queue.put(3).unwrap();
            assert_eq!(first.next(9), Some(vec![2, 3]));
            queue.close();
        });
        assert_eq!(second, None);
    }

    #[test]
    fn nobody_waits_for_a_worker_that_stepped_aside() {
        let second = beside_one_at_work(FOR_EVER, |queue, first| {
            queue.put(4).unwrap();
            first.step_aside(vec![2, 3]);
        });
        assert_eq!(second, Some(vec![2, 3, 4]));
    }

    #[test]
    fn nobody_waits_longer_than_patience_for_company() {
        // The first one is at work all the while, as on a row that somebody else has locked.
        let second = beside_one_at_work(Duration::from_millis(1), |queue, _| {
            queue.put(2).unwrap();
        });
        assert_eq!(second, Some(vec![2]));
    }
}
