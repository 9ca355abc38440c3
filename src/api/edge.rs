//! The HTTP edge: which path leads where, and what every answer carries.

use super::auth::Tokens;
use super::documents::Documents;
use super::errors::ErrorCode;
use super::guard::Limits;
use super::http::EdgeError;
use super::limits::{CallLimits, CallerAddress, Seats};
use super::options::ApiOptions;
use super::playground::Page;
#[cfg(feature = "oidc")]
use super::provider;
use super::request_id::{self, RequestId};
use super::result_files;
use super::schema::{self, Schema};
use super::statement_files;
use super::well_known;
#[cfg(feature = "oidc")]
use crate::engine::ProviderLogin;
use crate::engine::{Engine, JobBook, Operators};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use poem::http::header::{self, HeaderValue};
use poem::http::{HeaderName, Method, StatusCode};
use poem::{Endpoint, Request, Response};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tells whether the program can serve: what `/readyz` shows, as `Ok` when it can and `Err` when it
/// cannot. The text is shown to whoever asks, so it must hold no secret.
pub type ReadyCheck = Arc<dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// The metrics as Prometheus reads them.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// What the API is made of.
pub struct ApiParts {
    /// The engine that does the work.
    pub engine: Engine,
    /// The scheduled jobs.
    pub jobs: Arc<dyn JobBook>,
    /// Who looks after operators and their sessions.
    pub operators: Operators,
    /// The way in through the bank's identity provider, where there is one.
    #[cfg(feature = "oidc")]
    pub provider: Option<ProviderLogin>,
    /// Who may call.
    pub tokens: Tokens,
    /// Limits and switches.
    pub options: ApiOptions,
    /// What `/readyz` asks.
    pub ready: ReadyCheck,
    /// What `/metrics` shows.
    pub metrics: MetricsText,
    /// Cancelled when the program stops: WebSockets are closed, no connection is accepted.
    pub stop: CancellationToken,
}

/// The API: `POST /graphql`, WebSockets at the same path, `/playground`, `/livez`, `/readyz`,
/// `/metrics`, `/.well-known/payhall-keys`, `/statements/…` and `/reconciliations/…`; `/login/oidc` where
/// people come in through an identity provider. Cheap to clone.
#[derive(Clone)]
pub struct Api(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub engine: Engine,
    pub schema: Schema,
    pub documents: Documents,
    pub tokens: Tokens,
    pub operators: Operators,
    #[cfg(feature = "oidc")]
    pub provider: Option<ProviderLogin>,
    pub options: ApiOptions,
    pub ready: ReadyCheck,
    pub metrics: MetricsText,
    pub stop: CancellationToken,
    /// The tasks behind open WebSockets, waited for when the program stops.
    pub sockets: TaskTracker,
    /// The places that WebSockets take.
    pub socket_places: Arc<Semaphore>,
    /// How many of them each address has taken.
    pub socket_seats: Seats,
    pub limits: CallLimits,
    pub playground: Option<Page>,
}

impl Api {
    /// Puts the parts together.
    pub fn new(parts: ApiParts) -> Self {
        let options = parts.options;
        let limits = CallLimits::new(&options.limits);
        Self(Arc::new(Inner {
            schema: schema::build(
                &parts.engine,
                (&parts.operators, &parts.jobs),
                &limits,
                &options,
            ),
            limits,
            engine: parts.engine,
            operators: parts.operators,
            #[cfg(feature = "oidc")]
            provider: parts.provider,
            documents: Documents::new(Limits::from(&options), options.documents_max),
            tokens: parts.tokens,
            ready: parts.ready,
            metrics: parts.metrics,
            stop: parts.stop,
            sockets: TaskTracker::new(),
            socket_places: Arc::new(Semaphore::new(options.websockets_max)),
            socket_seats: Seats::new(options.websockets_per_address),
            playground: options.playground.then(Page::new),
            options,
        }))
    }

    /// Where a request comes from.
    pub(super) fn origin(&self, request: &Request) -> CallerAddress {
        match request.remote_addr().as_socket_addr() {
            Some(peer) => {
                let trusted = &self.0.options.trusted_proxies;
                CallerAddress::of_caller(peer.ip(), request.headers(), trusted)
            }
            None => CallerAddress::NOWHERE,
        }
    }

    /// The endpoint by itself, without a listener. [`Api::serve`] is what a program wants.
    pub fn routes(&self) -> impl Endpoint<Output = Response> + Clone + use<> {
        self.clone()
    }

    /// Answers a request. What the platform asks, which no gateway should pass, is not counted: a
    /// replica that is flooded must not seem dead, and its metrics say why it is slow. Everything else is
    /// counted first of all, by where it comes from.
    async fn answer(&self, mut request: Request, id: &RequestId) -> Response {
        let is_of_platform = matches!(request.uri().path(), "/livez" | "/readyz" | "/metrics");
        if !is_of_platform && let Err(limited) = self.0.limits.arrive(self.origin(&request)) {
            return EdgeError::limited(limited).response(id);
        }
        let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/graphql" if *request.method() == Method::POST => self.post(&mut request, id).await,
            "/graphql" if is_get && request.headers().contains_key(header::UPGRADE) => {
                self.upgrade(&request, id).await
            }
            "/graphql" => EdgeError::method("POST").response(id),
            "/livez" | "/readyz" | "/metrics" | "/playground" | well_known::PATH if !is_get => {
                EdgeError::method("GET").response(id)
            }
            "/livez" => text(StatusCode::OK, "alive\n".to_owned()),
            "/readyz" => match (self.0.ready)().await {
                Ok(ready) => text(StatusCode::OK, ready),
                Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
            },
            "/metrics" => text(StatusCode::OK, (self.0.metrics)()),
            well_known::PATH if is_get => self.keys(id).await,
            path if path.starts_with(statement_files::PREFIX) => match is_get {
                true => self.statement_file(&request, id).await,
                false => EdgeError::method("GET").response(id),
            },
            path if path.starts_with(result_files::PREFIX) => match is_get {
                true => self.result_file(&request, id).await,
                false => EdgeError::method("GET").response(id),
            },
            #[cfg(feature = "oidc")]
            path @ (provider::DEPART | provider::ARRIVE)
                if let Some(provider) = &self.0.provider =>
            {
                self.by_provider(provider, path, &request, id).await
            }
            "/playground" if let Some(page) = &self.0.playground => page.response(),
            _ => EdgeError::new(
                StatusCode::NOT_FOUND,
                ErrorCode::BadRequest,
                "there is nothing here; the API is at /graphql",
            )
            .response(id),
        }
    }
}

impl Endpoint for Api {
    type Output = Response;

    /// Answers, whatever happens: a panic is one request's fault and no reason to drop the connection.
    async fn call(&self, request: Request) -> poem::Result<Response> {
        let id = RequestId::accept(request.header(request_id::HEADER));
        let answer = AssertUnwindSafe(self.answer(request, &id)).catch_unwind();
        let mut response = answer.await.unwrap_or_else(|_| {
            tracing::error!(request_id = %id, "a request panicked");
            EdgeError::fault().response(&id)
        });
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            headers.insert(HeaderName::from_static(request_id::HEADER), id);
        }
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

fn text(status: StatusCode, body: String) -> Response {
    Response::builder()
        .status(status)
        .content_type("text/plain; charset=utf-8")
        .body(body)
}
