//! 经办与复核: everything about a merchant, and what two people do with it.
//!
//! The maker writes and submits, the checker verifies item by item and approves. They are told apart
//! by name, whatever roles they have or get later: nobody who wrote or submitted a revision ticks,
//! approves or rejects it. The database refuses the same once more by a CHECK.
//!
//! An edit makes a new revision without a tick, so ticks and an approval are always about the very
//! content that was read; the checker names it by its hash.

use super::profile::{Profile, ProfileError};
use super::{CheckItem, MerchantKind, MerchantState, MerchantVerb, NotInThisState, Stage, next};
use crate::domain::case::is_plain;
use crate::domain::ids::MerchantCode;
use crate::domain::time::Instant;

/// How long a note or a reason may be, in characters.
const WORDS_CHARS_MAX: usize = 1_000;

/// An item of the checklist that somebody has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Which item.
    pub item: CheckItem,
    /// Who verified it.
    pub by: String,
    /// What was seen, in words.
    pub note: String,
    /// When.
    pub at: Instant,
}

/// A profile as somebody wrote it once; its content never changes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its number, from 1.
    pub number: i32,
    /// Where it stands.
    pub stage: Stage,
    /// The content.
    pub profile: Profile,
    /// Who wrote it.
    pub maker: String,
    /// When it was written.
    pub made_at: Instant,
    /// Who submitted it.
    pub submitter: Option<String>,
    /// When it was submitted.
    pub submitted_at: Option<Instant>,
    /// Who approved or rejected it.
    pub checker: Option<String>,
    /// When it was approved or rejected.
    pub decided_at: Option<Instant>,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// The content's hash as the checker named it.
    pub approved_hash: Option<String>,
    /// What was verified.
    pub ticks: Vec<Tick>,
}

/// Everything about a merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dossier {
    /// The code by which it is named everywhere.
    pub code: MerchantCode,
    /// What kind it is.
    pub kind: MerchantKind,
    /// Where it stands.
    pub state: MerchantState,
    /// Why it was rejected, suspended or closed.
    pub reason: Option<String>,
    /// When it was registered.
    pub registered_at: Instant,
    /// When it last changed.
    pub updated_at: Instant,
    /// Grows with every change.
    pub version: i32,
    /// What is in force.
    pub approved: Option<Revision>,
    /// What is proposed, or was rejected last.
    pub proposed: Option<Revision>,
}

/// Why a verb was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// The profile breaks a rule.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A note or a reason is missing, too long, or holds control characters.
    #[error(
        "{0} has to be 1 to {WORDS_CHARS_MAX} characters, without control characters besides line ends and tabs"
    )]
    Words(&'static str),
    /// The merchant's state does not take the verb.
    #[error("merchant {code} is {state}, which does not take {verb}")]
    State {
        /// Which merchant.
        code: MerchantCode,
        /// Where it stands.
        state: MerchantState,
        /// What was tried.
        verb: MerchantVerb,
    },
    /// Somebody else changed the merchant since it was read.
    #[error("merchant {0} is not at the version that was read; read it again")]
    Changed(MerchantCode),
    /// There is nothing that waits for a checker.
    #[error("merchant {0} has no submitted profile; its maker has to submit one first")]
    NotSubmitted(MerchantCode),
    /// What waits is not what the checker read.
    #[error(
        "the profile of merchant {0} was edited since it was read; read it again, and decide about what stands there now"
    )]
    ContentChanged(MerchantCode),
    /// Another checker was first.
    #[error("that profile of merchant {code} was decided already: it is {stage}")]
    AlreadyDecided {
        /// Which merchant.
        code: MerchantCode,
        /// What it came to.
        stage: Stage,
    },
    /// Whoever wrote or submitted it cannot check it.
    #[error(
        "{who} wrote or submitted this profile of merchant {code}; another person has to check it"
    )]
    MakerIsChecker {
        /// Which merchant.
        code: MerchantCode,
        /// Who tried.
        who: String,
    },
    /// Something is not verified yet.
    #[error("not verified yet for merchant {code}: {}; tick each of them first", list(.missing))]
    Unticked {
        /// Which merchant.
        code: MerchantCode,
        /// What is missing.
        missing: Vec<CheckItem>,
    },
}

