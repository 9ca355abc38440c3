//! A sample of what `src/trust/tests/tampering.rs` does to many thousand requests, against a running
//! center: none of them is let in, and the one that nobody touched is.

use crate::center::{Caller, Hand, MASTER, PUBLIC, body};
use crate::support::database::TestDatabase;
use crate::support::world::{Setup, TOPUP};
use payhall::domain::key::Algorithm;
use serde_json::json;

/// Headers and body on their way.
type Sent = (Vec<(&'static str, String)>, String);

/// What is done on the way, by its name.
type Tampering = (&'static str, fn(&mut Sent, &Sent));

fn header<'a>(sent: &'a mut Sent, wanted: &str) -> &'a mut String {
    let found = sent
        .0
        .iter_mut()
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    &mut found.expect("a header").1
}

fn exchange(sent: &mut Sent, wanted: &str, from: &str, to: &str) {
    let value = header(sent, wanted);
    assert!(value.contains(from), "{value} has no {from}");
    *value = value.replacen(from, to, 1);
}

fn without(sent: &mut Sent, wanted: &str) {
    sent.0
        .retain(|(name, _)| !name.eq_ignore_ascii_case(wanted));
}

const KINDS: [Tampering; 20] = [
    ("another amount", |sent, _| {
        sent.1 = sent.1.replace("\"5000\"", "\"9000\"");
    }),
    ("a space more in the body", |sent, _| sent.1.push(' ')),
    ("a shorter body", |sent, _| {
        sent.1.pop();
    }),
    ("another's body and digest", |sent, other| {
        *header(sent, "content-digest") = header(&mut other.clone(), "content-digest").clone();
        sent.1 = other.1.clone();
    }),
    ("another's digest", |sent, other| {
        *header(sent, "content-digest") = header(&mut other.clone(), "content-digest").clone();
    }),
    ("no digest", |sent, _| without(sent, "content-digest")),
    ("no signature", |sent, _| without(sent, "signature")),
    ("no input", |sent, _| without(sent, "signature-input")),
    ("another's signature", |sent, other| {
        *header(sent, "signature") = header(&mut other.clone(), "signature").clone();
    }),
    ("another nonce", |sent, _| {
        exchange(sent, "signature-input", "nonce=\"", "nonce=\"0")
    }),
    ("created later", |sent, _| {
        exchange(sent, "signature-input", "created=1", "created=2")
    }),
    ("another key", |sent, other| {
        let key_id = |sent: &Sent| {
            let input = header(&mut sent.clone(), "signature-input").clone();
            let (_, rest) = input.split_once("keyid=\"").expect("a key");
            rest.split_once('"').expect("its end").0.to_owned()
        };
        let (own, theirs) = (key_id(sent), key_id(other));
        exchange(sent, "signature-input", &own, &theirs);
    }),
    ("a key that nobody has", |sent, _| {
        exchange(sent, "signature-input", "keyid=\"", "keyid=\"0");
    }),
    ("a method less", |sent, _| {
        exchange(sent, "signature-input", "\"@method\"", "")
    }),
    ("a digest less", |sent, _| {
        exchange(sent, "signature-input", "\"content-digest\"", "")
    }),
    ("a component more", |sent, _| {
        exchange(sent, "signature-input", "(", "(\"host\" ")
    }),
    ("a component twice", |sent, _| {
        exchange(sent, "signature-input", "(", "(\"@method\" ");
    }),
    ("an expiry", |sent, _| {
        exchange(
            sent,
            "signature-input",
            ";keyid=",
            ";expires=4102444800;keyid=",
        );
    }),
    ("another type of body", |sent, _| {
        sent.0
            .push(("content-type", "application/json; charset=utf-8".to_owned()));
    }),
    ("an empty signature", |sent, _| {
        let value = header(sent, "signature");
        let (label, _) = value.split_once('=').expect("a label");
        *value = format!("{label}=::");
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_tampered_with_is_let_in_by_a_running_center() {
    let world = Setup::on(TestDatabase::sqlite())
        .set("keys.master", MASTER)
        .set("api.public_url", format!("{}://{}", PUBLIC.0, PUBLIC.1))
        .start()
        .await;
    let daemon = world.daemon().await;
    let caller = Caller::new(&daemon.url);
    let hands = [
        Hand::of(&caller, Algorithm::Ed25519).await,
        Hand::of(&caller, Algorithm::EcdsaP256Sha256).await,
    ];
    let order = |hand: &Hand, number: usize| -> Sent {
        let input = json!({ "requestNo": format!("R-{number}"), "item": TOPUP,
            "billNo": "13800000001", "amount": { "minor": "5000", "currency": "CNY" } });
        let text = body("orderCreate", "order { orderNo }", &input);
        (hand.sign(&format!("n-{number}"), 1, &text), text)
    };
    let mut number = 0;
    for _ in 0..5 {
        for place in [0, 1] {
            for (kind, tamper) in KINDS {
                number += 2;
                let original = order(&hands[place], number);
                let mut tampered = original.clone();
                tamper(&mut tampered, &order(&hands[1 - place], number + 1));
                let told = caller.send(&tampered.0, tampered.1).await;
                assert_eq!(told.status, 401, "{kind}: {told:?}");
                assert!(told.body["data"].is_null(), "{kind}: {told:?}");
                // It used nothing up: the request itself is let in, once.
                let told = caller.send(&original.0, original.1).await;
                assert_eq!((told.status, told.code()), (200, ""), "{kind}: {told:?}");
            }
        }
    }
}
