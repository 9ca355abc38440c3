//! `POST /graphql`: the rules of the wire, then the document, then the answer.
//!
//! POST and `application/json` only: a browser cannot send that to us from another site without
//! asking first, and we never say yes. No batches: one request is one document is one answer.

use super::auth::Principal;
use super::desk::Caller;
use super::edge::Api;
use super::errors::{Ending, ErrorCode, UNAUTHENTICATED, finish, mask, storage_code};
use super::guard::{Admitted, Refused};
use super::limits::{CallerAddress, Limited};
use super::options::Introspection;
use super::request_id::RequestId;
use super::session::Known;
use super::signed::{Signed, is_signed, lets_itself_in, refused};
use crate::engine::Pass;
use crate::storage::StoreError;
use async_graphql::{
    ErrorExtensionValues, Request as GraphqlRequest, ServerError, Value as GraphqlValue, Variables,
};
use poem::error::ReadBodyError;
use poem::http::StatusCode;
use poem::http::header::{self, HeaderMap, HeaderValue};
use poem::{Request, Response};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// A request that the edge ends by itself.
#[derive(Clone, Debug)]
pub(super) struct EdgeError {
    status: StatusCode,
    code: ErrorCode,
    message: Cow<'static, str>,
    header: Option<Box<(header::HeaderName, HeaderValue)>>,
    further: Vec<(&'static str, GraphqlValue)>,
}

impl EdgeError {
    /// An end with a status, a code and words that hold nothing of the request.
    pub fn new(status: StatusCode, code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            header: None,
            further: Vec::new(),
        }
    }

    /// Another method is the right one.
    pub fn method(allowed: &'static str) -> Self {
        let message = format!("only {allowed} is served here");
        Self {
            header: headed(header::ALLOW, allowed),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                ErrorCode::BadRequest,
                message,
            )
        }
    }

    /// The token is missing or nobody's.
    pub fn unauthenticated() -> Self {
        Self {
            header: headed(header::WWW_AUTHENTICATE, "Bearer"),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::Unauthenticated,
                UNAUTHENTICATED,
            )
        }
    }

    /// The request is signed, and the signature does not count; the message says why.
    pub fn signature(message: String) -> Self {
        Self {
            header: headed(header::WWW_AUTHENTICATE, "Signature"),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::Unauthenticated,
                message,
            )
        }
    }

    /// Tells something further, as an extension of the error.
    pub fn tell(&mut self, name: &'static str, value: impl Into<GraphqlValue>) {
        self.further.push((name, value.into()));
    }

    /// Somebody calls too often.
    pub fn limited(limited: Limited) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let mut error = Self::new(status, ErrorCode::RateLimited, limited.message());
        let again = HeaderValue::from(limited.retry_after_s);
        error.header = Some(Box::new((header::RETRY_AFTER, again)));
        error.tell("retry", "LATER");
        error.tell("retryAfterSeconds", limited.retry_after_s);
        error
    }

    /// What is asked for is not there yet; it will be, after so many seconds.
    pub fn not_ready(retry_after_s: u64) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let message = "the statement is not ready yet; ask again later";
        let mut error = Self::new(status, ErrorCode::NotReady, message);
        let again = HeaderValue::from(retry_after_s);
        error.header = Some(Box::new((header::RETRY_AFTER, again)));
        error.tell("retry", "LATER");
        error.tell("retryAfterSeconds", retry_after_s);
        error
    }

    /// Whether it says that a proof of who calls does not count.
    pub fn is_refused_proof(&self) -> bool {
        self.code == ErrorCode::Unauthenticated
    }

    /// A page of another site calls.
    pub fn origin() -> Self {
        Self::forbidden("pages of this origin may not call")
    }

    /// The request may not be made like this.
    pub fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message)
    }

    /// What we need does not answer; later it may.
    pub fn unavailable(code: ErrorCode) -> Self {
        let mut hints = ErrorExtensionValues::default();
        let message = mask(code, &mut hints);
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        for name in ["retry", "retryAfterSeconds"] {
            if let Some(hint) = hints.get(name) {
                error.tell(name, hint.clone());
            }
        }
        error
    }

    /// Storage failed. What it was is for the log of whoever met it.
    pub fn storage(error: &StoreError) -> Self {
        match storage_code(error) {
            code @ (ErrorCode::Busy | ErrorCode::Unavailable) => Self::unavailable(code),
            _ => Self::fault(),
        }
    }

    /// The schema is not told to this caller.
    fn introspection() -> Self {
        Self::forbidden("introspection is switched off for you")
    }

    /// Something went wrong on our side.
    pub fn fault() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let message = mask(ErrorCode::Internal, &mut ErrorExtensionValues::default());
        Self::new(status, ErrorCode::Internal, message)
    }

    /// The request is not what it should be.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, message)
    }

    /// As an error of GraphQL.
    pub fn graphql(&self, id: &RequestId) -> async_graphql::Response {
        let mut error = ServerError::new(self.message.clone(), None);
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", self.code.as_str());
        extensions.set("requestId", id.as_str());
        for (name, value) in &self.further {
            extensions.set(*name, value.clone());
        }
        error.extensions = Some(extensions);
        async_graphql::Response::from_errors(vec![error])
    }

    /// As an answer.
    pub fn response(&self, id: &RequestId) -> Response {
        let mut response = json(self.status, &self.graphql(id));
        if let Some((name, value)) = self.header.as_deref() {
            let headers = response.headers_mut();
            headers.insert(name, value.clone());
        }
        response
    }
}