fn list(items: &[CheckItem]) -> String {
    let words: Vec<&str> = items.iter().map(|item| item.as_str()).collect();
    words.join(", ")
}

impl Dossier {
    /// A merchant that is entered for the first time.
    pub fn register(
        code: MerchantCode,
        kind: MerchantKind,
        profile: Profile,
        maker: &str,
        at: Instant,
    ) -> Dossier {
        Dossier {
            code,
            kind,
            state: MerchantState::Draft,
            reason: None,
            registered_at: at,
            updated_at: at,
            version: 0,
            approved: None,
            proposed: Some(Revision::new(1, profile, maker, at)),
        }
    }

    /// The hash of a revision's content.
    pub fn hash_of(&self, revision: &Revision) -> String {
        revision.profile.content_hash(&self.code, self.kind)
    }

    /// Another profile; `version` is the one that its maker read.
    ///
    /// # Errors
    /// The state takes no edit, or somebody changed the merchant meanwhile.
    pub fn edit(
        &self,
        version: i32,
        profile: Profile,
        maker: &str,
        at: Instant,
    ) -> Result<Dossier, ReviewError> {
        let mut after = self.step(MerchantVerb::Edit, at)?;
        self.check_version(version)?;
        let revisions = [&self.approved, &self.proposed];
        let last = revisions.into_iter().flatten().map(|r| r.number).max();
        let number = last.unwrap_or(0) + 1;
        after.proposed = Some(Revision::new(number, profile, maker, at));
        Ok(after)
    }

    /// The proposed profile goes to the checkers.
    ///
    /// # Errors
    /// There is no draft, or somebody changed the merchant meanwhile.
    pub fn submit(&self, version: i32, who: &str, at: Instant) -> Result<Dossier, ReviewError> {
        let verb = MerchantVerb::Submit;
        let mut after = self.step(verb, at)?;
        self.check_version(version)?;
        let revision = self.proposed.as_ref();
        let stage = revision.map(|revision| revision.stage.after(verb));
        let (Some(revision), Some(Ok(stage))) = (revision, stage) else {
            return Err(self.refuse(verb));
        };
        after.proposed = Some(Revision {
            stage,
            submitter: Some(who.to_owned()),
            submitted_at: Some(at),
            ..revision.clone()
        });
        Ok(after)
    }

    /// An item of the checklist is verified for the content with this hash; verified again, the newer
    /// note stands.
    ///
    /// # Errors
    /// What waits is something else, or the person is its maker.
    pub fn check(&self, hash: &str, tick: Tick) -> Result<Dossier, ReviewError> {
        check_words("note", &tick.note)?;
        let (_, mut revision) = self.decided_by(MerchantVerb::Check, hash, &tick.by)?;
        let mut after = self.step(MerchantVerb::Check, tick.at)?;
        revision.ticks.retain(|known| known.item != tick.item);
        revision.ticks.push(tick);
        after.proposed = Some(revision);
        Ok(after)
    }

    /// The checker agrees: the proposed profile with this hash is in force from now on.
    ///
    /// # Errors
    /// What waits is something else, somebody was first, the checker is its maker, or something is not
    /// verified.
    pub fn approve(&self, hash: &str, checker: &str, at: Instant) -> Result<Dossier, ReviewError> {
        let (stage, revision) = self.decided_by(MerchantVerb::Approve, hash, checker)?;
        let is_missing = |item: &&CheckItem| !revision.ticks.iter().any(|tick| tick.item == **item);
        let missing: Vec<CheckItem> = CheckItem::ALL.iter().filter(is_missing).copied().collect();
        if !missing.is_empty() {
            let code = self.code.clone();
            return Err(ReviewError::Unticked { code, missing });
        }
        let mut after = self.step(MerchantVerb::Approve, at)?;
        after.proposed = None;
        after.approved = Some(Revision {
            stage,
            checker: Some(checker.to_owned()),
            decided_at: Some(at),
            approved_hash: Some(hash.to_owned()),
            ..revision
        });
        Ok(after)
    }

