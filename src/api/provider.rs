//! `GET /login/oidc` and `GET /login/oidc/callback`: a browser is sent to the bank's identity provider,
//! and comes back from it.
//!
//! What it keeps meanwhile is a cookie of its own, `SameSite=Lax`: the way back begins at another site,
//! and the session's cookie, which is `Strict`, stays at home then. For the same reason the session
//! that is to be replaced or made fresh is looked at when the browser leaves and written into that
//! cookie. It holds for ten minutes and is taken away by the answer to the way back, whatever comes
//! of it.
//!
//! Every refusal has the same answer. Why is in one line of the log, with the request's id, and in an
//! audit row once the person has been at the provider.
//!
//! Who comes back with a ticket is counted as trying to log in from there, since the provider is asked
//! and a row may be written; a refusal that is not ours or the provider's fault counts as a refused proof.
//! Who comes without one is answered from memory, and counted by the address alone: a page of another site
//! can send its visitors here without their ticket, as often as it likes, and could shut the office that
//! they sit in out of everything otherwise.

use super::edge::Api;
use super::http::EdgeError;
use super::request_id::RequestId;
use super::session::CookieRule;
use crate::engine::{
    Actor, Departure, ProviderLogin, ProviderRefusal, Returned, TICKET_LASTS_S, Visit,
};
use poem::http::header::{self, HeaderMap, HeaderValue};
use poem::http::{Method, StatusCode};
use poem::{Request, Response};
use secrecy::{ExposeSecret, SecretString};

/// Where a browser leaves; with `?again` to prove again who its person is.
pub(super) const DEPART: &str = "/login/oidc";
/// Where it comes back.
pub(super) const ARRIVE: &str = "/login/oidc/callback";
/// Where it goes when its person is in.
const HOME: &str = "/playground";

/// The one answer to whoever is not let in.
const REFUSED: &str = "You were not let in. Try again from the beginning; if that does not help, ask an \
                       administrator, with the id in this answer's X-Request-Id header.\n";

/// How the ticket's cookie is written.
#[derive(Clone, Copy)]
struct TicketRule(CookieRule);

impl TicketRule {
    fn name(self) -> &'static str {
        if self.0.is_https {
            "__Host-payhall-login"
        } else {
            "payhall_login"
        }
    }

    fn given(self, ticket: &SecretString) -> String {
        self.header(ticket.expose_secret(), TICKET_LASTS_S)
    }

    fn taken(self) -> String {
        self.header("", 0)
    }

    fn header(self, value: &str, lasts_s: i64) -> String {
        let secure = if self.0.is_https { "; Secure" } else { "" };
        let name = self.name();
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={lasts_s}{secure}")
    }

    /// The ticket that a request carries; none also where there are two.
    fn found(self, headers: &HeaderMap) -> Option<SecretString> {
        let texts = headers.get_all(header::COOKIE).into_iter();
        let texts = texts.filter_map(|header| header.to_str().ok());
        let pairs = texts
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.split_once('='));
        let mut ours = pairs.filter(|(name, _)| name.trim() == self.name());
        let (_, value) = ours.next().filter(|_| ours.next().is_none())?;
        Some(SecretString::from(value.trim()))
    }
}

impl Api {
    /// Answers a browser on its way to the provider or back.
    pub(super) async fn by_provider(
        &self,
        provider: &ProviderLogin,
        path: &str,
        request: &Request,
        id: &RequestId,
    ) -> Response {
        if *request.method() != Method::GET {
            return EdgeError::method("GET").response(id);
        }
        let rule = TicketRule(self.cookie());
        if path == DEPART {
            let left = self.depart(provider, request).await;
            return match left {
                Ok(departure) => away(&departure.url, &[rule.given(&departure.ticket)]),
                Err(refusal) => refused(rule, &refusal, id),
            };
        }
        self.arrive(provider, rule, request, id).await
    }

    /// Takes a browser back.
    async fn arrive(
        &self,
        provider: &ProviderLogin,
        rule: TicketRule,
        request: &Request,
        id: &RequestId,
    ) -> Response {
        let ticket = rule.found(request.headers());
        let counted = ticket.as_ref().map(|_| self.origin(request));
        if let Some(address) = counted
            && let Err(limited) = self.0.limits.log_in_from(address)
        {
            // The ticket stays: the same page may be opened again a moment later.
            return EdgeError::limited(limited).response(id);
        }
        let actor = Actor {
            who: "anonymous".to_owned(),
            request_id: Some(id.as_str().to_owned()),
        };
        let arrived = provider
            .arrive(ticket.as_ref(), &returned(request), &actor)
            .await;
        match arrived {
            Ok(logged_in) => {
                let session = self.cookie().given(&logged_in.secret);
                away(HOME, &[session, rule.taken()])
            }
            Err(refusal) => {
                if let Some(address) = counted.filter(|_| refusal.is_refused_proof()) {
                    self.0.limits.refuse(address);
                }
                refused(rule, &refusal, id)
            }
        }
    }

    async fn depart(
        &self,
        provider: &ProviderLogin,
        request: &Request,
    ) -> Result<Departure, ProviderRefusal> {
        let held = self.held(request.headers()).await?;
        match request.uri().query() {
            Some("again") => provider.depart_again(held.as_ref()).await,
            _ => provider.depart(held.as_ref()).await,
        }
    }

    /// The session that the browser holds. A browser that is sent here by another site does not show it.
    async fn held(&self, headers: &HeaderMap) -> Result<Option<Visit>, ProviderRefusal> {
        match self.cookie().found(headers) {
            Ok(Some(secret)) => Ok(self.0.operators.resume(&secret).await?),
            Ok(None) | Err(_) => Ok(None),
        }
    }
}

/// What stands in the address of the way back. What stands there twice does not stand there.
fn returned(request: &Request) -> Returned {
    let pairs: Vec<(String, String)> = request.params().unwrap_or_default();
    let only = |name: &str| {
        let mut named = pairs.iter().filter(|(found, _)| found == name);
        let (_, value) = named.next().filter(|_| named.next().is_none())?;
        Some(value.clone())
    };
    Returned {
        code: only("code").map(SecretString::from),
        state: only("state"),
        issuer: only("iss"),
        error: only("error"),
    }
}

/// Sends the browser on. Its address may hold a code, which no page is to learn from it.
fn away(to: &str, cookies: &[String]) -> Response {
    let mut response = Response::builder()
        .status(StatusCode::SEE_OTHER)
        .header(header::LOCATION, to)
        .header(header::REFERRER_POLICY, "no-referrer")
        .finish();
    set(&mut response, cookies);
    response
}

fn refused(rule: TicketRule, refusal: &ProviderRefusal, id: &RequestId) -> Response {
    let reason = refusal.code();
    match refusal {
        ProviderRefusal::Store(error) => {
            tracing::error!(request_id = %id, reason, %error, "a login through the provider failed");
        }
        refusal => {
            let why = refusal.to_string();
            tracing::warn!(request_id = %id, reason, why, "a login through the provider is refused");
        }
    }
    let mut response = Response::builder()
        .status(StatusCode::FORBIDDEN)
        .content_type("text/plain; charset=utf-8")
        .header(header::REFERRER_POLICY, "no-referrer")
        .body(REFUSED);
    set(&mut response, &[rule.taken()]);
    response
}

fn set(response: &mut Response, cookies: &[String]) {
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
}
