//! The GraphQL API and its HTTP edge: the only room that knows async-graphql and poem.
//!
//! A request goes through these doors, in this order, and each may end it:
//!
//! 1. `serve` — connections in all and of one address, time for the head.
//! 2. `limits` — how often the address has called, and how often it was refused; nothing of the request
//!    but its head was read.
//! 3. `http` — method, content type, size, origin, time for the body, the form of the body.
//! 4. `auth`, `session` and `signed` — a token, a session's cookie or a signature becomes a
//!    [`Principal`]; nothing behind this door ever sees either.
//! 5. `limits` — how often that merchant or operator has called.
//! 6. `guard` — what the document would expand to is counted before anybody validates it.
//! 7. `signed` — a signed request is let in: its nonce is used up, except by `orderCreate` and
//!    `orderConfirm`, which do that in their own transaction.
//! 8. async-graphql — validation and complexity.
//! 9. `desk` — the right that a field needs, asked by the resolver itself as its first line. Logging in
//!    is counted here once more, by address and name.
//! 10. The engine, which narrows everything to what the caller may see.
//!
//! On the way out `errors` is the only place that turns a failure into words: an expected refusal is
//! told as it is, a fault is masked, logged once and answered with the request's id.
//!
//! How one could break this: by a resolver that does not open a `Desk`; by a message that carries a
//! text of storage or upstream; by logging a document, because somebody may have written a
//! credential into it; by executing a document that did not come from `documents`.

mod auth;
mod desk;
mod documents;
mod downloads;
mod edge;
mod errors;
mod guard;
mod http;
mod limits;
mod loaders;
mod options;
mod paging;
mod playground;
#[cfg(feature = "oidc")]
mod provider;
mod range;
mod request_id;
mod result_files;
mod rights;
mod roots;
mod schema;
mod serve;
mod session;
mod signed;
mod statement_files;
mod types;
mod unread;
mod websocket;
mod well_known;

#[cfg(test)]
mod tests;

pub use auth::{Principal, Right, TokenError, Tokens};
pub use edge::{Api, ApiParts, MetricsText, ReadyCheck};
pub use errors::ErrorCode;
pub use limits::{LimitOptions, Rate, Stopwatch};
pub use options::{ApiOptions, Introspection};
pub use rights::rights_table;
pub use schema::sdl;