    /// The checker does not agree.
    ///
    /// # Errors
    /// What waits is something else, somebody was first, the checker is its maker, or there is no
    /// reason.
    pub fn reject(
        &self,
        hash: &str,
        reason: &str,
        checker: &str,
        at: Instant,
    ) -> Result<Dossier, ReviewError> {
        check_words("reason", reason)?;
        let (stage, revision) = self.decided_by(MerchantVerb::Reject, hash, checker)?;
        let mut after = self.step(MerchantVerb::Reject, at)?;
        if after.state == MerchantState::Rejected {
            after.reason = Some(reason.to_owned());
        }
        after.proposed = Some(Revision {
            stage,
            checker: Some(checker.to_owned()),
            decided_at: Some(at),
            reason: Some(reason.to_owned()),
            ..revision
        });
        Ok(after)
    }

    /// Takes it into operation, suspends, resumes or closes it.
    ///
    /// # Errors
    /// The state does not take it, or there is no reason.
    pub fn switch(
        &self,
        verb: MerchantVerb,
        reason: &str,
        at: Instant,
    ) -> Result<Dossier, ReviewError> {
        check_words("reason", reason)?;
        let mut after = self.step(verb, at)?;
        after.reason = match after.state {
            MerchantState::Suspended | MerchantState::Closed => Some(reason.to_owned()),
            _ => None,
        };
        Ok(after)
    }

    /// The next version, with the state that the verb leads to.
    fn step(&self, verb: MerchantVerb, at: Instant) -> Result<Dossier, ReviewError> {
        let state = next(self.state, verb).map_err(|NotInThisState| self.refuse(verb))?;
        let reason = self.reason.clone().filter(|_| state == self.state);
        Ok(Dossier {
            state,
            reason,
            updated_at: at.max(self.updated_at),
            version: self.version + 1,
            ..self.clone()
        })
    }

    /// What a checker may decide about, and the stage that it comes to. First of all it is asked
    /// whether it is still what the checker read.
    fn decided_by(
        &self,
        verb: MerchantVerb,
        hash: &str,
        who: &str,
    ) -> Result<(Stage, Revision), ReviewError> {
        let code = || self.code.clone();
        let is_named = |revision: &&Revision| self.hash_of(revision) == hash;
        let Some(revision) = self.proposed.as_ref().filter(|r| r.stage.is_open()) else {
            let decided = [&self.approved, &self.proposed];
            return Err(match decided.into_iter().flatten().find(is_named) {
                Some(Revision { stage, .. }) => ReviewError::AlreadyDecided {
                    code: code(),
                    stage: *stage,
                },
                None if self.state == MerchantState::Closed => self.refuse(verb),
                None => ReviewError::NotSubmitted(code()),
            });
        };
        if !is_named(&revision) {
            return Err(ReviewError::ContentChanged(code()));
        }
        let stage = revision.stage.after(verb);
        let stage = stage.map_err(|NotInThisState| ReviewError::NotSubmitted(code()))?;
        if revision.maker == who || revision.submitter.as_deref() == Some(who) {
            let who = who.to_owned();
            return Err(ReviewError::MakerIsChecker { code: code(), who });
        }
        Ok((stage, revision.clone()))
    }

    fn check_version(&self, version: i32) -> Result<(), ReviewError> {
        if self.version == version {
            return Ok(());
        }
        Err(ReviewError::Changed(self.code.clone()))
    }

    fn refuse(&self, verb: MerchantVerb) -> ReviewError {
        ReviewError::State {
            code: self.code.clone(),
            state: self.state,
            verb,
        }
    }
}

impl Revision {
    fn new(number: i32, profile: Profile, maker: &str, at: Instant) -> Self {
        Self {
            number,
            stage: Stage::Draft,
            profile,
            maker: maker.to_owned(),
            made_at: at,
            submitter: None,
            submitted_at: None,
            checker: None,
            decided_at: None,
            reason: None,
            approved_hash: None,
            ticks: Vec::new(),
        }
    }
}

fn check_words(field: &'static str, text: &str) -> Result<(), ReviewError> {
    let length = text.trim().chars().count();
    if (1..=WORDS_CHARS_MAX).contains(&length) && is_plain(text) {
        return Ok(());
    }
    Err(ReviewError::Words(field))
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
