//! A job's turn in this process: one at a time has it, and whoever comes meanwhile is not forgotten.
//!
//! Who finds it taken goes away at once, because the holder looks again before it gives the turn up. Whether
//! somebody came, and that the turn is free, is one state behind one lock: nobody can come in between. A holder
//! goes round once for all who came during a round, so it ends when nobody comes any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who has the turn, if anybody. Clones are the same turn.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<Mutex<State>>);

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Free,
    Taken,
    /// It is taken, and somebody came since the holder's round began.
    Awaited,
}

/// The turn, held. When it is dropped in the middle of a round, by a panic, whoever came waits for the next
/// who comes.
pub(super) struct Held {
    turn: Turn,
    is_given_up: bool,
}

impl Turn {
    /// Takes the turn; where another has it, that one goes round once more.
    pub fn take(&self) -> Option<Held> {
        let mut state = self.state();
        match *state {
            State::Free => {
                *state = State::Taken;
                Some(Held {
                    turn: self.clone(),
                    is_given_up: false,
                })
            }
            State::Taken | State::Awaited => {
                *state = State::Awaited;
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Ends a round: whether another one is to be made, because somebody came. If not, the turn is given up.
    pub fn goes_round(&mut self) -> bool {
        let mut state = self.turn.state();
        let is_awaited = matches!(*state, State::Awaited);
        *state = if is_awaited {
            State::Taken
        } else {
            State::Free
        };
        self.is_given_up = !is_awaited;
        is_awaited
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_given_up {
            *self.turn.state() = State::Free;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn who_comes_during_a_round_is_heeded_once() {
        let turn = Turn::default();
        let mut held = turn.take().unwrap();
        assert!(turn.take().is_none());
        assert!(turn.take().is_none());
        assert!(held.goes_round(), "somebody came");
        assert!(!held.goes_round(), "nobody came since");
        let mut next = turn.take().unwrap();
        // The one that gave it up takes nothing from the next.
        drop(held);
        assert!(turn.take().is_none());
        assert!(next.goes_round());
    }

    #[test]
    fn a_round_that_panics_gives_the_turn_up() {
        let turn = Turn::default();
        drop(turn.take().unwrap());
        assert!(turn.take().is_some());
    }

    #[test]
    fn no_wake_up_is_lost_between_a_last_look_and_the_end() {
        const EACH: u32 = 20_000;
        let turn = Turn::default();
        let (asked, seen) = (AtomicU32::new(0), AtomicU32::new(0));
        let wake = || {
            for _ in 0..EACH {
                asked.fetch_add(1, Ordering::Relaxed);
                let Some(mut held) = turn.take() else {
                    continue;
                };
                loop {
                    seen.store(asked.load(Ordering::Relaxed), Ordering::Relaxed);
                    if !held.goes_round() {
                        break;
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(wake);
            }
        });
        assert_eq!(seen.into_inner(), 4 * EACH);
    }
}
