//! A request that was sent, and can be tampered with on its way.

use crate::domain::key::Algorithm;
use crate::domain::time::Instant;
use crate::trust::base::signature_base;
use crate::trust::message::Message;
use crate::trust::{Claim, PrivateKey, PublicKey, Request, SignatureFault, built, content_digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use sfv::{Dictionary, ListEntry, Parser};
use std::sync::{LazyLock, OnceLock};

/// What the clock shows in these tests.
pub const NOW_S: i64 = 1_790_000_000;

pub fn at(seconds: i64) -> Instant {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

/// A request with all its parts owned.
#[derive(Clone, Debug)]
pub struct Sent {
    pub method: String,
    pub scheme: String,
    pub authority: String,
    pub path: String,
    pub query: Option<String>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Sent {
    /// A usual call, not signed yet.
    pub fn usual() -> Self {
        let body = br#"{"query":"{ __typename }"}"#.to_vec();
        let mut sent = Self {
            method: "POST".to_owned(),
            scheme: "https".to_owned(),
            authority: "pay.example".to_owned(),
            path: "/graphql".to_owned(),
            query: None,
            headers: Vec::new(),
            body,
        };
        sent.set("Host", "pay.example");
        sent.set("Content-Type", "application/json");
        let digest = content_digest::of(&sent.body);
        sent.set("Content-Digest", &digest);
        sent
    }

    pub fn with<T>(&self, look: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers = self.headers.iter();
        let headers: Vec<_> = headers.map(|(n, v)| (n.as_str(), v.as_slice())).collect();
        look(&Request {
            method: &self.method,
            scheme: &self.scheme,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &headers,
            body: &self.body,
        })
    }

    /// Replaces a header, or adds it.
    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.headers
            .push((name.to_owned(), value.as_bytes().to_vec()));
    }

    pub fn unset(&mut self, name: &str) {
        self.headers
            .retain(|(found, _)| !found.eq_ignore_ascii_case(name));
    }

    /// The one header of a name.
    pub fn header(&self, name: &str) -> String {
        let mut named = self.headers.iter();
        let (_, value) = named.find(|(n, _)| n.eq_ignore_ascii_case(name)).unwrap();
        String::from_utf8(value.clone()).unwrap()
    }

    /// Replaces a part of a header's value, which has to be there.
    pub fn edit(&mut self, name: &str, from: &str, to: &str) {
        let value = self.header(name);
        assert!(value.contains(from), "{name} has no {from}: {value}");
        self.set(name, &value.replacen(from, to, 1));
    }

    /// Adds a signature over what `input` lists, whatever that is.
    pub fn sign(&mut self, label: &str, input: &str, key: &PrivateKey) {
        let base = self.base(input);
        let signature = STANDARD.encode(key.sign(base.as_bytes()).unwrap());
        for (name, value) in [
            ("Signature-Input", format!("{label}={input}")),
            ("Signature", format!("{label}=:{signature}:")),
        ] {
            self.headers.push((name.to_owned(), value.into_bytes()));
        }
    }

    pub fn base(&self, input: &str) -> String {
        self.with(|request| base_of(Message::Request(request), input))
            .unwrap()
    }

    /// Both steps, the key being the one that is given.
    pub fn verify(&self, key: &PublicKey) -> Result<Claim, SignatureFault> {
        self.with(|request| {
            let claim = Claim::read(request)?;
            claim.verify(key, at(NOW_S)).map(|()| claim)
        })
    }
}

/// The signature base of a message by a list as it is written in `Signature-Input`.
pub fn base_of(message: Message<'_>, input: &str) -> Result<String, SignatureFault> {
    let named = format!("sig={input}");
    let mut parsed: Dictionary = Parser::new(&named).parse().unwrap();
    match parsed.swap_remove("sig") {
        Some(ListEntry::InnerList(input)) => signature_base(message, &input),
        other => panic!("{input} is no list: {other:?}"),
    }
}

/// The algorithms of this build.
pub fn all() -> &'static [Algorithm] {
    static ALL: LazyLock<Vec<Algorithm>> = LazyLock::new(|| built().collect());
    &ALL
}

/// Two keys of each algorithm, made when first asked for. RSA keys take a while, so the two RSA
/// algorithms have the same ones.
pub fn keys(algorithm: Algorithm) -> &'static [PrivateKey; 2] {
    static ED25519: OnceLock<[PrivateKey; 2]> = OnceLock::new();
    static ECDSA: OnceLock<[PrivateKey; 2]> = OnceLock::new();
    static PSS: OnceLock<[PrivateKey; 2]> = OnceLock::new();
    static V15: OnceLock<[PrivateKey; 2]> = OnceLock::new();
    static SM2: OnceLock<[PrivateKey; 2]> = OnceLock::new();
    let generate = || [(); 2].map(|()| PrivateKey::generate(algorithm).unwrap());
    match algorithm {
        Algorithm::Ed25519 => ED25519.get_or_init(generate),
        Algorithm::EcdsaP256Sha256 => ECDSA.get_or_init(generate),
        Algorithm::RsaPssSha512 => PSS.get_or_init(generate),
        Algorithm::Sm2Sm3 => SM2.get_or_init(generate),
        Algorithm::RsaV15Sha256 => V15.get_or_init(|| {
            let same = |key: &PrivateKey| {
                PrivateKey::from_pkcs8(algorithm, &key.to_pkcs8().unwrap()).unwrap()
            };
            keys(Algorithm::RsaPssSha512).each_ref().map(same)
        }),
    }
}

/// What a usual caller covers and says, by a key that is called `first`.
pub fn usual_input(algorithm: Algorithm) -> String {
    format!(
        "(\"@method\" \"@target-uri\" \"content-type\" \"content-digest\");created={NOW_S};\
         nonce=\"n-1\";keyid=\"first\";alg=\"{algorithm}\""
    )
}

/// A usual call, signed.
pub fn signed(algorithm: Algorithm) -> Sent {
    let mut sent = Sent::usual();
    sent.sign("sig1", &usual_input(algorithm), &keys(algorithm)[0]);
    sent
}
