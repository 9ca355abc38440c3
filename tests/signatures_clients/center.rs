//! A real center with keys of one merchant, one for each algorithm: the private halves in a folder, as
//! `ALGORITHM.pem`, beside the ids by which the center knows them, `ALGORITHM.key-id`.

use crate::support::client::{CHECKER, Client, MAKER, http_client};
use crate::support::database::TestDatabase;
use crate::support::world::{Daemon, Setup, World};
use payhall::domain::key::Algorithm;
use payhall::trust::{PrivateKey, built};
use serde_json::json;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const MASTER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const ISSUE: &str = "mutation($input: KeyIssueInput!) { keyIssue(input: $input) \
                     { key { keyId } userErrors { code message } } }";
const APPROVE: &str = "mutation($input: KeyApproveInput!) { keyApprove(input: $input) \
                       { key { state } userErrors { code message } } }";

/// A running center.
pub struct Center {
    folder: TempDir,
    daemon: Daemon,
    _world: World,
}

impl Center {
    pub async fn start() -> Self {
        let world = Setup::on(TestDatabase::sqlite())
            .set("keys.master", MASTER)
            .start()
            .await;
        let daemon = world.daemon().await;
        let center = Self {
            folder: tempfile::tempdir().expect("a folder"),
            daemon,
            _world: world,
        };
        for algorithm in built() {
            center.bring_in(algorithm).await;
        }
        center
    }

    pub fn url(&self) -> String {
        format!("{}/graphql", self.daemon.url)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The private key of an algorithm, and the id of its public half.
    pub fn key(&self, algorithm: Algorithm) -> (PathBuf, String) {
        let id = self.folder().join(format!("{algorithm}.key-id"));
        let id = std::fs::read_to_string(id).expect("an id");
        (self.folder().join(format!("{algorithm}.pem")), id)
    }

    /// One person issues a key, another approves it.
    async fn bring_in(&self, algorithm: Algorithm) {
        let person = |token| Client::new(http_client(), &self.daemon.url, token);
        let private = PrivateKey::generate(algorithm).expect("a pair");
        let input = json!({ "input": {
            "merchant": "portal",
            "algorithm": algorithm.as_str().to_uppercase().replace('-', "_"),
            "publicKey": private.public_key().to_pem(),
        }});
        let issued = person(MAKER).ask(ISSUE, input).await.expect("issued");
        let key_id = issued["keyIssue"]["key"]["keyId"].as_str();
        let key_id = key_id.unwrap_or_else(|| panic!("{issued}"));
        let input = json!({ "input": { "keyId": key_id, "version": 0 } });
        let approved = person(CHECKER).ask(APPROVE, input).await.expect("approved");
        let state = &approved["keyApprove"]["key"]["state"];
        assert_eq!(state, "ACTIVE", "{approved}");
        let write = |end: &str, text: &str| {
            let file = self.folder().join(format!("{algorithm}.{end}"));
            std::fs::write(file, text).expect("a file");
        };
        write("pem", &private.to_pem().expect("PEM"));
        write("key-id", key_id);
    }
}
