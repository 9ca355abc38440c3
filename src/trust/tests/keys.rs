//! Keys: read in every form, refused in words, never shown.

use super::sent::{all, keys};
use crate::domain::key::Algorithm;
use crate::trust::pem::decode;
use crate::trust::public_key::SMALL_ORDER;
use crate::trust::{KeyFault, PrivateKey, PublicKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ED25519, ParsedPublicKey, RSA_PSS_SHA512, RsaKeyPair, RsaPssSaltLength, RsaSignatureEncoding,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

#[test]
fn every_pair_signs_and_comes_back_from_its_files() {
    for algorithm in all() {
        let key = &keys(*algorithm)[0];
        let pem = key.to_pem().unwrap();
        let again = PrivateKey::from_pem(*algorithm, &pem).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        let signature = again.sign(b"message").unwrap();
        assert!(key.public_key().accepts(b"message", &signature));
        assert!(!key.public_key().accepts(b"massage", &signature));
        let guessed = PrivateKey::from_pem_of_any_kind(&pem).unwrap();
        let expected = match algorithm {
            Algorithm::RsaV15Sha256 => Algorithm::RsaPssSha512,
            other => *other,
        };
        assert_eq!(guessed.algorithm(), expected);
    }
}

#[test]
fn a_public_key_is_read_in_every_form_and_keeps_its_thumbprint() {
    for algorithm in all() {
        let key = keys(*algorithm)[0].public_key();
        let der = STANDARD.encode(key.der());
        let folded = format!("  {}\r\n{}  ", &der[..20], &der[20..]);
        let crlf = key.to_pem().replace('\n', "\r\n");
        let mut forms = vec![
            key.to_pem(),
            crlf,
            der,
            folded,
            URL_SAFE_NO_PAD.encode(key.der()),
        ];
        if *algorithm == Algorithm::Ed25519 {
            forms.push(STANDARD.encode(&key.der()[12..]));
        }
        for text in forms {
            let read = PublicKey::from_text(*algorithm, &text).unwrap();
            assert_eq!(&read, key, "{text}");
            assert_eq!(read.thumbprint(), key.thumbprint());
        }
        assert_eq!(key.thumbprint().len(), 64);
        let second = keys(*algorithm)[1].public_key();
        assert_ne!(second.thumbprint(), key.thumbprint());
    }
}

/// RFC 8037, appendix A, gives this key; its thumbprint here is that of OpenSSL:
/// `openssl pkey -pubin -outform DER | sha256sum`.
#[test]
fn a_thumbprint_is_the_hash_that_others_compute() {
    let text = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let key = PublicKey::from_text(Algorithm::Ed25519, text).unwrap();
    let others = "06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9";
    assert_eq!(key.thumbprint(), others);
}

#[test]
fn a_private_key_that_is_pasted_is_refused_and_not_repeated() {
    for algorithm in all() {
        let key = &keys(*algorithm)[0];
        let pem = key.to_pem().unwrap();
        let bare = STANDARD.encode(key.to_pkcs8().unwrap());
        let openssh =
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----";
        let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"secret","x":"public"}"#;
        for text in [pem.as_str(), &bare, openssh, jwk] {
            let fault = PublicKey::from_text(*algorithm, text).unwrap_err();
            assert_eq!(fault, KeyFault::Private, "{algorithm}");
            assert_eq!(fault.code(), "KEY_PRIVATE");
            assert!(!fault.to_string().contains(text));
        }
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("PrivateKey({algorithm} ***)"));
    }
}

#[test]
fn a_key_has_to_fit_its_algorithm() {
    for algorithm in all() {
        let key = &keys(*algorithm)[0];
        for other in all() {
            let is_same_kind = algorithm == other || algorithm.is_rsa() && other.is_rsa();
            let public = PublicKey::from_text(*other, &key.public_key().to_pem());
            let private = PrivateKey::from_pem(*other, &key.to_pem().unwrap());
            if is_same_kind {
                assert_eq!(public.unwrap().algorithm(), *other);
                assert_eq!(private.unwrap().algorithm(), *other);
            } else {
                let fault = KeyFault::OtherKind { algorithm: *other };
                assert_eq!(public.unwrap_err(), fault);
                assert_eq!(private.unwrap_err(), fault);
            }
        }
    }
    for algorithm in all() {
        let (algorithm, p384) = (
            *algorithm,
            include_str!("../../../tests/data/keys/p-384.pem"),
        );
        let fault = PublicKey::from_text(algorithm, p384).unwrap_err();
        assert_eq!(fault, KeyFault::OtherKind { algorithm });
    }
}

