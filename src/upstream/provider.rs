//! The bank's identity provider, by which operators log in (OpenID Connect): what it publishes, and the
//! code that a browser brought back changed for tokens. What the tokens say is read and judged
//! elsewhere.
//!
//! The provider is distrusted like every far side: https only (but in a sandbox), no redirects, a
//! deadline over the whole exchange, bodies up to a size. What it publishes is kept for an hour; its
//! keys are asked for once more when a token names one that is not among them.
//!
//! How one could break it: by taking an address from a document whose issuer is not the one of the
//! settings; by putting a code, a token or a secret into an error or a log line.

use futures_util::future::BoxFuture;
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, Client as OauthClient, ClientId,
    ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, ExtraTokenFields, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    StandardRevocableToken, StandardTokenResponse, TokenResponse, TokenUrl,
};
use reqwest::{Client, Request, StatusCode, Url, redirect, retry, tls};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long what the provider publishes is kept.
const KEPT: Duration = Duration::from_secs(3_600);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// The largest answer that is read, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Calls at once; more are refused, so that a provider that hangs does not hold all logins.
const PLACES: usize = 16;

/// Where the provider may be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By https alone.
    HttpsOnly,
    /// By http as well: in a sandbox.
    HttpToo,
}

/// How the provider is reached, and who we are to it.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Its name, a URL; `/.well-known/openid-configuration` stands behind it.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there; none for a public client, whom PKCE protects alone.
    pub client_secret: Option<SecretString>,
    /// Where it sends browsers back to.
    pub redirect_url: String,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// How long a call may take, to the last byte.
    pub timeout: Duration,
    /// Where it may be talked to.
    pub transport: Transport,
}

/// Why the provider is of no help. No message holds a code, a token or a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFault {
    /// It cannot be reached, or broke off.
    #[error("the identity provider's {what} cannot be reached: {cause}")]
    Unreachable {
        /// What was asked for.
        what: &'static str,
        /// What the network says.
        cause: &'static str,
    },
    /// It answers what it should not.
    #[error("the identity provider's {what} cannot be used: {defect}")]
    Malformed {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        defect: &'static str,
    },
    /// It does not give tokens for this code.
    #[error("the identity provider gives no tokens: {0}")]
    Refused(String),
    /// Too many calls are under way.
    #[error("too many calls to the identity provider are under way")]
    Busy,
}

impl ProviderFault {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "PROVIDER_UNREACHABLE",
            Self::Malformed { .. } => "PROVIDER_MALFORMED",
            Self::Refused(_) => "PROVIDER_REFUSED",
            Self::Busy => "PROVIDER_BUSY",
        }
    }
}

/// What a browser is sent to the provider with.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Comes back as it is.
    pub state: &'a str,
    /// Comes back inside the token.
    pub nonce: &'a str,
    /// Will be shown with the code; only its hash goes out.
    pub verifier: &'a SecretString,
    /// How long ago, in seconds, the person may have proved who they are; 0 means now, whatever the
    /// provider remembers.
    pub proof_age_max_s: u32,
}

/// What the provider gave for a code.
#[derive(Debug)]
pub struct Tokens {
    /// Who it is.
    pub id_token: SecretString,
    /// What `at_hash` of the other is about; it is used for nothing else.
    pub access_token: SecretString,
}

/// The parts of the discovery document that are used.
#[derive(Clone, Debug, Deserialize)]
struct Published {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Something with the moment at which it was fetched.
type Kept<T> = RwLock<Option<(Instant, Arc<T>)>>;

/// The identity provider.
pub struct Provider {
    client: Client,
    settings: ProviderSettings,
    places: Semaphore,
    published: Kept<Published>,
    keys: Kept<Vec<u8>>,
}

/// The field that OpenID Connect adds to an answer of OAuth.
#[derive(Deserialize, Serialize)]
struct WithIdToken {
    id_token: Option<String>,
}

impl ExtraTokenFields for WithIdToken {}

impl std::fmt::Debug for WithIdToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WithIdToken(***)")
    }
}

