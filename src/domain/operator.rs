//! People of the center who log in: roles, what a password has to be, when an account is locked, and
//! how long a session lasts. Everything here is a plain function of its arguments; who computes a
//! password's hash and who writes the rows stands elsewhere.
//!
//! A lock ends by time and nobody has to write that down, so the state is read from the row and the
//! clock and never stored.

use super::ids::OperatorName;
use super::named_enum;
use super::time::Instant;
use chrono::Duration;

named_enum! {
    /// What an operator is for.
    pub enum Role {
        /// Reads everything but the audit rows of operators.
        Viewer = "VIEWER",
        /// 经办: proposes decisions and cancels orders.
        Operator = "OPERATOR",
        /// 复核: approves and rejects what others proposed.
        Reviewer = "REVIEWER",
        /// Reads everything, operators and audit included; changes nothing.
        Auditor = "AUDITOR",
        /// All of it; maker and checker of one case still have to be two people.
        Admin = "ADMIN",
    }
}

named_enum! {
    /// Where an account stands.
    pub enum OperatorState {
        /// May log in.
        Active = "ACTIVE",
        /// Too many wrong tries; it may log in again when the lock's time is over.
        Locked = "LOCKED",
        /// Switched off by an administrator.
        Disabled = "DISABLED",
    }
}

/// Wrong tries in a row after which an account is locked, and again after each so many more.
pub const TRIES_PER_LOCK: u32 = 5;
/// How long the first lock lasts; each further one in a row lasts twice as long.
const FIRST_LOCK_MIN: i64 = 15;
/// The longest lock: 24 hours, after which a person who mistypes may try again.
const LONGEST_LOCK_MIN: i64 = 24 * 60;

/// How long an account is locked when its latest wrong try was the n-th in a row; none where it is not.
pub fn lock_after(failures: u32) -> Option<Duration> {
    if failures == 0 || !failures.is_multiple_of(TRIES_PER_LOCK) {
        return None;
    }
    let doublings = failures / TRIES_PER_LOCK - 1;
    let minutes = 1_i64
        .checked_shl(doublings)
        .filter(|factor| *factor > 0)
        .and_then(|factor| FIRST_LOCK_MIN.checked_mul(factor))
        .map_or(LONGEST_LOCK_MIN, |minutes| minutes.min(LONGEST_LOCK_MIN));
    Some(Duration::minutes(minutes))
}

/// An operator's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name by which the person logs in and by which audit rows name who did something.
    pub name: OperatorName,
    /// The person's own name.
    pub display_name: String,
    /// What the person is for.
    pub role: Role,
    /// When an administrator switched the account off.
    pub disabled_at: Option<Instant>,
    /// The password's argon2id hash, as a PHC string.
    pub password_hash: PasswordHash,
    /// Somebody else knows the password too: it has to be changed before anything else.
    pub password_is_temporary: bool,
    /// The secret of one-time codes in force, sealed.
    pub totp: Option<Sealed>,
    /// One that waits for its first code, sealed.
    pub totp_pending: Option<Sealed>,
    /// The latest step of time whose code was used; it and all before it are refused.
    pub totp_step: Option<i64>,
    /// Wrong tries in a row.
    pub failures: u32,
    /// Until when nobody may log in.
    pub locked_until: Option<Instant>,
    /// When the account was made.
    pub created_at: Instant,
    /// When the person last logged in.
    pub last_login_at: Option<Instant>,
    /// Counts the changes.
    pub version: i32,
}

/// A password's hash as a PHC string. It is shown to nobody, and printed by no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

/// A secret that only the holder of the master key can open.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// What somebody showed to prove who they are; computed before the transaction that judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The password is the account's.
    pub is_password_right: bool,
    /// The step of time to which the one-time code belongs; none for a wrong or missing code.
    pub code_step: Option<i64>,
}

named_enum! {
    /// Why somebody was not let in. Only the audit row says which; the answer is the same for all.
    pub enum NotLetIn {
        /// Nobody has this name.
        UnknownName = "UNKNOWN_NAME",
        /// The account is switched off.
        Disabled = "DISABLED",
        /// The account is locked; this try was not even judged.
        Locked = "LOCKED",
        /// The password is wrong.
        WrongPassword = "WRONG_PASSWORD",
        /// The one-time code is missing or wrong.
        WrongCode = "WRONG_CODE",
        /// The one-time code is right, and was used already.
        UsedCode = "USED_CODE",
        /// The account was changed while the password was being computed, or the session has ended.
        Overtaken = "OVERTAKEN",
        /// The identity provider vouches for another person than the session's.
        OtherPerson = "OTHER_PERSON",
    }
}

impl Operator {
    /// Where the account stands now.
    pub fn state(&self, now: Instant) -> OperatorState {
        if self.disabled_at.is_some() {
            OperatorState::Disabled
        } else if self.locked_until.is_some_and(|until| now < until) {
            OperatorState::Locked
        } else {
            OperatorState::Active
        }
    }