#[test]
fn rsa_keys_are_neither_too_short_nor_too_long() {
    let length = |bits| KeyFault::RsaLength {
        bits,
        min: 2048,
        max: 4096,
    };
    for algorithm in [Algorithm::RsaPssSha512, Algorithm::RsaV15Sha256] {
        let read = |text| PublicKey::from_text(algorithm, text);
        let short = read(include_str!("../../../tests/data/keys/rsa-1024.pem"));
        assert_eq!(short.unwrap_err(), length(1024));
        let long = read(include_str!("../../../tests/data/keys/rsa-8192.pem"));
        assert_eq!(long.unwrap_err(), length(8192));
    }
}

/// OpenSSL writes an RSA key under two names; both are the same key here.
#[test]
fn an_rsa_key_by_its_other_name_is_read() {
    let text = include_str!("../../../tests/data/keys/rsa-pss-2048.pem");
    let key = PublicKey::from_text(Algorithm::RsaPssSha512, text).unwrap();
    assert_ne!(key.to_pem(), text);
    let again = PublicKey::from_text(Algorithm::RsaPssSha512, &key.to_pem()).unwrap();
    assert_eq!(again, key);
    let private = include_str!("../../../tests/data/keys/rsa-pss-2048-private.pem");
    let pair = PrivateKey::from_pem_of_any_kind(private).unwrap();
    assert_eq!(pair.public_key(), &key);
    let signature = pair.sign(b"message").unwrap();
    assert!(key.accepts(b"message", &signature));
    let der = decode(private).unwrap();
    for end in 0..der.len() {
        let cut = PrivateKey::from_pkcs8(Algorithm::RsaPssSha512, &der[..end]);
        assert!(cut.is_err(), "{end} bytes of it are a key");
    }
}

/// RFC 9421 has a salt of 64 bytes; programs that leave it to OpenSSL take the longest.
#[test]
fn the_longest_salt_is_accepted_too() {
    const LONGEST: RsaSignatureEncoding =
        RSA_PSS_SHA512.with_pss_salt_length(RsaPssSaltLength::Max);
    let key = &keys(Algorithm::RsaPssSha512)[0];
    let pair = RsaKeyPair::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&LONGEST, &SystemRandom::new(), b"message", &mut signature)
        .unwrap();
    assert!(key.public_key().accepts(b"message", &signature));
    assert!(!key.public_key().accepts(b"massage", &signature));
}

/// A point of small order accepts a signature that needs no private key, for one message in at most
/// eight: so it is no key.
#[test]
fn a_key_under_which_anybody_can_sign_is_refused() {
    let mut nobodys = [0; 64];
    nobodys[0] = 1;
    let mut is_forged = 0;
    for y in SMALL_ORDER {
        for sign in [0, 0x80] {
            let mut point = y;
            point[31] |= sign;
            let text = STANDARD.encode(point);
            let read = PublicKey::from_text(Algorithm::Ed25519, &text);
            let Ok(parsed) = ParsedPublicKey::new(&ED25519, point) else {
                panic!("the library refuses {text} by itself now");
            };
            assert_eq!(read.unwrap_err(), KeyFault::Weak, "{text}");
            let forged = |n: &u8| parsed.verify_sig(&[*n], &nobodys).is_ok();
            is_forged += usize::from((0..=255).any(|n| forged(&n)));
        }
    }
    assert!(is_forged >= 7, "only {is_forged} of them can be forged");
}

#[test]
fn what_is_no_key_is_refused_in_words() {
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    let two = keys(Algorithm::Ed25519)
        .each_ref()
        .map(|key| key.public_key().to_pem())
        .concat();
    for algorithm in all() {
        let refused = |text: &str| PublicKey::from_text(*algorithm, text).unwrap_err();
        assert_eq!(refused(certificate), KeyFault::Certificate);
        for text in [
            "",
            "key",
            "AAAA",
            "ssh-ed25519 AAAA",
            "{}",
            &two,
            "-----BEGIN X-----",
        ] {
            assert_eq!(refused(text), KeyFault::PublicUnreadable, "{text}");
        }
        let refused = |text: &str| PrivateKey::from_pem(*algorithm, text).unwrap_err();
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA";
        assert_eq!(refused(encrypted), KeyFault::Encrypted);
        let old = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----";
        let none = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        for text in ["", old, none] {
            assert_eq!(refused(text), KeyFault::PrivateUnreadable, "{text}");
            let guessed = PrivateKey::from_pem_of_any_kind(text).unwrap_err();
            assert_eq!(guessed, KeyFault::PrivateUnreadable);
        }
    }
}
