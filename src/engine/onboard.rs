//! 渠道商户准入: a merchant comes in, is reviewed by two people, is taken into operation, suspended,
//! closed. Every verb reads the merchant, asks the domain, and writes what comes back with one audit
//! row, in one transaction, by compare-and-set on its version; a lost race is looked at again, so the
//! loser is told what it lost to.
//!
//! It needs the database and a clock only, so that a program without a running center can bring its
//! merchants in by the same verbs.

use super::{Actor, Clock, Engine, EngineError};
use crate::domain::audit::AuditEntry;
use crate::domain::ids::MerchantCode;
use crate::domain::merchant::{
    CheckItem, Dossier, MerchantKind, MerchantState, MerchantVerb, Profile, ReviewError, Revision,
    Tick,
};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::Instant;
use crate::storage::{Store, StoreError, catalogue, merchants};
use std::sync::Arc;

/// How often a lost race is looked at again. Each round somebody else has changed the merchant.
const ROUNDS_MAX: u32 = 8;

/// The desk where merchants come in. Cheap to clone.
#[derive(Clone)]
pub struct Onboarding {
    store: Store,
    clock: Arc<dyn Clock>,
    with_http: bool,
}

/// What a verb did, for the audit row.
struct Done {
    verb: MerchantVerb,
    words: Option<String>,
}

impl Engine {
    /// The desk where merchants come in.
    pub fn onboarding(&self) -> Onboarding {
        let inner = &self.0;
        Onboarding::new(
            inner.store.clone(),
            inner.clock.clone(),
            inner.options.sandbox,
        )
    }
}

impl Onboarding {
    /// A desk on a database. `with_http` allows plain http in notify URLs, for a sandbox.
    pub fn new(store: Store, clock: Arc<dyn Clock>, with_http: bool) -> Self {
        Self {
            store,
            clock,
            with_http,
        }
    }

    /// Enters a merchant with its first profile, as a draft.
    ///
    /// # Errors
    /// A refusal when the profile breaks a rule, or there is a merchant of this code.
    pub async fn register(
        &self,
        code: &MerchantCode,
        kind: MerchantKind,
        profile: Profile,
        maker: &Actor,
    ) -> Result<Dossier, EngineError> {
        self.check_profile(&profile, kind).await?;
        let now = self.clock.now();
        let dossier = Dossier::register(code.clone(), kind, profile, &maker.who, now);
        let done = Done {
            verb: MerchantVerb::Register,
            words: None,
        };
        let audit = audit(None, &dossier, &done, maker);
        let new = dossier.clone();
        let written = self.store.solo(move |tx| {
            let written = tx.add_merchant(&new)?;
            if written {
                tx.audit(audit.clone())?;
            }
            Ok(written)
        });
        if written.await? {
            return Ok(dossier);
        }
        let message = format!("merchant {code} is registered already; choose another code");
        Err(Refusal::new(RefusalCode::MerchantExists, message)
            .on("code")
            .into())
    }

    /// Writes another profile: of a merchant in operation it is a proposal, and what is approved stays
    /// in force until it is approved as well. `version` is the one that the maker read.
    ///
    /// # Errors
    /// A refusal when the profile breaks a rule, the state takes no edit, or somebody was first.
    pub async fn edit(
        &self,
        code: &MerchantCode,
        version: i32,
        profile: Profile,
        maker: &Actor,
    ) -> Result<Dossier, EngineError> {
        let kind = self.dossier(code).await?.kind;
        self.check_profile(&profile, kind).await?;
        self.change(code, MerchantVerb::Edit, None, maker, |dossier, at| {
            dossier.edit(version, profile.clone(), &maker.who, at)
        })
        .await
    }

    /// Hands the proposed profile to the checkers. `version` is the one that was read.
    ///
    /// # Errors
    /// A refusal when there is no draft, or somebody was first.
    pub async fn submit(
        &self,
        code: &MerchantCode,
        version: i32,
        who: &Actor,
    ) -> Result<Dossier, EngineError> {
        self.change(code, MerchantVerb::Submit, None, who, |dossier, at| {
            dossier.submit(version, &who.who, at)
        })
        .await
    }

    /// Ticks an item of the checklist for the content with this hash.
    ///
    /// # Errors
    /// A refusal when something else waits there by now, or the person wrote or submitted it.
    pub async fn check(
        &self,
        code: &MerchantCode,
        hash: &str,
        (item, note): (CheckItem, &str),
        who: &Actor,
    ) -> Result<Dossier, EngineError> {
        let words = Some(format!("{item}: {note}"));
        self.change(code, MerchantVerb::Check, words, who, |dossier, at| {
            let tick = Tick {
                item,
                by: who.who.clone(),
                note: note.to_owned(),
                at,
            };
            dossier.check(hash, tick)
        })
        .await
    }

    /// Approves the profile with this hash: it is in force from now on.
    ///
    /// # Errors
    /// A refusal when something else waits there by now, another checker was first, the checker wrote
    /// or submitted it, or an item is not ticked.
    pub async fn approve(
        &self,
        code: &MerchantCode,
        hash: &str,
        checker: &Actor,
    ) -> Result<Dossier, EngineError> {
        self.change(code, MerchantVerb::Approve, None, checker, |dossier, at| {
            dossier.approve(hash, &checker.who, at)
        })
        .await
    }

    /// Rejects the profile with this hash.
    ///
    /// # Errors
    /// As for [`Onboarding::approve`], the ticks aside; or the reason is missing.
    pub async fn reject(
        &self,
        code: &MerchantCode,
        hash: &str,
        reason: &str,
        checker: &Actor,
    ) -> Result<Dossier, EngineError> {
        let words = Some(reason.to_owned());
        self.change(code, MerchantVerb::Reject, words, checker, |dossier, at| {
            dossier.reject(hash, reason, &checker.who, at)
        })
        .await
    }

