//! What failures look like from outside.
//!
//! A resolver fails with a [`Problem`], which rides inside the framework's error to [`finish`]. That
//! is the one place where failures become words: an expected refusal is told as it is, a fault is
//! masked and logged once with the request's id, and whatever the framework itself says about a bad
//! document is freed of the values that stood in it, since one of them may be a credential.
//!
//! How one could break this: by `async_graphql::Error::new(error.to_string())` in a resolver, which
//! would pass as a complaint about the document with its text unmasked.

use super::auth::Right;
use super::limits::Limited;
use super::request_id::RequestId;
use super::types::refusal::UserError;
use crate::domain::named_enum;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::engine::{EngineError, StatementError};
use crate::storage::{Denied, StoreError};
use async_graphql::{ErrorExtensionValues, Response, ServerError, Value};
use std::error::Error as _;
use std::sync::Arc;

named_enum! {
    /// The code of an error in `errors[]`, beside the codes of refusals.
    pub enum ErrorCode {
        /// No token, or one that nobody knows.
        Unauthenticated = "UNAUTHENTICATED",
        /// The caller's role does not allow it.
        Forbidden = "FORBIDDEN",
        /// The request or its document is not what it should be.
        BadRequest = "BAD_REQUEST",
        /// The document asks for more than a limit allows.
        DocumentRefused = "DOCUMENT_REFUSED",
        /// The caller, or its address, calls too often; the message says when to come again.
        RateLimited = "RATE_LIMITED",
        /// More work is queued than can be taken; nothing was done.
        Busy = "BUSY",
        /// Something that we need does not answer.
        Unavailable = "UNAVAILABLE",
        /// What is asked for will be there later.
        NotReady = "NOT_READY",
        /// A fault on our side.
        Internal = "INTERNAL",
    }
}

/// At most so many errors are told; a document can be wrong in thousands of places.
const ERRORS_MAX: usize = 20;

/// Names in a document can be long, and the framework repeats them.
const MESSAGE_CHARS_MAX: usize = 500;

/// Why a resolver did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Problem {
    /// An expected refusal.
    #[error("refused")]
    Refused(#[from] Refusal),
    /// The caller has to say who it is.
    #[error("unauthenticated")]
    Unauthenticated,
    /// The caller may not.
    #[error("forbidden")]
    Forbidden(Right),
    /// The caller may, but not so often.
    #[error("limited")]
    Limited(Limited),
    /// Storage failed.
    #[error("storage failed")]
    Fault(#[source] Arc<StoreError>),
    /// The edge did not put into the context what every request needs.
    #[error("the request has no caller or no engine")]
    NotWired,
    /// The signed request was not let in, and nothing was done for it.
    #[error("the signed request was not let in")]
    NotLetIn(Denied),
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused(refusal) => Problem::Refused(refusal),
            EngineError::Store(error) => Problem::Fault(Arc::new(error)),
            EngineError::NotLetIn(why) => Problem::NotLetIn(why),
        }
    }
}

impl From<StatementError> for Problem {
    fn from(error: StatementError) -> Self {
        match error {
            StatementError::Engine(error) => error.into(),
            StatementError::Store(error) => Problem::Fault(Arc::new(error)),
            StatementError::NoStore => {
                let words = "statements are kept nowhere here (files.url)";
                Refusal::new(RefusalCode::StatementsOff, words).into()
            }
            other => {
                let mut words = other.to_string();
                let mut source = std::error::Error::source(&other);
                while let Some(error) = source {
                    words = format!("{words}: {error}");
                    source = error.source();
                }
                Problem::Fault(Arc::new(StoreError::Unavailable(words)))
            }
        }
    }
}

impl Problem {
    /// Whether it is a refusal with this code.
    pub fn is_refused(&self, code: RefusalCode) -> bool {
        matches!(self, Problem::Refused(refusal) if refusal.code == code)
    }

    fn fault_code(&self) -> Option<ErrorCode> {
        match self {
            Problem::Refused(_) | Problem::Unauthenticated | Problem::Forbidden(_) => None,
            Problem::NotLetIn(_) => None,
            Problem::Limited(_) => None,
            Problem::NotWired => Some(ErrorCode::Internal),
            Problem::Fault(error) => Some(storage_code(error)),
        }
    }

