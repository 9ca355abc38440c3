//! Forgeries: every kind of tampering with many random requests. None is accepted, each for the
//! reason that it was made for; what does not matter is accepted.

use super::sent::{NOW_S, Sent, all, at, keys};
use crate::domain::key::Algorithm;
use crate::trust::{Claim, PublicKey, SignatureFault, content_digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom};
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;

/// How many random requests of each algorithm; RSA keys sign slowly.
const REQUESTS: &[(Algorithm, usize)] = &[
    (
        Algorithm::Ed25519,
        if cfg!(feature = "gm") { 840 } else { 880 },
    ),
    #[cfg(feature = "gm")]
    (Algorithm::Sm2Sm3, 40),
    (Algorithm::EcdsaP256Sha256, 60),
    (Algorithm::RsaPssSha512, 30),
    (Algorithm::RsaV15Sha256, 30),
];

/// What is done to a request on its way.
type Tamper = fn(&mut Sent, &mut StdRng);

/// The codes that tampering of a kind may be refused by.
type Codes = &'static [&'static str];

const MISMATCH: Codes = &["SIGNATURE_MISMATCH"];
const DIGEST: Codes = &["CONTENT_DIGEST_MISMATCH"];
const NOT_COVERED: Codes = &["SIGNATURE_NOT_COVERED"];

const KINDS: &[(&str, Tamper, Codes)] = &[
    (
        "another method",
        |sent, _| sent.method = "PUT".to_owned(),
        MISMATCH,
    ),
    (
        "a method in lower case",
        |sent, _| sent.method.make_ascii_lowercase(),
        MISMATCH,
    ),
    (
        "a longer path",
        |sent, _| sent.path.push_str("/x"),
        MISMATCH,
    ),
    (
        "a path in upper case",
        |sent, _| sent.path.make_ascii_uppercase(),
        MISMATCH,
    ),
    ("a longer query", longer_query, MISMATCH),
    (
        "another host",
        |sent, _| sent.authority.insert_str(0, "a."),
        MISMATCH,
    ),
    (
        "another type of body",
        |sent, _| sent.set("content-type", "text/plain"),
        MISMATCH,
    ),
    ("a type twice", type_twice, MISMATCH),
    ("one bit of the body", one_bit_of_the_body, DIGEST),
    (
        "a shorter body",
        |sent, _| sent.body.truncate(sent.body.len() - 1),
        DIGEST,
    ),
    (
        "another body and its digest",
        another_body_and_its_digest,
        MISMATCH,
    ),
    (
        "a right digest by another algorithm",
        another_digest,
        MISMATCH,
    ),
    ("a second digest, which is wrong", second_digest, DIGEST),
    (
        "no digest",
        |sent, _| sent.unset("content-digest"),
        &["CONTENT_DIGEST_MISSING"],
    ),
    ("created a second later", created_later, MISMATCH),
    (
        "another nonce",
        |sent, _| edit_input(sent, "nonce=\"", "nonce=\"0"),
        MISMATCH,
    ),
    (
        "another key's name",
        |sent, _| edit_input(sent, "\"first\"", "\"second\""),
        MISMATCH,
    ),
    (
        "another algorithm",
        another_algorithm,
        &["SIGNATURE_ALGORITHM_NOT_OF_KEY"],
    ),
    (
        "an algorithm that nobody knows",
        unknown_algorithm,
        &["SIGNATURE_ALGORITHM_UNKNOWN"],
    ),
    (
        "expiry put off",
        |sent, _| edit_input(sent, ";keyid=", ";expires=1999999999;keyid="),
        MISMATCH,
    ),
    (
        "a method less",
        |sent, _| edit_input(sent, "\"@method\" ", ""),
        NOT_COVERED,
    ),
    (
        "a digest less",
        |sent, _| edit_input(sent, " \"content-digest\"", ""),
        NOT_COVERED,
    ),
    (
        "a host header more",
        |sent, _| edit_input(sent, "(", "(\"host\" "),
        MISMATCH,
    ),
    ("components in another order", another_order, MISMATCH),
    (
        "a component twice",
        |sent, _| edit_input(sent, "(", "(\"@method\" "),
        &["SIGNATURE_COMPONENT_TWICE"],
    ),
    (
        "a parameter more",
        |sent, _| edit_input(sent, ";nonce=", ";tag=\"x\";nonce="),
        MISMATCH,
    ),
    (
        "one bit of the signature",
        one_bit_of_the_signature,
        MISMATCH,
    ),
    (
        "a shorter signature",
        |sent, _| cut_signature(sent, |bytes| bytes.truncate(bytes.len() - 1)),
        MISMATCH,
    ),
    (
        "a longer signature",
        |sent, _| cut_signature(sent, |bytes| bytes.push(0)),
        MISMATCH,
    ),
    (
        "an empty signature",
        |sent, _| cut_signature(sent, Vec::clear),
        MISMATCH,
    ),
    (
        "another label for the signature",
        another_label,
        &["SIGNATURE_UNPAIRED"],
    ),
    ("a second list of the same label", second_list, MISMATCH),
    (
        "the signature of another request",
        signature_of_another,
        MISMATCH,
    ),
    ("two signatures", two_signatures, &["SIGNATURE_AMBIGUOUS"]),
    (
        "no signature",
        |sent, _| sent.unset("signature"),
        &["SIGNATURE_MISSING"],
    ),
];

