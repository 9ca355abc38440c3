//! One-time codes by RFC 6238: SHA-1, six digits, 30 seconds, one step of tolerance to either side,
//! which is what authenticator apps expect. The secret is kept sealed; only its holder and, for the
//! moment of a check, this program see it.

use crate::domain::ids::OperatorName;
use crate::domain::operator::Sealed;
use crate::domain::time::Instant;
use subtle::ConstantTimeEq;
use totp_rs::{Algorithm, TOTP};
use zeroize::Zeroizing;

/// Seconds of a step.
const STEP_S: i64 = 30;
/// Steps of tolerance to either side.
const TOLERANCE: i64 = 1;
const DIGITS: usize = 6;
/// Bytes of a secret: as many as SHA-1 gives, as RFC 4226 recommends.
pub(super) const SECRET_BYTES: usize = 20;

/// Seals small secrets for the database. What was sealed for one purpose (`aad`) opens for no other,
/// so that a row's secret cannot be put into another row.
pub trait Seal: Send + Sync {
    /// Seals a secret.
    ///
    /// # Errors
    /// Why it cannot be sealed, in words that hold nothing of it.
    fn wrap(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, String>;

    /// Opens what was sealed for the same purpose.
    ///
    /// # Errors
    /// Why it does not open: altered, of another purpose, or under another master key.
    fn unwrap(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, String>;

    /// The same secret under the master key that seals now; none where it is under that already.
    ///
    /// # Errors
    /// As for opening and sealing.
    fn rewrap(&self, aad: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, String>;
}

/// A sealed secret under the master key that seals now; none where nothing has to change.
pub(super) fn rewrapped(
    seal: &dyn Seal,
    name: &OperatorName,
    sealed: Option<&Sealed>,
) -> Result<Option<Sealed>, String> {
    let Some(sealed) = sealed else {
        return Ok(None);
    };
    let rewrapped = seal.rewrap(purpose(name).as_bytes(), &sealed.0)?;
    Ok(rewrapped.map(Sealed))
}

/// A secret of one-time codes, open.
pub(super) struct CodeSecret(Zeroizing<Vec<u8>>);

impl CodeSecret {
    /// A new one of these bytes.
    pub fn new(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// Opens a sealed one.
    pub fn open(seal: &dyn Seal, name: &OperatorName, sealed: &Sealed) -> Result<Self, String> {
        seal.unwrap(purpose(name).as_bytes(), &sealed.0).map(Self)
    }

    /// Seals it for its operator.
    pub fn sealed(&self, seal: &dyn Seal, name: &OperatorName) -> Result<Sealed, String> {
        seal.wrap(purpose(name).as_bytes(), &self.0).map(Sealed)
    }

    /// The step of time to which a code belongs, where it belongs to one about now. Every step is
    /// computed and compared, whichever is the right one.
    pub fn step_of(&self, code: &str, now: Instant) -> Option<i64> {
        let totp = self.totp();
        let current = now.timestamp().div_euclid(STEP_S);
        let mut found = None;
        for step in current - TOLERANCE..=current + TOLERANCE {
            let Ok(seconds) = u64::try_from(step * STEP_S) else {
                continue;
            };
            let expected = totp.generate(seconds);
            if bool::from(expected.as_bytes().ct_eq(code.as_bytes())) {
                found = Some(step);
            }
        }
        found
    }

    /// The secret as a person types it into an app.
    pub fn base32(&self) -> String {
        self.totp().get_secret_base32()
    }

    fn totp(&self) -> TOTP {
        let step = u64::try_from(STEP_S).unwrap_or(30);
        TOTP::new_unchecked(Algorithm::SHA1, DIGITS, 0, step, self.0.to_vec())
    }
}

/// What an operator's secret is sealed for.
fn purpose(name: &OperatorName) -> String {
    format!("operator-totp:{name}")
}

/// The address that an authenticator app reads out of a QR code. Names hold nothing that would have
/// to be escaped.
pub(super) fn otpauth(name: &OperatorName, base32: &str) -> String {
    format!(
        "otpauth://totp/Payhall:{name}?secret={base32}&issuer=Payhall&algorithm=SHA1&digits={DIGITS}\
         &period={STEP_S}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, for SHA-1, cut to the last six of its eight digits.
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        let secret = CodeSecret::new(*b"12345678901234567890");
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let at = |seconds| Instant::from_timestamp(seconds, 0).unwrap();
            let step = seconds / STEP_S;
            assert_eq!(secret.step_of(code, at(seconds)), Some(step), "{seconds}");
            for near in [-STEP_S, STEP_S] {
                assert_eq!(secret.step_of(code, at(seconds + near)), Some(step));
            }
            for far in [-2 * STEP_S, 2 * STEP_S] {
                assert_eq!(secret.step_of(code, at(seconds + far)), None);
            }
        }
        let now = Instant::from_timestamp(59, 0).unwrap();
        for bad in ["", "28708", "2870820", "287083", "２８７０８２"] {
            assert_eq!(secret.step_of(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn an_app_reads_the_address() {
        let name = OperatorName::try_new("ann").unwrap();
        let secret = CodeSecret::new(*b"12345678901234567890");
        assert_eq!(
            otpauth(&name, &secret.base32()),
            "otpauth://totp/Payhall:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Payhall\
             &algorithm=SHA1&digits=6&period=30"
        );
    }
}
