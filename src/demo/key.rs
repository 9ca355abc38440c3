//! The demo merchant's key: a pair such as the merchant's own server would make, let in by two people.

use super::folder::Folder;
use crate::domain::ids::{KeyId, MerchantCode};
use crate::domain::key::{Algorithm, KeyOwner, OVERLAP};
use crate::engine::{Engine, KeyIssueInput, samples};
use crate::trust::PrivateKey;
use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::PathBuf;
use zeroize::Zeroizing;

const MASTER: &str = "master.key";
const PRIVATE: &str = "portal.pem";
const KEY_ID: &str = "portal.key-id";

/// A private key in a file, and the name by which the center knows its public half.
pub struct KeyFile {
    /// Where the private key is.
    pub path: PathBuf,
    /// The `keyid` of signatures.
    pub key_id: KeyId,
}

/// The master key's setting; the key is made where there is none yet.
///
/// # Errors
/// The file cannot be written.
pub fn master_setting(folder: &Folder) -> anyhow::Result<String> {
    let file = folder.path().join(MASTER);
    if !file.exists() {
        let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
        let text = Zeroizing::new(STANDARD.encode(bytes.as_slice()));
        folder.write_private(MASTER, &text)?;
    }
    Ok(format!("file:{}", file.display()))
}

/// The merchant's key, from a former run where it still counts.
///
/// # Errors
/// A refusal, a fault of storage, or a file that cannot be written.
pub async fn bring_in(
    engine: &Engine,
    folder: &Folder,
    merchant: &MerchantCode,
) -> anyhow::Result<KeyFile> {
    let path = folder.path().join(PRIVATE);
    if let Some(key_id) = known(engine, folder).await? {
        return Ok(KeyFile { path, key_id });
    }
    let private = PrivateKey::generate(Algorithm::Ed25519)?;
    let (maker, checker) = (
        samples::person(samples::MAKER),
        samples::person(samples::CHECKER),
    );
    let issue = KeyIssueInput {
        owner: KeyOwner::Merchant(merchant.clone()),
        algorithm: private.algorithm(),
        public_key: Some(private.public_key().to_pem()),
        replaces: None,
        overlap: OVERLAP,
        expires_at: None,
    };
    let issued = engine.key_issue(issue, &maker).await?.key;
    let key = engine.key_approve(&issued.key_id, issued.version, &checker);
    let key_id = key.await?.key_id;
    folder.write_private(PRIVATE, &private.to_pem()?)?;
    folder.write_private(KEY_ID, key_id.as_str())?;
    Ok(KeyFile { path, key_id })
}

/// The key of a former run in this folder, if it is still there and counts.
async fn known(engine: &Engine, folder: &Folder) -> anyhow::Result<Option<KeyId>> {
    let file = folder.path().join(KEY_ID);
    if !file.exists() || !folder.path().join(PRIVATE).exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let Ok(key_id) = KeyId::try_new(text.trim()) else {
        return Ok(None);
    };
    let key = engine.key(&key_id).await?;
    let now = engine.clock().now();
    Ok(key.filter(|key| key.counts(now)).map(|key| key.key_id))
}
