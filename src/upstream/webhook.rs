//! Posts alarms to a webhook. Best effort: an alarm is in the log and the metrics as well.

use reqwest::Client;
use serde_json::Value;
use std::time::Duration;

/// A URL that takes alarms as JSON.
pub struct Webhook {
    client: Client,
    url: String,
}

/// How long the other side may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is tried.
const TRIES: u32 = 3;

impl Webhook {
    /// A webhook at a URL.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn try_new(url: &str) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            client,
            url: url.to_owned(),
        })
    }

    /// Posts a body; a failure is logged.
    pub async fn post(&self, body: &Value) {
        for attempt in 1..=TRIES {
            let sent = self
                .client
                .post(&self.url)
                .header("content-type", "application/json")
                .body(body.to_string())
                .send()
                .await;
            match sent.and_then(reqwest::Response::error_for_status) {
                Ok(_) => return,
                Err(error) if attempt == TRIES => {
                    tracing::error!(error = %error.without_url(), "an alarm did not reach the webhook");
                }
                Err(_) => tokio::time::sleep(Duration::from_secs(u64::from(attempt))).await,
            }
        }
    }
}