    /// Every sentence of it, for the log and nobody else.
    fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}

/// What a failure of storage is called outside.
pub(super) fn storage_code(error: &StoreError) -> ErrorCode {
    match error {
        StoreError::Busy => ErrorCode::Busy,
        StoreError::Unavailable(_) | StoreError::GaveWay(_) | StoreError::Closed => {
            ErrorCode::Unavailable
        }
        StoreError::Refused(_) | StoreError::Corrupt { .. } | StoreError::Settings(_) => {
            ErrorCode::Internal
        }
    }
}

/// Parts a mutation's end into what its payload carries; what is left is a failure of the request.
pub(super) fn outcome<T>(done: Result<T, Problem>) -> Result<(Option<T>, Vec<UserError>), Problem> {
    match done {
        Ok(done) => Ok((Some(done), Vec::new())),
        Err(Problem::Refused(refusal)) => Ok((None, vec![UserError(refusal)])),
        Err(Problem::Forbidden(right)) => {
            let refusal = Refusal::new(RefusalCode::NotAllowed, forbidden(right));
            Ok((None, vec![UserError(refusal)]))
        }
        Err(problem) => Err(problem),
    }
}

fn forbidden(right: Right) -> String {
    format!("your role does not have the right {right}")
}

/// How a response ended, for its status and the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Executed; refusals are data.
    Done,
    /// Never executed: the document or its variables are wrong.
    BadDocument,
    /// The caller has to say who it is.
    Unauthenticated,
    /// The caller has to come again later.
    Limited(Limited),
    /// A fault on our side is among the errors.
    Fault,
    /// The signed request was not let in: whatever else was answered does not count.
    NotLetIn(Denied),
}

impl Ending {
    /// The label of the metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Ending::Done => "done",
            Ending::BadDocument => "bad_document",
            Ending::Unauthenticated => "unauthenticated",
            Ending::Limited(_) => "limited",
            Ending::Fault => "fault",
            Ending::NotLetIn(_) => "refused",
        }
    }
}

/// Turns the failures of a response into words; logs the first fault.
pub(super) fn finish(response: &mut Response, request_id: &RequestId) -> Ending {
    if response.errors.is_empty() {
        return Ending::Done;
    }
    response.errors.truncate(ERRORS_MAX);
    let never_ran = matches!(response.data, Value::Null)
        && response.errors.iter().all(|error| error.path.is_empty());
    let mut ending = if never_ran {
        Ending::BadDocument
    } else {
        Ending::Done
    };
    for error in &mut response.errors {
        match translate(error) {
            Told::NotLetIn(why) => return Ending::NotLetIn(why),
            Told::Fault(code, chain) if ending != Ending::Fault => {
                ending = Ending::Fault;
                tracing::error!(%request_id, %code, error = chain, "a request failed");
            }
            Told::Unauthenticated if ending != Ending::Fault => ending = Ending::Unauthenticated,
            Told::Limited(limited) if ending != Ending::Fault => ending = Ending::Limited(limited),
            _ => {}
        }
        let extensions = error.extensions.get_or_insert_default();
        extensions.set("requestId", request_id.as_str());
    }
    ending
}

/// What an error turned out to be.
enum Told {
    Expected,
    Unauthenticated,
    Limited(Limited),
    Fault(ErrorCode, String),
    NotLetIn(Denied),
}