    /// Judges a proof: the account as it stands afterwards, and whether the person is let in. A locked
    /// or disabled account is not changed, so that nobody makes a lock longer by going on.
    pub fn judge(&self, proof: Proof, now: Instant) -> (Operator, Result<(), NotLetIn>) {
        match self.state(now) {
            OperatorState::Disabled => return (self.clone(), Err(NotLetIn::Disabled)),
            OperatorState::Locked => return (self.clone(), Err(NotLetIn::Locked)),
            OperatorState::Active => {}
        }
        let used_up = self.totp_step.unwrap_or(i64::MIN);
        let why = match (&self.totp, proof.code_step) {
            _ if !proof.is_password_right => NotLetIn::WrongPassword,
            (None, _) => return (self.let_in(None), Ok(())),
            (Some(_), None) => NotLetIn::WrongCode,
            (Some(_), Some(step)) if step <= used_up => NotLetIn::UsedCode,
            (Some(_), Some(step)) => return (self.let_in(Some(step)), Ok(())),
        };
        let failures = self.failures.saturating_add(1);
        let failed = Operator {
            failures,
            locked_until: lock_after(failures).map(|lock| now + lock),
            version: self.version + 1,
            ..self.clone()
        };
        (failed, Err(why))
    }

    fn let_in(&self, code_step: Option<i64>) -> Operator {
        Operator {
            failures: 0,
            locked_until: None,
            totp_step: code_step.or(self.totp_step),
            version: self.version + 1,
            ..self.clone()
        }
    }
}

/// The fewest characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// The most characters of a password; more would only cost computing.
pub const PASSWORD_CHARS_MAX: usize = 256;

/// Commonest passwords that are long enough for the rule of length (lower case; looked for at the
/// beginning, so that digits behind one do not help).
const COMMON: &[&str] = &[
    "123456789012",
    "1234567890",
    "0123456789",
    "987654321",
    "1q2w3e4r5t",
    "1qaz2wsx3edc",
    "qwertyuiop",
    "qwerty123456",
    "asdfghjkl",
    "abcdefghijkl",
    "abc123abc123",
    "abcd1234",
    "iloveyou",
    "letmein",
    "welcome",
    "password",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "woaini",
    "admin",
    "administrator",
    "changeme",
    "payhall",
];

/// Why a password is not taken. No message repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Too short or too long.
    #[error("a password has to have {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters")]
    Length,
    /// It holds the name.
    #[error("a password may not hold the name that it belongs to")]
    Name,
    /// It is among those that are tried first.
    #[error(
        "this password is among those that are tried first; take a few words that do not belong together"
    )]
    Common,
}

/// Checks a new password of an operator.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_password(name: &OperatorName, password: &str) -> Result<(), BadPassword> {
    let chars = password.chars().count();
    if !(PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&chars) {
        return Err(BadPassword::Length);
    }
    let folded = password.to_lowercase();
    if folded.contains(name.as_str()) {
        return Err(BadPassword::Name);
    }
    let different: std::collections::HashSet<char> = folded.chars().collect();
    let is_common = |known: &str| {
        let rest = folded.strip_prefix(known);
        rest.is_some_and(|rest| rest.chars().all(|c| !c.is_alphabetic()))
    };
    if different.len() < 5 || COMMON.iter().any(|known| is_common(known)) {
        return Err(BadPassword::Common);
    }
    Ok(())
}

/// The longest display name.
pub const DISPLAY_NAME_CHARS_MAX: usize = 80;

/// Whether a text can be a person's name: 1 to 80 characters, none of them a control character.
pub fn is_display_name(text: &str) -> bool {
    (1..=DISPLAY_NAME_CHARS_MAX).contains(&text.chars().count())
        && text.trim() == text
        && !text.chars().any(char::is_control)
}

/// How long a session may stand unused.
pub const SESSION_IDLE: Duration = Duration::minutes(15);
/// How long a session may last, however much it is used.
pub const SESSION_LASTS: Duration = Duration::hours(8);
/// How long after a proof of who one is what moves money may be done.
pub const SESSION_FRESH: Duration = Duration::minutes(5);
/// A session's use is written down at most this often, so an unused one may end so much earlier.
pub const SESSION_SEEN_EVERY: Duration = Duration::minutes(1);

/// An operator's session. The secret that the browser holds is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the secret, in hexadecimal digits.
    pub secret_hash: String,
    /// Whose it is.
    pub operator: OperatorName,
    /// When the person logged in; a secret that is changed on the way keeps it.
    pub created_at: Instant,
    /// When it was last used, as far as that was written down.
    pub seen_at: Instant,
    /// Until when it may do what moves money.
    pub fresh_until: Instant,
    /// When it was ended: logged out, changed for another, or by an administrator.
    pub ended_at: Option<Instant>,
}

impl Session {
    /// The session of somebody who has just proved who they are.
    pub fn begin(secret_hash: String, operator: OperatorName, now: Instant) -> Self {
        Self {
            secret_hash,
            operator,
            created_at: now,
            seen_at: now,
            fresh_until: now + SESSION_FRESH,
            ended_at: None,
        }
    }

    /// When it ends unless it is used before.
    pub fn expires_at(&self) -> Instant {
        (self.seen_at + SESSION_IDLE).min(self.created_at + SESSION_LASTS)
    }

    /// Whether it still holds.
    pub fn is_alive(&self, now: Instant) -> bool {
        self.ended_at.is_none() && now < self.expires_at()
    }

    /// Whether it may do what moves money.
    pub fn is_fresh(&self, now: Instant) -> bool {
        now < self.fresh_until
    }

    /// Whether its use has to be written down again.
    pub fn is_to_be_seen(&self, now: Instant) -> bool {
        now - self.seen_at >= SESSION_SEEN_EVERY
    }
}

#[cfg(test)]
#[path = "operator_tests.rs"]
mod tests;
