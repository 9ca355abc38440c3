//! SM2 in a build that does not have it: refused by name, and told from what is no key at all.

use super::sent::{NOW_S, Sent, keys};
use crate::domain::key::Algorithm;
use crate::trust::{KeyFault, PrivateKey, PublicKey};

const PUBLIC: &str = include_str!("../../../tests/data/keys/sm2.pem");
const PRIVATE: &str = include_str!("../../../tests/data/keys/sm2-private.pem");
const ABSENT: KeyFault = KeyFault::NotBuilt {
    algorithm: Algorithm::Sm2Sm3,
    feature: "gm",
};

#[test]
fn a_key_of_sm2_is_refused_by_the_feature_that_is_missing() {
    let algorithm = Algorithm::Sm2Sm3;
    assert_eq!(PrivateKey::generate(algorithm).unwrap_err(), ABSENT);
    assert_eq!(
        PrivateKey::from_pem(algorithm, PRIVATE).unwrap_err(),
        ABSENT
    );
    assert_eq!(PublicKey::from_text(algorithm, PUBLIC).unwrap_err(), ABSENT);
    assert_eq!(
        PrivateKey::from_pem_of_any_kind(PRIVATE).unwrap_err(),
        ABSENT
    );
    assert!(ABSENT.to_string().contains("--features gm"), "{ABSENT}");
}

#[test]
fn a_claim_of_sm2_is_not_one_of_another_key() {
    let mut sent = Sent::usual();
    let ed25519 = &keys(Algorithm::Ed25519)[0];
    let input = format!(
        "(\"@method\" \"@target-uri\" \"content-digest\");created={NOW_S};nonce=\"n\";keyid=\"k\";alg=\"sm2-sm3\""
    );
    sent.sign("sig1", &input, ed25519);
    let fault = sent.verify(ed25519.public_key()).unwrap_err();
    assert_eq!(fault.code(), "SIGNATURE_ALGORITHM_NOT_OF_KEY");
}
