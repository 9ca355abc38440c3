//! Every fault that a caller can cause, by its name, and that its words tell what to do.

use super::sent::{NOW_S, Sent, all, at, keys, signed, usual_input};
use crate::domain::key::Algorithm;
use crate::trust::{
    Claim, Header, Request, Response, SignatureFault, Signer, content_digest, sign_request,
    sign_response,
};
use std::collections::BTreeSet;

const ED: Algorithm = Algorithm::Ed25519;

/// A usual call whose list is changed before it is signed.
fn with_input(from: &str, to: &str) -> Sent {
    let usual = usual_input(ED);
    assert!(usual.contains(from), "{from}");
    let mut sent = Sent::usual();
    sent.sign("sig1", &usual.replacen(from, to, 1), &keys(ED)[0]);
    sent
}

/// A signed call that is changed on its way.
fn after(change: impl FnOnce(&mut Sent)) -> Sent {
    let mut sent = signed(ED);
    change(&mut sent);
    sent
}

fn input(sent: &mut Sent, value: &str) {
    sent.set("Signature-Input", value);
}

fn fault(sent: &Sent) -> SignatureFault {
    sent.verify(keys(ED)[0].public_key()).expect_err("a fault")
}

#[test]
fn every_fault_has_its_code_and_says_what_is_wrong() {
    let many_labels: Vec<_> = (0..9).map(|n| format!("s{n}=()")).collect();
    let many_parts: Vec<_> = (0..65).map(|n| format!("\"h{n}\"")).collect();
    let table: Vec<(Sent, &str, &str)> = vec![
        (
            Sent::usual(),
            "SIGNATURE_MISSING",
            "no Signature-Input header",
        ),
        (
            after(|s| s.unset("Signature")),
            "SIGNATURE_MISSING",
            "no Signature header",
        ),
        (
            after(|s| input(s, "")),
            "SIGNATURE_MISSING",
            "no Signature-Input header",
        ),
        (
            after(|s| input(s, "sig1=(")),
            "SIGNATURE_UNREADABLE",
            "Signature-Input cannot be read",
        ),
        (
            after(|s| input(s, "sig1=1")),
            "SIGNATURE_UNREADABLE",
            "sig1 is no list",
        ),
        (
            after(|s| input(s, &many_labels.join(", "))),
            "SIGNATURE_UNREADABLE",
            "more than 8",
        ),
        (
            after(|s| input(s, &format!("sig1=({})", many_parts.join(" ")))),
            "SIGNATURE_UNREADABLE",
            "more than 64",
        ),
        (
            after(|s| s.set("Signature", "sig1=abc")),
            "SIGNATURE_UNREADABLE",
            "no byte sequence",
        ),
        (
            after(|s| s.set("Signature", "sig1=(:YQ==:)")),
            "SIGNATURE_UNREADABLE",
            "no byte sequence",
        ),
        (
            after(|s| s.set("Signature", "sig1=:a:")),
            "SIGNATURE_UNREADABLE",
            "Signature cannot be read",
        ),
        (
            after(|s| s.set("Signature", "sig2=:YQ==:")),
            "SIGNATURE_UNPAIRED",
            "\"sig1\"",
        ),
        (
            with_input(";keyid=\"first\"", ""),
            "SIGNATURE_PARAMETER_MISSING",
            "keyid",
        ),
        (
            with_input(";alg=\"ed25519\"", ""),
            "SIGNATURE_PARAMETER_MISSING",
            "alg",
        ),
        (
            with_input("nonce=\"n-1\";", ""),
            "SIGNATURE_PARAMETER_MISSING",
            "nonce",
        ),
        (
            with_input(&format!("created={NOW_S};"), ""),
            "SIGNATURE_PARAMETER_MISSING",
            "created",
        ),
        (
            with_input("\"n-1\"", "\"\""),
            "SIGNATURE_PARAMETER_WRONG",
            "nonce is wrong: it has to be",
        ),
        (
            with_input("\"n-1\"", "\"a b\""),
            "SIGNATURE_PARAMETER_WRONG",
            "visible characters",
        ),
        (
            with_input("n-1", &"n".repeat(129)),
            "SIGNATURE_PARAMETER_WRONG",
            "1 to 128",
        ),
        (
            with_input("\"n-1\"", "5"),
            "SIGNATURE_PARAMETER_WRONG",
            "nonce",
        ),
        (
            with_input("\"first\"", "first"),
            "SIGNATURE_PARAMETER_WRONG",
            "keyid",
        ),
        (
            with_input(&NOW_S.to_string(), "\"now\""),
            "SIGNATURE_PARAMETER_WRONG",
            "created",
        ),
        (
            with_input(&NOW_S.to_string(), "1.5"),
            "SIGNATURE_PARAMETER_WRONG",
            "whole number",
        ),
        (
            with_input(";keyid", ";expires=?1;keyid"),
            "SIGNATURE_PARAMETER_WRONG",
            "expires",
        ),
        (
            with_input("ed25519", "hmac-sha256"),
            "SIGNATURE_ALGORITHM_UNKNOWN",
            "rsa-v1_5-sha256",
        ),
        (
            with_input("\"@method\" ", ""),
            "SIGNATURE_NOT_COVERED",
            "does not cover \"@method\"",
        ),
        (
            with_input("\"@target-uri\"", "\"@path\""),
            "SIGNATURE_NOT_COVERED",
            "@target-uri",
        ),
        (
            with_input("\"@target-uri\"", "\"@query\""),
            "SIGNATURE_NOT_COVERED",
            "@target-uri",
        ),
        (
            with_input(" \"content-digest\"", ""),
            "SIGNATURE_NOT_COVERED",
            "cover \"content-digest\"",
        ),
        (
            with_input("\"content-digest\"", "\"content-digest\";key=\"sha-256\""),
            "SIGNATURE_NOT_COVERED",
            "without parameters",
        ),
        (
            after(|s| s.unset("content-type")),
            "SIGNATURE_COMPONENT_MISSING",
            "\"content-type\"",
        ),
        (
            after(|s| s.edit("Signature-Input", "\"content-type\"", "\"content-type\";tr")),
            "SIGNATURE_COMPONENT_UNSUPPORTED",
            "the parameter tr",
        ),
        (
            after(|s| s.edit("Signature-Input", "\"content-type\"", "\"@method\"")),
            "SIGNATURE_COMPONENT_TWICE",
            "\"@method\" is covered twice",
        ),
        (
            after(|s| s.unset("Content-Digest")),
            "CONTENT_DIGEST_MISSING",
            "no Content-Digest header",
        ),
        (
            after(|s| s.set("Content-Digest", "md5=:YQ==:")),
            "CONTENT_DIGEST_UNKNOWN",
            "sha-256",
        ),
        (
            after(|s| s.set("Content-Digest", "sha-256=1")),
            "SIGNATURE_UNREADABLE",
            "Content-Digest",
        ),
        (
            after(|s| s.set("Content-Digest", "sha-256")),
            "SIGNATURE_UNREADABLE",
            "Content-Digest",
        ),
        (
            after(|s| s.body.push(b' ')),
            "CONTENT_DIGEST_MISMATCH",
            "the sha-256 of Content-Digest",
        ),
        (
            with_input(&NOW_S.to_string(), &(NOW_S - 301).to_string()),
            "SIGNATURE_TOO_OLD",
            "301 s ago",
        ),
        (
            with_input(&NOW_S.to_string(), &(NOW_S + 301).to_string()),
            "SIGNATURE_TOO_FAR_AHEAD",
            "301 s ahead",
        ),
        (
            with_input(";keyid", &format!(";expires={};keyid", NOW_S - 1)),
            "SIGNATURE_EXPIRED",
            "expired 1 s ago",
        ),
        (
            with_input("ed25519", "rsa-pss-sha512"),
            "SIGNATURE_ALGORITHM_NOT_OF_KEY",
            "registered for ed25519",
        ),
        (
            after(|s| s.method = "GET".to_owned()),
            "SIGNATURE_MISMATCH",
            "another key, or over another text",
        ),
    ];
    let mut codes = BTreeSet::new();
    for (sent, code, words) in table {
        let fault = fault(&sent);
        assert_eq!(fault.code(), code, "{fault}\n{sent:?}");
        assert!(fault.to_string().contains(words), "{fault} lacks {words}");
        codes.insert(code);
    }
    assert_eq!(codes.len(), 18, "{codes:?}");
    let documented = include_str!("../../../docs/SIGNING.md");
    for code in codes {
        assert!(documented.contains(&format!("| `{code}` |")), "{code}");
    }
}

