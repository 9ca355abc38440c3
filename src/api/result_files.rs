//! `GET /reconciliations/…`: the files of results of reconciling, whole or a stretch of them.
//!
//! Whoever has a link gets its file; anybody else proves to be an operator. There is nothing of a merchant's
//! own in them, so that merchants are refused before it is looked what there is.

use super::auth::Right;
use super::downloads::answer;
use super::edge::Api;
use super::errors::ErrorCode;
use super::http::EdgeError;
use super::request_id::RequestId;
use crate::engine::{FileFault, LinkedTo, ResultName};
use poem::http::StatusCode;
use poem::{Request, Response};

/// What every path begins with.
pub(super) const PREFIX: &str = "/reconciliations/";

impl Api {
    /// Answers a request for the file of a result.
    pub(super) async fn result_file(&self, request: &Request, id: &RequestId) -> Response {
        let address = self.origin(request);
        match self.try_result_file(request).await {
            Ok(response) => response,
            Err(refused) => {
                self.count_refused(&refused, address);
                refused.response(id)
            }
        }
    }

    async fn try_result_file(&self, request: &Request) -> Result<Response, EdgeError> {
        let name = ResultName::read(request.uri().path()).ok_or_else(none)?;
        self.check_asker(request, LinkedTo::Reconciliation, Right::Oversee)
            .await?;
        let found = self.0.engine.result_document(&name).await;
        match found.map_err(|error| fault(&error))? {
            Some(document) => answer(request, document).await,
            None => Err(none()),
        }
    }
}

fn none() -> EdgeError {
    EdgeError::new(
        StatusCode::NOT_FOUND,
        ErrorCode::BadRequest,
        "there is no such result of reconciling",
    )
}

fn fault(error: &FileFault) -> EdgeError {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the file of a result cannot be handed out"
    );
    match error {
        FileFault::Store(error) => EdgeError::storage(error),
        FileFault::NoStore => none(),
        FileFault::Objects(_) | FileFault::Disk(_) => {
            EdgeError::unavailable(ErrorCode::Unavailable)
        }
        _ => EdgeError::fault(),
    }
}
