//! The examples of RFC 9421 (appendix B, and those of section 2) and of RFC 9530.

use super::sent::{Sent, base_of};
use crate::domain::key::Algorithm;
use crate::trust::message::{Header, Message};
use crate::trust::{PrivateKey, PublicKey, Response, content_digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const RSA_PSS: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----
";
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----
";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
";
const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
";

/// The digest of `{"hello": "world"}`.
const HELLO_SHA_512: &str = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";

fn request() -> Sent {
    let mut sent = Sent::usual();
    sent.authority = "example.com".to_owned();
    sent.path = "/foo".to_owned();
    sent.query = Some("param=Value&Pet=dog".to_owned());
    sent.body = br#"{"hello": "world"}"#.to_vec();
    sent.headers.clear();
    for (name, value) in [
        ("Host", "example.com"),
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Digest", HELLO_SHA_512),
        ("Content-Length", "18"),
    ] {
        sent.set(name, value);
    }
    sent
}

/// A signature of the RFC: what it covers, the lines before its last one, and itself.
struct Vector {
    input: &'static str,
    lines: &'static [&'static str],
    signature: &'static str,
}

impl Vector {
    fn check(&self, message: Message<'_>, key: &PublicKey) {
        let base = base_of(message, self.input).unwrap();
        let last = format!("\"@signature-params\": {}", self.input);
        let lines: Vec<_> = self.lines.iter().copied().chain([last.as_str()]).collect();
        assert_eq!(base, lines.join("\n"));
        let signature = STANDARD.decode(self.signature).unwrap();
        assert!(key.accepts(base.as_bytes(), &signature), "{}", self.input);
        let other = base.replacen("created=1", "created=2", 1);
        assert!(!key.accepts(other.as_bytes(), &signature), "{}", self.input);
    }
}

const B_2_1: Vector = Vector {
    input: r#"();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
    lines: &[],
    signature: "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it\
                ++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z\
                2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAv\
                tl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1b\
                LhdxO5Nyt8C8ssinQ98Xw9Q==",
};

const B_2_2: Vector = Vector {
    input: r#"("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
    lines: &[
        r#""@authority": example.com"#,
        r#""content-digest": sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"#,
        r#""@query-param";name="Pet": dog"#,
    ],
    signature: "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CD\
                fKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4T\
                RJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wi\
                KYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaU\
                Eb0rQl3/XaVe4bXTugEjHSw==",
};

const B_2_3: Vector = Vector {
    input: r#"("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
    lines: &[
        r#""date": Tue, 20 Apr 2021 02:07:55 GMT"#,
        r#""@method": POST"#,
        r#""@path": /foo"#,
        r#""@query": ?param=Value&Pet=dog"#,
        r#""@authority": example.com"#,
        r#""content-type": application/json"#,
        r#""content-digest": sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"#,
        r#""content-length": 18"#,
    ],
    signature: "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFke\
                Gt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/\
                yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldm\
                lu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZA\
                FL2FUo5fTIztsDZKEgM4cUA==",
};

const B_2_4: Vector = Vector {
    input: r#"("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256""#,
    lines: &[
        r#""@status": 200"#,
        r#""content-type": application/json"#,
        r#""content-digest": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:"#,
        r#""content-length": 23"#,
    ],
    signature: "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+\
                32oiasw==",
};

const B_2_6: Vector = Vector {
    input: r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
    lines: &[
        r#""date": Tue, 20 Apr 2021 02:07:55 GMT"#,
        r#""@method": POST"#,
        r#""@path": /foo"#,
        r#""@authority": example.com"#,
        r#""content-type": application/json"#,
        r#""content-length": 18"#,
    ],
    signature: "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5W\
                PpBKRCw==",
};

#[test]
fn requests_of_appendix_b_2() {
    let rsa = PublicKey::from_text(Algorithm::RsaPssSha512, RSA_PSS).unwrap();
    let ed25519 = PublicKey::from_text(Algorithm::Ed25519, ED25519).unwrap();
    request().with(|request| {
        for vector in [B_2_1, B_2_2, B_2_3] {
            vector.check(Message::Request(request), &rsa);
        }
        B_2_6.check(Message::Request(request), &ed25519);
    });
}

