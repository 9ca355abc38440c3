//! Takes out of libpq's words what may be a secret. libpq repeats the URL, or the part of it that it
//! could not read, and that part may be the password or a piece of one.
//!
//! How one could break it: by looking for the password only as a URL's grammar has it. With a sign in
//! it that should have been escaped, libpq takes a piece of it for a host or a port.

/// What stands in a secret's place.
const MASK: &str = "***";
/// Shorter pieces are found in any text by chance.
const PIECE_CHARS: usize = 4;

/// A message about a connection to this URL, without the URL's secrets.
pub(super) fn redacted(message: &str, url: &str) -> String {
    let secrets = secrets(url);
    let mut parts = message.split('"');
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut is_quoted = true;
    for part in parts {
        let tells = is_quoted && secrets.iter().any(|secret| tells(part, secret));
        text.push('"');
        text.push_str(if tells { MASK } else { part });
        is_quoted = !is_quoted;
    }
    text = text.replace(url, MASK);
    for secret in &secrets {
        if secret.chars().count() >= PIECE_CHARS {
            text = text.replace(secret.as_str(), MASK);
        }
    }
    text
}

/// Everything in a URL that may be a password, as it stands there and decoded.
fn secrets(url: &str) -> Vec<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let mut found = Vec::new();
    let (before, after) = rest.rsplit_once('@').unwrap_or(("", rest));
    if let Some((_, password)) = before.split_once(':') {
        found.push(password);
    }
    // Without a name, a password is taken for a port.
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    let port = authority.rsplit(':').next().unwrap_or_default();
    if port.len() < authority.len() && !port.ends_with(']') {
        found.extend(Some(port).filter(|port| port.parse::<u16>().is_err()));
    }
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some((key, value)) if key.to_ascii_lowercase().contains("password") => {
                found.push(value);
            }
            Some(_) => {}
            None => found.push(parameter),
        }
    }
    let decoded: Vec<String> = found.iter().map(|secret| decoded(secret)).collect();
    let mut all: Vec<String> = found
        .into_iter()
        .map(str::to_owned)
        .chain(decoded)
        .collect();
    all.retain(|secret| !secret.is_empty());
    all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    all.dedup();
    all
}

/// Whether a quoted text is a piece of the secret, or holds one.
fn tells(quoted: &str, secret: &str) -> bool {
    let chars: Vec<char> = secret.chars().collect();
    let mut pieces = chars.windows(PIECE_CHARS.min(chars.len()).max(1));
    !quoted.is_empty()
        && (secret.contains(quoted)
            || pieces.any(|piece| quoted.contains(&piece.iter().collect::<String>())))
}

/// The text with its percent signs read as libpq reads them.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::connection::{Limits, Purpose, Target};
    use super::*;
    use std::time::Duration;

    #[test]
    fn libpq_does_not_print_a_password() {
        let limits = Limits {
            statement_timeout: Duration::from_secs(1),
            lock_timeout: Duration::from_secs(1),
        };
        for url in [
            "postgres://u:canary%ZZ@127.0.0.1:1/db",
            "postgres://u:canary@[::1/db",
            "postgres://u:canary@[::1]x/db",
            "postgres://canary:canary@/nowhere?port=x",
            "postgres://127.0.0.1:canary/db",
            "postgres://u:x@canary@127.0.0.1:1/db",
            "postgres://u:x/canary@127.0.0.1:1/db",
            "postgres://127.0.0.1:1/db?password=canary%ZZ",
            "postgres://127.0.0.1:1/db?canary",
            "postgres://127.0.0.1:1/db?password=canary=x",
            "postgres://u:can%61ry@127.0.0.1:1/db?connect_timeout=x",
        ] {
            let target = Target::parse(url).unwrap();
            let error = target.connect(limits, Purpose::Queries).err().unwrap();
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains("canary"), "{url}: {text}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let url = "postgres://ann:top-secret@db.bank:5432/payhall";
        let message = "connection to server at \"db.bank\" (10.0.0.1), port 5432 failed: FATAL: \
                       password authentication failed for user \"ann\"";
        assert_eq!(redacted(message, url), message);
        let message = "end of string reached in URI: \"postgres://ann:top-secret@db.bank\"";
        assert_eq!(
            redacted(message, url),
            "end of string reached in URI: \"***\""
        );
        assert_eq!(redacted("no top-secret here", url), "no *** here");
        assert_eq!(redacted("no \"p%2Dse\"", url), "no \"p%2Dse\"");
    }
}