type TokenAnswer = StandardTokenResponse<WithIdToken, BasicTokenType>;
type OidcClient = OauthClient<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl Provider {
    /// Builds the client. Sends nothing.
    ///
    /// # Errors
    /// The HTTP client cannot be built, for example for want of a certificate store.
    pub fn try_new(settings: ProviderSettings) -> Result<Self, reqwest::Error> {
        let is_https_only = settings.transport == Transport::HttpsOnly;
        let mut builder = Client::builder()
            .user_agent(concat!("payhall/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .https_only(is_https_only)
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(settings.timeout)
            .tls_backend_rustls()
            .tls_version_min(tls::Version::TLS_1_2);
        if !is_https_only && settings.issuer.starts_with("http://") {
            // Nothing to verify, so a machine without a certificate store can still run.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            client: builder.build()?,
            settings,
            places: Semaphore::new(PLACES),
            published: RwLock::default(),
            keys: RwLock::default(),
        })
    }

    /// Where to send a browser.
    ///
    /// # Errors
    /// What the provider publishes cannot be had.
    pub async fn question(&self, question: &Question<'_>) -> Result<String, ProviderFault> {
        let client = self.oauth(&*self.published().await?)?;
        let verifier = PkceCodeVerifier::new(question.verifier.expose_secret().to_owned());
        let state = question.state.to_owned();
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let mut request = client
            .authorize_url(|| CsrfToken::new(state))
            .add_scope(Scope::new("openid".to_owned()))
            .add_scopes(scopes)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_extra_param("nonce", question.nonce.to_owned())
            .add_extra_param("max_age", question.proof_age_max_s.to_string());
        if question.proof_age_max_s == 0 {
            request = request.add_extra_param("prompt", "login");
        }
        Ok(request.url().0.to_string())
    }

    /// Whether the issuer that an answer names may be the one that was asked (RFC 9207); a provider that
    /// says it names itself has to.
    ///
    /// # Errors
    /// What the provider publishes cannot be had.
    pub async fn is_from_here(&self, issuer: Option<&str>) -> Result<bool, ProviderFault> {
        match issuer {
            Some(issuer) => Ok(issuer == self.settings.issuer),
            None => Ok(!self
                .published()
                .await?
                .authorization_response_iss_parameter_supported),
        }
    }

    /// Changes a code for tokens.
    ///
    /// # Errors
    /// The provider refuses, cannot be reached, or answers what it should not.
    pub async fn tokens(
        &self,
        code: &SecretString,
        verifier: &SecretString,
    ) -> Result<Tokens, ProviderFault> {
        const WHAT: &str = "token endpoint";
        let client = self.oauth(&*self.published().await?)?;
        let code = AuthorizationCode::new(code.expose_secret().to_owned());
        let verifier = PkceCodeVerifier::new(verifier.expose_secret().to_owned());
        let carrier = Carrier {
            provider: self,
            what: WHAT,
        };
        let answer = client
            .exchange_code(code)
            .set_pkce_verifier(verifier)
            .request_async(&carrier)
            .await
            .map_err(|error| not_given(WHAT, error))?;
        let id_token = answer.extra_fields().id_token.clone();
        let id_token = id_token.ok_or_else(|| malformed(WHAT, "there is no id_token"))?;
        Ok(Tokens {
            id_token: id_token.into(),
            access_token: answer.access_token().secret().clone().into(),
        })
    }

    /// The provider's keys, as it publishes them.
    ///
    /// # Errors
    /// They cannot be had.
    pub async fn keys(&self) -> Result<Arc<Vec<u8>>, ProviderFault> {
        match held(&self.keys) {
            Some(keys) => Ok(keys),
            None => self.fetch_keys().await,
        }
    }

    /// The provider's keys once more, because a token names one that is not among these. Of many who
    /// find the same, one asks and the others take what it was told.
    ///
    /// # Errors
    /// They cannot be had.
    pub async fn keys_after(&self, stale: &Arc<Vec<u8>>) -> Result<Arc<Vec<u8>>, ProviderFault> {
        match held(&self.keys) {
            Some(keys) if !Arc::ptr_eq(&keys, stale) => Ok(keys),
            _ => self.fetch_keys().await,
        }
    }

    async fn fetch_keys(&self) -> Result<Arc<Vec<u8>>, ProviderFault> {
        const WHAT: &str = "keys";
        let published = self.published().await?;
        let url = self.address(WHAT, &published.jwks_uri)?;
        Ok(keep(&self.keys, self.get(WHAT, url).await?))
    }

    async fn published(&self) -> Result<Arc<Published>, ProviderFault> {
        const WHAT: &str = "discovery document";
        if let Some(published) = held(&self.published) {
            return Ok(published);
        }
        let issuer = self.settings.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let body = self.get(WHAT, self.address(WHAT, &url)?).await?;
        let published: Published =
            serde_json::from_slice(&body).map_err(|_| malformed(WHAT, "it is not one in JSON"))?;
        if published.issuer != self.settings.issuer {
            return Err(malformed(WHAT, "its issuer is not the one of oidc.issuer"));
        }
        for address in [
            &published.authorization_endpoint,
            &published.token_endpoint,
            &published.jwks_uri,
        ] {
            self.address(WHAT, address)?;
        }
        Ok(keep(&self.published, published))
    }

    /// An address that we may call, or send a browser to.
    fn address(&self, what: &'static str, text: &str) -> Result<Url, ProviderFault> {
        let url = Url::parse(text).map_err(|_| malformed(what, "an address in it is none"))?;
        match (url.scheme(), self.settings.transport) {
            ("https", _) | ("http", Transport::HttpToo) => Ok(url),
            _ => Err(malformed(what, "an address in it is not https")),
        }
    }

    fn oauth(&self, published: &Published) -> Result<OidcClient, ProviderFault> {
        const WHAT: &str = "discovery document";
        let none = |_| malformed(WHAT, "an address in it is none");
        let authorization = AuthUrl::new(published.authorization_endpoint.clone());
        let token = TokenUrl::new(published.token_endpoint.clone());
        let back = RedirectUrl::new(self.settings.redirect_url.clone());
        let mut client = OauthClient::new(ClientId::new(self.settings.client_id.clone()))
            .set_auth_uri(authorization.map_err(none)?)
            .set_token_uri(token.map_err(none)?)
            .set_redirect_uri(back.map_err(none)?);
        if let Some(secret) = &self.settings.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
        }
        if let Some(ways) = &published.token_endpoint_auth_methods_supported {
            let takes = |way: &str| ways.iter().any(|one| one == way);
            if takes("client_secret_post") && !takes("client_secret_basic") {
                client = client.set_auth_type(AuthType::RequestBody);
            }
        }
        Ok(client)
    }

    async fn get(&self, what: &'static str, url: Url) -> Result<Vec<u8>, ProviderFault> {
        let (status, body) = self
            .send(what, Request::new(reqwest::Method::GET, url))
            .await?;
        if status != StatusCode::OK {
            return Err(malformed(what, "the status is not 200"));
        }
        Ok(body)
    }

    async fn send(
        &self,
        what: &'static str,
        request: Request,
    ) -> Result<(StatusCode, Vec<u8>), ProviderFault> {
        let _place = self.places.try_acquire().map_err(|_| ProviderFault::Busy)?;
        let sent = self.client.execute(request).await;
        let mut response = sent.map_err(|error| unreachable(what, &error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(malformed(what, "it redirects, which is not followed"));
        }
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            match chunk.map_err(|error| unreachable(what, &error))? {
                None => return Ok((status, body)),
                Some(chunk) if body.len().saturating_add(chunk.len()) > BODY_BYTES_MAX => {
                    return Err(malformed(what, "it is larger than 256 KiB"));
                }
                Some(chunk) => body.extend_from_slice(&chunk),
            }
        }
    }
}

