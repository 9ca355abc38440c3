//! 密钥: which keys a merchant, or the center itself, signs with, and how long each of them counts.
//!
//! ```text
//! PENDING → ACTIVE → RETIRING → EXPIRED
//!    └─────────┴────────┴──────→ REVOKED
//! ```
//!
//! One person issues a key, another approves it: maker ≠ checker is checked here and again by the
//! database. A key that another one replaces is accepted for an overlap, so that a merchant can
//! change over without a gap. Whether a key counts is a matter of its row *and* of the time, so a job
//! that is late opens no door.

use super::ids::{KeyId, MerchantCode};
use super::named_enum;
use super::time::Instant;
use std::fmt;
use std::time::Duration;

named_enum! {
    /// A signature algorithm, by its name in the HTTP signature algorithms registry (RFC 9421, 6.2),
    /// but for the last, whose name is ours. A key is registered for one of them and counts for no other.
    pub enum Algorithm {
        /// Ed25519 (RFC 8032): short, quick, without parameters to get wrong.
        Ed25519 = "ed25519",
        /// ECDSA on the curve P-256 with SHA-256; the signature is `r || s`, 64 bytes.
        EcdsaP256Sha256 = "ecdsa-p256-sha256",
        /// RSASSA-PSS with SHA-512.
        RsaPssSha512 = "rsa-pss-sha512",
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        RsaV15Sha256 = "rsa-v1_5-sha256",
        /// 国密: SM2 with SM3 (GB/T 32918.2, GM/T 0009); the signature is `r || s`, 64 bytes. The registry
        /// has no name for it.
        Sm2Sm3 = "sm2-sm3",
    }
}

impl Algorithm {
    /// Whether its keys are RSA keys, whose length has bounds.
    pub const fn is_rsa(self) -> bool {
        matches!(self, Algorithm::RsaPssSha512 | Algorithm::RsaV15Sha256)
    }

    /// The cargo feature that a program has to be built with to know it; none for those that are always
    /// there.
    pub const fn feature(self) -> Option<&'static str> {
        match self {
            Algorithm::Sm2Sm3 => Some("gm"),
            Algorithm::Ed25519
            | Algorithm::EcdsaP256Sha256
            | Algorithm::RsaPssSha512
            | Algorithm::RsaV15Sha256 => None,
        }
    }
}

named_enum! {
    /// Where a key stands.
    pub enum KeyState {
        /// Waits for the second person.
        Pending = "PENDING",
        /// Counts.
        Active = "ACTIVE",
        /// Is being replaced, and counts until its overlap is over.
        Retiring = "RETIRING",
        /// Was taken back, or was never approved; counts no more.
        Revoked = "REVOKED",
        /// Its time is over.
        Expired = "EXPIRED",
    }
}

named_enum! {
    /// Who made the pair.
    pub enum KeyOrigin {
        /// The merchant, who keeps the private part and handed the public one in.
        Uploaded = "UPLOADED",
        /// The center, which hands the private part out once.
        Generated = "GENERATED",
        /// The center, for itself.
        Center = "CENTER",
    }
}

/// Whose key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// A merchant's: it signs requests.
    Merchant(MerchantCode),
    /// The center's own: it signs answers and notifications.
    Center,
}

impl KeyOwner {
    /// The merchant, where it is one.
    pub fn merchant(&self) -> Option<&MerchantCode> {
        match self {
            KeyOwner::Merchant(code) => Some(code),
            KeyOwner::Center => None,
        }
    }
}

impl fmt::Display for KeyOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyOwner::Merchant(code) => write!(f, "merchant {code}"),
            KeyOwner::Center => f.write_str("the center"),
        }
    }
}

