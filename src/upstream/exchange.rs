//! One HTTP exchange: a POST out, and either the text of an acceptable answer or a failure.
//!
//! Law 1 lives in [`not_carried`]: a failure is "not sent" only where the connection was never
//! made (no address, refused, no TLS, connect time-out), because then no request existed on the
//! wire. Every later failure may have followed a request that arrived. The client sends one
//! request for one call: no redirects, no proxy, no retries. (The connection pool may pick
//! another connection for a request whose first byte was never written; that is no second send.)
//!
//! Answers are distrusted: a body is read up to a limit whatever its headers promise, a deadline
//! covers the whole exchange including the last byte, nothing is decompressed, and only `200`
//! with `application/json` in UTF-8 is read at all. Causes name the defect, never the content.

use super::http::UpstreamError;
use super::link::Failure;
use super::settings::AdapterSettings;
use crate::domain::outcome::Cause;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Identity, Response, StatusCode, Url, redirect, retry, tls};
use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

const JSON: &str = "application/json";

/// Causes are cut here; they are kept in the database with every attempt.
const CAUSE_CHARS_MAX: usize = 200;

/// Bounds of one exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the start of the call, connecting included, to the last byte of the answer.
    pub deadline: Duration,
    /// The largest answer that is read, in bytes.
    pub body_bytes_max: usize,
}

/// Builds an adapter's client, with its own connections and nobody else's limits.
///
/// # Errors
/// A PEM file that cannot be read or holds nothing usable; no certificate store for https.
pub(super) fn client(settings: &AdapterSettings) -> Result<Client, UpstreamError> {
    let headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(JSON)),
        (ACCEPT, HeaderValue::from_static(JSON)),
    ]);
    let idle_max = settings
        .concurrency_max
        .saturating_add(settings.lookup_concurrency_max);
    let mut builder = Client::builder()
        .user_agent(concat!("payhall/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .http1_only()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
        .pool_idle_timeout(Duration::from_millis(settings.idle_ms))
        .pool_max_idle_per_host(usize::try_from(idle_max).unwrap_or(usize::MAX))
        .tls_backend_rustls()
        .tls_version_min(tls::Version::TLS_1_2);
    if let Some(path) = &settings.ca_pem_file {
        builder = builder.tls_certs_only(roots_of(path)?);
    } else if !settings.uses_tls() {
        // Nothing to verify, so a machine without a certificate store can still run.
        builder = builder.tls_certs_only([]);
    }
    if let Some(path) = &settings.client_pem_file {
        builder = builder.identity(identity_of(path)?);
    }
    builder.build().map_err(UpstreamError::Client)
}

/// What a client for files is built from.
pub(super) struct FileClient<'a> {
    /// For address, connection and TLS together.
    pub connect: Duration,
    /// Whose certificates are believed; the machine's store where there is none.
    pub ca_pem_file: Option<&'a Path>,
    /// Our own certificate and key.
    pub client_pem_file: Option<&'a Path>,
    /// Whether any URL is https.
    pub uses_tls: bool,
}

