//! A browser's session at the edge: the cookie, and who its holder is.
//!
//! A browser sends a cookie along whoever asks it to, so a request with one counts only if it names a
//! page of ours as its origin; `SameSite=Strict` is the second lock on the same door. A session that
//! has ended makes its holder a caller whom nobody knows, who may log in again; it is no error, since a
//! page cannot take an HttpOnly cookie out of its own requests.

use super::auth::Principal;
use super::edge::Api;
use super::http::{EdgeError, authorization};
use crate::engine::Visit;
use crate::storage::StoreError;
use poem::http::header::{self, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

/// The longest secret that is looked at; ours have 43 characters.
const SECRET_CHARS_MAX: usize = 64;

/// How the session's cookie is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct CookieRule {
    /// Browsers reach this program by https.
    pub is_https: bool,
}

impl CookieRule {
    /// The cookie's name. With `__Host-` a browser takes it from this host alone, by https alone.
    pub fn name(self) -> &'static str {
        if self.is_https {
            "__Host-payhall"
        } else {
            "payhall_session"
        }
    }

    /// The header that gives a browser its session. It ends with the browser at the latest.
    pub fn given(self, secret: &SecretString) -> String {
        self.header(secret.expose_secret(), "")
    }

    /// The header that takes it away.
    pub fn taken(self) -> String {
        self.header("", "; Max-Age=0")
    }

    fn header(self, value: &str, end: &str) -> String {
        let secure = if self.is_https { "; Secure" } else { "" };
        let name = self.name();
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{end}")
    }

    /// The secret that a request carries; none where there is no such cookie.
    pub(super) fn found(self, headers: &HeaderMap) -> Result<Option<SecretString>, EdgeError> {
        let mut found = None;
        for header in headers.get_all(header::COOKIE) {
            let text = header.to_str().unwrap_or_default();
            let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
            for (_, value) in pairs.filter(|(name, _)| name.trim() == self.name()) {
                if found.is_some() {
                    let message = "there are two session cookies; a browser sends one: delete them";
                    return Err(EdgeError::bad_request(message));
                }
                let value = value.trim();
                let is_one = (1..=SECRET_CHARS_MAX).contains(&value.len());
                found = Some(SecretString::from(if is_one { value } else { "" }));
            }
        }
        Ok(found)
    }
}

/// Who sends a request.
pub(super) struct Known {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// The session, for who came with one.
    pub visit: Option<Arc<Visit>>,
    /// The browser holds a cookie whose session has ended.
    pub is_cookie_stale: bool,
}

impl Known {
    /// Who came by a token or a signature.
    pub fn without_session(principal: Arc<Principal>) -> Self {
        Self {
            principal,
            visit: None,
            is_cookie_stale: false,
        }
    }
}

impl Api {
    /// Who sends a request: by a bearer token, by a session's cookie, or nobody that we know.
    pub(super) async fn who_calls(&self, headers: &HeaderMap) -> Result<Known, EdgeError> {
        let token = authorization(headers)?;
        let Some(secret) = self.cookie().found(headers)? else {
            let principal = self.0.tokens.principal(token);
            return principal
                .map(Known::without_session)
                .map_err(|_| EdgeError::unauthenticated());
        };
        if token.is_some() {
            let message = "send a bearer token or a session cookie, not both";
            return Err(EdgeError::bad_request(message));
        }
        self.check_page(headers)?;
        let visit = self.0.operators.resume(&secret).await;
        let visit = visit.map_err(|error| fault(&error))?.map(Arc::new);
        let principal =
            visit
                .as_deref()
                .map_or(Principal::Anonymous, |visit| Principal::Operator {
                    name: visit.operator.name.to_string(),
                    role: visit.operator.role,
                });
        Ok(Known {
            principal: Arc::new(principal),
            is_cookie_stale: visit.is_none(),
            visit,
        })
    }

    /// How the session's cookie is written here.
    pub(super) fn cookie(&self) -> CookieRule {
        CookieRule {
            is_https: self.0.options.https,
        }
    }

    /// Whether a session that was there still holds, for what outlasts a request.
    pub(super) async fn still_holds(&self, visit: &Visit) -> bool {
        let found = self.0.operators.look_in(&visit.session.secret_hash).await;
        match found {
            Ok(found) => found.is_some_and(|now| now.operator.role == visit.operator.role),
            Err(error) => {
                tracing::error!(%error, "a session cannot be read");
                false
            }
        }
    }

    /// A request with a cookie has to say which page it comes from; that the page may call was checked
    /// already.
    fn check_page(&self, headers: &HeaderMap) -> Result<(), EdgeError> {
        let origin = headers.get(header::ORIGIN);
        let Some(origin) = origin.and_then(|origin| origin.to_str().ok()) else {
            return Err(EdgeError::forbidden(
                "a session cookie counts only with the Origin header that browsers send",
            ));
        };
        if self.0.options.https && !origin.to_ascii_lowercase().starts_with("https://") {
            return Err(EdgeError::forbidden(
                "a session cookie counts only from a page that came by https (api.public_url)",
            ));
        }
        Ok(())
    }
}

fn fault(error: &StoreError) -> EdgeError {
    tracing::error!(%error, "a session cannot be read");
    EdgeError::storage(error)
}
