//! `GET /statements/…`: the files of statements, whole or a stretch of them.
//!
//! Whoever has a link gets its file: the link is the proof. Anybody else proves who calls as everywhere, and
//! gets what is the caller's own. What is another's is as if there were none. A file that is not there yet
//! is told with the time to come back.

use super::auth::Right;
use super::downloads::{Proof, answer};
use super::edge::Api;
use super::errors::ErrorCode;
use super::http::EdgeError;
use super::request_id::RequestId;
use crate::engine::{DocumentName, FoundDocument, LinkedTo, StatementError};
use poem::http::StatusCode;
use poem::{Request, Response};

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
        let proof = self
            .check_asker(request, LinkedTo::Statement, Right::StatementRead)
            .await?;
        if let Proof::Caller(principal) = proof {
            let scope = principal.scope();
            // What is another's is as if there were none.
            if !scope.is_some_and(|scope| scope.sees_party(&name.key.party)) {
                return Err(none());
            }
        }
        let found = self.0.engine.statement_document(&name).await;
        match found.map_err(|error| fault(&error))? {
            FoundDocument::There(document) => answer(request, *document).await,
            FoundDocument::NotReady { retry_after_s } => Err(EdgeError::not_ready(retry_after_s)),
            FoundDocument::None => Err(none()),
        }
    }
}

fn none() -> EdgeError {
    EdgeError::new(
        StatusCode::NOT_FOUND,
        ErrorCode::BadRequest,
        "there is no such statement",
    )
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