#[test]
fn the_window_is_open_at_both_ends() {
    for offset in [-300, -1, 0, 1, 300] {
        let sent = with_input(&NOW_S.to_string(), &(NOW_S + offset).to_string());
        let claim = sent.verify(keys(ED)[0].public_key()).unwrap();
        assert_eq!(claim.created_s(), NOW_S + offset);
    }
    for (expires_s, is_accepted) in [(NOW_S, true), (NOW_S + 60, true), (NOW_S - 1, false)] {
        let sent = with_input(";keyid", &format!(";expires={expires_s};keyid"));
        let verified = sent.verify(keys(ED)[0].public_key());
        assert_eq!(verified.is_ok(), is_accepted, "{verified:?}");
    }
    for extreme in ["999999999999999", "-999999999999999"] {
        let sent = with_input(&NOW_S.to_string(), extreme);
        let code = fault(&sent).code();
        assert!(code.starts_with("SIGNATURE_TOO_"), "{extreme}: {code}");
    }
}

#[test]
fn a_claim_says_what_it_claims() {
    let claim = signed(ED).with(Claim::read).unwrap();
    assert_eq!(claim.label(), "sig1");
    assert_eq!(claim.key_id(), "first");
    assert_eq!(claim.algorithm(), ED);
    assert_eq!(claim.nonce(), "n-1");
    assert_eq!(claim.created_s(), NOW_S);
    let expected = format!("\"@signature-params\": {}", usual_input(ED));
    assert_eq!(claim.base().lines().last(), Some(expected.as_str()));
    assert!(
        claim
            .base()
            .starts_with("\"@method\": POST\n\"@target-uri\": https://pay.example/graphql\n")
    );
}