/// A header that says what to do. In a box, because an error is passed through many hands.
fn headed(
    name: header::HeaderName,
    value: &'static str,
) -> Option<Box<(header::HeaderName, HeaderValue)>> {
    Some(Box::new((name, HeaderValue::from_static(value))))
}

impl From<Refused> for EdgeError {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::Syntax { .. } | Refused::Document(_) => ErrorCode::BadRequest,
            _ => ErrorCode::DocumentRefused,
        };
        Self::new(StatusCode::BAD_REQUEST, code, refused.to_string())
    }
}

/// The body of a request. What else stands in it is not for us.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    query: Cow<'a, str>,
    #[serde(default, rename = "operationName")]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Variables,
}

impl Api {
    /// Answers a request to `POST /graphql`.
    pub(super) async fn post(&self, request: &mut Request, id: &RequestId) -> Response {
        let begun = Instant::now();
        let address = self.origin(request);
        let (response, label) = match self.try_post(request, id, address).await {
            Ok((response, ending)) => (response, ending.label()),
            Err(refused) => {
                self.count_refused(&refused, address);
                (refused.response(id), "refused")
            }
        };
        metrics::counter!("payhall_api_requests_total", "outcome" => label).increment(1);
        metrics::histogram!("payhall_api_request_seconds").record(begun.elapsed().as_secs_f64());
        response
    }

