//! Waiting times: the few tries within a confirm, and the long ladder of the poller.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One rung: wait `wait_s` seconds, `times` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// The wait in seconds.
    pub wait_s: u64,
    /// How many waits of this length.
    pub times: u32,
}

/// A ladder of waits: each rung in turn, then the last wait for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ladder {
    /// The rungs in order.
    pub rungs: Vec<Rung>,
    /// The wait after the last rung, in seconds.
    pub then_s: u64,
}

impl Ladder {
    /// The wait after the `done`-th ask (0 before the first).
    pub fn wait_after(&self, done: u32) -> Duration {
        let mut left = done;
        for rung in &self.rungs {
            if left < rung.times {
                return Duration::from_secs(rung.wait_s);
            }
            left -= rung.times;
        }
        Duration::from_secs(self.then_s)
    }

    /// The default of the mission: 10 s × 18, 1 min × 7, 5 min × 10, 30 min × 4, then 1 h.
    pub fn standard() -> Self {
        let rung = |wait_s, times| Rung { wait_s, times };
        Self {
            rungs: vec![rung(10, 18), rung(60, 7), rung(300, 10), rung(1800, 4)],
            then_s: 3600,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_ladder_is_the_mission_s() {
        let ladder = Ladder::standard();
        let wait = |done| ladder.wait_after(done).as_secs();
        assert_eq!((wait(0), wait(17), wait(18), wait(24)), (10, 10, 60, 60));
        assert_eq!(
            (wait(25), wait(34), wait(35), wait(38)),
            (300, 300, 1800, 1800)
        );
        assert_eq!(
            (wait(39), wait(1_000_000), wait(u32::MAX)),
            (3600, 3600, 3600)
        );
    }
}