#[test]
fn of_several_signatures_the_one_that_is_meant_is_taken() {
    let proxys = format!("(\"@method\");created={NOW_S};keyid=\"proxy\"");
    let sign = |order: [bool; 2]| {
        let mut sent = Sent::usual();
        for is_ours in order {
            if is_ours {
                sent.sign("ours", &usual_input(ED), &keys(ED)[0]);
            } else {
                sent.sign("proxy", &proxys, &keys(ED)[1]);
            }
        }
        sent
    };
    for order in [[true, false], [false, true]] {
        let claim = sign(order).verify(keys(ED)[0].public_key()).unwrap();
        assert_eq!(claim.label(), "ours", "{order:?}");
    }
    let mut both = sign([true, false]);
    both.sign("second", &usual_input(ED), &keys(ED)[1]);
    let fault = fault(&both);
    assert_eq!(fault.code(), "SIGNATURE_AMBIGUOUS");
    assert!(fault.to_string().contains("ours, second"), "{fault}");
    let mut none = Sent::usual();
    none.sign("proxy", &proxys, &keys(ED)[1]);
    none.sign("other", &proxys, &keys(ED)[1]);
    let fault = none.with(Claim::read).unwrap_err();
    assert_eq!(fault, SignatureFault::ParameterMissing { name: "alg" });
}

#[test]
fn a_request_without_a_body_needs_no_digest() {
    let mut sent = Sent::usual();
    sent.body.clear();
    sent.unset("content-digest");
    let input = usual_input(ED).replace(" \"content-digest\"", "");
    sent.sign("sig1", &input, &keys(ED)[0]);
    assert!(sent.verify(keys(ED)[0].public_key()).is_ok());
    let mut filled = sent.clone();
    filled.body = b"{}".to_vec();
    assert_eq!(fault(&filled).code(), "CONTENT_DIGEST_MISSING");
    filled.set("content-digest", &content_digest::of(b"{}"));
    assert_eq!(fault(&filled).code(), "SIGNATURE_NOT_COVERED");
    let mut wrong = sent.clone();
    wrong.set("content-digest", "sha-256=:YQ==:");
    assert_eq!(fault(&wrong).code(), "CONTENT_DIGEST_MISMATCH");
}