    /// Takes a merchant into operation, suspends, resumes or closes it. From the moment this returns a
    /// suspended merchant makes no order and starts no payment, on no replica.
    ///
    /// # Errors
    /// A refusal when the state does not take it, or the reason is missing.
    pub async fn switch(
        &self,
        code: &MerchantCode,
        verb: MerchantVerb,
        reason: &str,
        who: &Actor,
    ) -> Result<Dossier, EngineError> {
        let words = Some(reason.to_owned());
        self.change(code, verb, words, who, |dossier, at| {
            dossier.switch(verb, reason, at)
        })
        .await
    }

    async fn dossier(&self, code: &MerchantCode) -> Result<Dossier, EngineError> {
        let wanted = code.clone();
        let found = self
            .store
            .read(move |c| merchants::find(c, &wanted))
            .await?;
        found.ok_or_else(|| not_registered(code).on("code").into())
    }

    /// Reads, asks the domain, writes; again where somebody else was faster.
    async fn change(
        &self,
        code: &MerchantCode,
        verb: MerchantVerb,
        words: Option<String>,
        actor: &Actor,
        ask: impl Fn(&Dossier, Instant) -> Result<Dossier, ReviewError>,
    ) -> Result<Dossier, EngineError> {
        let done = Done { verb, words };
        for _ in 0..ROUNDS_MAX {
            let before = self.dossier(code).await?;
            let after = ask(&before, self.clock.now()).map_err(refusal)?;
            let audit = audit(Some(before.state), &after, &done, actor);
            let new = after.clone();
            let written = self.store.solo(move |tx| {
                let written = tx.replace_merchant(&before, &new)?;
                if written {
                    tx.audit(audit.clone())?;
                }
                Ok(written)
            });
            if written.await? {
                return Ok(after);
            }
        }
        Err(StoreError::GaveWay(format!("merchant {code} changes all the time")).into())
    }

    /// The profile's own rules, and whether what it names is in the catalogue.
    async fn check_profile(
        &self,
        profile: &Profile,
        kind: MerchantKind,
    ) -> Result<(), EngineError> {
        let checked = profile.check(kind, self.with_http);
        checked.map_err(|error| refusal(error.into()))?;
        if profile.items.is_empty() && profile.regions.is_empty() {
            return Ok(());
        }
        let known = self.store.read(catalogue::load).await?;
        let missing = profile.items.iter().find(|item| known.item(item).is_none());
        if let Some(item) = missing {
            let message = format!("items: there is no item {item} in the catalogue");
            return Err(invalid("items", message).into());
        }
        let missing = profile
            .regions
            .iter()
            .find(|region| known.region(**region).is_none());
        if let Some(region) = missing {
            let message = format!("regions: there is no region {region} in the catalogue");
            return Err(invalid("regions", message).into());
        }
        Ok(())
    }
}

/// The refusal of a merchant that nobody registered.
pub(super) fn not_registered(code: &MerchantCode) -> Refusal {
    Refusal::new(
        RefusalCode::MerchantNotFound,
        format!("merchant {code} is not registered"),
    )
}

fn invalid(field: &'static str, message: String) -> Refusal {
    Refusal::new(RefusalCode::InvalidArgument, message).on(field)
}

fn audit(before: Option<MerchantState>, after: &Dossier, done: &Done, actor: &Actor) -> AuditEntry {
    use MerchantVerb as V;
    let named = match done.verb {
        V::Register | V::Edit | V::Submit | V::Check | V::Reject => after.proposed.as_ref(),
        V::Approve => after.approved.as_ref(),
        V::Activate | V::Suspend | V::Resume | V::Close => None,
    };
    let content =
        |revision: &Revision| format!("revision {} {}", revision.number, after.hash_of(revision));
    let words: Vec<String> = [named.map(content), done.words.clone()]
        .into_iter()
        .flatten()
        .collect();
    AuditEntry {
        at: after.updated_at,
        actor: actor.who.clone(),
        action: format!("MERCHANT_{}", done.verb),
        subject_kind: "MERCHANT",
        subject: after.code.to_string(),
        before: before.map(|state| state.as_str().to_owned()),
        after: Some(after.state.as_str().to_owned()),
        detail: Some(words.join("; ")),
        request_id: actor.request_id.clone(),
    }
}

fn refusal(error: ReviewError) -> Refusal {
    let message = error.to_string();
    let (code, field) = match error {
        ReviewError::Profile(error) => (RefusalCode::InvalidArgument, error.field),
        ReviewError::Words(field) => (RefusalCode::InvalidArgument, field),
        ReviewError::State { .. } => (RefusalCode::MerchantStateConflict, "code"),
        ReviewError::Changed(_) => (RefusalCode::MerchantChanged, "version"),
        ReviewError::NotSubmitted(_) => (RefusalCode::MerchantNotSubmitted, "code"),
        ReviewError::ContentChanged(_) => (RefusalCode::MerchantContentChanged, "contentHash"),
        ReviewError::AlreadyDecided { .. } => (RefusalCode::MerchantAlreadyDecided, "contentHash"),
        ReviewError::MakerIsChecker { .. } => (RefusalCode::MakerIsChecker, "code"),
        ReviewError::Unticked { .. } => (RefusalCode::ChecklistIncomplete, "contentHash"),
    };
    Refusal::new(code, message).on(field)
}
