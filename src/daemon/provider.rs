//! The way in through the bank's identity provider, as the settings describe it.

use crate::config::{Config, OidcConfig};
use crate::domain::id_token::IdTokenRules;
use crate::engine::{ProviderLogin, ProviderParts};
use crate::storage::Store;
use crate::upstream::{Provider, ProviderSettings, Transport};
use anyhow::{Context, ensure};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// The way in; none where the settings name no provider.
///
/// # Errors
/// The client's secret cannot be read, or the HTTP client cannot be built.
pub fn way_in(store: &Store, config: &Config) -> anyhow::Result<Option<ProviderLogin>> {
    let Some(provider) = provider(config)? else {
        return Ok(None);
    };
    let oidc = &config.oidc;
    Ok(Some(ProviderLogin::new(ProviderParts {
        operators: super::operators(store, config)?,
        provider,
        rules: IdTokenRules {
            issuer: oidc.issuer.clone(),
            client_id: oidc.client_id.clone(),
            claim: oidc.claim.clone(),
            domain: oidc.domain.clone(),
            classes: oidc.acr.clone(),
            methods: oidc.amr.clone(),
        },
    })))
}

/// The provider, without calling it; none where the settings name none.
///
/// # Errors
/// As for the way in.
pub fn provider(config: &Config) -> anyhow::Result<Option<Provider>> {
    let oidc = &config.oidc;
    if !oidc.is_on() {
        return Ok(None);
    }
    let settings = ProviderSettings {
        issuer: oidc.issuer.clone(),
        client_id: oidc.client_id.clone(),
        client_secret: client_secret(oidc)?,
        redirect_url: format!("{}/login/oidc/callback", config.api.public_url),
        scopes: oidc.scopes.clone(),
        timeout: Duration::from_millis(oidc.timeout_ms),
        transport: match config.server.sandbox {
            true => Transport::HttpToo,
            false => Transport::HttpsOnly,
        },
    };
    let provider = Provider::try_new(settings).context("oidc: the provider cannot be reached")?;
    Ok(Some(provider))
}

fn client_secret(oidc: &OidcConfig) -> anyhow::Result<Option<SecretString>> {
    let setting = oidc.client_secret.expose_secret();
    let Some(file) = setting.strip_prefix("file:") else {
        return Ok((!setting.is_empty()).then(|| oidc.client_secret.clone()));
    };
    let read = std::fs::read_to_string(file);
    let text = read.with_context(|| format!("oidc.client_secret: cannot read {file}"))?;
    ensure!(
        !text.trim().is_empty(),
        "oidc.client_secret: {file} is empty"
    );
    Ok(Some(SecretString::from(text.trim())))
}
