//! The own account: one-time codes. A new secret counts only when its first code has come back, so
//! that nobody locks themselves out with an app that did not take it.

use super::codes::{CodeSecret, SECRET_BYTES, Seal, otpauth, rewrapped};
use super::passwords::random;
use super::{Operators, Visit, entry};
use crate::domain::operator::{Operator, Sealed};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::engine::{Actor, EngineError};
use crate::storage::{StoreError, Tx, operators};
use secrecy::{ExposeSecret, SecretString};

/// A secret of one-time codes, shown to its holder once.
#[derive(Clone, Debug)]
pub struct CodesBegun {
    /// To be typed into an authenticator app.
    pub secret: SecretString,
    /// The same as the address of a QR code.
    pub address: SecretString,
}

impl Operators {
    /// Makes a secret of one-time codes, which counts when its first code is confirmed. One that
    /// counts already goes on counting until then.
    ///
    /// # Errors
    /// `CODES_NOT_AVAILABLE` without a master key.
    pub async fn begin_codes(
        &self,
        visit: &Visit,
        actor: &Actor,
    ) -> Result<CodesBegun, EngineError> {
        let name = visit.operator.name.clone();
        let secret = CodeSecret::new(random::<SECRET_BYTES>()?);
        let sealed = secret.sealed(self.seal()?, &name).map_err(|why| {
            StoreError::Settings(format!("a secret of codes cannot be sealed: {why}"))
        })?;
        let audit = entry(self.now(), actor, "TOTP_BEGUN", name.as_str());
        let of = name.clone();
        let begun = move |tx: &mut Tx<'_>| {
            let Some(operator) = tx.operator(&of)? else {
                return Ok(false);
            };
            tx.replace_operator(&Operator {
                totp_pending: Some(sealed.clone()),
                version: operator.version + 1,
                ..operator
            })?;
            tx.audit(audit.clone())?;
            Ok(true)
        };
        if !self.0.store.solo(begun).await? {
            return Err(super::accounts::not_found(&name).into());
        }
        let base32 = secret.base32();
        Ok(CodesBegun {
            address: SecretString::from(otpauth(&name, &base32)),
            secret: SecretString::from(base32),
        })
    }

    /// Takes the first code of a new secret: from now on it counts, and the code is used up.
    ///
    /// # Errors
    /// `CODES_NOT_BEGUN` where no secret waits, `CODE_INVALID` for a code that is not its own.
    pub async fn confirm_codes(
        &self,
        visit: &Visit,
        code: &SecretString,
        actor: &Actor,
    ) -> Result<Operator, EngineError> {
        let name = visit.operator.name.clone();
        let of = name.clone();
        let found = self.0.store.read(move |c| operators::find(c, &of)).await?;
        let pending = found.and_then(|operator| operator.totp_pending);
        let pending = pending.ok_or_else(not_begun)?;
        let secret = CodeSecret::open(self.seal()?, &name, &pending).map_err(|why| {
            StoreError::Settings(format!("the secret of {name}'s codes does not open: {why}"))
        })?;
        let now = self.now();
        let Some(step) = secret.step_of(code.expose_secret(), now) else {
            let words = "the code is not one of the new secret; is the app's time right? Then try the \
                         next code";
            return Err(Refusal::new(RefusalCode::CodeInvalid, words)
                .on("code")
                .into());
        };
        let audit = entry(now, actor, "TOTP_CONFIRMED", name.as_str());
        let confirmed = move |tx: &mut Tx<'_>| {
            let operator = tx.operator(&name)?;
            let Some(operator) = operator.filter(|one| one.totp_pending.as_ref() == Some(&pending))
            else {
                return Ok(None);
            };
            let after = Operator {
                totp: operator.totp_pending.clone(),
                totp_pending: None,
                totp_step: Some(step),
                version: operator.version + 1,
                ..operator
            };
            tx.replace_operator(&after)?;
            tx.audit(audit.clone())?;
            Ok(Some(after))
        };
        let after = self.0.store.solo(confirmed).await?;
        after.ok_or_else(|| not_begun().into())
    }

    /// Brings every secret of one-time codes under the master key that seals now; how many accounts had
    /// to change. It may be run again, and beside a working center: somebody who logs in at that very
    /// moment may have to try once more.
    ///
    /// # Errors
    /// `CODES_NOT_AVAILABLE` without a master key; a secret that does not open.
    pub async fn rewrap_codes(&self, actor: &Actor) -> Result<usize, EngineError> {
        let seal = self.seal()?;
        let mut changed = 0;
        for operator in self.list().await? {
            let rewrapped = |sealed: &Option<Sealed>| {
                rewrapped(seal, &operator.name, sealed.as_ref()).map_err(|why| {
                    let name = &operator.name;
                    StoreError::Settings(format!("the secret of {name}'s codes stays: {why}"))
                })
            };
            let (totp, pending) = (
                rewrapped(&operator.totp)?,
                rewrapped(&operator.totp_pending)?,
            );
            if totp.is_none() && pending.is_none() {
                continue;
            }
            let audit = entry(self.now(), actor, "TOTP_REWRAPPED", operator.name.as_str());
            let written = move |tx: &mut Tx<'_>| {
                let Some(now) = tx.operator(&operator.name)? else {
                    return Ok(false);
                };
                // What was set up anew meanwhile is under the new key already.
                if (&now.totp, &now.totp_pending) != (&operator.totp, &operator.totp_pending) {
                    return Ok(false);
                }
                tx.replace_operator(&Operator {
                    totp: totp.clone().or(now.totp),
                    totp_pending: pending.clone().or(now.totp_pending),
                    version: now.version + 1,
                    ..now
                })?;
                tx.audit(audit.clone())?;
                Ok(true)
            };
            changed += usize::from(self.0.store.solo(written).await?);
        }
        Ok(changed)
    }

    fn seal(&self) -> Result<&dyn Seal, Refusal> {
        self.0.seal.as_deref().ok_or_else(|| {
            let words = "one-time codes are not set up here: the settings name no master key";
            Refusal::new(RefusalCode::CodesNotAvailable, words)
        })
    }
}

fn not_begun() -> Refusal {
    let words = "no secret of one-time codes waits to be confirmed; begin anew";
    Refusal::new(RefusalCode::CodesNotBegun, words)
}