/// The public part of a key and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The `keyid` that signatures name.
    pub key_id: KeyId,
    /// Whose it is.
    pub owner: KeyOwner,
    /// The one algorithm that it is for.
    pub algorithm: Algorithm,
    /// The public key: SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// SHA-256 of the public key, in hexadecimal digits; no two keys share one, ever.
    pub thumbprint: String,
    /// Who made the pair.
    pub origin: KeyOrigin,
    /// Where it stands.
    pub state: KeyState,
    /// The key that it takes the place of when it is approved.
    pub replaces: Option<KeyId>,
    /// How long the replaced key still counts after that.
    pub overlap: Duration,
    /// Who issued it.
    pub maker: String,
    /// Who approved it.
    pub checker: Option<String>,
    /// When it was issued.
    pub created_at: Instant,
    /// When it was approved.
    pub active_at: Option<Instant>,
    /// Until when it counts while it retires.
    pub retires_at: Option<Instant>,
    /// When its life ends in any case.
    pub expires_at: Instant,
    /// When it was revoked or found expired.
    pub ended_at: Option<Instant>,
    /// When the private part was handed out.
    pub handed_out_at: Option<Instant>,
    /// Why it was revoked.
    pub reason: Option<String>,
    /// The last notice of its end: so many days ahead.
    pub noticed_days: Option<i32>,
    /// Counts the changes; compare-and-set goes by it.
    pub version: i32,
}

/// How long a replaced key counts if nothing else is said.
pub const OVERLAP: Duration = Duration::from_secs(24 * 3_600);
/// How long it may count at most.
pub const OVERLAP_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);
/// So many days before its end a key is spoken of, once each.
pub const NOTICE_DAYS: [i32; 3] = [30, 7, 1];

/// How long the reason of a step may be.
pub const REASON_CHARS_MAX: usize = 1_000;

/// Why a step of a key is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Its state does not allow the step.
    #[error("key {key_id} is {state} and cannot be {step}")]
    State {
        /// The key.
        key_id: KeyId,
        /// Where it stands.
        state: KeyState,
        /// What was to be done.
        step: &'static str,
    },
    /// The same person on both sides.
    #[error("{who} issued this key; another person has to check it")]
    MakerIsChecker {
        /// The person.
        who: String,
    },
    /// A reason is missing or too long.
    #[error("the reason has to be 1 to {REASON_CHARS_MAX} characters, and is {0}")]
    Reason(usize),
    /// The overlap is longer than the rule allows.
    #[error("a replaced key counts for 0 to 168 hours more, not for {0} seconds")]
    Overlap(u64),
    /// It ends before it begins.
    #[error("the key would be expired already")]
    Expired,
}

impl Key {
    /// Whether what it signs is believed at this moment.
    pub fn counts(&self, now: Instant) -> bool {
        now < self.ends_at()
            && match self.state {
                KeyState::Active => true,
                KeyState::Retiring => self.retires_at.is_some(),
                KeyState::Pending | KeyState::Revoked | KeyState::Expired => false,
            }
    }

    /// When it stops to count by itself.
    pub fn ends_at(&self) -> Instant {
        let retires_at = self.retires_at.unwrap_or(self.expires_at);
        retires_at.min(self.expires_at)
    }

    /// Whether somebody may decide about it: it waits for that, and was issued by another person.
    pub fn check_by(&self, checker: &str, step: &'static str) -> Result<(), KeyError> {
        self.expect(&[KeyState::Pending], step)?;
        if self.maker == checker {
            return Err(KeyError::MakerIsChecker {
                who: checker.to_owned(),
            });
        }
        Ok(())
    }

    /// Another person approves it: it counts from now on.
    pub fn approve(&self, checker: &str, now: Instant) -> Result<Key, KeyError> {
        self.check_by(checker, "approved")?;
        if now >= self.expires_at {
            return Err(KeyError::Expired);
        }
        Ok(Key {
            state: KeyState::Active,
            checker: Some(checker.to_owned()),
            active_at: Some(now),
            ..self.next()
        })
    }

    /// Another key takes its place: it counts for an overlap more.
    pub fn retire(&self, now: Instant, overlap: Duration) -> Result<Key, KeyError> {
        self.expect(&[KeyState::Active], "replaced")?;
        check_overlap(overlap)?;
        Ok(Key {
            state: KeyState::Retiring,
            retires_at: Some(now + overlap),
            ..self.next()
        })
    }

