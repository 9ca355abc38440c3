//! What every file is handed out by: who may ask for it without a link, and the file itself, whole or a
//! stretch of it.
//!
//! Bytes are never held: they go from where they are kept to the caller piece by piece.

use super::auth::{Principal, Right};
use super::edge::Api;
use super::errors::ErrorCode;
use super::http::EdgeError;
use super::range::{Asked, Stretch};
use super::session::Known;
use super::signed::{Signed, is_signed};
use crate::engine::{Document, LinkError, LinkedTo};
use poem::http::header::{self, HeaderValue};
use poem::http::{Method, StatusCode};
use poem::{Body, Request, Response};
use std::sync::Arc;

/// By what a caller may have a file.
pub(super) enum Proof {
    /// By a link, which counts for this one file.
    Link,
    /// By who it is.
    Caller(Arc<Principal>),
}

impl Api {
    /// Whether a file may be asked for: by its link, or by somebody with the right.
    pub(super) async fn check_asker(
        &self,
        request: &Request,
        to: LinkedTo,
        right: Right,
    ) -> Result<Proof, EdgeError> {
        match request.uri().query() {
            Some(query) if !is_signed(request.headers()) => {
                let link = self.0.engine.check_link(to, request.uri().path(), query);
                link.map_err(refused_link)?;
                Ok(Proof::Link)
            }
            _ => Ok(Proof::Caller(self.check_caller(request, right).await?)),
        }
    }

    async fn check_caller(
        &self,
        request: &Request,
        right: Right,
    ) -> Result<Arc<Principal>, EdgeError> {
        let headers = request.headers();
        let (known, pass) = match is_signed(headers) {
            true => {
                let signed = Signed::of(self, request, b"");
                let (principal, admittance) = signed.recognise(self).await?;
                (Known::without_session(principal), Some(admittance.pass))
            }
            false => (self.who_calls(headers).await?, None),
        };
        let principal = known.principal;
        if known.is_cookie_stale || *principal == Principal::Anonymous {
            return Err(EdgeError::unauthenticated());
        }
        if !principal.may(right) {
            return Err(EdgeError::forbidden("you may not read files of this kind"));
        }
        if let Some(visit) = &known.visit
            && visit.operator.password_is_temporary
        {
            let message = "your password is a temporary one: change it first";
            return Err(EdgeError::forbidden(message));
        }
        self.0.limits.call(&principal).map_err(EdgeError::limited)?;
        self.let_in(pass.as_ref()).await?;
        Ok(principal)
    }
}

/// The file or a stretch of it, as it was asked for.
pub(super) async fn answer(request: &Request, document: Document) -> Result<Response, EdgeError> {
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
    let pieces = document.stream(range).await.map_err(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a file cannot be handed out"
        );
        EdgeError::unavailable(ErrorCode::Unavailable)
    })?;
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

fn refused_link(error: LinkError) -> EdgeError {
    match error {
        LinkError::Over => EdgeError::forbidden("the link's time is over; ask for another one"),
        LinkError::Wrong | LinkError::NoMaster => EdgeError::forbidden("the link is not right"),
    }
}
