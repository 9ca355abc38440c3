//! TLS: who is trusted, who we are, and that a failed handshake has sent nothing.

use super::body_tests::class;
use super::far_side::{Act, Caller, FarSide, RIGHT, adapter_at, ok, read_request, settings};
use super::settings::AdapterSettings;
use super::{
    Adapter, HttpAdapter, HttpNotifier, Notifier, Post, Reach, SystemNames, UpstreamError,
};
use crate::domain::ids::AdapterName;
use crate::domain::notification::TryOutcome;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

fn pem(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/tls")
        .join(name)
}

/// A far side over TLS that answers every whole request with the right answer.
struct TlsFarSide {
    url: String,
    requests: Arc<AtomicUsize>,
}

/// How a far side presents itself and what it asks of us.
struct Manner {
    identity: &'static str,
    version: &'static SupportedProtocolVersion,
    asks_who_we_are: bool,
}

impl TlsFarSide {
    async fn start(manner: Manner) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config(&manner)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), count.clone());
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    while read_request(&mut stream).await?.is_some() {
                        count.fetch_add(1, Ordering::SeqCst);
                        stream.write_all(&ok(RIGHT)).await?;
                        stream.flush().await?;
                    }
                    stream.shutdown().await
                });
            }
        });
        Self { url, requests }
    }
}

fn config(manner: &Manner) -> ServerConfig {
    let file = pem(manner.identity);
    let chain = CertificateDer::pem_file_iter(&file).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&file).unwrap();
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[manner.version])
        .unwrap();
    let builder = if manner.asks_who_we_are {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(pem("ca.pem")).unwrap())
            .unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    builder.with_single_cert(chain, key).unwrap()
}

fn trusting(ca: &str, client: Option<&str>) -> AdapterSettings {
    AdapterSettings {
        ca_pem_file: Some(pem(ca)),
        client_pem_file: client.map(pem),
        ..settings()
    }
}

fn adapter(far_side: &TlsFarSide, ca: &str, client: Option<&str>) -> Adapter {
    adapter_at(&far_side.url, trusting(ca, client))
}

fn plain(version: &'static SupportedProtocolVersion) -> Manner {
    Manner {
        identity: "server.pem",
        version,
        asks_who_we_are: false,
    }
}

#[tokio::test]
async fn a_trusted_bank_is_paid_over_either_version() {
    for version in [&TLS12, &TLS13] {
        let far_side = TlsFarSide::start(plain(version)).await;
        let adapter = adapter(&far_side, "ca.pem", None);
        assert_eq!(class(&Caller::new().pay(&adapter).await), "SUCCEEDED");
        assert!(Caller::new().lookup(&adapter).await.is_ok());
    }
}

#[tokio::test]
async fn a_bank_that_is_not_trusted_gets_nothing() {
    let elsewhere = Manner {
        identity: "elsewhere.pem",
        ..plain(&TLS13)
    };
    for (manner, ca) in [
        (plain(&TLS13), "stranger.pem"),
        (plain(&TLS12), "stranger.pem"),
        (elsewhere, "ca.pem"),
    ] {
        let far_side = TlsFarSide::start(manner).await;
        let reply = Caller::new().pay(&adapter(&far_side, ca, None)).await;
        assert_eq!(class(&reply), "NOT SENT", "{reply:?}");
        let cause = reply.cause().unwrap();
        assert!(cause.contains("certificate"), "{cause}");
        assert_eq!(far_side.requests.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn our_identity_is_shown_where_it_is_asked_for() {
    for version in [&TLS12, &TLS13] {
        let asking = || Manner {
            asks_who_we_are: true,
            ..plain(version)
        };
        let far_side = TlsFarSide::start(asking()).await;
        let known = adapter(&far_side, "ca.pem", Some("client.pem"));
        assert_eq!(class(&Caller::new().pay(&known).await), "SUCCEEDED");

        let far_side = TlsFarSide::start(asking()).await;
        let nameless = adapter(&far_side, "ca.pem", None);
        let reply = Caller::new().pay(&nameless).await;
        // TLS 1.3 refuses us only after our handshake is over, when the request may have left.
        let honest = matches!(class(&reply), "NOT SENT" | "lost");
        assert!(honest, "{reply:?}");
        assert_eq!(far_side.requests.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_plain_port_does_not_get_a_request_meant_for_tls() {
    let far_side = FarSide::always(Act::Say(ok(RIGHT))).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let hasty = AdapterSettings {
        connect_timeout_ms: 200,
        ..trusting("ca.pem", None)
    };
    let silent = far_side.url.replace("http://", "https://");
    for url in [silent, format!("https://{address}")] {
        let reply = Caller::new().pay(&adapter_at(&url, hasty.clone())).await;
        assert_eq!(class(&reply), "NOT SENT", "{reply:?}");
    }
    assert!(far_side.seen().is_empty());
}

#[test]
fn pem_files_that_cannot_be_used_stop_the_start() {
    let built = |settings: AdapterSettings| {
        let settings = AdapterSettings {
            url: "https://localhost/bank".to_owned(),
            ..settings
        };
        let name = AdapterName::try_new("bank").unwrap();
        HttpAdapter::try_new(&name, &settings).map(|_| ())
    };
    assert!(built(trusting("ca.pem", Some("client.pem"))).is_ok());
    let missing = built(trusting("missing.pem", None)).unwrap_err();
    assert!(matches!(missing, UpstreamError::UnreadablePem { .. }));
    for bad in [
        trusting("make.sh", None),
        trusting("ca.pem", Some("ca.pem")),
    ] {
        let error = built(bad).unwrap_err();
        assert!(matches!(error, UpstreamError::BadPem { .. }), "{error}");
    }
    let url = AdapterSettings {
        url: "bank".to_owned(),
        ..settings()
    };
    let name = AdapterName::try_new("bank").unwrap();
    let error = HttpAdapter::try_new(&name, &url).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "url cannot be used: is not a URL");
}

#[tokio::test]
async fn a_merchant_s_server_that_no_authority_knows_gets_nothing() {
    let far_side = TlsFarSide::start(plain(&TLS13)).await;
    let timeout = std::time::Duration::from_secs(5);
    let notifier = HttpNotifier::try_new(Reach::Sandbox, timeout, Arc::new(SystemNames)).unwrap();
    let target = notifier.target(&far_side.url).unwrap();
    let post = Post {
        target: &target,
        headers: &[],
        body: b"{}",
    };
    let heard = notifier.post(&post).await;
    assert_eq!(heard.outcome, TryOutcome::Unreachable, "{heard:?}");
    assert_eq!(far_side.requests.load(Ordering::SeqCst), 0);
}