    /// Whoever may, takes it back: at once, and by one person, because waiting is what harms.
    pub fn revoke(&self, reason: &str, now: Instant) -> Result<Key, KeyError> {
        use KeyState::{Active, Pending, Retiring};
        self.expect(&[Pending, Active, Retiring], "revoked")?;
        check_reason(reason)?;
        Ok(Key {
            state: KeyState::Revoked,
            ended_at: Some(now),
            reason: Some(reason.to_owned()),
            ..self.next()
        })
    }

    /// The key as expired, if its time is over and its row does not say so yet.
    pub fn expire(&self, now: Instant) -> Option<Key> {
        use KeyState::{Active, Pending, Retiring};
        let is_open = matches!(self.state, Pending | Active | Retiring);
        (is_open && now >= self.ends_at()).then(|| Key {
            state: KeyState::Expired,
            ended_at: Some(now),
            ..self.next()
        })
    }

    /// The key with its private part handed out, which happens once.
    pub fn hand_out(&self, now: Instant) -> Result<Key, KeyError> {
        self.expect(&[KeyState::Active], "handed out")?;
        Ok(Key {
            handed_out_at: Some(now),
            ..self.next()
        })
    }

    /// How many days ahead its end is to be spoken of now, if it was not yet.
    pub fn notice_due(&self, now: Instant) -> Option<i32> {
        let left = self.expires_at - now;
        let due = NOTICE_DAYS
            .into_iter()
            .filter(|days| left <= chrono::Duration::days(i64::from(*days)))
            .min()?;
        let is_new = self.noticed_days.is_none_or(|before| due < before);
        (self.state == KeyState::Active && now < self.expires_at && is_new).then_some(due)
    }

    /// The key with a notice written down.
    pub fn noticed(&self, days: i32) -> Key {
        Key {
            noticed_days: Some(days),
            ..self.next()
        }
    }

    fn expect(&self, states: &[KeyState], step: &'static str) -> Result<(), KeyError> {
        if states.contains(&self.state) {
            return Ok(());
        }
        Err(KeyError::State {
            key_id: self.key_id.clone(),
            state: self.state,
            step,
        })
    }

    fn next(&self) -> Key {
        Key {
            version: self.version + 1,
            ..self.clone()
        }
    }
}

/// Holds an overlap to the rule.
pub fn check_overlap(overlap: Duration) -> Result<(), KeyError> {
    if overlap > OVERLAP_MAX {
        return Err(KeyError::Overlap(overlap.as_secs()));
    }
    Ok(())
}

