//! Signed requests at the edge: who signed them, and the answer signed in turn.

use super::auth::Principal;
use super::edge::Api;
use super::errors::ErrorCode;
use super::guard::Admitted;
use super::http::EdgeError;
use crate::engine::{AdmitError, Admittance, EngineError};
use crate::trust;
use async_graphql::Name;
use poem::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use poem::http::{StatusCode, Uri};
use poem::{Request, Response};
use std::sync::Arc;

const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// Whether a request says that it is signed. One that has half of what it takes says so as well, and
/// is refused for the other half.
pub(super) fn is_signed(headers: &HeaderMap) -> bool {
    headers.contains_key(SIGNATURE_INPUT) || headers.contains_key(SIGNATURE)
}

/// A signed request as it came, kept until its answer is bound to it.
pub(super) struct Signed<'a> {
    scheme: String,
    authority: String,
    method: String,
    uri: Uri,
    headers: HeaderMap,
    body: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes a request over whose body was read.
    pub fn of(api: &Api, request: &Request, body: &'a [u8]) -> Self {
        let headers = request.headers();
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
        let host = host.map(|host| String::from_utf8_lossy(host).into_owned());
        let (scheme, authority) = match &api.0.options.public_url {
            Some((scheme, authority)) => (scheme.clone(), authority.clone()),
            None => ("http".to_owned(), host.unwrap_or_default()),
        };
        Self {
            scheme,
            authority,
            method: request.method().as_str().to_owned(),
            uri: request.uri().clone(),
            headers: headers.clone(),
            body,
        }
    }

    fn headers(&self) -> Vec<trust::Header<'_>> {
        let each = self.headers.iter();
        each.map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect()
    }

    fn request<'b>(&'b self, headers: &'b [trust::Header<'b>]) -> trust::Request<'b> {
        trust::Request {
            method: &self.method,
            scheme: &self.scheme,
            authority: &self.authority,
            path: self.uri.path(),
            query: self.uri.query(),
            headers,
            body: self.body,
        }
    }

    /// Tells who signed the request; it is not let in yet.
    ///
    /// # Errors
    /// What is wrong with it, part by part. In a sandbox the signature base that we made stands beside
    /// it, so that the caller can see where the two differ.
    pub async fn recognise(&self, api: &Api) -> Result<(Arc<Principal>, Admittance), EdgeError> {
        if self.headers.contains_key(header::AUTHORIZATION) {
            let message = "send either a signature or an Authorization header, not both";
            return Err(EdgeError::new(
                StatusCode::BAD_REQUEST,
                ErrorCode::BadRequest,
                message,
            ));
        }
        let headers = self.headers();
        let recognised = api.0.engine.recognise(&self.request(&headers)).await;
        let admittance = recognised.map_err(|error| refused(api, error))?;
        let principal = Principal::Merchant {
            code: admittance.merchant.clone(),
            kind: admittance.kind,
        };
        Ok((Arc::new(principal), admittance))
    }

    /// Signs the answer, as an answer to this request and no other. A center without a master key has
    /// nothing to sign with, and its answers go as they are.
    pub fn sign(
        &self,
        api: &Api,
        admittance: &Admittance,
        status: StatusCode,
        body: Vec<u8>,
    ) -> Response {
        const JSON: &str = "application/json";
        let mut response = Response::builder().status(status).content_type(JSON);
        let headers = self.headers();
        let request = self.request(&headers);
        let answer = trust::Response {
            status: status.as_u16(),
            headers: &[("content-type", JSON.as_bytes())],
            body: &body,
            request: Some(&request),
        };
        match api.0.engine.sign_answer(&answer, admittance) {
            Ok(signed) => {
                for (name, value) in signed {
                    response = response.header(name, value);
                }
            }
            Err(error) => tracing::error!(%error, "an answer could not be signed"),
        }
        response.body(body)
    }
}

/// Whether a document is a verb that lets its request in itself, in the transaction of what it does.
pub(super) fn lets_itself_in(document: &Admitted) -> bool {
    let verb = document.mutation.as_ref().map(Name::as_str);
    matches!(verb, Some("orderCreate" | "orderConfirm"))
}

/// What is told of a request that is not let in.
pub(super) fn refused(api: &Api, error: AdmitError) -> EdgeError {
    let code = error.code();
    metrics::counter!("payhall_api_signatures_refused_total", "reason" => code).increment(1);
    let base = match error {
        AdmitError::Engine(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a signed request could not be judged"
            );
            return match error {
                EngineError::Store(error) => EdgeError::storage(&error),
                EngineError::Refused(_) | EngineError::NotLetIn(_) => EdgeError::fault(),
            };
        }
        AdmitError::Signature { ref base, .. } if api.0.options.sandbox => base.clone(),
        _ => None,
    };
    let mut refused = EdgeError::signature(error.to_string());
    refused.tell("reason", code);
    if let Some(base) = base {
        refused.tell("signatureBase", base);
    }
    refused
}
