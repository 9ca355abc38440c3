//! The values of components, by the examples of RFC 9421, section 2.

use super::sent::{NOW_S, Sent, base_of, keys, signed};
use crate::domain::key::Algorithm;
use crate::trust::message::Message;
use crate::trust::{Claim, Response, SignatureFault};

/// The value of a component of a request, as it stands in the base.
fn value(sent: &Sent, component: &str) -> Result<String, SignatureFault> {
    let base =
        sent.with(|request| base_of(Message::Request(request), &format!("({component})")))?;
    let (line, _) = base.split_once('\n').expect("a line for the component");
    let (named, value) = line.split_once(": ").expect("a name and a value");
    assert_eq!(named, component);
    Ok(value.to_owned())
}

fn fault(sent: &Sent, component: &str) -> String {
    let fault = value(sent, component).expect_err(component);
    format!("{} {fault}", fault.code())
}

fn to(scheme: &str, authority: &str, path: &str, query: Option<&str>) -> Sent {
    let mut sent = Sent::usual();
    sent.scheme = scheme.to_owned();
    sent.authority = authority.to_owned();
    sent.path = path.to_owned();
    sent.query = query.map(str::to_owned);
    sent
}

#[test]
fn derived_components_are_those_of_the_target() {
    let sent = to("https", "www.example.com", "/path", Some("param=value"));
    for (component, expected) in [
        ("\"@method\"", "POST"),
        (
            "\"@target-uri\"",
            "https://www.example.com/path?param=value",
        ),
        ("\"@authority\"", "www.example.com"),
        ("\"@scheme\"", "https"),
        ("\"@request-target\"", "/path?param=value"),
        ("\"@path\"", "/path"),
        ("\"@query\"", "?param=value"),
    ] {
        assert_eq!(value(&sent, component).unwrap(), expected, "{component}");
    }
}

#[test]
fn targets_are_normalised_as_the_rfc_has_it() {
    let table = [
        (
            to("HTTPS", "WWW.Example.com:443", "", None),
            "https://www.example.com/",
        ),
        (
            to("http", "127.0.0.1:80", "/a", Some("")),
            "http://127.0.0.1/a?",
        ),
        (
            to("http", "127.0.0.1:8400", "/a", None),
            "http://127.0.0.1:8400/a",
        ),
        (
            to("https", "[::1]:80", "/%7Ea", Some("b=%20")),
            "https://[::1]:80/%7Ea?b=%20",
        ),
    ];
    for (sent, expected) in table {
        assert_eq!(value(&sent, "\"@target-uri\"").unwrap(), expected);
    }
    let bare = to("https", "example.com", "", None);
    assert_eq!(value(&bare, "\"@path\"").unwrap(), "/");
    assert_eq!(value(&bare, "\"@query\"").unwrap(), "?");
}

#[test]
fn query_parameters_are_decoded_and_encoded_again() {
    let query = "param=value&foo=bar&baz=batman&qux=&var=this%20is%20a%20big%0Amultiline%20value\
                 &bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something&twice=1&twice=2&&z=100%&y=%F0";
    let sent = to("https", "www.example.com", "/parameters", Some(query));
    for (name, expected) in [
        ("baz", "batman"),
        ("qux", ""),
        ("param", "value"),
        ("var", "this%20is%20a%20big%0Amultiline%20value"),
        ("bar", "with%20plus%20whitespace"),
        ("fa%C3%A7ade%22%3A%20", "something"),
        ("z", "100%25"),
        ("y", "%EF%BF%BD"),
    ] {
        let component = format!("\"@query-param\";name=\"{name}\"");
        assert_eq!(value(&sent, &component).unwrap(), expected, "{name}");
    }
    let told = fault(&sent, "\"@query-param\";name=\"twice\"");
    assert!(told.contains("more than once"), "{told}");
    let told = fault(&sent, "\"@query-param\";name=\"none\"");
    assert!(told.contains("no such parameter"), "{told}");
}

#[test]
fn fields_are_joined_trimmed_and_unfolded() {
    let mut sent = Sent::usual();
    for (name, line) in [
        ("X-OWS-Header", "  Leading and trailing whitespace.   \t"),
        ("X-Obs-Fold-Header", "Obsolete\r\n    line folding."),
        ("Cache-Control", "max-age=60"),
        ("X-Empty-Header", ""),
        ("cache-control", "   must-revalidate"),
        ("Example-Dict", " a=1,    b=2;x=1;y=2,   c=(a   b   c), d"),
        ("Priority", " u=1,    i;x=1;y=2,   c=(a   b   c)"),
    ] {
        let value = line.as_bytes().to_vec();
        sent.headers.push((name.to_owned(), value));
    }
    for (component, expected) in [
        ("\"x-ows-header\"", "Leading and trailing whitespace."),
        ("\"x-obs-fold-header\"", "Obsolete line folding."),
        ("\"cache-control\"", "max-age=60, must-revalidate"),
        ("\"x-empty-header\"", ""),
        (
            "\"cache-control\";bs",
            ":bWF4LWFnZT02MA==:, :bXVzdC1yZXZhbGlkYXRl:",
        ),
        (
            "\"example-dict\"",
            "a=1,    b=2;x=1;y=2,   c=(a   b   c), d",
        ),
        ("\"example-dict\";key=\"a\"", "1"),
        ("\"example-dict\";key=\"d\"", "?1"),
        ("\"example-dict\";key=\"b\"", "2;x=1;y=2"),
        ("\"example-dict\";key=\"c\"", "(a b c)"),
        ("\"priority\";sf", "u=1, i;x=1;y=2, c=(a b c)"),
    ] {
        assert_eq!(value(&sent, component).unwrap(), expected, "{component}");
    }
}

