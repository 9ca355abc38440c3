//! Sources of partners' files, from outside.

use super::*;
use std::io::Write;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn date() -> BusinessDate {
    BusinessDate("2026-11-22".parse().unwrap())
}

fn settings(more: &str) -> PartnerSettings {
    let text = format!(
        "side = \"BANK\"\nadapter = \"bank\"\nprofile = \"payhall-csv\"\nquiet_ms = 1\n{more}"
    );
    toml::from_str(&text).unwrap()
}

fn source(more: &str) -> Arc<dyn PartnerSource> {
    let settings = settings(more);
    assert_eq!(settings.check("partners.bank"), []);
    let name = PartnerName::try_new("bank").unwrap();
    let all = Partners::from_settings(&BTreeMap::from([(name.clone(), settings)])).unwrap();
    all.get(&name).unwrap().source.clone().unwrap()
}

fn drop_folder(path: &std::path::Path, more: &str) -> Arc<dyn PartnerSource> {
    source(&format!(
        "folder = {path:?}\nfile_name = \"bank-{{yyyymmdd}}.csv\"\n{more}"
    ))
}

/// Answers each request with the next of these.
async fn server(answers: Vec<&'static str>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let _ = stream.read(&mut head).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    at
}

const FILE: &str =
    "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
const SHA: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

async fn brought(source: &Arc<dyn PartnerSource>) -> Brought {
    match source.fetch(date(), &[]).await.unwrap() {
        Fetched::File(brought) => brought,
        other => panic!("{other:?}"),
    }
}

fn mark_of(brought: &Brought) -> &str {
    brought.mark.as_deref().expect("a mark")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_folder_is_brought_with_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    let source = drop_folder(dir.path(), "");
    assert!(matches!(
        source.fetch(date(), &[]).await.unwrap(),
        Fetched::NotYet
    ));
    std::fs::write(dir.path().join("bank-20261122.csv.part"), "hel").unwrap();
    assert!(matches!(
        source.fetch(date(), &[]).await.unwrap(),
        Fetched::NotYet
    ));
    std::fs::write(dir.path().join("bank-20261122.csv"), "hello").unwrap();
    let Fetched::File(brought) = source.fetch(date(), &[]).await.unwrap() else {
        panic!("it is there");
    };
    assert_eq!((brought.sha256.as_str(), brought.bytes), (SHA, 5));
    assert_eq!(brought.name, "bank-20261122.csv");
    assert_eq!(std::fs::read(brought.file.path()).unwrap(), b"hello");
    let scratch = brought.file.path().to_owned();
    let again = source.fetch(date(), &[mark_of(&brought)]).await.unwrap();
    assert!(matches!(again, Fetched::Unchanged(_)));
    drop(brought);
    assert!(!scratch.exists(), "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bank-20261122.csv");
    std::fs::write(&path, "he").unwrap();
    let source = drop_folder(dir.path(), "");
    let folder = folder::DropFolder::new(
        dir.path(),
        &PartnerSettings {
            quiet_ms: 60_000,
            ..settings(&format!(
                "folder = {:?}\nfile_name = \"bank-{{yyyymmdd}}.csv\"",
                dir.path()
            ))
        },
    );
    // Two looks with a write between them: on a clock of its own, so nobody waits.
    let looks = tokio::spawn(async move {
        tokio::time::timeout(Duration::from_millis(50), folder.fetch(date(), &[]))
            .await
            .is_err()
    });
    assert!(looks.await.unwrap(), "it waits for the second look");
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    file.write_all(b"llo").unwrap();
    drop(file);
    let Fetched::File(brought) = source.fetch(date(), &["2-0"]).await.unwrap() else {
        panic!("it is whole now");
    };
    assert_eq!(brought.sha256, SHA);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_folder_is_refused_and_a_long_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    let path = dir.path().join("bank-20261122.csv");
    std::os::unix::fs::symlink(elsewhere.path(), &path).unwrap();
    let source = drop_folder(dir.path(), "bytes_max = 1024");
    let error = source.fetch(date(), &[]).await.unwrap_err();
    assert!(error.to_string().contains("no plain file"), "{error}");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, vec![b'x'; 1_025]).unwrap();
    let error = source.fetch(date(), &[]).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLong(1_024)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_beside_a_file_is_waited_for_and_compared() {
    let dir = tempfile::tempdir().unwrap();
    let source = drop_folder(dir.path(), "digest_suffix = \".sha256\"");
    let path = dir.path().join("bank-20261122.csv");
    std::fs::write(&path, "hello").unwrap();
    assert!(matches!(
        source.fetch(date(), &[]).await.unwrap(),
        Fetched::NotYet
    ));
    let beside = dir.path().join("bank-20261122.csv.sha256");
    std::fs::write(&beside, format!("{}  bank.csv\n", "0".repeat(64))).unwrap();
    let wrong = brought(&source).await;
    let odd = wrong.contradiction().unwrap();
    for part in [
        "bank-20261122.csv.sha256 says the SHA-256 0000",
        SHA,
        "sent again",
    ] {
        assert!(odd.contains(part), "{odd}");
    }
    // Whoever corrects the digest alone is heard.
    std::fs::write(&beside, format!("{} \n", SHA.to_uppercase())).unwrap();
    let Fetched::File(right) = source.fetch(date(), &[mark_of(&wrong)]).await.unwrap() else {
        panic!("the digest is another one");
    };
    assert_eq!(right.contradiction(), None);
    let again = source.fetch(date(), &[mark_of(&right)]).await.unwrap();
    assert!(matches!(again, Fetched::Unchanged(_)));
    for no_digest in [&b""[..], b"soon", &[0xff; 70]] {
        std::fs::write(&beside, no_digest).unwrap();
        let odd = brought(&source).await.contradiction().unwrap();
        assert!(odd.contains("64 hexadecimal"), "{odd}");
    }
}

