//! Slow clients, and those who take all there is: each is cut off, and the others are served.
//!
//! The servers here have short time-outs; the tests wait for the end of a connection, however long it
//! takes to come.

use super::serve::{INFO, listen, post, talk_in_time};
use super::support::*;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long a dripping client waits for an end before its next byte.
const DRIP: Duration = Duration::from_millis(2);
const SHORT: Duration = Duration::from_millis(50);

/// Sends byte by byte until the other end has had enough; what it said, and how many bytes it took.
async fn drip(address: SocketAddr, begin: &str, byte: u8) -> (String, usize) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(begin.as_bytes()).await.unwrap();
    let (mut said, mut sent) = (Vec::new(), 0);
    let mut buffer = [0; 4096];
    loop {
        match timeout(DRIP, stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(count)) => said.extend_from_slice(&buffer[..count]),
            Err(_) if stream.write_all(&[byte]).await.is_err() => {
                // It has hung up meanwhile: what it said before is still there to be read.
                let _ = stream.read_to_end(&mut said).await;
                break;
            }
            Err(_) => sent += 1,
        }
    }
    (String::from_utf8(said).unwrap(), sent)
}

async fn is_served(address: SocketAddr) -> bool {
    let answer = talk_in_time(address, &post(INFO, "connection: close\r\n")).await;
    answer.starts_with("HTTP/1.1 200 OK\r\n")
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off() {
    let world = World::with(|options| options.header_timeout = SHORT).await;
    let (address, _) = listen(&world).await;
    let begin = "POST /graphql HTTP/1.1\r\nhost: pay\r\nx-long: ";
    let (said, sent) = drip(address, begin, b'a').await;
    assert!(!said.contains(" 200 "), "{said}");
    assert!(sent < 30_000, "it was the time and not the size: {sent}");
    assert!(is_served(address).await);
}

#[tokio::test]
async fn a_body_that_drips_is_cut_off() {
    let world = World::with(|options| options.body_timeout = SHORT).await;
    let (address, _) = listen(&world).await;
    let whole = post(&" ".repeat(60_000), "");
    let begin = whole.trim_end_matches(' ');
    let (said, sent) = drip(address, begin, b' ').await;
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(sent < 60_000, "{sent}");
    assert!(is_served(address).await);
}

/// What is refused by its head is answered without its body, and nobody waits for that.
#[tokio::test]
async fn a_body_that_nobody_wants_is_not_waited_for() {
    let world = World::new().await;
    let (address, _) = listen(&world).await;
    let whole = post(&" ".repeat(60_000), "authorization: Bearer nobody\r\n");
    let (said, _) = drip(address, whole.trim_end_matches(' '), b' ').await;
    assert!(said.starts_with("HTTP/1.1 401 "), "{said}");
}

/// A client that asks and asks and reads no answer: once no more goes into the pipe, its time runs.
#[tokio::test]
async fn who_never_reads_the_answer_is_cut_off() {
    let world = World::with(|options| {
        options.write_timeout = SHORT;
        options.connections_max = 1;
    })
    .await;
    let (address, _) = listen(&world).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut deaf = socket.connect(address).await.unwrap();
    let ask = "GET /playground HTTP/1.1\r\nhost: pay\r\n\r\n";
    // Ends when the server has had enough, and with nothing else.
    while deaf.write_all(ask.as_bytes()).await.is_ok() {}
    // The one place is free again, though the client still holds its end.
    assert!(is_served(address).await);
    drop(deaf);
}

#[tokio::test]
async fn one_address_cannot_take_all_the_places() {
    let world = World::with(|options| options.connections_per_address = 2).await;
    let (address, _) = listen(&world).await;
    let first = held(address, "127.0.0.1").await.unwrap();
    let second = held(address, "127.0.0.1").await.unwrap();
    assert!(held(address, "127.0.0.1").await.is_none());
    let other = held(address, "127.0.0.2").await;
    assert!(other.is_some(), "another address has its own places");
    drop(first);
    // As soon as the server has seen the end of it, the place can be taken again.
    let again = loop {
        if let Some(again) = held(address, "127.0.0.1").await {
            break again;
        }
    };
    drop((second, again));
}

#[tokio::test]
async fn a_proxy_of_ours_brings_as_many_as_it_likes() {
    let world = World::with(|options| {
        options.connections_per_address = 1;
        options.trusted_proxies = vec!["127.0.0.3/32".parse().unwrap()];
    })
    .await;
    let (address, _) = listen(&world).await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(held(address, "127.0.0.3").await.unwrap());
    }
    let one = held(address, "127.0.0.1").await;
    assert!(one.is_some() && held(address, "127.0.0.1").await.is_none());
}

/// A connection from an address, served once and kept; none where it is closed without a word.
async fn held(address: SocketAddr, from: &str) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let asked = stream.write_all(post(INFO, "").as_bytes()).await;
    let mut head = [0; 15];
    match (asked, stream.read_exact(&mut head).await) {
        (Ok(()), Ok(_)) => {
            assert_eq!(&head, b"HTTP/1.1 200 OK");
            Some(stream)
        }
        _ => None,
    }
}
