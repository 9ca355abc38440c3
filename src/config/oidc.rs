//! `[oidc]`: the bank's identity provider, by which operators may log in.

use super::split_url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// `[oidc]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// The provider's name, a URL; empty: there is none.
    pub issuer: String,
    /// Our name at the provider.
    pub client_id: String,
    /// The secret that belongs to it, or `file:PATH` of a file that holds it; empty for a public client.
    pub client_secret: SecretString,
    /// The claim that names the operator.
    pub claim: String,
    /// What has to stand behind an `@` in the claim; empty: the claim is the name.
    pub domain: String,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// One of these has to be the class of the proof; empty: any.
    pub acr: Vec<String>,
    /// All of these have to be means of the proof.
    pub amr: Vec<String>,
    /// How long a call may take, in milliseconds.
    pub timeout_ms: u64,
}

impl OidcConfig {
    /// Whether people may come in through a provider.
    pub fn is_on(&self) -> bool {
        !self.issuer.is_empty()
    }

    /// What is wrong with it, by field.
    pub(super) fn problems(&self, public_url: &str, sandbox: bool) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut add = |field, what: &str| found.push((field, what.to_owned()));
        if !self.is_on() {
            if !self.client_id.is_empty() || !self.client_secret.expose_secret().is_empty() {
                add(
                    "issuer",
                    "is empty, although there is a client_id or a client_secret",
                );
            }
            return found;
        }
        if cfg!(not(feature = "oidc")) {
            let what = "needs a program that is built with the feature oidc (cargo build --features \
                        oidc), and this one is not";
            add("issuer", what);
        }
        match split_issuer(&self.issuer) {
            None => add(
                "issuer",
                "is a URL without a query, such as https://login.bank.example/realms/staff",
            ),
            Some("http") if !sandbox => add("issuer", "has to be https outside a sandbox"),
            Some(_) => {}
        }
        match split_url(public_url) {
            None => add(
                "issuer",
                "needs api.public_url, which the provider sends browsers back to",
            ),
            Some((scheme, _)) if scheme != "https" && !sandbox => {
                add(
                    "issuer",
                    "needs an api.public_url by https outside a sandbox",
                );
            }
            Some(_) => {}
        }
        if self.client_id.is_empty() {
            add("client_id", "is missing: our name at the provider");
        }
        if self.claim.is_empty() {
            add("claim", "is missing: the claim that names the operator");
        }
        if self.claim == "email" && self.domain.is_empty() {
            add(
                "domain",
                "is missing: with the claim email it says whose addresses count",
            );
        }
        if self.domain.contains('@') {
            add(
                "domain",
                "is what stands behind the @, such as bank.example",
            );
        }
        if !self.scopes.iter().all(|scope| is_word(scope)) {
            add("scopes", "are words of visible characters");
        }
        if !(100..=60_000).contains(&self.timeout_ms) {
            let what = format!("is {}, and has to be 100 to 60000", self.timeout_ms);
            found.push(("timeout_ms", what));
        }
        found
    }
}

/// The scheme of a URL that can be an issuer (OpenID Connect Discovery, 3).
fn split_issuer(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    let has_host = !rest.is_empty() && !rest.starts_with('/');
    let is_url = has_host && is_plain && !rest.contains(['?', '#', '@']);
    (is_url && matches!(scheme, "http" | "https")).then_some(scheme)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
