//! `payhall audit verify` as somebody types it: exit codes, words, JSON, and the places that it looks at by
//! itself.

use crate::center::{CHAIN, on_each};
use crate::support::process::run;
use std::process::Output;

fn verify(url: &str, flags: &[&str]) -> Output {
    let first = ["--database-url", url, "audit", "verify"];
    let all = first.iter().chain(flags);
    run(&all.map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn its_exit_code_tells_what_it_found() {
    on_each(async |center| {
        let url = &center.database.url;
        let folder = center.folder.path().display().to_string();
        let heads = ["--heads", &folder];
        let clean = verify(url, &heads);
        assert_eq!(clean.status.code(), Some(0), "{clean:?}");
        let words = said(&clean);
        for part in [
            "no findings",
            "3 files of published heads, the last is audit-heads-2026-11-23.json",
            "its administrator could exchange",
        ] {
            assert!(words.contains(part), "{words}");
        }
        assert!(clean.stderr.is_empty(), "no progress without a terminal");

        let key = center.folder.path().join("center.pem");
        let private = center.replica.engine.center_key().unwrap();
        std::fs::write(&key, private.private.public_key().to_pem()).unwrap();
        let key = key.display().to_string();
        let with_key = [heads[0], heads[1], "--key", &key];
        assert_eq!(verify(url, &with_key).status.code(), Some(0));

        // A settings file that names the folder is enough.
        let settings = center.folder.path().join("payhall.toml");
        std::fs::write(&settings, format!("[output]\ndir = {folder:?}\n")).unwrap();
        let settings = settings.display().to_string();
        let named = verify(url, &["--config", &settings]);
        assert!(said(&named).contains("3 files"), "{named:?}");

        center.sql(&format!(
            "UPDATE audit SET actor = 'eve' WHERE stream = '{CHAIN}' AND seq = 5"
        ));
        let found = verify(url, &heads);
        assert_eq!(found.status.code(), Some(3), "{found:?}");
        let line = format!("EDITED: an audit row was changed (audit row {CHAIN} 5 (");
        assert!(said(&found).contains(&line), "{}", said(&found));
        let found = verify(url, &[heads[0], heads[1], "--json"]);
        assert_eq!(found.status.code(), Some(3));
        let json: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
        assert_eq!(json["findings_by_fault"]["EDITED"], 1);
        let first = &json["findings"][0];
        assert_eq!(
            (&first["stream"], &first["seq"]),
            (&CHAIN.into(), &5.into())
        );

        for flags in [["--heads", "/nowhere"], ["--key", "/nowhere"]] {
            let failed = verify(url, &flags);
            assert_eq!(failed.status.code(), Some(1), "{failed:?}");
            assert!(String::from_utf8_lossy(&failed.stderr).contains("/nowhere"));
        }
    })
    .await;
}
