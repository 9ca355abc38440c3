//! `payhall sign`: a signed call as a curl command, to paste. It reads a private key from a file and
//! talks to nobody; whoever holds a merchant's key can see with it what the center makes of a signature.

use crate::domain::key::Algorithm;
use crate::domain::time::Instant;
use crate::trust::{Header, PrivateKey, Request, Signer, WINDOW_S, sign_request};
use anyhow::{Context, anyhow, ensure};
use chrono::{Duration, SecondsFormat};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};
use std::path::PathBuf;
use zeroize::Zeroizing;

const CONTENT_TYPE: Header<'_> = ("Content-Type", b"application/json");

/// What is signed, and with what.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The private key: a file with PKCS#8 as PEM.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The name by which the center knows its public half.
    #[arg(long, value_name = "ID")]
    pub key_id: String,
    /// Where the command will call.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8400/graphql"
    )]
    pub url: String,
    /// The GraphQL document.
    #[arg(long, value_name = "DOCUMENT")]
    pub query: String,
    /// Its variables: a JSON object.
    #[arg(long, value_name = "JSON")]
    pub variables: Option<String>,
    /// What the key is registered for; without it what its kind tells, and rsa-pss-sha512 for RSA.
    #[arg(long, value_parser = PossibleValuesParser::new(Algorithm::ALL.iter().map(|a| a.as_str()))
        .try_map(|name| name.parse::<Algorithm>()))]
    pub algorithm: Option<Algorithm>,
}

/// Signs the call and writes it as a command for a shell.
///
/// # Errors
/// A key that cannot be read or used, a URL or variables that are none.
pub fn command(args: &SignArgs, now: Instant) -> anyhow::Result<String> {
    let key = read_key(args)?;
    let body = body(args)?;
    let target = Target::of(&args.url)?;
    let request = Request {
        method: "POST",
        scheme: target.scheme,
        authority: target.authority,
        path: target.path,
        query: target.query,
        headers: &[CONTENT_TYPE],
        body: body.as_bytes(),
    };
    let nonce = format!("{:032x}", rand::random::<u128>());
    let signer = Signer {
        key: &key,
        key_id: &args.key_id,
        nonce: &nonce,
        created: now,
    };
    let signed = sign_request(&request, &signer)?;
    let until = (now + Duration::seconds(WINDOW_S)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut text = format!(
        "# Good for one call, until {until}.\ncurl -sS {} \\\n",
        quoted(&args.url)
    );
    let content_type = (CONTENT_TYPE.0, "application/json".to_owned());
    for (name, value) in std::iter::once(content_type).chain(signed) {
        text.push_str(&format!(
            "  -H {} \\\n",
            quoted(&format!("{name}: {value}"))
        ));
    }
    text.push_str(&format!("  --data-raw {}\n", quoted(&body)));
    Ok(text)
}

fn read_key(args: &SignArgs) -> anyhow::Result<PrivateKey> {
    let file = args.key.display();
    let bytes = std::fs::read(&args.key).with_context(|| format!("cannot read {file}"))?;
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes).with_context(|| format!("{file} is no text"))?;
    let key = match args.algorithm {
        Some(algorithm) => PrivateKey::from_pem(algorithm, text),
        None => PrivateKey::from_pem_of_any_kind(text),
    };
    key.with_context(|| file.to_string())
}

fn body(args: &SignArgs) -> anyhow::Result<String> {
    let mut body = json!({ "query": args.query });
    if let Some(text) = &args.variables {
        let variables: Value = serde_json::from_str(text).context("--variables is no JSON")?;
        ensure!(variables.is_object(), "--variables is no JSON object");
        body["variables"] = variables;
    }
    Ok(body.to_string())
}

/// The parts of a URL that a signature covers.
struct Target<'a> {
    scheme: &'a str,
    authority: &'a str,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn of(url: &'a str) -> anyhow::Result<Self> {
        let none = || anyhow!("--url {url:?} is none; it looks like https://HOST/graphql");
        let (scheme, rest) = url.split_once("://").ok_or_else(none)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
        let is_url = matches!(scheme, "http" | "https") && !authority.is_empty();
        ensure!(is_plain && is_url && !url.contains('#'), none());
        ensure!(
            !authority.contains('@') && !path.contains("/."),
            "--url {url:?} has a user or a folder of dots, which curl does not send as they stand"
        );
        Ok(Self {
            scheme,
            authority,
            path,
            query,
        })
    }
}

/// A word that a shell takes as it stands.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Clock, SystemClock};

    #[test]
    fn a_url_is_taken_apart() {
        for (url, expected) in [
            (
                "http://127.0.0.1:8400/graphql",
                ("http", "127.0.0.1:8400", "/graphql", None),
            ),
            ("https://pay.example", ("https", "pay.example", "", None)),
            (
                "https://pay.example?a=1",
                ("https", "pay.example", "", Some("a=1")),
            ),
            (
                "https://pay.example/a?b/c?d",
                ("https", "pay.example", "/a", Some("b/c?d")),
            ),
        ] {
            let target = Target::of(url).unwrap();
            let parts = (target.scheme, target.authority, target.path, target.query);
            assert_eq!(parts, expected);
        }
        for url in [
            "pay.example",
            "ftp://a/",
            "https:///a",
            "https://a/b#c",
            "https://a/\u{e9}",
        ] {
            let refused = Target::of(url).err().expect(url).to_string();
            assert!(refused.contains("it looks like"), "{refused}");
        }
        for url in ["https://me@pay.example/", "https://pay.example/../a"] {
            let refused = Target::of(url).err().expect(url).to_string();
            assert!(refused.contains("curl does not send"), "{refused}");
        }
    }

    #[test]
    fn a_word_survives_the_shell() {
        let word = "it's \"$HOME\" `x` \\ \n";
        let mut shell = std::process::Command::new("sh");
        let output = shell
            .args(["-c", &format!("printf %s {}", quoted(word))])
            .output();
        assert_eq!(output.unwrap().stdout, word.as_bytes());
    }

    #[test]
    fn a_key_and_variables_are_refused_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let args = |key: &str, text: &str, variables: &str| {
            let key = folder.path().join(key);
            std::fs::write(&key, text).unwrap();
            SignArgs {
                key,
                key_id: "k".to_owned(),
                url: "http://127.0.0.1:8400/graphql".to_owned(),
                query: "{ __typename }".to_owned(),
                variables: Some(variables.to_owned()),
                algorithm: None,
            }
        };
        let refused = |args: SignArgs| {
            let error = command(&args, SystemClock.now()).unwrap_err();
            format!("{error:#}")
        };
        let told = refused(args("a.pem", "nothing", "{}"));
        assert!(
            told.contains("a.pem: the private key cannot be read"),
            "{told}"
        );
        let pem = PrivateKey::generate(Algorithm::Ed25519)
            .unwrap()
            .to_pem()
            .unwrap();
        for (variables, words) in [("[1]", "no JSON object"), ("{", "no JSON")] {
            let told = refused(args("b.pem", &pem, variables));
            assert!(
                told.contains("--variables") && told.contains(words),
                "{told}"
            );
        }
        let mut other = args("c.pem", &pem, "{}");
        other.algorithm = Some(Algorithm::RsaPssSha512);
        let told = refused(other);
        assert!(told.contains("no key for rsa-pss-sha512"), "{told}");
        let mut none = args("d.pem", &pem, "{}");
        none.key = folder.path().join("none.pem");
        let told = refused(none);
        assert!(
            told.contains("cannot read") && told.contains("none.pem"),
            "{told}"
        );
    }
}
