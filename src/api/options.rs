//! The limits and switches of the edge, as the daemon reads them from its settings.

use super::limits::LimitOptions;
use ipnet::IpNet;
use std::time::Duration;

/// Who may ask for the schema itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introspection {
    /// Nobody.
    Off,
    /// Callers with a token.
    SignedIn,
    /// Everybody.
    Everyone,
}

/// What the edge allows.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// The largest body of a request, and of a WebSocket message, in bytes.
    pub body_bytes_max: usize,
    /// How many selections a document may expand to, fragments counted each time they are spread.
    pub expansion_max: usize,
    /// How deep fields may be nested.
    pub depth_max: usize,
    /// The largest cost of a document: a field costs 1, one that reads much costs more.
    pub complexity_max: usize,
    /// How many aliases a document may hold.
    pub aliases_max: usize,
    /// How many directives a document may hold.
    pub directives_max: usize,
    /// How many variables a document may declare.
    pub variables_max: usize,
    /// How many parsed documents are kept; 0 keeps none.
    pub documents_max: usize,
    /// Who may ask for the schema itself.
    pub introspection: Introspection,
    /// Whether the playground is served.
    pub playground: bool,
    /// Whether browsers reach the API by https, as `public_url` says, TLS ending at a gateway: then the
    /// session's cookie is for https alone.
    pub https: bool,
    /// The scheme and the authority that callers write, where a proxy stands before the center; what
    /// is signed is what they wrote.
    pub public_url: Option<(String, String)>,
    /// Whether this is a sandbox, where a refused signature is explained in full.
    pub sandbox: bool,
    /// The proxies before the center: only they may say in a header where a request comes from.
    pub trusted_proxies: Vec<IpNet>,
    /// How often somebody may call.
    pub limits: LimitOptions,
    /// Origins that browsers may call from beside the server's own, e.g. `https://pay.example.com`.
    pub origins: Vec<String>,
    /// How long the head of a request may take, and how long a connection may idle between two.
    pub header_timeout: Duration,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// How long an answer may take to leave once the other end does not take it.
    pub write_timeout: Duration,
    /// How many connections are served at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// How many of them one address may hold, where it is no proxy of ours; further ones are closed at
    /// once. 0 is no limit.
    pub connections_per_address: usize,
    /// How many WebSockets are open at once.
    pub websockets_max: usize,
    /// How many of them one address may hold; 0 is no limit.
    pub websockets_per_address: usize,
    /// How many subscriptions one WebSocket carries.
    pub subscriptions_max: usize,
    /// How long a WebSocket may take to introduce itself.
    pub websocket_init_timeout: Duration,
    /// How often a WebSocket is asked for a sign of life; without one by the third time it is closed.
    pub websocket_ping: Duration,
    /// How long the open requests may take when the program stops.
    pub drain: Duration,
}

impl Default for ApiOptions {
    /// What the compiled-in settings file says, for tests and tools.
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024,
            expansion_max: 2_000,
            depth_max: 12,
            complexity_max: 500,
            aliases_max: 30,
            directives_max: 20,
            variables_max: 50,
            documents_max: 1_000,
            public_url: None,
            sandbox: false,
            introspection: Introspection::SignedIn,
            playground: false,
            https: false,
            trusted_proxies: Vec::new(),
            limits: LimitOptions::default(),
            origins: Vec::new(),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            connections_max: 4_096,
            connections_per_address: 512,
            websockets_max: 1_024,
            websockets_per_address: 64,
            subscriptions_max: 32,
            websocket_init_timeout: Duration::from_secs(10),
            websocket_ping: Duration::from_secs(20),
            drain: Duration::from_secs(30),
        }
    }
}
