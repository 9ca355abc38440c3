//! The listener: slow clients, too many of them, and the stop.

use super::support::*;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Long enough for any machine; only a test that hangs gets there.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn listen(world: &World) -> (SocketAddr, JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = world.api.clone();
    (
        address,
        tokio::spawn(async move { api.serve(listener).await }),
    )
}

/// Sends bytes and gives what comes back until the other end closes.
pub async fn talk(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A reset is an end too: the server owes nothing to whom it cuts off.
    let _ = stream.write_all(bytes.as_bytes()).await;
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8(text).unwrap()
}

/// The same where the server's time-outs are short: who was cut off before it had asked asks once more.
pub async fn talk_in_time(address: SocketAddr, bytes: &str) -> String {
    let asking = async {
        loop {
            let answer = talk(address, bytes).await;
            if !answer.is_empty() {
                break answer;
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, asking).await;
    answer.expect("nobody was ever answered")
}

pub fn post(body: &str, more: &str) -> String {
    format!(
        "POST /graphql HTTP/1.1\r\nhost: pay\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{more}\r\n{body}",
        body.len()
    )
}

pub const INFO: &str = r#"{"query":"{serverInfo{version}}"}"#;

#[tokio::test]
async fn a_request_is_answered_over_a_socket() {
    let world = World::new().await;
    let (address, _) = listen(&world).await;
    let answer = talk(address, &post(INFO, "connection: close\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.ends_with(r#"{"data":{"serverInfo":{"version":"0.1.0"}}}"#),
        "{answer}"
    );
    assert!(answer.contains("x-request-id: "), "{answer}");
}

#[tokio::test]
async fn a_body_may_be_as_large_as_its_limit() {
    let world = World::new().await;
    let (address, _) = listen(&world).await;
    let full = format!("{INFO}{}", " ".repeat(64 * 1024 - INFO.len()));
    let answer = talk(address, &post(&full, "connection: close\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let chunked = format!(
        "POST /graphql HTTP/1.1\r\nhost: pay\r\ncontent-type: application/json\r\n\
         connection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{full} \r\n0\r\n\r\n",
        full.len() + 1
    );
    let answer = talk(address, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_slow_head_and_an_idle_connection_are_cut_off() {
    let world = World::with(|options| options.header_timeout = Duration::from_millis(50)).await;
    let (address, _) = listen(&world).await;
    let slow = talk(address, "POST /graphql HTTP/1.1\r\nhost: p").await;
    assert!(!slow.contains("200"), "{slow}");
    assert_eq!(talk(address, "").await, "");
    // Answered first, then idle, then closed by us.
    let idle = talk_in_time(address, &post(INFO, "")).await;
    assert!(idle.starts_with("HTTP/1.1 200 OK\r\n"), "{idle}");
}

#[tokio::test]
async fn a_slow_body_is_cut_off() {
    let world = World::with(|options| options.body_timeout = Duration::from_millis(50)).await;
    let (address, _) = listen(&world).await;
    let whole = post(INFO, "connection: close\r\n");
    let answer = talk(address, &whole[..whole.len() - 5]).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("BAD_REQUEST"), "{answer}");
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let world = World::new().await;
    let (address, _) = listen(&world).await;
    let long = format!("x-long: {}\r\n", "a".repeat(64 * 1024));
    let answer = talk(address, &post(INFO, &long)).await;
    assert!(!answer.contains(" 200 "), "{answer}");
    let many: String = (0..100).map(|n| format!("x-{n}: a\r\n")).collect();
    let answer = talk(address, &post(INFO, &many)).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_connection_too_many_waits_for_its_place() {
    let world = World::with(|options| options.connections_max = 1).await;
    let (address, _) = listen(&world).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(post(INFO, "").as_bytes()).await.unwrap();
    let mut head = [0; 15];
    first.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    let closing = post(INFO, "connection: close\r\n");
    let second = tokio::spawn(async move { talk(address, &closing).await });
    // The first one is served again while the second one waits.
    first
        .write_all(post(INFO, "connection: close\r\n").as_bytes())
        .await
        .unwrap();
    let mut rest = String::new();
    first.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest.matches("HTTP/1.1 200 OK").count(), 1, "{rest}");
    drop(first);
    assert!(second.await.unwrap().starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn an_open_request_is_finished_at_the_stop_and_no_new_one_is_taken() {
    let world = World::new().await;
    let (address, serving) = listen(&world).await;
    let whole = post(INFO, "");
    let (begin, end) = whole.split_at(whole.len() - 5);
    let mut open = TcpStream::connect(address).await.unwrap();
    open.write_all(begin.as_bytes()).await.unwrap();
    // A second connection answers, so the first one has been accepted before it.
    talk(address, &post(INFO, "connection: close\r\n")).await;
    world.stop.cancel();
    open.write_all(end.as_bytes()).await.unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn whoever_takes_too_long_at_the_stop_is_cut_off() {
    let world = World::with(|options| options.drain = Duration::from_millis(20)).await;
    let (address, serving) = listen(&world).await;
    let whole = post(INFO, "");
    let mut open = TcpStream::connect(address).await.unwrap();
    open.write_all(&whole.as_bytes()[..whole.len() - 5])
        .await
        .unwrap();
    talk(address, &post(INFO, "connection: close\r\n")).await;
    world.stop.cancel();
    serving.await.unwrap().unwrap();
}
