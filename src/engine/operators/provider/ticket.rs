//! What a browser keeps while its person is at the provider: one secret, from which everything is made
//! that has to come back: the state, the nonce, and the verifier of PKCE. So the center keeps nothing
//! about people who never return, any replica can take them back, and what was changed in the ticket
//! makes another state than the one that the provider returns.

use super::super::passwords::random_secret;
use crate::domain::id_token::SKEW_S;
use crate::domain::time::Instant;
use crate::storage::StoreError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How long somebody may stay at the provider, in seconds.
pub const TICKET_LASTS_S: i64 = 600;
/// The longest ticket that is looked at.
const CHARS_MAX: usize = 200;

/// What somebody goes to the provider for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// A session, in place of the one that the browser holds already, if any: the hash of its secret.
    Login { replaced: Option<String> },
    /// The same session, fresh again.
    Again { session: String },
}

/// A ticket.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub errand: Errand,
    pub issued_s: i64,
    text: SecretString,
}

impl Ticket {
    /// Makes one.
    pub fn issue(errand: Errand, now: Instant) -> Result<Self, StoreError> {
        let secret = random_secret()?;
        let (word, session) = match &errand {
            Errand::Login { replaced } => ("login", replaced.as_deref().unwrap_or_default()),
            Errand::Again { session } => ("again", session.as_str()),
        };
        let issued_s = now.timestamp();
        let text = format!("{word}.{session}.{issued_s}.{}", secret.expose_secret());
        Ok(Self {
            errand,
            issued_s,
            text: text.into(),
        })
    }

    /// Reads one that a browser brought back; none if it is none, or too old.
    pub fn read(text: &SecretString, now: Instant) -> Option<Self> {
        let whole = text.expose_secret();
        if whole.len() > CHARS_MAX {
            return None;
        }
        let mut parts = whole.split('.');
        let (word, session, issued, secret) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if parts.next().is_some() || secret.len() != 43 || !is_hex(session) {
            return None;
        }
        let session = (!session.is_empty()).then(|| session.to_owned());
        let errand = match word {
            "login" => Errand::Login { replaced: session },
            "again" => Errand::Again { session: session? },
            _ => return None,
        };
        let issued_s: i64 = issued.parse().ok()?;
        let age_s = now.timestamp().checked_sub(issued_s)?;
        (-SKEW_S..=TICKET_LASTS_S).contains(&age_s).then(|| Self {
            errand,
            issued_s,
            text: text.clone(),
        })
    }

    /// The text, for the browser and nobody else.
    pub fn text(&self) -> &SecretString {
        &self.text
    }

    /// What comes back beside the code.
    pub fn state(&self) -> String {
        self.derived("state")
    }

    /// Whether a state that came back is this ticket's.
    pub fn is_state(&self, state: &str) -> bool {
        self.state().as_bytes().ct_eq(state.as_bytes()).into()
    }

    /// What comes back inside the token.
    pub fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// What is shown with the code.
    pub fn verifier(&self) -> SecretString {
        self.derived("verifier").into()
    }

    /// 43 characters that nobody can make, or find another one from, who has not the ticket.
    fn derived(&self, what: &str) -> String {
        let hash = Sha256::new_with_prefix(what)
            .chain_update([0])
            .chain_update(self.text.expose_secret());
        URL_SAFE_NO_PAD.encode(hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    fn errands() -> [Errand; 3] {
        let session = "0123456789abcdef".repeat(4);
        [
            Errand::Login { replaced: None },
            Errand::Login {
                replaced: Some(session.clone()),
            },
            Errand::Again { session },
        ]
    }

    #[test]
    fn a_ticket_comes_back_as_it_went_within_its_time() {
        for errand in errands() {
            let ticket = Ticket::issue(errand.clone(), at(0)).unwrap();
            for seconds in [0, TICKET_LASTS_S] {
                let read = Ticket::read(ticket.text(), at(seconds)).unwrap();
                assert_eq!(read.errand, errand);
                assert!(read.is_state(&ticket.state()));
                assert_eq!(read.nonce(), ticket.nonce());
            }
            assert!(Ticket::read(ticket.text(), at(TICKET_LASTS_S + 1)).is_none());
            assert!(
                Ticket::read(ticket.text(), at(-SKEW_S)).is_some(),
                "by another's clock"
            );
            assert!(Ticket::read(ticket.text(), at(-SKEW_S - 1)).is_none());
        }
    }

    #[test]
    fn what_is_made_of_it_tells_neither_the_ticket_nor_the_rest() {
        let ticket = Ticket::issue(Errand::Login { replaced: None }, at(0)).unwrap();
        let verifier = ticket.verifier();
        let made = [
            ticket.state(),
            ticket.nonce(),
            verifier.expose_secret().to_owned(),
        ];
        for (place, one) in made.iter().enumerate() {
            assert_eq!(one.len(), 43);
            assert!(!made[..place].contains(one));
            assert!(!ticket.text().expose_secret().contains(one));
        }
        let other = Ticket::issue(Errand::Login { replaced: None }, at(0)).unwrap();
        assert!(!other.is_state(&ticket.state()));
        assert!(!ticket.is_state("") && !ticket.is_state("x"));
    }

    #[test]
    fn a_ticket_that_was_changed_has_another_state() {
        let [_, _, again] = errands();
        let ticket = Ticket::issue(again, at(0)).unwrap();
        let text = ticket.text().expose_secret();
        for (from, to) in [
            ("again", "login"),
            ("0123456789abcdef", "1123456789abcdef"),
            ("1790000000", "1790000300"),
        ] {
            let changed = SecretString::from(text.replacen(from, to, 1));
            let read = Ticket::read(&changed, at(300)).unwrap();
            assert!(!read.is_state(&ticket.state()), "{from} to {to}");
        }
        for broken in [
            "",
            "login",
            "login..1790000000.",
            "again..1790000000.x",
            &text[1..],
        ] {
            let broken = SecretString::from(broken);
            assert!(Ticket::read(&broken, at(0)).is_none());
        }
        let long = SecretString::from(format!("{text}{}", "x".repeat(200)));
        assert!(Ticket::read(&long, at(0)).is_none());
    }
}
