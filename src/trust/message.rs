//! What is signed: a request or a response, borrowed from whoever holds it.

use std::borrow::Cow;

/// A header field as it came: its name in any case, its value with whatever space is around it.
pub type Header<'a> = (&'a str, &'a [u8]);

/// A request as its target sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `POST`; upper and lower case count.
    pub method: &'a str,
    /// `http` or `https`, as the caller wrote it; behind a proxy that ends TLS it is not what came in.
    pub scheme: &'a str,
    /// Host and port, as in the `Host` header.
    pub authority: &'a str,
    /// The path as it was sent, not decoded. Empty counts as `/`.
    pub path: &'a str,
    /// The query as it was sent, without its question mark; `None` if there was no question mark.
    pub query: Option<&'a str>,
    /// The header fields in the order in which they came.
    pub headers: &'a [Header<'a>],
    /// The whole body.
    pub body: &'a [u8],
}

/// A response, and the request that it answers, if that is to be bound into its signature.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The header fields in the order in which they are sent.
    pub headers: &'a [Header<'a>],
    /// The whole body.
    pub body: &'a [u8],
    /// What it answers: the home of components with the parameter `req`.
    pub request: Option<&'a Request<'a>>,
}

/// Either of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message<'a> {
    Request(&'a Request<'a>),
    Response(&'a Response<'a>),
}

impl<'a> Message<'a> {
    pub(super) fn headers(self) -> &'a [Header<'a>] {
        match self {
            Message::Request(request) => request.headers,
            Message::Response(response) => response.headers,
        }
    }
}

impl Request<'_> {
    /// The host in lower case, without the port that its scheme has anyway (RFC 9421, 2.2.3).
    pub(super) fn normal_authority(&self) -> String {
        let authority = self.authority.to_ascii_lowercase();
        let default = match self.normal_scheme().as_str() {
            "http" => ":80",
            "https" => ":443",
            _ => return authority,
        };
        match authority.strip_suffix(default) {
            Some(host) => host.to_owned(),
            None => authority,
        }
    }

    pub(super) fn normal_scheme(&self) -> String {
        self.scheme.to_ascii_lowercase()
    }

    pub(super) fn normal_path(&self) -> &str {
        if self.path.is_empty() { "/" } else { self.path }
    }
}

/// The lines of a header field, each without the space around it.
pub(super) fn lines<'a>(
    headers: &'a [Header<'a>],
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> {
    let named = headers
        .iter()
        .filter(move |(found, _)| found.eq_ignore_ascii_case(name));
    named.map(|(_, value)| trimmed(value))
}

/// The value of a header field: its lines, joined by commas; `None` if it is not there.
pub(super) fn combined<'a>(headers: &'a [Header<'a>], name: &'a str) -> Option<Cow<'a, [u8]>> {
    let mut lines = lines(headers, name);
    let mut value = Cow::Borrowed(lines.next()?);
    for line in lines {
        let joined = value.to_mut();
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(line);
    }
    Some(value)
}

/// Without the space and the tabs around it.
pub(super) fn trimmed(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(first) = value.iter().position(|byte| !is_space(byte)) else {
        return &[];
    };
    let last = value.iter().rposition(|byte| !is_space(byte));
    &value[first..=last.unwrap_or(first)]
}