    async fn try_post(
        &self,
        request: &mut Request,
        id: &RequestId,
        address: CallerAddress,
    ) -> Result<(Response, Ending), EdgeError> {
        check_content(request.headers())?;
        check_origin(request.headers(), &self.0.options.origins)?;
        // A stranger is refused before its body is read; who signs is known by the body only.
        let known = match is_signed(request.headers()) {
            true => None,
            false => Some(self.who_calls(request.headers()).await?),
        };
        let body = self.body(request).await?;
        let signed = known.is_none().then(|| Signed::of(self, request, &body));
        let (known, admittance) = match (known, &signed) {
            (None, Some(signed)) => {
                let (principal, admittance) = signed.recognise(self).await?;
                (Known::without_session(principal), Some(admittance))
            }
            (known, _) => (known.ok_or_else(EdgeError::unauthenticated)?, None),
        };
        if known.is_cookie_stale {
            self.0.limits.refuse(address);
        }
        let counted = self.0.limits.call(&known.principal);
        counted.map_err(EdgeError::limited)?;
        let asked = parse(&body)?;
        let admitted = self.0.documents.admit(&asked.query)?;
        self.check_introspection(&admitted, &known.principal)?;
        let pass = admittance.as_ref().map(|admittance| &admittance.pass);
        let kept = pass.filter(|_| lets_itself_in(&admitted));
        if kept.is_none() {
            self.let_in(pass).await?;
        }
        let mut graphql = GraphqlRequest::new("")
            .variables(asked.variables)
            .data(Caller {
                principal: known.principal,
                visit: known.visit,
                request_id: id.clone(),
                pass: kept.cloned(),
                address,
            });
        graphql.operation_name = asked.operation_name;
        graphql.set_parsed_query(admitted.document.clone());
        let mut response = self.0.schema.execute(graphql).await;
        let given = response.http_headers.remove(header::SET_COOKIE);
        let ending = finish(&mut response, id);
        if let Ending::NotLetIn(why) = ending {
            return Err(refused(self, why.into()));
        }
        // A verb that came to its end without a change has let nobody in yet.
        self.let_in(kept).await?;
        let (status, hint) = told_by_head(&ending);
        let mut response = match (&signed, &admittance, serde_json::to_vec(&response)) {
            (Some(signed), Some(admittance), Ok(body)) => {
                signed.sign(self, admittance, status, body)
            }
            _ => json(status, &response),
        };
        if let Some((name, value)) = hint {
            response.headers_mut().insert(name, value);
        }
        let taken = || HeaderValue::try_from(self.cookie().taken()).ok();
        if let Some(cookie) = given.or_else(|| taken().filter(|_| known.is_cookie_stale)) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok((response, ending))
    }

    /// Lets a signed request in that was not let in yet; there is nothing to do for any other.
    pub(super) async fn let_in(&self, pass: Option<&Pass>) -> Result<(), EdgeError> {
        let Some(pass) = pass else {
            return Ok(());
        };
        let let_in = self.0.engine.let_in(pass).await;
        let_in.map_err(|error| refused(self, error))
    }

    /// Counts a proof of who calls that was refused, so that guessing is slow.
    pub(super) fn count_refused(&self, refused: &EdgeError, address: CallerAddress) {
        if refused.is_refused_proof() {
            self.0.limits.refuse(address);
        }
    }

    /// Reads the body, within its size and time.
    async fn body(&self, request: &mut Request) -> Result<Vec<u8>, EdgeError> {
        let most = self.0.options.body_bytes_max;
        let too_large = || {
            let message = format!("the body is larger than {most} bytes");
            EdgeError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                ErrorCode::BadRequest,
                message,
            )
        };
        let announced = request.header(header::CONTENT_LENGTH.as_str());
        let announced = announced.and_then(|length| length.parse::<usize>().ok());
        if announced.is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let read = request.take_body().into_bytes_limit(most);
        match tokio::time::timeout(self.0.options.body_timeout, read).await {
            Ok(Ok(body)) => Ok(body.into()),
            Ok(Err(ReadBodyError::PayloadTooLarge)) => Err(too_large()),
            Ok(Err(_)) => Err(EdgeError::bad_request("the body could not be read")),
            Err(_) => Err(EdgeError::new(
                StatusCode::REQUEST_TIMEOUT,
                ErrorCode::BadRequest,
                "the body did not arrive in time",
            )),
        }
    }

    /// Refuses questions about the schema from those who may not ask them.
    pub(super) fn check_introspection(
        &self,
        admitted: &Admitted,
        principal: &Arc<Principal>,
    ) -> Result<(), EdgeError> {
        let allowed = match self.0.options.introspection {
            Introspection::Off => false,
            Introspection::SignedIn => !matches!(**principal, Principal::Anonymous),
            Introspection::Everyone => true,
        };
        if admitted.introspects && !allowed {
            return Err(EdgeError::introspection());
        }
        Ok(())
    }
}