#[test]
fn what_we_sign_meets_our_own_demands() {
    for algorithm in all() {
        let key = &keys(*algorithm)[0];
        let signer = Signer {
            key,
            key_id: "ours",
            nonce: "n-2",
            created: at(NOW_S),
        };
        let mut sent = Sent::usual();
        sent.unset("content-digest");
        let headers = sent.with(|request| sign_request(request, &signer)).unwrap();
        for (name, value) in headers {
            sent.set(name, &value);
        }
        let claim = sent.verify(key.public_key()).unwrap();
        assert_eq!((claim.key_id(), claim.nonce()), ("ours", "n-2"));
        let input = sent.header("signature-input");
        assert!(
            input.contains("\"@authority\"") && input.contains("\"content-type\""),
            "{input}"
        );
    }
}

#[test]
fn what_cannot_be_signed_is_said() {
    let sent = Sent::usual();
    let long = "n".repeat(129);
    for (key_id, nonce, name) in [
        ("", "n", "keyid"),
        ("k", &long, "nonce"),
        ("k", "\u{e9}", "nonce"),
    ] {
        let signer = Signer {
            key: &keys(ED)[0],
            key_id,
            nonce,
            created: at(NOW_S),
        };
        let fault = sent
            .with(|request| sign_request(request, &signer))
            .unwrap_err();
        assert_eq!(fault.code(), "SIGNATURE_PARAMETER_WRONG");
        assert!(fault.to_string().contains(name), "{fault}");
    }
}

const JSON: Header<'_> = ("content-type", b"application/json");

fn answer<'a>(request: &'a Request<'a>, headers: &'a [Header<'a>]) -> Response<'a> {
    Response {
        status: 200,
        headers,
        body: b"{}",
        request: Some(request),
    }
}

/// A signed answer is an answer to one request only.
#[test]
fn an_answer_is_bound_to_its_request() {
    let (asked, other) = (signed(ED), with_input("n-1", "n-2"));
    let signer = Signer {
        key: &keys(ED)[1],
        key_id: "center",
        nonce: "n-3",
        created: at(NOW_S),
    };
    let sign = |request: &Request<'_>| {
        let claim = Claim::read(request).unwrap();
        sign_response(&answer(request, &[JSON]), Some(&claim), &signer).unwrap()
    };
    let signed = asked.with(sign);
    let names: Vec<_> = signed.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["Content-Digest", "Signature-Input", "Signature"]);
    assert!(
        signed[1]
            .1
            .contains("\"@status\" \"content-type\" \"content-digest\" \"signature\";req")
    );
    let mut full = vec![JSON];
    full.extend(signed.iter().map(|(name, value)| (*name, value.as_bytes())));
    let holds = |request: &Request<'_>| {
        let response = answer(request, &full);
        let message = crate::trust::message::Message::Response(&response);
        let found = crate::trust::base::signatures(&full).unwrap().remove(0);
        let base = crate::trust::base::signature_base(message, &found.input).unwrap();
        keys(ED)[1]
            .public_key()
            .accepts(base.as_bytes(), &found.signature)
    };
    assert!(asked.with(holds));
    assert!(!other.with(holds));
    let unbound = asked
        .with(|request| sign_response(&answer(request, &[JSON]), None, &signer))
        .unwrap();
    assert!(!unbound[1].1.contains("req"), "{unbound:?}");
}

/// A caller's label is its own affair, however long.
#[test]
fn an_answer_names_any_label() {
    let mut asked = Sent::usual();
    let label = "l".repeat(300);
    asked.sign(&label, &usual_input(ED), &keys(ED)[0]);
    let signer = Signer {
        key: &keys(ED)[1],
        key_id: "center",
        nonce: "n-3",
        created: at(NOW_S),
    };
    let signed = asked.with(|request| {
        let claim = Claim::read(request).unwrap();
        sign_response(&answer(request, &[JSON]), Some(&claim), &signer)
    });
    let input = &signed.unwrap()[1].1;
    assert!(
        input.contains(&format!("\"signature\";req;key=\"{label}\"")),
        "{input}"
    );
}
