//! `GET /.well-known/payhall-keys`: the public keys by which others check what the center signed.

use super::edge::Api;
use super::http::EdgeError;
use super::request_id::RequestId;
use crate::domain::key::Key;
use crate::trust::PublicKey;
use poem::Response;
use poem::http::StatusCode;
use serde::Serialize;

/// Where the keys are.
pub(super) const PATH: &str = "/.well-known/payhall-keys";

/// The center's keys.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Published {
    /// Newest first; the first active one signs what is sent now.
    keys: Vec<PublishedKey>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublishedKey {
    /// The `keyid` of signatures.
    key_id: String,
    algorithm: &'static str,
    /// SubjectPublicKeyInfo as PEM.
    public_key: String,
    /// SHA-256 of the SubjectPublicKeyInfo in DER.
    thumbprint: String,
    state: &'static str,
    /// Until when signatures by it are to be believed.
    ends_at: String,
}

impl Api {
    /// The center's keys that count, as JSON.
    pub(super) async fn keys(&self, id: &RequestId) -> Response {
        let now = self.0.engine.clock().now();
        let published = match self.0.engine.published_keys().await {
            Ok(keys) => keys,
            Err(error) => {
                tracing::error!(request_id = %id, %error, "the center's keys cannot be read");
                return EdgeError::fault().response(id);
            }
        };
        let counting = published.iter().filter(|key| key.counts(now));
        let keys = counting.filter_map(PublishedKey::of).collect();
        match serde_json::to_vec(&Published { keys }) {
            Ok(body) => Response::builder()
                .status(StatusCode::OK)
                .content_type("application/json")
                .body(body),
            Err(_) => EdgeError::fault().response(id),
        }
    }
}

impl PublishedKey {
    fn of(key: &Key) -> Option<Self> {
        let public = PublicKey::from_der(key.algorithm, &key.public_key).ok()?;
        Some(Self {
            key_id: key.key_id.to_string(),
            algorithm: key.algorithm.as_str(),
            public_key: public.to_pem(),
            thumbprint: key.thumbprint.clone(),
            state: key.state.as_str(),
            ends_at: key.ends_at().to_rfc3339(),
        })
    }
}
