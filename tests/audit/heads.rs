//! The published heads: written once and never over, a chain of their own, checked by a key that the
//! auditor keeps.

use crate::center::{CHAIN, Center, DAY, at, names, on_each};
use crate::support::database::TestDatabase;
use crate::support::given;
use crate::support::replica::{MASTER, Manner, Replica, notifier};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use payhall::check::{TrailFault as F, VerifyOptions, verify};
use payhall::domain::audit_heads::{self, HeadsFile};
use payhall::domain::key::Algorithm;
use payhall::engine::{Actor, Clock, PublishError};
use payhall::output::OutputFolder;
use payhall::storage::audit;
use payhall::trust::{Masters, PrivateKey, sign_document};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The center's public key, as an auditor has put it away.
async fn key_of(center: &Center) -> String {
    let key = center.replica.engine.center_key().unwrap();
    key.private.public_key().to_pem()
}

fn read(path: &Path) -> HeadsFile {
    audit_heads::read(&std::fs::read(path).unwrap()).unwrap()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// A file signed anew with another key.
fn signed_by(key: &PrivateKey, payload: &[u8], file: &HeadsFile) -> Vec<u8> {
    let mut signature = file.signature.clone();
    signature.value = STANDARD.encode(sign_document(key, payload).unwrap());
    audit_heads::write(payload, &signature).unwrap()
}

#[tokio::test]
async fn a_date_is_published_once_and_the_files_are_a_chain() {
    for database in TestDatabase::all() {
        let mut center = Center::new(database).await;
        center.orders(2).await;
        let first = center.publish().await;
        let file = first.file.clone().unwrap();
        assert_eq!(
            file, "audit-heads-2026-11-21.json",
            "the day that has ended"
        );
        assert!(!first.was_there);
        let bytes = std::fs::read(&center.files()[0]).unwrap();
        // A second run of the day, after more has happened: the same file.
        center.orders(1).await;
        let again = center.publish().await;
        assert!(again.was_there);
        assert_eq!(
            (again.file, again.sha256),
            (first.file, first.sha256.clone())
        );
        assert_eq!(std::fs::read(&center.files()[0]).unwrap(), bytes);
        center.replica.clock.advance(DAY);
        center.publish().await;
        let files = center.files();
        assert_eq!(files.len(), 2, "nothing else is left in the folder");
        let (one, two) = (read(&files[0]), read(&files[1]));
        assert_eq!(one.heads.previous, None);
        let previous = two.heads.previous.unwrap();
        assert_eq!(previous.file, file);
        assert_eq!(Some(previous.sha256), first.sha256);
        let about = move |c: &mut _| audit::about(c, &file);
        let rows = center.replica.engine.store().read(about).await.unwrap();
        assert_eq!(rows.len(), 1, "one row about one file");
        assert_eq!(rows[0].entry.action, "HEADS_PUBLISHED");
        assert_eq!(rows[0].entry.subject_kind, "AUDIT");
        assert_eq!(rows[0].entry.actor, "job:publish_audit_heads");
        assert!(center.verify().is_clean());
    }
}

#[tokio::test]
async fn two_replicas_at_once_publish_one_file() {
    for database in TestDatabase::all() {
        let center = Center::new(database).await;
        let other = center.another("other").await;
        let actor = Actor::job("publish_audit_heads");
        let both = tokio::join!(
            center.replica.engine.publish_heads(&actor),
            other.engine.publish_heads(&actor)
        );
        let (one, two) = (both.0.unwrap(), both.1.unwrap());
        assert_eq!((&one.file, &one.sha256), (&two.file, &two.sha256));
        assert_eq!(center.files().len(), 1);
    }
}

#[tokio::test]
async fn what_somebody_else_put_there_stays_and_the_next_version_stands_beside_it() {
    on_each(async |center| {
        let today = center.folder.path().join("audit-heads-2026-11-24.json");
        for text in ["", "{\"payload\":\n{}\n"] {
            std::fs::write(&today, text).unwrap();
            let report = center.publish().await;
            let file = report.file.unwrap();
            assert_eq!(file, "audit-heads-2026-11-24.2.json");
            assert_eq!(std::fs::read_to_string(&today).unwrap(), text, "untouched");
            let faults = center.faults();
            let named = "HEADS_ALTERED audit-heads-2026-11-24.json".to_owned();
            assert!(faults.contains(&named), "{faults:?}");
        }
    })
    .await;
}

/// Publishes by a clock that is so much ahead of the center's.
async fn publish_ahead(center: &Center, instance: &str, ahead: Duration) -> String {
    let other = center.another(instance).await;
    let now = center.replica.clock.now() - other.clock.now();
    other.clock.advance(now.to_std().unwrap() + ahead);
    let actor = Actor::job("publish_audit_heads");
    let report = other.engine.publish_heads(&actor).await.unwrap();
    report.file.unwrap()
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_published_is_in_nobodys_way() {
    on_each(async |mut center| {
        let early = publish_ahead(&center, "ahead", 3 * DAY).await;
        assert_eq!(early, "audit-heads-2026-11-27.json");
        let previous = |file: &str| {
            let file = read(&center.folder.path().join(file));
            file.heads.previous.unwrap().file
        };
        assert_eq!(previous(&early), "audit-heads-2026-11-23.json");
        let mut dates = Vec::new();
        for _ in 0..5 {
            dates.push(center.publish().await.file.unwrap());
            assert!(center.publish().await.was_there, "and once");
            assert_eq!(center.faults(), [""; 0], "{dates:?}");
            center.replica.clock.advance(DAY);
        }
        let suffixes = ["24", "25", "26", "27.2", "28"];
        let names = suffixes.map(|suffix| format!("audit-heads-2026-11-{suffix}.json"));
        assert_eq!(dates, names);
        assert_eq!(
            previous(&names[3]),
            names[2],
            "it covers what came meanwhile"
        );
        assert_eq!(previous(&names[4]), names[3]);
        // What is gone is still missed, and what was altered is seen.
        std::fs::remove_file(center.folder.path().join(&names[1])).unwrap();
        let said = center.verify().to_string();
        let missed = format!(
            "a file of heads is missing ({0}: {1} was",
            names[1], names[2]
        );
        assert!(said.contains(&missed), "{said}");
        center.orders(1).await;
        let by_name = center.faults();
        assert!(
            by_name.iter().all(|fault| fault.ends_with(&names[1])),
            "{by_name:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_was_a_day_ahead_is_known_by_a_reading_that_is_still_to_come() {
    on_each(async |center| {
        let hours = Duration::from_secs(7_200);
        let early = publish_ahead(&center, "ahead", DAY + hours).await;
        assert_eq!(early, "audit-heads-2026-11-25.json");
        center.publish().await;
        center.replica.clock.advance(DAY);
        let file = center.publish().await.file.unwrap();
        assert_eq!(file, "audit-heads-2026-11-25.2.json");
        assert!(center.publish().await.was_there);
        assert_eq!(center.faults(), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn the_first_by_date_need_not_have_been_published_first() {
    for database in TestDatabase::all() {
        let center = Center::new(database).await;
        publish_ahead(&center, "ahead", 2 * DAY).await;
        center.publish().await;
        let files = center.files();
        let is_first = |file: &PathBuf| read(file).heads.previous.is_none();
        assert_eq!(files.len(), 2);
        assert!(files.iter().all(is_first));
        assert_eq!(center.faults(), [""; 0]);
    }
}

#[tokio::test]
async fn who_cuts_rows_off_gets_no_new_version_each_hour() {
    on_each(async |center| {
        center.sql(&format!(
            "DELETE FROM audit WHERE stream = '{CHAIN}' AND seq > 5"
        ));
        let other = center.another("other").await;
        let now = center.replica.clock.now() - other.clock.now();
        other.clock.advance(now.to_std().unwrap());
        let actor = Actor::job("publish_audit_heads");
        for was_there in [false, true, true] {
            let report = other.engine.publish_heads(&actor).await.unwrap();
            assert_eq!(report.was_there, was_there);
            assert_eq!(report.file.unwrap(), "audit-heads-2026-11-24.json");
        }
    })
    .await;
}

#[tokio::test]
async fn a_program_that_died_between_file_and_row_writes_the_row_the_next_time() {
    on_each(async |center| {
        let last = center.files().pop().unwrap();
        let about = "subject_kind = 'AUDIT'";
        let rows = center.rows();
        let of_file = rows.iter().find(|row| row.entry.subject == name(&last));
        let seq = of_file.unwrap().seq;
        // As if it had died: the row and what came after it never were.
        center.sql(&format!(
            "DELETE FROM audit WHERE seq >= {seq} AND stream = '{CHAIN}'"
        ));
        let other = center.another("other").await;
        other.clock.advance(2 * DAY);
        let actor = Actor::job("publish_audit_heads");
        let report = other.engine.publish_heads(&actor).await.unwrap();
        assert_eq!(report.file, Some(name(&last)));
        let about_file = name(&last);
        let read = move |c: &mut _| audit::about(c, &about_file);
        let rows = other.engine.store().read(read).await.unwrap();
        assert_eq!(rows.len(), 1, "{about}");
    })
    .await;
}

#[tokio::test]
async fn without_a_folder_nothing_is_published_and_without_a_key_it_is_an_error() {
    let database = TestDatabase::sqlite();
    let replica = Replica::start(&database, "a", given::at(0)).await;
    let actor = Actor::job("publish_audit_heads");
    let report = replica.engine.publish_heads(&actor).await.unwrap();
    assert_eq!(report.file, None);
    let folder = tempfile::tempdir().unwrap();
    let manner = |masters, path: &Path| Manner {
        masters,
        notifier: notifier(),
        writers: 1,
        output: Some(OutputFolder::new(path)),
        statements: None,
        closing: Default::default(),
    };
    let no_key = manner(Masters::default(), folder.path());
    let replica = Replica::start_as(&database, "b", given::at(0), no_key).await;
    let error = replica.engine.publish_heads(&actor).await.unwrap_err();
    assert!(matches!(error, PublishError::NoKey), "{error}");
    let masters = Masters::read([MASTER]).unwrap();
    let nowhere = manner(masters, Path::new("/nowhere/out"));
    let replica = Replica::start_as(&database, "c", given::at(0), nowhere).await;
    let error = replica.engine.publish_heads(&actor).await.unwrap_err();
    let PublishError::Output(error) = error else {
        panic!("{error:?}");
    };
    assert!(error.to_string().contains("/nowhere/out"), "{error}");
}

#[tokio::test]
async fn an_altered_file_is_found_by_its_signature_and_by_the_next_file() {
    on_each(async |center| {
        let files = center.files();
        let victim = &files[1];
        let text = std::fs::read_to_string(victim).unwrap();
        let rows = read(victim).heads.rows;
        let altered = text.replace(&format!("\"rows\":{rows}"), "\"rows\":1");
        assert_ne!(altered, text);
        std::fs::write(victim, altered).unwrap();
        let report = center.verify();
        let said = report.to_string();
        for words in [
            "the signature of a file of heads does not hold (audit-heads-2026-11-22.json",
            "a file of heads is not the one that the next tells of (audit-heads-2026-11-22.json",
            "is not the one that its audit row tells of (audit-heads-2026-11-22.json",
        ] {
            assert!(said.contains(words), "{said}");
        }
        let only = names(&report);
        let named = "HEADS_ALTERED audit-heads-2026-11-22.json";
        assert!(only.iter().all(|fault| fault == named), "{only:?}");
    })
    .await;
}

#[tokio::test]
async fn an_altered_signature_is_found() {
    on_each(async |center| {
        let victim = center.files().pop().unwrap();
        let mut file = read(&victim);
        let mut bytes = STANDARD.decode(&file.signature.value).unwrap();
        bytes[7] ^= 1;
        file.signature.value = STANDARD.encode(bytes);
        std::fs::write(
            &victim,
            audit_heads::write(&file.payload, &file.signature).unwrap(),
        )
        .unwrap();
        let said = center.verify().to_string();
        let words = format!(
            "signature of a file of heads does not hold ({}",
            name(&victim)
        );
        assert!(said.contains(&words), "{said}");
        file.signature.value = "no Base64".to_owned();
        std::fs::write(
            &victim,
            audit_heads::write(&file.payload, &file.signature).unwrap(),
        )
        .unwrap();
        let said = center.verify().to_string();
        assert!(said.contains(&words), "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_missing_is_named_wherever_it_stood() {
    for (place, date) in [(1, "2026-11-22"), (2, "2026-11-23")] {
        on_each(async |center| {
            std::fs::remove_file(&center.files()[place]).unwrap();
            let faults = center.faults();
            let named = format!("HEADS_MISSING audit-heads-{date}.json");
            assert!(faults.contains(&named), "{faults:?}");
        })
        .await;
    }
    // What an auditor has put away at the beginning is told by the files behind it as well.
    on_each(async |center| {
        std::fs::remove_file(&center.files()[0]).unwrap();
        assert_eq!(center.faults(), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_file_under_another_name_is_found() {
    on_each(async |center| {
        let last = center.files().pop().unwrap();
        let other = center.folder.path().join("audit-heads-2026-11-30.json");
        std::fs::rename(last, other).unwrap();
        let faults = center.faults();
        let named = "HEADS_ALTERED audit-heads-2026-11-30.json".to_owned();
        assert!(faults.contains(&named), "{faults:?}");
    })
    .await;
}

#[tokio::test]
async fn the_auditors_own_key_counts_and_not_the_databases() {
    on_each(async |center| {
        let pem = key_of(&center).await;
        let with = |keys: Vec<String>| VerifyOptions {
            keys,
            ..center.options()
        };
        let report = verify(&with(vec![pem.clone()]), |_, _| ()).unwrap();
        assert!(report.is_clean(), "{report}");
        assert!(report.to_string().contains("the key that was given"));
        let other = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        let other_pem = other.public_key().to_pem();
        let both = verify(&with(vec![other_pem.clone(), pem.clone()]), |_, _| ());
        assert!(both.unwrap().is_clean(), "one of several is enough");
        let report = verify(&with(vec![other_pem]), |_, _| ()).unwrap();
        let unsigned = report.findings.iter();
        assert_eq!(
            unsigned.filter(|one| one.fault == F::HeadsAltered).count(),
            3
        );

        // Whoever holds the database puts a key of his own there and signs everything anew.
        let key_id = read(&center.files()[0]).signature.key_id;
        center.sql(&format!(
            "UPDATE keys SET public_key = {}, thumbprint = '{}' WHERE key_id = '{key_id}'",
            center.literal(other.public_key().der()),
            other.public_key().thumbprint()
        ));
        for path in center.files() {
            let file = read(&path);
            std::fs::write(&path, signed_by(&other, &file.payload, &file)).unwrap();
        }
        let report = verify(&with(vec![pem]), |_, _| ()).unwrap();
        let said = report.to_string();
        assert!(
            said.contains("does not hold (audit-heads-2026-11-21.json"),
            "{said}"
        );
        let error = verify(&with(vec!["no key".to_owned()]), |_, _| ()).unwrap_err();
        assert!(error.to_string().contains("no public key"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn what_a_file_with_a_wrong_signature_tells_does_not_count() {
    on_each(async |center| {
        let last = center.files().pop().unwrap();
        let file = read(&last);
        let mut heads = file.heads.clone();
        heads.streams[0].hash = "00".repeat(32);
        let stranger = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        let payload = heads.payload().unwrap();
        std::fs::write(&last, signed_by(&stranger, &payload, &file)).unwrap();
        let report = center.verify();
        assert!(
            !names(&report)
                .iter()
                .any(|one| one.starts_with("REWRITTEN"))
        );
        // Signed by the center, it does: here the rows are not what was published.
        let center_key = center.replica.engine.center_key().unwrap();
        std::fs::write(&last, signed_by(&center_key.private, &payload, &file)).unwrap();
        let faults = center.faults();
        let head = center.published();
        assert!(faults.contains(&at(F::Rewritten, head)), "{faults:?}");
    })
    .await;
}

#[tokio::test]
async fn openssl_says_the_same() {
    let center = Center::with_days(TestDatabase::sqlite()).await;
    let folder = tempfile::tempdir().unwrap();
    let script = "set -e\n\
        sed -n 2p \"$1\" > payload\n\
        sed -n 4p \"$1\" | sed 's/.*\"value\":\"\\([^\"]*\\)\".*/\\1/' | base64 -d > signature\n\
        openssl pkeyutl -verify -pubin -inkey center.pem -rawin -in payload -sigfile signature\n";
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("left out: openssl is not installed");
        return;
    }
    std::fs::write(folder.path().join("center.pem"), key_of(&center).await).unwrap();
    let check = |file: &Path| {
        let mut shell = Command::new("sh");
        let shell = shell.current_dir(folder.path());
        let file = file.display().to_string();
        shell.args(["-c", script, "sh", &file]).output().unwrap()
    };
    for file in center.files() {
        let checked = check(&file);
        assert!(checked.status.success(), "{checked:?}");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("\"seq\":", "\"seq\":1", 1)).unwrap();
        assert!(!check(&file).status.success(), "altered");
    }
}