#[test]
fn the_response_of_appendix_b_2_4() {
    let headers: Vec<Header<'_>> = vec![
        ("Date", b"Tue, 20 Apr 2021 02:07:56 GMT"),
        ("Content-Type", b"application/json"),
        ("Content-Digest", b"sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:"),
        ("Content-Length", b"23"),
    ];
    let response = Response {
        status: 200,
        headers: &headers,
        body: br#"{"message": "good dog"}"#,
        request: None,
    };
    let p256 = PublicKey::from_text(Algorithm::EcdsaP256Sha256, P256).unwrap();
    B_2_4.check(Message::Response(&response), &p256);
    assert_eq!(content_digest::check(&headers, response.body), Ok(()));
}

/// Ed25519 is deterministic: our own signature is the RFC's, byte for byte.
#[test]
fn our_signature_of_appendix_b_2_6() {
    let key = PrivateKey::from_pem(Algorithm::Ed25519, ED25519_PRIVATE).unwrap();
    let public = PublicKey::from_text(Algorithm::Ed25519, ED25519).unwrap();
    assert_eq!(key.public_key(), &public);
    let base = request().base(B_2_6.input);
    let signature = STANDARD.encode(key.sign(base.as_bytes()).unwrap());
    assert_eq!(signature, B_2_6.signature);
}

/// RFC 9421, appendix B.4: what a proxy may do to a message, and what it may not.
#[test]
fn transformations_of_appendix_b_4() {
    const INPUT: &str =
        r#"("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519""#;
    const SIGNATURE: &str =
        "ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==";
    let key = PublicKey::from_text(Algorithm::Ed25519, ED25519).unwrap();
    let signature = STANDARD.decode(SIGNATURE).unwrap();
    let accepted = |method: &str, authority: &str, query: &str, headers: &[Header<'_>]| {
        let mut sent = Sent::usual();
        sent.method = method.to_owned();
        sent.authority = authority.to_owned();
        sent.path = "/demo".to_owned();
        sent.query = Some(query.to_owned());
        sent.headers.clear();
        for (name, value) in headers {
            sent.headers.push(((*name).to_owned(), value.to_vec()));
        }
        key.accepts(sent.base(INPUT).as_bytes(), &signature)
    };
    let (home, query) = ("example.org", "name1=Value1&Name2=value2");
    let accept: &[Header<'_>] = &[("Accept", b"application/json"), ("Accept", b"*/*")];
    let added: &[Header<'_>] = &[accept[0], accept[1], ("Accept-Language", b"en-US,en;q=0.5")];
    let joined: &[Header<'_>] = &[("Accept", b"application/json, */*"), ("Referer", b"x")];
    let swapped: &[Header<'_>] = &[accept[1], accept[0]];
    assert!(accepted("GET", home, query, accept));
    let longer = format!("{query}&param=added");
    assert!(accepted("GET", home, &longer, added));
    assert!(accepted("GET", home, query, joined));
    assert!(!accepted("POST", "example.com", query, accept));
    assert!(!accepted("GET", home, query, swapped));
}

/// RFC 9530, appendix B: a digest with either algorithm, and of nothing.
#[test]
fn digests_of_rfc_9530() {
    let with_newline = b"{\"hello\": \"world\"}\n";
    for (body, digest) in [
        (
            &with_newline[..],
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
        ),
        (
            b"",
            "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        ),
        (b"{\"hello\": \"world\"}", HELLO_SHA_512),
    ] {
        let headers = [("content-digest", digest.as_bytes())];
        assert_eq!(content_digest::check(&headers, body), Ok(()), "{digest}");
        assert!(content_digest::check(&headers, b"{}").is_err(), "{digest}");
        if digest.starts_with("sha-256") {
            assert_eq!(content_digest::of(body), digest);
        }
    }
}
