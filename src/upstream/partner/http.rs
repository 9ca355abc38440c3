//! A file behind a URL: one GET a look, no redirects, no proxies, one deadline, and bytes that go to the
//! disk as they come.

use super::scratch::Filling;
use super::{Beside, Brought, FetchError, Fetched, PartnerSettings, PartnerSource, dated};
use crate::domain::time::BusinessDate;
use crate::upstream::UpstreamError;
use crate::upstream::exchange;
use async_trait::async_trait;
use reqwest::header::{CONTENT_ENCODING, ETAG, IF_NONE_MATCH};
use reqwest::{Client, Response, StatusCode};
use std::time::Duration;

/// A digest is a line.
const DIGEST_BYTES_MAX: usize = 4_096;

/// A URL of one partner.
pub(super) struct HttpSource {
    client: Client,
    url: String,
    digest_url: Option<String>,
    total: Duration,
    bytes_max: u64,
}

impl HttpSource {
    pub fn try_new(settings: &PartnerSettings) -> Result<Self, UpstreamError> {
        Ok(Self {
            client: exchange::file_client(&exchange::FileClient {
                connect: Duration::from_millis(settings.connect_timeout_ms),
                ca_pem_file: settings.ca_pem_file.as_deref(),
                client_pem_file: settings.client_pem_file.as_deref(),
                uses_tls: settings.uses_tls(),
            })?,
            url: settings.url.clone().unwrap_or_default(),
            digest_url: settings.digest_url.clone(),
            total: Duration::from_secs(settings.total_timeout_s),
            bytes_max: settings.bytes_max,
        })
    }

    /// Asks; none where it is not there yet.
    async fn ask(&self, url: &str, known: &[&str]) -> Result<Option<Response>, FetchError> {
        let mut request = self.client.get(url).timeout(self.total);
        if !known.is_empty() {
            request = request.header(IF_NONE_MATCH, known.join(", "));
        }
        let response = request.send().await.map_err(|error| lost(&error))?;
        match response.status() {
            StatusCode::OK if response.headers().contains_key(CONTENT_ENCODING) => Err(
                FetchError::Source("the content is encoded, which nobody asked for".to_owned()),
            ),
            StatusCode::OK | StatusCode::NOT_MODIFIED => Ok(Some(response)),
            StatusCode::NOT_FOUND | StatusCode::NO_CONTENT | StatusCode::ACCEPTED => Ok(None),
            status => Err(FetchError::Source(format!(
                "the partner answered with HTTP status {}",
                status.as_u16()
            ))),
        }
    }

    async fn digest(&self, date: BusinessDate) -> Result<Option<Beside>, FetchError> {
        let Some(url) = &self.digest_url else {
            return Ok(None);
        };
        let url = dated(url, date);
        let Some(mut response) = self.ask(&url, &[]).await? else {
            return Err(FetchError::Source(
                "the file is there, and the digest beside it is not".to_owned(),
            ));
        };
        let mut text = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| lost(&error))? {
            text.extend_from_slice(&piece);
            if text.len() > DIGEST_BYTES_MAX {
                let what = format!("the digest beside it is longer than {DIGEST_BYTES_MAX} bytes");
                return Err(FetchError::Source(what));
            }
        }
        let text = String::from_utf8_lossy(&text);
        Ok(Some(Beside::read(name_in(&url), &text)))
    }
}

#[async_trait]
impl PartnerSource for HttpSource {
    async fn fetch(&self, date: BusinessDate, known: &[&str]) -> Result<Fetched, FetchError> {
        let url = dated(&self.url, date);
        let Some(mut response) = self.ask(&url, known).await? else {
            return Ok(Fetched::NotYet);
        };
        let tag = response.headers().get(ETAG);
        let mark = tag.and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        if response.status() == StatusCode::NOT_MODIFIED {
            // Which one it is need not be said where only one was asked about.
            let only = || match known {
                [only] => Some((*only).to_owned()),
                _ => None,
            };
            return Ok(Fetched::Unchanged(mark.or_else(only)));
        }
        let promised = response.content_length();
        if promised.is_some_and(|bytes| bytes > self.bytes_max) {
            return Err(FetchError::TooLong(self.bytes_max));
        }
        let mut filling = Filling::begin(self.bytes_max)?;
        // A body that ends before its promised length is an error of the client.
        while let Some(piece) = response.chunk().await.map_err(|error| lost(&error))? {
            filling.add(&piece)?;
        }
        let filled = filling.end()?;
        let mut brought = Brought {
            name: name_in(&url),
            file: filled.file,
            sha256: filled.sha256,
            bytes: filled.bytes,
            mark,
            beside: self.digest(date).await?,
        };
        // The tag is the file's alone: it would not tell that the digest was corrected.
        if brought.contradiction().is_some() {
            brought.mark = None;
        }
        Ok(Fetched::File(brought))
    }
}

/// What a file is called that a URL leads to.
fn name_in(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    last.chars().take(200).collect()
}

/// The network's own words, without the URL, which may hold a secret.
fn lost(error: &reqwest::Error) -> FetchError {
    let what = match (error.is_connect(), error.is_timeout()) {
        (true, _) => "no connection to the partner",
        (false, true) => "the partner did not give it in time",
        (false, false) => "no whole file came",
    };
    FetchError::Silent(exchange::with_root(what, error))
}
