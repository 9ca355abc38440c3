//! `GET /statements/…`: the files of statements, whole or a stretch of them.
//!
//! Whoever has a link gets its file: the link is the proof. Anybody else proves who calls as everywhere, and
//! gets what is the caller's own. What is another's is as if there were none. A file that is not there yet
//! is told with the time to come back. Bytes are never held: they go from the store to the caller piece by
//! piece.

use super::auth::Right;
use super::edge::Api;
use super::errors::ErrorCode;
use super::http::EdgeError;
use super::range::{Asked, Stretch};
use super::request_id::RequestId;
use super::session::Known;
use super::signed::{Signed, is_signed};
use crate::engine::{Document, DocumentName, FoundDocument, LinkError, StatementError};
use poem::http::header::{self, HeaderValue};
use poem::http::{Method, StatusCode};
use poem::{Body, Request, Response};

/// What every path begins with.
pub(super) const PREFIX: &str = "/statements/";

impl Api {
    /// Answers a request for a file of a statement.
    pub(super) async fn statement_file(&self, request: &Request, id: &RequestId) -> Response {
        let address = self.origin(request);
        match self.try_statement_file(request).await {
            Ok(response) => response,
            Err(refused) => {
                self.count_refused(&refused, address);
                refused.response(id)
            }
        }
    }

    async fn try_statement_file(&self, request: &Request) -> Result<Response, EdgeError> {
        let name = DocumentName::read(request.uri().path()).ok_or_else(none)?;
        match request.uri().query() {
            Some(query) if !is_signed(request.headers()) => {
                let link = self
                    .0
                    .engine
                    .check_statement_link(request.uri().path(), query);
                link.map_err(refused_link)?;
            }
            _ => self.check_own(request, &name).await?,
        }
        let found = self.0.engine.statement_document(&name).await;
        match found.map_err(|error| fault(&error))? {
            FoundDocument::There(document) => answer(request, &document).await,
            FoundDocument::NotReady { retry_after_s } => Err(EdgeError::not_ready(retry_after_s)),
            FoundDocument::None => Err(none()),
        }
    }

    /// Whether the caller may have the file: its own, or every one of them.
    async fn check_own(&self, request: &Request, name: &DocumentName) -> Result<(), EdgeError> {
        let headers = request.headers();
        let (known, pass) = match is_signed(headers) {
            true => {
                let signed = Signed::of(self, request, b"");
                let (principal, admittance) = signed.recognise(self).await?;
                (Known::without_session(principal), Some(admittance.pass))
            }
            false => (self.who_calls(headers).await?, None),
        };
        let principal = &known.principal;
        if !principal.may(Right::StatementRead) {
            return Err(EdgeError::unauthenticated());
        }
        if known.is_cookie_stale {
            return Err(EdgeError::unauthenticated());
        }
        if let Some(visit) = &known.visit
            && visit.operator.password_is_temporary
        {
            let message = "your password is a temporary one: change it first";
            return Err(EdgeError::forbidden(message));
        }
        self.0.limits.call(principal).map_err(EdgeError::limited)?;
        self.let_in(pass.as_ref()).await?;
        let scope = principal.scope();
        match scope.is_some_and(|scope| scope.sees_party(&name.key.party)) {
            true => Ok(()),
            false => Err(none()),
        }
    }
}

/// The file or a stretch of it, as it was asked for.
async fn answer(request: &Request, document: &Document) -> Result<Response, EdgeError> {
    let tag = format!("\"{}\"", document.sha256);
    let headers = request.headers();
    let base = Response::builder()
        .header(header::ETAG, tag.as_str())
        .header(header::ACCEPT_RANGES, "bytes");
    if names_tag(headers.get(header::IF_NONE_MATCH), &tag) {
        return Ok(base.status(StatusCode::NOT_MODIFIED).finish());
    }
    // A stretch counts only of the file that the caller has the rest of.
    let is_same = headers
        .get(header::IF_RANGE)
        .is_none_or(|asked| asked.as_bytes() == tag.as_bytes());
    let range = headers.get(header::RANGE).filter(|_| is_same);
    let base = base.content_type(&document.media_type).header(
        header::CONTENT_DISPOSITION,
        format!("attachment; filename=\"{}\"", document.file_name),
    );
    let (base, range) = match Asked::read(range, document.bytes) {
        Asked::Whole => (base.status(StatusCode::OK), 0..document.bytes),
        Asked::Stretch(Stretch { first, last }) => {
            let content = format!("bytes {first}-{last}/{}", document.bytes);
            let base = base.header(header::CONTENT_RANGE, content);
            (base.status(StatusCode::PARTIAL_CONTENT), first..last + 1)
        }
        Asked::Outside => {
            let content = format!("bytes */{}", document.bytes);
            let base = base.header(header::CONTENT_RANGE, content);
            return Ok(base.status(StatusCode::RANGE_NOT_SATISFIABLE).finish());
        }
    };
    let base = base.header(header::CONTENT_LENGTH, range.end - range.start);
    if *request.method() == Method::HEAD {
        return Ok(base.finish());
    }
    let pieces = document.stream(range).await;
    let pieces = pieces.map_err(|error| fault(&StatementError::Objects(error)))?;
    Ok(base.body(Body::from_bytes_stream(pieces)))
}

/// Whether a header of tags names this one.
fn names_tag(header: Option<&HeaderValue>, tag: &str) -> bool {
    let tags = header.and_then(|value| value.to_str().ok()).unwrap_or("");
    tags.split(',').any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
    })
}

fn none() -> EdgeError {
    EdgeError::new(
        StatusCode::NOT_FOUND,
        ErrorCode::BadRequest,
        "there is no such statement",
    )
}

fn refused_link(error: LinkError) -> EdgeError {
    match error {
        LinkError::Over => EdgeError::forbidden("the link's time is over; ask for another one"),
        LinkError::Wrong | LinkError::NoMaster => EdgeError::forbidden("the link is not right"),
    }
}

fn fault(error: &StatementError) -> EdgeError {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "a statement cannot be handed out"
    );
    match error {
        StatementError::Store(error) => EdgeError::storage(error),
        StatementError::NoStore => none(),
        StatementError::Objects(_) => EdgeError::unavailable(ErrorCode::Unavailable),
        _ => EdgeError::fault(),
    }
}
