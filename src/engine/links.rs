//! Links to files that live for some minutes and need no further proof.
//!
//! A link carries a mark by the master key over the address and the time until which it counts, as what it
//! is for. Nobody without that key makes one, and a mark for one file opens no other, of whatever kind.

use super::Engine;
use crate::domain::exception::later;
use crate::domain::named_enum;
use crate::domain::time::Instant;
use std::fmt;
use std::time::Duration;
use subtle::ConstantTimeEq;

named_enum! {
    /// What a link is for: what its mark belongs to.
    pub enum LinkedTo {
        /// A file of a statement.
        Statement = "statement-link",
        /// The file of a result of reconciling.
        Reconciliation = "reconciliation-link",
    }
}

/// Why there is no link, or a link does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is nothing to mark it with.
    #[error("there are no links without a master key (keys.master)")]
    NoMaster,
    /// Its time is over.
    #[error("the link's time is over; ask for another one")]
    Over,
    /// It is not a link of ours, or not for this file.
    #[error("the link is not right")]
    Wrong,
}

impl Engine {
    /// A link to an address, and until when it counts.
    ///
    /// # Errors
    /// There is no master key.
    pub(super) fn link(
        &self,
        to: LinkedTo,
        address: &impl fmt::Display,
        lasts: Duration,
    ) -> Result<(String, Instant), LinkError> {
        let until = later(self.now(), lasts);
        let seconds = until.timestamp();
        let address = address.to_string();
        let marks = self
            .0
            .masters
            .marks(to.as_str(), &marked(&address, seconds));
        let (_, mark) = marks.first().ok_or(LinkError::NoMaster)?;
        let mark = crate::domain::audit::hex(mark);
        Ok((format!("{address}?until={seconds}&mark={mark}"), until))
    }

    /// Whether a link to an address counts; `query` is what stands behind the question mark.
    ///
    /// # Errors
    /// It does not.
    pub fn check_link(&self, to: LinkedTo, address: &str, query: &str) -> Result<(), LinkError> {
        let mut until = None;
        let mut mark = None;
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("until", value)) if until.is_none() => until = Some(value),
                Some(("mark", value)) if mark.is_none() => mark = Some(value),
                _ => return Err(LinkError::Wrong),
            }
        }
        let seconds: i64 = until
            .and_then(|until| until.parse().ok())
            .ok_or(LinkError::Wrong)?;
        let mark = mark.ok_or(LinkError::Wrong)?;
        let wanted = self.0.masters.marks(to.as_str(), &marked(address, seconds));
        // All of them are compared, each in the same time.
        let is_ours = wanted.iter().fold(false, |found, (_, wanted)| {
            let wanted = crate::domain::audit::hex(wanted);
            found | bool::from(wanted.as_bytes().ct_eq(mark.as_bytes()))
        });
        if !is_ours {
            return Err(LinkError::Wrong);
        }
        if self.now().timestamp() >= seconds {
            return Err(LinkError::Over);
        }
        Ok(())
    }
}

fn marked(address: &str, until: i64) -> Vec<u8> {
    format!("{until}\n{address}").into_bytes()
}
