//! Sends notifications to the URLs that merchants gave us: the one place where the center calls an
//! address that somebody else chose.
//!
//! So it distrusts the URL (https, no user, nothing but a POST), the name (every address that it
//! resolves to is judged by `address`, at the very moment of connecting: what was right when the
//! URL was approved may lead elsewhere by now), the redirect (not followed), the proxy (none is asked)
//! and the answer (its status counts; its body is read a little, so that the connection can be used
//! again, and forgotten). One deadline covers all of it.
//!
//! A literal address in a URL never comes to the resolver, so [`Target`] judges those. How one could
//! break this: by a client without the resolver, or by calling a URL that is no [`Target`].

use super::address::{Reach, objection};
use crate::domain::notification::{Heard, TryOutcome};
use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, Response, Url, redirect, retry, tls};
use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How much of an answer is read.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Causes are cut here; they are kept in the database with every try.
const CAUSE_CHARS_MAX: usize = 200;
/// How long a connection may lie idle.
const IDLE: Duration = Duration::from_secs(30);
/// How many connections to one host may lie idle.
const IDLE_MAX: usize = 4;

/// Somebody who brings notifications to merchants.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// The target of a URL, or why it may not be called.
    ///
    /// # Errors
    /// What was heard instead of an answer.
    fn target(&self, url: &str) -> Result<Target, Heard>;

    /// Posts a body once. Whatever happens is something heard.
    async fn post(&self, post: &Post<'_>) -> Heard;
}

/// A URL that may be called, and its parts exactly as they go over the wire: what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    url: Url,
    authority: String,
}

/// What is posted.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// Where to.
    pub target: &'a Target,
    /// Headers, the signature's among them.
    pub headers: &'a [(&'static str, String)],
    /// The body.
    pub body: &'a [u8],
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// Why it may not be called, without repeating it: its path may hold a secret.
    pub fn try_new(text: &str, reach: Reach) -> Result<Self, Heard> {
        let no = |what: &str| Heard::nothing(TryOutcome::UrlRefused, what);
        let mut url = Url::parse(text).map_err(|_| no("the notify URL is none"))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        match (url.scheme(), reach) {
            ("https", _) | ("http", Reach::Sandbox) => {}
            _ => return Err(no("the notify URL is not https")),
        }
        if host.is_empty() || !url.username().is_empty() || url.password().is_some() {
            return Err(no("the notify URL has no host, or a user in it"));
        }
        if url.port() == Some(0) {
            return Err(no("the notify URL has port 0"));
        }
        url.set_fragment(None);
        // By now every spelling of an IPv4 address is four numbers.
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse::<IpAddr>()
            && let Some(what) = objection(address, reach)
        {
            let cause = format!("the address is {what}");
            return Err(Heard::nothing(TryOutcome::AddressRefused, cause));
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host,
        };
        Ok(Self { url, authority })
    }

    /// `https`, in a sandbox also `http`.
    pub fn scheme(&self) -> &str {
        self.url.scheme()
    }

    /// Host and port, as in the `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path as it is sent.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The query as it is sent, where there is one.
    pub fn query(&self) -> Option<&str> {
        self.url.query()
    }
}

/// Somebody who knows the addresses of names.
#[async_trait]
pub trait Names: Send + Sync {
    /// The addresses of a name.
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The names of the operating system.
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// Sends over HTTP.
pub struct HttpNotifier {
    client: Client,
    reach: Reach,
}

impl HttpNotifier {
    /// Builds the client. Sends nothing. On a machine without a certificate store it believes no server:
    /// each https try then fails and says why, and nothing else of the center is held up.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn try_new(
        reach: Reach,
        timeout: Duration,
        names: Arc<dyn Names>,
    ) -> Result<Self, reqwest::Error> {
        let client = client(reach, timeout, names.clone()).build().or_else(|error| {
            tracing::warn!(
                error = %error.without_url(),
                "merchants cannot be notified over https: this machine has no certificates to believe"
            );
            client(reach, timeout, names).tls_certs_only([]).build()
        });
        Ok(Self {
            client: client?,
            reach,
        })
    }
}

fn client(reach: Reach, timeout: Duration, names: Arc<dyn Names>) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("payhall/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_proxy()
        .tcp_nodelay(true)
        .timeout(timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_MAX)
        .tls_backend_rustls()
        .tls_version_min(tls::Version::TLS_1_2)
        .dns_resolver(Arc::new(Judged { names, reach }))
}

#[async_trait]
impl Notifier for HttpNotifier {
    fn target(&self, url: &str) -> Result<Target, Heard> {
        Target::try_new(url, self.reach)
    }

    async fn post(&self, post: &Post<'_>) -> Heard {
        let mut request = self.client.post(post.target.url.clone());
        for (name, value) in post.headers {
            request = request.header(*name, value);
        }
        match request.body(post.body.to_vec()).send().await {
            Ok(response) => {
                let heard = Heard::answered(response.status().as_u16());
                let_go(response).await;
                heard
            }
            Err(error) => not_answered(&error),
        }
    }
}

/// Reads a short body to its end, so that the connection can be used again. Nothing of it counts.
async fn let_go(mut response: Response) {
    let mut left = BODY_BYTES_MAX;
    while let Ok(Some(chunk)) = response.chunk().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn not_answered(error: &reqwest::Error) -> Heard {
    let mut root: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(link) = root {
        if let Some(refused) = link.downcast_ref::<AllRefused>() {
            return Heard::nothing(TryOutcome::AddressRefused, refused.to_string());
        }
        match link.source() {
            Some(deeper) => root = Some(deeper),
            None => break,
        }
    }
    let (outcome, what) = if error.is_connect() && !error.is_timeout() {
        let is_dns = error.is_dns();
        let what = if is_dns {
            "no address"
        } else {
            "no connection"
        };
        (TryOutcome::Unreachable, what)
    } else if error.is_connect() {
        (TryOutcome::Unreachable, "no connection in time")
    } else if error.is_timeout() {
        return Heard::nothing(TryOutcome::TimedOut, "no answer in time");
    } else {
        (TryOutcome::Broken, "no whole answer")
    };
    let text = match root {
        Some(root) => format!("{what}: {root}"),
        None => what.to_owned(),
    };
    Heard::nothing(
        outcome,
        text.chars().take(CAUSE_CHARS_MAX).collect::<String>(),
    )
}

/// Names whose addresses were judged.
struct Judged {
    names: Arc<dyn Names>,
    reach: Reach,
}

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, reach) = (self.names.clone(), self.reach);
        Box::pin(async move {
            let found = names.lookup(name.as_str()).await?;
            let judged = found.into_iter().map(|ip| (ip, objection(ip, reach)));
            let (good, bad): (Vec<_>, Vec<_>) = judged.partition(|(_, what)| what.is_none());
            if good.is_empty() {
                let what = bad.first().and_then(|(_, what)| *what);
                return Err(match what {
                    Some(what) => AllRefused { what }.into(),
                    None => io::Error::new(io::ErrorKind::NotFound, "the name has none").into(),
                });
            }
            let addresses = good.into_iter().map(|(ip, _)| SocketAddr::new(ip, 0));
            let addresses: Addrs = Box::new(addresses.collect::<Vec<_>>().into_iter());
            Ok(addresses)
        })
    }
}

/// Every address of a name may not be called.
#[derive(Debug)]
struct AllRefused {
    what: &'static str,
}

impl fmt::Display for AllRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "every address of the host is {}", self.what)
    }
}

impl std::error::Error for AllRefused {}

#[cfg(test)]
#[path = "notifier_tests.rs"]
mod tests;