/// What proxies do to messages, and must not matter.
const HARMLESS: &[(&str, Tamper)] = &[
    ("space around a value", space_around),
    ("names of headers in upper case", shouting),
    ("headers in another order", |sent, _| sent.headers.reverse()),
    ("a header that is not covered", |sent, _| {
        sent.set("via", "1.1 proxy")
    }),
    ("space within the list", |sent, _| {
        edit_input(sent, "(\"@method\" ", "(  \"@method\"   ")
    }),
    ("scheme and host in upper case", shouting_host),
    ("a proxy's own signature", proxy_signature),
];

#[test]
fn no_tampered_request_is_accepted() {
    let seed: u64 = rand::random();
    let mut dice = StdRng::seed_from_u64(seed);
    let (mut refused, mut accepted) = (0, 0);
    for (algorithm, count) in REQUESTS.iter().copied() {
        for number in 0..count {
            let original = random_request(algorithm, &mut dice);
            let place = format!("seed {seed}, {algorithm} request {number}");
            if let Err(fault) = verify(&original, algorithm) {
                panic!("{place}: {fault}\n{original:?}");
            }
            for (kind, tamper, codes) in KINDS {
                let mut tampered = original.clone();
                tamper(&mut tampered, &mut dice);
                match verify(&tampered, algorithm) {
                    Ok(_) => panic!("{place}, {kind}: it was accepted\n{tampered:?}"),
                    Err(fault) => assert!(
                        codes.contains(&fault.code()),
                        "{place}, {kind}: refused as {fault}\n{tampered:?}"
                    ),
                }
                refused += 1;
            }
            for (kind, tamper) in HARMLESS {
                let mut changed = original.clone();
                tamper(&mut changed, &mut dice);
                if let Err(fault) = verify(&changed, algorithm) {
                    panic!("{place}, {kind}: {fault}\n{changed:?}");
                }
                accepted += 1;
            }
        }
    }
    assert_eq!(refused, 1_000 * KINDS.len());
    assert_eq!(accepted, 1_000 * HARMLESS.len());
    assert!(KINDS.len() >= 20);
}

#[test]
fn no_other_key_accepts() {
    for (algorithm, _) in REQUESTS.iter().copied() {
        let original = random_request(algorithm, &mut StdRng::seed_from_u64(1));
        let owner = keys(algorithm)[0].public_key();
        assert!(original.verify(owner).is_ok());
        let other = keys(algorithm)[1].public_key();
        assert_eq!(
            original.verify(other).unwrap_err(),
            SignatureFault::Mismatch
        );
        for kind in all().iter().filter(|kind| **kind != algorithm) {
            let fault = original.verify(keys(*kind)[0].public_key()).unwrap_err();
            assert_eq!(fault.code(), "SIGNATURE_ALGORITHM_NOT_OF_KEY", "{kind}");
        }
    }
}

/// The same RSA key under the other padding: the name of the algorithm is what the key is held to.
#[test]
fn an_rsa_key_counts_for_its_own_padding_only() {
    let (pss, v15) = (Algorithm::RsaPssSha512, Algorithm::RsaV15Sha256);
    let original = random_request(pss, &mut StdRng::seed_from_u64(2));
    let der = keys(pss)[0].public_key().der();
    let as_v15 = PublicKey::from_der(v15, der).unwrap();
    let fault = original.verify(&as_v15).unwrap_err();
    assert_eq!(fault.code(), "SIGNATURE_ALGORITHM_NOT_OF_KEY");
    let mut renamed = original.clone();
    edit_input(&mut renamed, pss.as_str(), v15.as_str());
    assert_eq!(
        renamed.verify(&as_v15).unwrap_err(),
        SignatureFault::Mismatch
    );
}