/// Builds a client that fetches files, by the same rules as an adapter's.
///
/// # Errors
/// A PEM file that cannot be read or holds nothing usable; no certificate store for https.
pub(super) fn file_client(of: &FileClient<'_>) -> Result<Client, UpstreamError> {
    let mut builder = Client::builder()
        .user_agent(concat!("payhall/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_proxy()
        .connect_timeout(of.connect)
        .tls_backend_rustls()
        .tls_version_min(tls::Version::TLS_1_2);
    builder = match of.ca_pem_file {
        Some(path) => builder.tls_certs_only(roots_of(path)?),
        None if !of.uses_tls => builder.tls_certs_only([]),
        None => builder,
    };
    if let Some(path) = of.client_pem_file {
        builder = builder.identity(identity_of(path)?);
    }
    builder.build().map_err(UpstreamError::Client)
}

fn roots_of(path: &Path) -> Result<Vec<Certificate>, UpstreamError> {
    let pem = read_pem(path)?;
    let roots = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if roots.is_empty() {
        return Err(UpstreamError::BadPem {
            path: path.to_owned(),
            wanted: "a certificate",
        });
    }
    Ok(roots)
}

fn identity_of(path: &Path) -> Result<Identity, UpstreamError> {
    Identity::from_pem(&read_pem(path)?).map_err(|_| UpstreamError::BadPem {
        path: path.to_owned(),
        wanted: "a certificate with its private key",
    })
}

fn read_pem(path: &Path) -> Result<Vec<u8>, UpstreamError> {
    std::fs::read(path).map_err(|source| UpstreamError::UnreadablePem {
        path: path.to_owned(),
        source,
    })
}

/// Sends a body and brings the text of the answer back.
pub(super) async fn exchange(
    client: &Client,
    url: &Url,
    body: Vec<u8>,
    limits: Limits,
) -> Result<String, Failure> {
    let response = client
        .post(url.clone())
        .timeout(limits.deadline)
        .body(body)
        .send()
        .await
        .map_err(|error| not_carried(&error))?;
    check_head(&response)?;
    let bytes = read_body(response, limits.body_bytes_max).await?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::malformed("not UTF-8"))?;
    if text.starts_with('\u{feff}') {
        return Err(Failure::malformed("begins with a byte order mark"));
    }
    Ok(text)
}

/// The one place that tells "never sent" from "may have been sent".
fn not_carried(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        let what = if error.is_dns() {
            "no address"
        } else if error.is_timeout() {
            "no connection in time"
        } else {
            "no connection"
        };
        return Failure::NotSent(with_root(what, error));
    }
    if error.is_timeout() {
        return Failure::Broken(Cause::TimedOut);
    }
    Failure::Broken(Cause::ConnectionLost(with_root("no whole answer", error)))
}

/// Adds the innermost error, which is the network's or the TLS library's own sentence. The outer
/// ones would repeat the URL.
pub(super) fn with_root(what: &str, error: &reqwest::Error) -> String {
    let mut root: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(deeper) = root.and_then(std::error::Error::source) {
        root = Some(deeper);
    }
    let text = match root {
        Some(root) => format!("{what}: {root}"),
        None => what.to_owned(),
    };
    text.chars().take(CAUSE_CHARS_MAX).collect()
}

fn check_head(response: &Response) -> Result<(), Failure> {
    if response.status() != StatusCode::OK {
        let status = response.status().as_u16();
        return Err(Failure::Broken(Cause::HttpStatus(status)));
    }
    let headers = response.headers();
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Failure::malformed("the content is encoded"));
    }
    if let Some(framing) = headers.get(TRANSFER_ENCODING) {
        if headers.contains_key(CONTENT_LENGTH) {
            return Err(Failure::malformed("two lengths of the body are declared"));
        }
        if !framing.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Failure::malformed("the transfer is encoded"));
        }
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (Some(only), None) if is_json(only) => Ok(()),
        (Some(_), None) => Err(Failure::malformed("the content is not JSON in UTF-8")),
        (Some(_), Some(_)) => Err(Failure::malformed("two content types")),
        (None, _) => Err(Failure::malformed("no content type")),
    }
}

/// `application/json`, with no charset or with UTF-8; other parameters mean nothing for JSON.
fn is_json(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let kind_fits = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case(JSON));
    kind_fits
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                let value = value.trim().trim_matches('"');
                value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
            }
            Some(_) | None => true,
        })
}

/// Reads until the end or the limit, whatever length was promised.
async fn read_body(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let too_long = || Failure::malformed(format!("longer than {bytes_max} bytes"));
    let promised = response.content_length().unwrap_or(0);
    let promised = usize::try_from(promised).unwrap_or(usize::MAX);
    if promised > bytes_max {
        return Err(too_long());
    }
    let mut body = Vec::with_capacity(promised);
    while let Some(chunk) = response.chunk().await.map_err(|error| broke_off(&error))? {
        if body.len().saturating_add(chunk.len()) > bytes_max {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error while the body is read is never "not sent", whatever the error says of itself.
fn broke_off(error: &reqwest::Error) -> Failure {
    match not_carried(error) {
        Failure::Broken(cause) => Failure::Broken(cause),
        Failure::NotSent(cause) => Failure::Broken(Cause::ConnectionLost(cause)),
    }
}
