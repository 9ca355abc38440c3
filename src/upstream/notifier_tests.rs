//! Tests of `notifier.rs`: what is called, what never is, and what each answer means.

use super::super::far_side::{Act, FarSide, answer, ok};
use super::*;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Names that somebody else chose.
#[derive(Default)]
struct Phonebook {
    book: BTreeMap<&'static str, Vec<&'static str>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Names for Phonebook {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let found = self.book.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(found.iter().map(|ip| ip.parse().unwrap()).collect())
    }
}

fn phonebook(entries: &[(&'static str, &[&'static str])]) -> Arc<Phonebook> {
    let entries = entries.iter().map(|(name, ips)| (*name, ips.to_vec()));
    Arc::new(Phonebook {
        book: entries.collect(),
        ..Phonebook::default()
    })
}

fn notifier(reach: Reach, timeout_ms: u64, names: Arc<Phonebook>) -> HttpNotifier {
    HttpNotifier::try_new(reach, Duration::from_millis(timeout_ms), names).unwrap()
}

fn sandbox() -> HttpNotifier {
    notifier(Reach::Sandbox, 5_000, phonebook(&[]))
}

async fn send(notifier: &HttpNotifier, url: &str) -> Heard {
    let target = match notifier.target(url) {
        Ok(target) => target,
        Err(heard) => return heard,
    };
    let headers = [("content-type", "application/json".to_owned())];
    let post = Post {
        target: &target,
        headers: &headers,
        body: b"{}",
    };
    notifier.post(&post).await
}

#[tokio::test]
async fn a_notification_is_one_post_and_its_status_counts() {
    let statuses = [
        ("204 No Content", TryOutcome::Delivered),
        ("200 OK", TryOutcome::Delivered),
    ];
    let refusals = ["302 Found", "400 Bad Request", "404 Not Found", "503 Busy"];
    let refusals = refusals.map(|status| (status, TryOutcome::Rejected));
    for (status, outcome) in statuses.into_iter().chain(refusals) {
        let act = Act::SayAndClose(answer(status, "location: http://127.0.0.1:1/x\r\n", ""));
        let far_side = FarSide::always(act).await;
        let heard = send(&sandbox(), &format!("{}/notify?a=b", far_side.url)).await;
        assert_eq!(heard.outcome, outcome, "{status}");
        assert_eq!(heard.http_status, status[..3].parse().ok());
        let seen = far_side.seen();
        assert_eq!(seen.len(), 1, "{status}: once, and no redirect is followed");
        assert!(
            seen[0].head.starts_with("POST /notify?a=b HTTP/1.1"),
            "{}",
            seen[0].head
        );
        assert_eq!(seen[0].body, "{}");
    }
}

#[tokio::test]
async fn what_is_signed_is_what_is_sent() {
    let far_side = FarSide::always(Act::Say(ok("{}"))).await;
    let url = format!("{}/a/../b c/%7e?q=1 2#part", far_side.url);
    let target = sandbox().target(&url).unwrap();
    assert_eq!(send(&sandbox(), &url).await.outcome, TryOutcome::Delivered);
    let head = far_side.seen()[0].head.clone();
    let line = format!(
        "POST {}?{} HTTP/1.1",
        target.path(),
        target.query().unwrap()
    );
    assert!(head.starts_with(&line), "{head}: {line}");
    let host = format!("host: {}\r\n", target.authority());
    assert!(head.to_ascii_lowercase().contains(&host), "{head}: {host}");
    assert_eq!(target.scheme(), "http");
    let plain = Target::try_new("https://EXAMPLE.com:443", Reach::Public).unwrap();
    assert_eq!(
        (plain.authority(), plain.path(), plain.query()),
        ("example.com", "/", None)
    );
}

#[tokio::test]
async fn silence_and_broken_answers_are_told_apart() {
    let hung = FarSide::always(Act::SayAndHang(Vec::new())).await;
    let hasty = notifier(Reach::Sandbox, 300, phonebook(&[]));
    assert_eq!(send(&hasty, &hung.url).await.outcome, TryOutcome::TimedOut);
    let dripping = FarSide::always(Act::Drip(b"HTTP/1.1 2".to_vec(), b'0')).await;
    let heard = send(&hasty, &dripping.url).await;
    assert!(
        matches!(heard.outcome, TryOutcome::TimedOut | TryOutcome::Broken),
        "{heard:?}"
    );
    let cut = FarSide::always(Act::SayAndClose(b"HTTP/1.1 200".to_vec())).await;
    assert_eq!(send(&sandbox(), &cut.url).await.outcome, TryOutcome::Broken);
    let heard = send(&sandbox(), "http://127.0.0.1:1/").await;
    assert_eq!(heard.outcome, TryOutcome::Unreachable);
    let heard = send(&sandbox(), "http://nobody.example/").await;
    assert_eq!(heard.outcome, TryOutcome::Unreachable);
    assert!(heard.cause.unwrap().starts_with("no address"));
}

#[tokio::test]
async fn a_body_without_end_changes_nothing_and_is_not_read_to_its_end() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let flood = FarSide::always(Act::Flood(head, b"4\r\nword\r\n".to_vec())).await;
    let heard = send(&sandbox(), &flood.url).await;
    assert_eq!(heard, Heard::answered(200));
}

#[tokio::test]
async fn an_answer_s_words_are_kept_nowhere() {
    let body = "canary-of-an-answer";
    let far_side = FarSide::always(Act::Say(answer("500 canary-of-a-reason", "", body))).await;
    let heard = send(&sandbox(), &far_side.url).await;
    assert!(!format!("{heard:?}").contains("canary"), "{heard:?}");
}

