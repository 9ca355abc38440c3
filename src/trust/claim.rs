//! What we demand of a signed request, in two steps: what it claims, then whether that is true.
//!
//! A request has to cover its method, its target and its body, has to say when it was made and by
//! which key and algorithm, and carries a nonce. The nonce is only read here: that nobody uses it a
//! second time is for the database to hold, for at least twice `WINDOW_S`.
//!
//! A message may carry several signatures, because proxies add theirs. Which label a caller gives its
//! own is up to the caller, and labels are not signed. So each is held against the demands, and the
//! only one that meets them is the one that is meant. If none does, the first one's fault is told; if
//! several do, none is chosen, because choosing would decide as whom the caller acts.

use super::base::{Labelled, signature_base, signatures};
use super::content_digest;
use super::fault::SignatureFault;
use super::message::{Message, Request};
use super::public_key::PublicKey;
use crate::domain::key::Algorithm;
use crate::domain::time::Instant;
use sfv::{BareItem, InnerList, Item};

/// How far, in seconds, `created` may lie before or after our clock.
pub const WINDOW_S: i64 = 300;
/// The most characters that a nonce may have, and a key id.
pub const NONCE_LENGTH_MAX: usize = 128;

/// What a signed request claims. Nothing of it is true before `verify` has passed.
#[derive(Debug)]
pub struct Claim {
    label: String,
    key_id: String,
    algorithm: Algorithm,
    nonce: String,
    created_s: i64,
    expires_s: Option<i64>,
    base: String,
    signature: Vec<u8>,
}

impl Claim {
    /// Reads the claim of a request: the first step. The body is held against its digest here; what
    /// is left to find out is whether the key's owner signed it, and when.
    ///
    /// # Errors
    /// `SignatureFault`: what is missing, unreadable, not covered, or does not match the body.
    pub fn read(request: &Request<'_>) -> Result<Self, SignatureFault> {
        let all = signatures(request.headers)?;
        content_digest::check(request.headers, request.body)?;
        let mut claims = Vec::new();
        let mut first_fault = None;
        for labelled in all {
            match Self::of(request, labelled) {
                Ok(claim) => claims.push(claim),
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
        }
        let (Some(claim), rest) = (claims.pop(), &claims) else {
            let header = super::base::SIGNATURE_INPUT;
            return Err(first_fault.unwrap_or(SignatureFault::Missing { header }));
        };
        if !rest.is_empty() {
            let labels = rest.iter().chain([&claim]).map(|c| c.label.as_str());
            let labels = labels.collect::<Vec<_>>().join(", ");
            return Err(SignatureFault::Ambiguous { labels });
        }
        Ok(claim)
    }

    fn of(request: &Request<'_>, labelled: Labelled) -> Result<Self, SignatureFault> {
        let Labelled {
            label,
            input,
            signature,
        } = labelled;
        let text = |name| text_parameter(&input, name);
        let (key_id, named, nonce) = (text("keyid")?, text("alg")?, text("nonce")?);
        let algorithm = named
            .parse()
            .map_err(|_| SignatureFault::AlgorithmUnknown { found: named })?;
        let created_s = seconds_parameter(&input, "created")?;
        let created_s = created_s.ok_or(SignatureFault::ParameterMissing { name: "created" })?;
        let expires_s = seconds_parameter(&input, "expires")?;
        check_covered(request, &input)?;
        Ok(Self {
            label,
            key_id,
            algorithm,
            nonce,
            created_s,
            expires_s,
            base: signature_base(Message::Request(request), &input)?,
            signature,
        })
    }

    /// Holds the claim against the key that it names: the second step. What has passed was signed by
    /// the key's owner, as it stands here, within the window. Whether the key is in force and the
    /// nonce new is for the caller to know.
    ///
    /// # Errors
    /// `SignatureFault`: too old, ahead of time, expired, of another algorithm, or not matching.
    pub fn verify(&self, key: &PublicKey, now: Instant) -> Result<(), SignatureFault> {
        let (now_s, max) = (now.timestamp(), WINDOW_S);
        let age_s = now_s.saturating_sub(self.created_s);
        if age_s > max {
            return Err(SignatureFault::TooOld {
                seconds: age_s,
                max,
            });
        }
        if age_s < -max {
            let seconds = age_s.saturating_neg();
            return Err(SignatureFault::TooFarAhead { seconds, max });
        }
        if let Some(expires_s) = self.expires_s.filter(|expires_s| *expires_s < now_s) {
            let seconds = now_s.saturating_sub(expires_s);
            return Err(SignatureFault::Expired { seconds });
        }
        if self.algorithm != key.algorithm() {
            return Err(SignatureFault::AlgorithmNotOfKey {
                named: self.algorithm,
                registered: key.algorithm(),
            });
        }
        if key.accepts(self.base.as_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(SignatureFault::Mismatch)
        }
    }

    /// The label that the signature travels under; it is not signed.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The key that is claimed.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The algorithm that is claimed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What makes this request differ from every other one of the key.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// When it was signed, in seconds since 1970, by the signer's clock.
    pub fn created_s(&self) -> i64 {
        self.created_s
    }

    /// The signature base that we made, for callers who look for what is different in theirs. It
    /// holds every covered header.
    pub fn base(&self) -> &str {
        &self.base
    }
}

/// A parameter that has to be there: 1 to 128 visible characters.
fn text_parameter(input: &InnerList, name: &'static str) -> Result<String, SignatureFault> {
    let value = input.params.get(name);
    let value = value.ok_or(SignatureFault::ParameterMissing { name })?;
    let text = value.as_string().map(|text| text.as_str());
    match text.filter(|text| is_name(text)) {
        Some(text) => Ok(text.to_owned()),
        None => Err(SignatureFault::ParameterWrong {
            name,
            what: "it has to be a string of 1 to 128 visible characters",
        }),
    }
}

/// What a key id and a nonce have to look like.
pub(super) fn is_name(text: &str) -> bool {
    (1..=NONCE_LENGTH_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn seconds_parameter(input: &InnerList, name: &'static str) -> Result<Option<i64>, SignatureFault> {
    match input.params.get(name) {
        None => Ok(None),
        Some(BareItem::Integer(seconds)) => Ok(Some(i64::from(*seconds))),
        Some(_) => Err(SignatureFault::ParameterWrong {
            name,
            what: "it has to be a whole number of seconds since 1970",
        }),
    }
}

fn check_covered(request: &Request<'_>, input: &InnerList) -> Result<(), SignatureFault> {
    let is_named = |item: &Item, name| {
        item.bare_item
            .as_string()
            .is_some_and(|s| s.as_str() == name)
    };
    let covers = |name| {
        let mut items = input.items.iter();
        items.any(|item| item.params.is_empty() && is_named(item, name))
    };
    let has_target = covers("@target-uri") || covers("@path") && covers("@query");
    let demands = [
        ("\"@method\"", covers("@method")),
        ("\"@target-uri\" (or \"@path\" and \"@query\")", has_target),
        (
            "\"content-digest\"",
            request.body.is_empty() || covers("content-digest"),
        ),
    ];
    match demands.into_iter().find(|(_, is_covered)| !is_covered) {
        Some((component, _)) => Err(SignatureFault::NotCovered { component }),
        None => Ok(()),
    }
}