/// The status of an answer, and the header that says what to do.
fn told_by_head(ending: &Ending) -> (StatusCode, Option<(header::HeaderName, HeaderValue)>) {
    match ending {
        Ending::Done | Ending::Fault => (StatusCode::OK, None),
        Ending::BadDocument => (StatusCode::BAD_REQUEST, None),
        Ending::Unauthenticated => (
            StatusCode::UNAUTHORIZED,
            Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        ),
        Ending::NotLetIn(_) => (
            StatusCode::UNAUTHORIZED,
            Some((
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Signature"),
            )),
        ),
        Ending::Limited(limited) => (
            StatusCode::TOO_MANY_REQUESTS,
            Some((header::RETRY_AFTER, limited.retry_after_s.into())),
        ),
    }
}

/// The `Authorization` header; one that is not text names nobody.
pub(super) fn authorization(headers: &HeaderMap) -> Result<Option<&str>, EdgeError> {
    headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().map_err(|_| EdgeError::unauthenticated()))
        .transpose()
}

fn check_content(headers: &HeaderMap) -> Result<(), EdgeError> {
    let refuse = |message: &'static str| {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Err(EdgeError::new(status, ErrorCode::BadRequest, message))
    };
    if headers.contains_key(header::CONTENT_ENCODING) {
        return refuse("bodies are not to be compressed");
    }
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok()).unwrap_or("");
    let (kind, parameters) = given.split_once(';').unwrap_or((given, ""));
    let is_utf8 = match parameters.trim() {
        "" => true,
        charset => charset
            .strip_prefix("charset=")
            .is_some_and(|name| name.trim_matches('"').eq_ignore_ascii_case("utf-8")),
    };
    if !kind.trim().eq_ignore_ascii_case("application/json") || !is_utf8 {
        return refuse("the body has to be application/json in UTF-8");
    }
    Ok(())
}

/// Refuses pages of other sites. A caller that is no browser sends no origin.
pub(super) fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), EdgeError> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().map_err(|_| EdgeError::origin())?;
    if allowed.iter().any(|one| one.eq_ignore_ascii_case(origin)) {
        return Ok(());
    }
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let own = origin.split_once("://").map(|(_, host)| host);
    match (own, host) {
        (Some(own), Some(host)) if own.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(EdgeError::origin()),
    }
}

/// Reads the body. The decoder's own message could repeat a part of it, so what is wrong is said in
/// words of our own.
fn parse(body: &[u8]) -> Result<Asked<'_>, EdgeError> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        return Err(EdgeError::bad_request(
            "batches are not served: send one request",
        ));
    }
    serde_json::from_slice(body)
        .map_err(|error| EdgeError::bad_request(complaint(first.is_none(), body, &error)))
}

/// What is wrong with a body: which field, or where it stops being JSON.
fn complaint(is_empty: bool, body: &[u8], error: &serde_json::Error) -> Cow<'static, str> {
    if is_empty {
        return "the body is empty: a GraphQL request in JSON is expected".into();
    }
    let place = format!("see line {}, column {}", error.line(), error.column());
    let fields = match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return "the body has to be a JSON object with a query".into(),
        Err(_) => return format!("the body is not JSON: {place}").into(),
    };
    let is_text = |name: &str| fields.get(name).is_none_or(Value::is_string);
    let may_be_null = |name: &str| fields.get(name).is_none_or(Value::is_null);
    if !fields.contains_key("query") {
        "query is missing: a GraphQL request is {\"query\": \"...\"}".into()
    } else if !is_text("query") {
        "query has to be a string".into()
    } else if !is_text("operationName") && !may_be_null("operationName") {
        "operationName has to be a string".into()
    } else if !fields.get("variables").is_none_or(Value::is_object) && !may_be_null("variables") {
        "variables has to be an object".into()
    } else {
        format!("the body is not a GraphQL request in JSON: {place}").into()
    }
}

fn json(status: StatusCode, body: &async_graphql::Response) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => Response::builder()
            .status(status)
            .content_type("application/json")
            .body(body),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            Response::builder()
                .status(StatusCode::INTERNAL_SERVER_ERROR)
                .finish()
        }
    }
}