/// Whether a URL is refused before anybody is asked or called.
fn refused(url: &str, reach: Reach) -> Option<TryOutcome> {
    Target::try_new(url, reach).err().map(|heard| {
        let cause = heard.cause.unwrap();
        assert!(!cause.contains("canary"), "{cause}");
        heard.outcome
    })
}

#[test]
fn literal_addresses_are_judged_in_every_spelling() {
    let own = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "10.1.2.3",
        "192.168.0.1:8080",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]:8443",
        "[fd00::1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
    ];
    for host in own {
        let url = format!("https://{host}/canary");
        assert_eq!(
            refused(&url, Reach::Public),
            Some(TryOutcome::AddressRefused),
            "{url}"
        );
        assert_eq!(refused(&url, Reach::Sandbox), None, "{url}");
    }
    let never = [
        "169.254.169.254",
        "0.0.0.0",
        "0",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ];
    let never_six = [
        "[fe80::1]",
        "[::]",
        "[ff02::1]",
        "[::ffff:169.254.169.254]",
        "[2001:db8::1]",
    ];
    for host in never.into_iter().chain(never_six) {
        let url = format!("https://{host}/canary");
        for reach in [Reach::Public, Reach::Sandbox] {
            assert_eq!(
                refused(&url, reach),
                Some(TryOutcome::AddressRefused),
                "{url}"
            );
        }
    }
    for url in [
        "https://1.1.1.1/",
        "https://[2606:4700::1111]/",
        "https://pay.example.com/",
    ] {
        assert_eq!(refused(url, Reach::Public), None, "{url}");
    }
}

#[test]
fn urls_that_are_no_https_are_refused() {
    let bad = [
        "http://pay.example.com/canary",
        "HTTP://pay.example.com/canary",
        "ftp://pay.example.com/canary",
        "file:///etc/canary",
        "gopher://pay.example.com/canary",
        "https://user:canary@pay.example.com/",
        "https://canary@pay.example.com/",
        "https://pay.example.com:0/canary",
        "https:///canary",
        "//pay.example.com/canary",
        "canary",
        "",
    ];
    for url in bad {
        // The URL standard reads `https:///canary` as the host `canary`, which is then resolved.
        if url == "https:///canary" {
            continue;
        }
        assert_eq!(
            refused(url, Reach::Public),
            Some(TryOutcome::UrlRefused),
            "{url}"
        );
    }
    assert_eq!(refused("http://pay.example.com/", Reach::Sandbox), None);
    assert_eq!(
        refused("ftp://pay.example.com/", Reach::Sandbox),
        Some(TryOutcome::UrlRefused)
    );
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_called() {
    let names = phonebook(&[
        ("inside.example", &["127.0.0.1", "10.0.0.7", "::1"]),
        ("metadata.example", &["169.254.169.254"]),
        ("mapped.example", &["::ffff:127.0.0.1", "64:ff9b::7f00:1"]),
        ("localhost", &["127.0.0.1"]),
        ("empty.example", &[]),
    ]);
    let public = notifier(Reach::Public, 5_000, names.clone());
    for name in [
        "inside.example",
        "metadata.example",
        "mapped.example",
        "localhost",
    ] {
        let heard = send(&public, &format!("https://{name}/canary")).await;
        assert_eq!(
            heard.outcome,
            TryOutcome::AddressRefused,
            "{name}: {heard:?}"
        );
        assert!(
            heard
                .cause
                .unwrap()
                .starts_with("every address of the host is ")
        );
    }
    let heard = send(&public, "https://empty.example/").await;
    assert_eq!(heard.outcome, TryOutcome::Unreachable);
    assert_eq!(
        names.asked.lock().unwrap().len(),
        5,
        "each was asked about when it was called"
    );
    let inside = notifier(Reach::Sandbox, 5_000, names);
    let heard = send(&inside, "https://metadata.example/").await;
    assert_eq!(
        heard.outcome,
        TryOutcome::AddressRefused,
        "not from a sandbox either"
    );
}

#[tokio::test]
async fn of_many_addresses_only_the_good_ones_are_called() {
    let far_side = FarSide::always(Act::Say(ok("{}"))).await;
    let port = far_side.url.rsplit(':').next().unwrap();
    let names = phonebook(&[(
        "mixed.example",
        &["169.254.169.254", "127.0.0.1", "224.0.0.1"],
    )]);
    let sandbox = notifier(Reach::Sandbox, 5_000, names);
    let heard = send(&sandbox, &format!("http://mixed.example:{port}/")).await;
    assert_eq!(heard.outcome, TryOutcome::Delivered, "{heard:?}");
}

#[tokio::test]
async fn an_address_is_looked_at_when_it_is_called_not_before() {
    /// Right when the URL was approved, and elsewhere a moment later.
    struct Rebinding(Mutex<u32>);

    #[async_trait]
    impl Names for Rebinding {
        async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            let mut asked = self.0.lock().unwrap();
            *asked += 1;
            let ip = if *asked == 1 {
                "127.0.0.1"
            } else {
                "169.254.169.254"
            };
            Ok(vec![ip.parse().unwrap()])
        }
    }

    let far_side = FarSide::always(Act::SayAndClose(answer(
        "200 OK",
        "connection: close\r\n",
        "",
    )))
    .await;
    let port = far_side.url.rsplit(':').next().unwrap();
    let names = Arc::new(Rebinding(Mutex::new(0)));
    let timeout = Duration::from_secs(5);
    let sandbox = HttpNotifier::try_new(Reach::Sandbox, timeout, names).unwrap();
    let url = format!("http://turns.example:{port}/");
    assert_eq!(send(&sandbox, &url).await.outcome, TryOutcome::Delivered);
    assert_eq!(
        send(&sandbox, &url).await.outcome,
        TryOutcome::AddressRefused
    );
    assert_eq!(far_side.seen().len(), 1);
}