/// Bytes of the headers are changed, doubled and dropped at random. Most of it is refused; what is
/// accepted, because it only spells the same in another way, has the text that was signed.
#[test]
fn whatever_is_accepted_is_what_was_signed() {
    const SPICE: &[u8] = b"\"\\()=;:, \t\r\n?1aZ@-\x00\xff";
    let seed: u64 = rand::random();
    let mut dice = StdRng::seed_from_u64(seed);
    let algorithm = Algorithm::Ed25519;
    let (mut accepted, mut codes) = (0, BTreeSet::new());
    for _ in 0..200 {
        let original = random_request(algorithm, &mut dice);
        let signed = original.with(Claim::read).unwrap();
        for _ in 0..50 {
            let mut mangled = original.clone();
            let (_, value) = mangled.headers.choose_mut(&mut dice).unwrap();
            let place = dice.random_range(0..value.len());
            match dice.random_range(0..3) {
                0 => value[place] = *SPICE.choose(&mut dice).unwrap(),
                1 => value.insert(place, *SPICE.choose(&mut dice).unwrap()),
                _ => drop(value.drain(place..(place + 3).min(value.len()))),
            }
            match mangled.verify(keys(algorithm)[0].public_key()) {
                Ok(claim) => {
                    assert_eq!(claim.base(), signed.base(), "seed {seed}: {mangled:?}");
                    assert_eq!(mangled.body, original.body);
                    accepted += 1;
                }
                Err(fault) => {
                    codes.insert(fault.code());
                }
            }
        }
    }
    assert!(
        accepted > 0,
        "seed {seed}: the host header is not always covered"
    );
    assert!(codes.len() > 5, "seed {seed}: {codes:?}");
}

/// As the center does it: the claim names the key, then the key is asked.
fn verify(sent: &Sent, algorithm: Algorithm) -> Result<Claim, SignatureFault> {
    let claim = sent.with(Claim::read)?;
    let [first, second] = keys(algorithm);
    let key = match claim.key_id() {
        "first" => first.public_key(),
        "second" => second.public_key(),
        other => panic!("nobody has a key {other}"),
    };
    claim.verify(key, at(NOW_S)).map(|()| claim)
}

fn random_request(algorithm: Algorithm, dice: &mut StdRng) -> Sent {
    let mut sent = Sent::usual();
    let word = |dice: &mut StdRng| -> String {
        let length = dice.random_range(1..12);
        (0..length).map(|_| dice.random_range('a'..='z')).collect()
    };
    sent.authority = format!("{}.example:{}", word(dice), dice.random_range(1024..9999));
    sent.path = format!("/{}/{}", word(dice), word(dice));
    sent.query = dice
        .random_bool(0.5)
        .then(|| format!("{}={}", word(dice), word(dice)));
    sent.body = (0..dice.random_range(1..2_000))
        .map(|_| dice.random())
        .collect();
    sent.set("host", &sent.authority.clone());
    sent.set("content-digest", &content_digest::of(&sent.body));
    let covered = [
        "\"@method\" \"@target-uri\" \"content-type\" \"content-digest\"",
        "\"@method\" \"@authority\" \"@path\" \"@query\" \"content-type\" \"content-digest\"",
        "\"@method\" \"@scheme\" \"@request-target\" \"@target-uri\" \"content-type\" \"content-digest\"",
    ];
    let input = format!(
        "({});created={};nonce=\"{}\";keyid=\"first\";alg=\"{algorithm}\"",
        covered.choose(dice).unwrap(),
        dice.random_range(NOW_S - 299..NOW_S + 299),
        word(dice),
    );
    sent.sign("sig1", &input, &keys(algorithm)[0]);
    sent
}

fn edit_input(sent: &mut Sent, from: &str, to: &str) {
    sent.edit("signature-input", from, to);
}

fn longer_query(sent: &mut Sent, _: &mut StdRng) {
    let query = sent.query.get_or_insert_default();
    query.push_str("&x=1");
}

fn type_twice(sent: &mut Sent, _: &mut StdRng) {
    let value = sent.header("content-type").into_bytes();
    sent.headers.push(("content-type".to_owned(), value));
}

fn one_bit_of_the_body(sent: &mut Sent, dice: &mut StdRng) {
    let place = dice.random_range(0..sent.body.len());
    sent.body[place] ^= 1 << dice.random_range(0..8);
}