#[test]
fn what_cannot_be_checked_is_refused_by_name() {
    let mut sent = Sent::usual();
    sent.headers.push(("X-Broken".to_owned(), b"a\nb".to_vec()));
    sent.headers
        .push(("X-Name".to_owned(), "\u{5f20}".as_bytes().to_vec()));
    for (component, expected) in [
        ("\"@status\"", "SIGNATURE_COMPONENT_MISSING"),
        ("\"x-nothing\"", "there is no such header"),
        ("\"x-broken\"", "it holds a line break"),
        ("\"x-name\"", "no visible ASCII"),
        ("\"content-type\";key=\"a\"", "no structured field"),
        ("\"content-digest\";key=\"md5\"", "no such member"),
        ("\"content-type\";sf", "its structure is not known"),
        ("\"content-type\";tr", "the parameter tr is not known"),
        ("\"content-type\";other", "the parameter other is not known"),
        ("\"content-type\";bs=?0", "bs has a wrong value"),
        ("\"content-type\";bs;sf", "do not go together"),
        ("\"content-type\";name=\"a\"", "do not go together"),
        ("\"content-type\";req", "req is for responses"),
        ("\"Content-Type\"", "lower case"),
        ("\"@method\";bs", "do not belong to it"),
        ("\"@query-param\"", "do not belong to it"),
        ("\"@signature-params\"", "no such component"),
        ("content-type", "its name is no string"),
    ] {
        let told = fault(&sent, component);
        let name = component
            .split_once(';')
            .map_or(component, |(name, _)| name);
        assert!(
            told.contains(expected) && told.contains(name),
            "{component}: {told}"
        );
    }
    let twice = "\"content-digest\";key=\"sha-256\";sf \"content-digest\";sf;key=\"sha-256\"";
    let told = fault(&sent, twice);
    assert!(told.starts_with("SIGNATURE_COMPONENT_TWICE"), "{told}");
}

/// RFC 9421, 2.4: a response that is bound to the request that it answers.
#[test]
fn a_response_may_cover_its_request() {
    let sent = signed(Algorithm::Ed25519);
    sent.with(|request| {
        let response = Response {
            status: 503,
            headers: &[],
            body: b"",
            request: Some(request),
        };
        let of = |response: &Response<'_>, component: &str| {
            base_of(Message::Response(response), &format!("({component})"))
        };
        let claim = Claim::read(request).unwrap();
        let signature = of(&response, "\"signature\";req;key=\"sig1\"").unwrap();
        let sent_signature = sent.header("Signature");
        let inside = sent_signature.strip_prefix("sig1=").unwrap();
        assert!(signature.starts_with(&format!("\"signature\";req;key=\"sig1\": {inside}\n")));
        assert_eq!(claim.created_s(), NOW_S);
        assert!(
            of(&response, "\"@method\";req")
                .unwrap()
                .starts_with("\"@method\";req: POST\n")
        );
        assert!(
            of(&response, "\"@status\"")
                .unwrap()
                .starts_with("\"@status\": 503\n")
        );
        let alone = Response {
            request: None,
            ..response
        };
        for (response, component) in [(&response, "\"@method\""), (&alone, "\"@method\";req")] {
            let fault = of(response, component).unwrap_err();
            assert_eq!(fault.code(), "SIGNATURE_COMPONENT_MISSING", "{fault}");
        }
    });
    assert_eq!(keys(Algorithm::Ed25519)[0].algorithm(), Algorithm::Ed25519);
}

/// What opens a WebSocket: nothing has to be said about a body that is not there, and the rest is asked
/// for as of every request.
#[test]
fn a_request_without_a_body_needs_no_digest_and_everything_else() {
    let upgrade = |covered: &str| {
        let mut sent = Sent::usual();
        sent.method = "GET".to_owned();
        sent.body = Vec::new();
        sent.unset("Content-Digest");
        sent.unset("Content-Type");
        let said = format!(
            "({covered});created={NOW_S};nonce=\"n-1\";keyid=\"first\";alg=\"{}\"",
            Algorithm::Ed25519
        );
        sent.sign("sig1", &said, &keys(Algorithm::Ed25519)[0]);
        sent.verify(keys(Algorithm::Ed25519)[0].public_key())
    };
    for covered in [
        "\"@method\" \"@target-uri\"",
        "\"@method\" \"@path\" \"@query\"",
    ] {
        assert!(upgrade(covered).is_ok(), "{covered}");
    }
    for covered in ["\"@method\"", "\"@target-uri\"", "\"@method\" \"@path\""] {
        let fault = upgrade(covered).unwrap_err();
        assert_eq!(fault.code(), "SIGNATURE_NOT_COVERED", "{covered}");
    }
}