fn check_reason(reason: &str) -> Result<(), KeyError> {
    let length = reason.trim().chars().count();
    if length == 0 || length > REASON_CHARS_MAX {
        return Err(KeyError::Reason(length));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    const DAY: i64 = 24 * 3_600;

    fn key(state: KeyState) -> Key {
        Key {
            key_id: KeyId::try_new("k-1").unwrap(),
            owner: KeyOwner::Merchant(MerchantCode::try_new("portal").unwrap()),
            algorithm: Algorithm::Ed25519,
            public_key: vec![1],
            thumbprint: "ab".to_owned(),
            origin: KeyOrigin::Uploaded,
            state,
            replaces: None,
            overlap: OVERLAP,
            maker: "operator:ann".to_owned(),
            checker: None,
            created_at: at(0),
            active_at: None,
            retires_at: None,
            expires_at: at(365 * DAY),
            ended_at: None,
            handed_out_at: None,
            reason: None,
            noticed_days: None,
            version: 3,
        }
    }

    /// Every state and every step: what is allowed, and where it leads.
    #[test]
    fn the_whole_table_of_steps() {
        use KeyState::{Active, Expired, Pending, Retiring, Revoked};
        let late = at(366 * DAY);
        for &state in KeyState::ALL {
            let key = key(state);
            let to = |step: Result<Key, KeyError>| step.ok().map(|key| key.state);
            let expected = match state {
                Pending => [Some(Active), None, Some(Revoked), Some(Expired), None],
                Active => [
                    None,
                    Some(Retiring),
                    Some(Revoked),
                    Some(Expired),
                    Some(Active),
                ],
                Retiring => [None, None, Some(Revoked), Some(Expired), None],
                Revoked | Expired => [None; 5],
            };
            let found = [
                to(key.approve("operator:bob", at(1))),
                to(key.retire(at(1), OVERLAP)),
                to(key.revoke("lost", at(1))),
                key.expire(late).map(|key| key.state),
                to(key.hand_out(at(1))),
            ];
            assert_eq!(found, expected, "{state}");
        }
    }

    #[test]
    fn each_step_is_a_version_and_says_who_and_when() {
        let active = key(KeyState::Pending)
            .approve("operator:bob", at(5))
            .unwrap();
        assert_eq!(active.version, 4);
        assert_eq!(active.checker.as_deref(), Some("operator:bob"));
        assert_eq!(active.active_at, Some(at(5)));
        let revoked = active.revoke("stolen", at(6)).unwrap();
        assert_eq!((revoked.version, revoked.ended_at), (5, Some(at(6))));
        assert_eq!(revoked.reason.as_deref(), Some("stolen"));
    }

    #[test]
    fn the_maker_is_never_the_checker() {
        let refused = key(KeyState::Pending).approve("operator:ann", at(1));
        let who = "operator:ann".to_owned();
        assert_eq!(refused, Err(KeyError::MakerIsChecker { who }));
    }

    #[test]
    fn whether_a_key_counts_goes_by_the_time_as_well() {
        assert!(!key(KeyState::Pending).counts(at(1)));
        let active = key(KeyState::Active);
        assert!(active.counts(at(1)) && active.counts(at(365 * DAY - 1)));
        assert!(!active.counts(at(365 * DAY)), "although no job has said so");
        let retiring = active.retire(at(0), Duration::from_secs(60)).unwrap();
        assert!(retiring.counts(at(59)) && !retiring.counts(at(60)));
        assert!(retiring.expire(at(59)).is_none());
        assert!(retiring.expire(at(60)).is_some());
        assert!(!active.revoke("lost", at(1)).unwrap().counts(at(1)));
    }

    #[test]
    fn an_overlap_is_seven_days_at_most() {
        let active = key(KeyState::Active);
        assert!(active.retire(at(0), OVERLAP_MAX).is_ok());
        let longer = OVERLAP_MAX + Duration::from_secs(1);
        assert_eq!(
            active.retire(at(0), longer),
            Err(KeyError::Overlap(604_801))
        );
    }

    #[test]
    fn notices_come_thirty_seven_and_one_day_ahead_once_each() {
        let mut key = key(KeyState::Active);
        assert_eq!(key.notice_due(at(334 * DAY)), None);
        assert_eq!(key.notice_due(at(335 * DAY)), Some(30));
        key = key.noticed(30);
        assert_eq!(key.notice_due(at(340 * DAY)), None);
        assert_eq!(key.notice_due(at(358 * DAY)), Some(7));
        key = key.noticed(7);
        assert_eq!(key.notice_due(at(364 * DAY)), Some(1));
        key = key.noticed(1);
        assert_eq!(key.notice_due(at(365 * DAY - 1)), None);
        assert_eq!(key.noticed_days, Some(1));
    }

    #[test]
    fn a_notice_that_was_missed_is_not_made_up_for() {
        let key = key(KeyState::Active);
        assert_eq!(key.notice_due(at(364 * DAY + 3_600)), Some(1));
    }

    #[test]
    fn a_reason_has_to_be_there_and_has_an_end() {
        let key = key(KeyState::Active);
        assert_eq!(key.revoke("  ", at(1)), Err(KeyError::Reason(0)));
        let long = "x".repeat(REASON_CHARS_MAX + 1);
        assert_eq!(key.revoke(&long, at(1)), Err(KeyError::Reason(1_001)));
    }
}