fn another_body_and_its_digest(sent: &mut Sent, dice: &mut StdRng) {
    one_bit_of_the_body(sent, dice);
    sent.set("content-digest", &content_digest::of(&sent.body));
}

fn another_digest(sent: &mut Sent, _: &mut StdRng) {
    sent.set("content-digest", &sha_512(&sent.body));
}

fn second_digest(sent: &mut Sent, _: &mut StdRng) {
    let wrong = sha_512(b"something else").into_bytes();
    sent.headers.push(("content-digest".to_owned(), wrong));
}

fn sha_512(body: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, body);
    format!("sha-512=:{}:", STANDARD.encode(digest))
}

fn created_later(sent: &mut Sent, _: &mut StdRng) {
    let input = sent.header("signature-input");
    let digits = input.split_once("created=").unwrap().1;
    let digits = digits.split_once(';').unwrap().0;
    let later = digits.parse::<i64>().unwrap() + 1;
    edit_input(sent, digits, &later.to_string());
}

fn another_algorithm(sent: &mut Sent, dice: &mut StdRng) {
    let input = sent.header("signature-input");
    let is_other = |algorithm: &&Algorithm| !input.contains(&format!("alg=\"{algorithm}\""));
    let others: Vec<_> = Algorithm::ALL.iter().filter(is_other).collect();
    let other = others.choose(dice).unwrap();
    let (before, _) = input.split_once("alg=").unwrap();
    sent.set("signature-input", &format!("{before}alg=\"{other}\""));
}

fn unknown_algorithm(sent: &mut Sent, dice: &mut StdRng) {
    let name = ["none", "hmac-sha256", "ED25519", "ed25519ph"]
        .choose(dice)
        .unwrap();
    let input = sent.header("signature-input");
    let (before, _) = input.split_once("alg=").unwrap();
    sent.set("signature-input", &format!("{before}alg=\"{name}\""));
}

fn another_order(sent: &mut Sent, _: &mut StdRng) {
    edit_input(
        sent,
        "\"content-type\" \"content-digest\"",
        "\"content-digest\" \"content-type\"",
    );
}

fn one_bit_of_the_signature(sent: &mut Sent, dice: &mut StdRng) {
    cut_signature(sent, |bytes| {
        let place = dice.random_range(0..bytes.len());
        bytes[place] ^= 1 << dice.random_range(0..8);
    });
}

fn cut_signature(sent: &mut Sent, cut: impl FnOnce(&mut Vec<u8>)) {
    let value = sent.header("signature");
    let base64 = value.strip_prefix("sig1=:").unwrap().trim_end_matches(':');
    let mut bytes = STANDARD.decode(base64).unwrap();
    cut(&mut bytes);
    sent.set("signature", &format!("sig1=:{}:", STANDARD.encode(bytes)));
}

fn another_label(sent: &mut Sent, _: &mut StdRng) {
    sent.edit("signature", "sig1=", "sig2=");
}

fn second_list(sent: &mut Sent, _: &mut StdRng) {
    let second = sent
        .header("signature-input")
        .replacen("nonce=\"", "nonce=\"2", 1);
    sent.headers
        .push(("signature-input".to_owned(), second.into_bytes()));
}

fn signature_of_another(sent: &mut Sent, dice: &mut StdRng) {
    let input = sent.header("signature-input");
    let algorithm = Algorithm::ALL
        .iter()
        .find(|a| input.contains(&format!("\"{a}\"")))
        .unwrap();
    let another = random_request(*algorithm, dice);
    sent.set("signature", &another.header("signature"));
}

fn two_signatures(sent: &mut Sent, _: &mut StdRng) {
    for name in ["signature-input", "signature"] {
        let value = sent.header(name);
        let second = value.replacen("sig1=", "sig2=", 1);
        sent.set(name, &format!("{value}, {second}"));
    }
}

fn space_around(sent: &mut Sent, _: &mut StdRng) {
    for (_, value) in &mut sent.headers {
        *value = [&b" \t"[..], value, b"  "].concat();
    }
}

fn shouting(sent: &mut Sent, _: &mut StdRng) {
    for (name, _) in &mut sent.headers {
        name.make_ascii_uppercase();
    }
}

fn shouting_host(sent: &mut Sent, _: &mut StdRng) {
    sent.authority.make_ascii_uppercase();
    sent.scheme.make_ascii_uppercase();
}

fn proxy_signature(sent: &mut Sent, _: &mut StdRng) {
    let input = format!("(\"@method\");created={NOW_S};keyid=\"proxy\"");
    sent.sign("proxy", &input, &keys(Algorithm::Ed25519)[1]);
}