/// Carries the requests of the OAuth library, which has no HTTP client of its own here.
struct Carrier<'a> {
    provider: &'a Provider,
    what: &'static str,
}

impl<'c> AsyncHttpClient<'c> for Carrier<'_> {
    type Error = ProviderFault;
    type Future = BoxFuture<'c, Result<HttpResponse, ProviderFault>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let request = Request::try_from(request);
            let request = request.map_err(|_| malformed(self.what, "its address is none"))?;
            let (status, body) = self.provider.send(self.what, request).await?;
            let mut response = HttpResponse::new(body);
            *response.status_mut() = status;
            Ok(response)
        })
    }
}

fn held<T>(kept: &Kept<T>) -> Option<Arc<T>> {
    let kept = kept.read().unwrap_or_else(PoisonError::into_inner);
    let (since, value) = kept.as_ref()?;
    (since.elapsed() < KEPT).then(|| value.clone())
}

fn keep<T>(kept: &Kept<T>, value: T) -> Arc<T> {
    let value = Arc::new(value);
    *kept.write().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), value.clone()));
    value
}

fn malformed(what: &'static str, defect: &'static str) -> ProviderFault {
    ProviderFault::Malformed { what, defect }
}

fn unreachable(what: &'static str, error: &reqwest::Error) -> ProviderFault {
    let cause = if error.is_timeout() {
        "it does not answer in time (oidc.timeout_ms)"
    } else if error.is_connect() {
        "there is no connection, or no certificate that is trusted"
    } else {
        "the connection broke off"
    };
    ProviderFault::Unreachable { what, cause }
}

/// Why there are no tokens. An error's name is taken over where it is one of the standard's form; what
/// else the provider said could hold anything.
fn not_given(
    what: &'static str,
    error: RequestTokenError<ProviderFault, BasicErrorResponse>,
) -> ProviderFault {
    match error {
        RequestTokenError::Request(fault) => fault,
        RequestTokenError::ServerResponse(told) => {
            ProviderFault::Refused(error_name(told.error().as_ref()).to_owned())
        }
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            malformed(what, "it is no answer with tokens in JSON")
        }
    }
}

/// The name of an error as OAuth has it (RFC 6749, 4.1.2.1); another text is not repeated.
pub fn error_name(text: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_name = (1..=40).contains(&text.len()) && text.bytes().all(is_plain);
    if is_name {
        text
    } else {
        "an error without a name"
    }
}