#[tokio::test]
async fn a_url_is_told_all_that_is_known_and_says_which_it_has() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut heads = Vec::new();
        for etag in ["etag: \"v1\"\r\n", "", ""] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            heads.push(String::from_utf8_lossy(&head[..read]).into_owned());
            let answer = format!("HTTP/1.1 304 Not Modified\r\n{etag}Connection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    });
    let source = source(&format!("url = \"http://{at}/files/bank-{{date}}.csv\""));
    let (first, second) = ("\"v1\"", "W/\"v2\"");
    let mut said = Vec::new();
    for known in [&[second, first][..], &[second, first], &[second]] {
        match source.fetch(date(), known).await.unwrap() {
            Fetched::Unchanged(mark) => said.push(mark),
            other => panic!("{other:?}"),
        }
    }
    let known = [Some(first.to_owned()), None, Some(second.to_owned())];
    assert_eq!(said, known, "where only one is known it is that");
    let heads = serving.await.unwrap();
    for (head, wanted) in heads
        .iter()
        .zip(["W/\"v2\", \"v1\"", "W/\"v2\", \"v1\"", "W/\"v2\""])
    {
        assert!(
            head.contains(&format!("if-none-match: {wanted}\r\n")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_url_is_asked_for_the_date() {
    let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let same = "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n";
    let at = server(vec![missing, FILE, same]).await;
    let source = source(&format!("url = \"http://{at}/files/bank-{{date}}.csv\""));
    assert!(matches!(
        source.fetch(date(), &[]).await.unwrap(),
        Fetched::NotYet
    ));
    let Fetched::File(brought) = source.fetch(date(), &[]).await.unwrap() else {
        panic!("it is there");
    };
    assert_eq!(brought.name, "bank-2026-11-22.csv");
    assert_eq!(brought.sha256, SHA);
    let again = source.fetch(date(), &[mark_of(&brought)]).await.unwrap();
    assert!(matches!(again, Fetched::Unchanged(_)));
}

#[tokio::test]
async fn what_is_no_whole_file_is_an_error() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhello";
    let moved = "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\nConnection: close\r\n\r\n";
    let packed = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let at = server(vec![cut, moved, long, packed]).await;
    let url = format!("url = \"http://{at}/secret/bank-{{date}}.csv\"\nbytes_max = 1024");
    let source = source(&url);
    for wanted in ["no whole file", "status 302", "longer than 1024", "encoded"] {
        let error = source.fetch(date(), &[]).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_digest_behind_a_url_is_compared() {
    let wrong = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnope";
    let right = "HTTP/1.1 200 OK\r\nContent-Length: 64\r\nConnection: close\r\n\r\n\
        2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let at = server(vec![FILE, wrong, FILE, right]).await;
    let url = format!(
        "url = \"http://{at}/bank-{{date}}.csv\"\ndigest_url = \"http://{at}/bank-{{date}}.sha256?k=1\""
    );
    let source = source(&url);
    let odd = brought(&source).await;
    // The tag would say that nothing has changed where the digest alone is corrected.
    assert_eq!(odd.mark, None);
    let words = odd.contradiction().unwrap();
    assert!(
        words.starts_with("bank-2026-11-22.sha256 does not begin with 64"),
        "{words}"
    );
    let good = brought(&source).await;
    assert_eq!(
        (good.contradiction(), good.mark.as_deref()),
        (None, Some("\"v1\""))
    );
}

#[test]
fn settings_that_contradict_themselves_are_found() {
    let found = |more: &str| -> Vec<String> {
        let found = settings(more).check("partners.bank");
        found.iter().map(ToString::to_string).collect()
    };
    assert_eq!(found(""), [""; 0]);
    for (more, wanted) in [
        (
            "url = \"ftp://a/{date}\"",
            "partners.bank.url: must begin with",
        ),
        ("url = \"http://a/b\"", "partners.bank.url: has no {date}"),
        (
            "url = \"http://a/{date}\"\nfolder = \"/in\"\nfile_name = \"{date}\"",
            "partners.bank.folder",
        ),
        ("folder = \"/in\"", "partners.bank.file_name: is missing"),
        (
            "folder = \"/in\"\nfile_name = \"../{date}\"",
            "partners.bank.file_name: has to be the name",
        ),
        (
            "folder = \"/in\"\nfile_name = \"{date}.part\"",
            "partners.bank.file_name: is what files",
        ),
        (
            "file_name = \"{date}\"",
            "partners.bank.file_name: is set without",
        ),
        (
            "billers = [\"x\"]",
            "partners.bank.billers: is for a BILLER",
        ),
        (
            "critical_at = \"01:00\"",
            "partners.bank.critical_at: has to be later",
        ),
        ("cutoff = \"25:00\"", "partners.bank.cutoff: is not a time"),
        (
            "rules.pool_days = 99",
            "partners.bank.rules.pool_days: is 99",
        ),
    ] {
        let found = found(more);
        assert!(
            found.iter().any(|one| one.starts_with(wanted)),
            "{more}: {found:?}"
        );
    }
}
