//! A center as far as signatures go: over HTTP, it says whether it accepts a call, and signs what it
//! says. A key is registered by putting its public half into a folder, as `NAME-ALGORITHM.pem`.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use payhall::domain::key::Algorithm;
use payhall::engine::{Clock, SystemClock};
use payhall::trust::{
    Claim, Header, PrivateKey, PublicKey, Request, Response, SignatureFault, SignedHeaders, Signer,
    sign_response,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio::net::TcpListener;

const JSON: &str = "application/json";

/// A running center.
pub struct Server {
    center: Arc<Center>,
    port: u16,
}

struct Center {
    folder: TempDir,
    keys: BTreeMap<Algorithm, PrivateKey>,
    accepted: AtomicUsize,
}

impl Server {
    /// Starts it on a port of its own; it ends with the runtime.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = BTreeMap::new();
        for algorithm in Algorithm::ALL {
            let key = PrivateKey::generate(*algorithm).unwrap();
            let file = folder.path().join(format!("center-{algorithm}.pem"));
            std::fs::write(file, key.public_key().to_pem()).unwrap();
            keys.insert(*algorithm, key);
        }
        let center = Arc::new(Center {
            folder,
            keys,
            accepted: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(accept(listener, Arc::clone(&center)));
        Self { center, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/graphql", self.port)
    }

    pub fn folder(&self) -> &Path {
        self.center.folder.path()
    }

    /// Registers a public key.
    pub fn register(&self, key_id: &str, pem: &str) {
        std::fs::write(self.folder().join(format!("{key_id}.pem")), pem).unwrap();
    }

    /// How many calls were accepted.
    pub fn accepted(&self) -> usize {
        self.center.accepted.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, center: Arc<Center>) {
    while let Ok((stream, _)) = listener.accept().await {
        let center = Arc::clone(&center);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&center, request));
            // A caller that hangs up has its answer already.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    center: &Center,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers: Vec<Header<'_>> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let request = Request {
        method: head.method.as_str(),
        scheme: "http",
        authority: host(&head),
        path: head.uri.path(),
        query: head.uri.query(),
        headers: &headers,
        body: &body,
    };
    let (status, said, signed) = center.judge(&request);
    let mut response = hyper::Response::builder().status(status);
    for (name, value) in signed {
        response = response.header(name, value);
    }
    let response = response.header("Content-Type", JSON);
    Ok(response.body(Full::from(said.to_string())).unwrap())
}

fn host(head: &Parts) -> &str {
    head.headers["host"].to_str().unwrap()
}

impl Center {
    fn judge(&self, request: &Request<'_>) -> (u16, Value, SignedHeaders) {
        match self.accept(request) {
            Ok(claim) => {
                self.accepted.fetch_add(1, Ordering::Relaxed);
                let said = json!({ "accepted": claim.key_id() });
                let signed = self.sign(request, &claim, &said);
                (200, said, signed)
            }
            Err(fault) => {
                let said = json!({ "code": fault.code(), "message": fault.to_string() });
                (401, said, Vec::new())
            }
        }
    }

    fn accept(&self, request: &Request<'_>) -> Result<Claim, SignatureFault> {
        let claim = Claim::read(request)?;
        let file = self.folder.path().join(format!("{}.pem", claim.key_id()));
        let pem = std::fs::read_to_string(file).unwrap();
        let mut algorithms = Algorithm::ALL.iter();
        let registered = algorithms.find(|a| claim.key_id().ends_with(a.as_str()));
        let key = PublicKey::from_text(*registered.unwrap(), &pem).unwrap();
        claim.verify(&key, SystemClock.now()).map(|()| claim)
    }

    /// With the center's key of the caller's algorithm.
    fn sign(&self, request: &Request<'_>, claim: &Claim, said: &Value) -> SignedHeaders {
        let body = said.to_string();
        let response = Response {
            status: 200,
            headers: &[("Content-Type", JSON.as_bytes())],
            body: body.as_bytes(),
            request: Some(request),
        };
        let signer = Signer {
            key: &self.keys[&claim.algorithm()],
            key_id: &format!("center-{}", claim.algorithm()),
            nonce: claim.nonce(),
            created: SystemClock.now(),
        };
        sign_response(&response, Some(claim), &signer).unwrap()
    }
}