fn translate(error: &mut ServerError) -> Told {
    let Some(source) = error.source.take() else {
        // The framework's own words about a document, or an error that has its code already.
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            extensions.set("code", ErrorCode::BadRequest.as_str());
            error.message = without_values(&error.message);
            if let Some((end, _)) = error.message.char_indices().nth(MESSAGE_CHARS_MAX) {
                error.message.truncate(end);
            }
        }
        return Told::Expected;
    };
    let mut extensions = ErrorExtensionValues::default();
    let (message, told) = match source.downcast_ref::<Problem>() {
        Some(Problem::Refused(refusal)) => {
            extensions.set("code", refusal.code.as_str());
            extensions.set("retry", refusal.retry.as_str());
            if let Some(field) = refusal.field {
                extensions.set("field", field);
            }
            if let Some(order_no) = &refusal.order_no {
                extensions.set("orderNo", order_no.as_str());
            }
            (refusal.message.clone(), Told::Expected)
        }
        Some(Problem::Forbidden(right)) => {
            extensions.set("code", ErrorCode::Forbidden.as_str());
            (forbidden(*right), Told::Expected)
        }
        Some(Problem::Unauthenticated) => {
            extensions.set("code", ErrorCode::Unauthenticated.as_str());
            (UNAUTHENTICATED.to_owned(), Told::Unauthenticated)
        }
        Some(Problem::NotLetIn(why)) => return Told::NotLetIn(why.clone()),
        Some(Problem::Limited(limited)) => {
            later(*limited, &mut extensions);
            (limited.message(), Told::Limited(*limited))
        }
        Some(problem @ (Problem::Fault(_) | Problem::NotWired)) => {
            let code = problem.fault_code().unwrap_or(ErrorCode::Internal);
            (
                mask(code, &mut extensions),
                Told::Fault(code, problem.chain()),
            )
        }
        None => {
            let code = ErrorCode::Internal;
            let chain = std::mem::take(&mut error.message);
            (mask(code, &mut extensions), Told::Fault(code, chain))
        }
    };
    error.message = message;
    error.extensions = Some(extensions);
    told
}

/// The code and the hint for who has to come again later.
pub(super) fn later(limited: Limited, extensions: &mut ErrorExtensionValues) {
    extensions.set("code", ErrorCode::RateLimited.as_str());
    extensions.set("retry", "LATER");
    extensions.set("retryAfterSeconds", limited.retry_after_s);
}

/// What a caller without a usable token is told.
pub(super) const UNAUTHENTICATED: &str = "this needs a caller that we know: send a valid token as Authorization: Bearer TOKEN, or log in \
     by operatorLogin";

/// The words for a fault, and the hint when to try again.
pub(super) fn mask(code: ErrorCode, extensions: &mut ErrorExtensionValues) -> String {
    extensions.set("code", code.as_str());
    let (message, after) = match code {
        ErrorCode::Busy => ("too much is going on; nothing was done; try again", Some(1)),
        ErrorCode::Unavailable => ("we cannot do this at the moment; try again", Some(5)),
        _ => (
            "something went wrong on our side; tell us the request id",
            None,
        ),
    };
    if let Some(seconds) = after {
        extensions.set("retry", "LATER");
        extensions.set("retryAfterSeconds", seconds);
    }
    message.to_owned()
}

/// A framework's message without the values that it repeats.
fn without_values(message: &str) -> String {
    let marks = [
        (", found ", ""),
        (
            " does not contain the value ",
            " does not contain this value",
        ),
        (" does not contain value ", " does not contain this value"),
    ];
    let found = marks
        .into_iter()
        .find_map(|(mark, instead)| message.find(mark).map(|at| (at, instead)));
    let Some((at, instead)) = found else {
        return message.to_owned();
    };
    let tail = message
        .rfind(" (occurred while parsing")
        .filter(|end| *end > at)
        .map_or("", |end| &message[end..]);
    format!("{}{instead}{tail}", &message[..at])
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_framework_s_words_are_freed_of_values() {
        for (before, after) in [
            (
                r#"Expected input type "Int", found "s3cret"."#,
                r#"Expected input type "Int""#,
            ),
            (
                r#"Expected input type "Int", found "s3cret". (occurred while parsing "MoneyInput")"#,
                r#"Expected input type "Int" (occurred while parsing "MoneyInput")"#,
            ),
            (
                r#"Invalid value for argument "a", enumeration type "E" does not contain the value "s3cret""#,
                r#"Invalid value for argument "a", enumeration type "E" does not contain this value"#,
            ),
            (
                r#"Failed to parse "E": Enumeration type does not contain value "s3cret"."#,
                r#"Failed to parse "E": Enumeration type does not contain this value"#,
            ),
            ("Unknown field \"a\"", "Unknown field \"a\""),
        ] {
            assert_eq!(without_values(before), after);
        }
    }
}
