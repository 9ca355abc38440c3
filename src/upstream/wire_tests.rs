//! Hostile envelopes: status lines, headers, framing and connections that lie, stall or break.
//!
//! Where an envelope could be mended the body in it is the right answer, so that believing it
//! would show. Once a request may have left, the reply is `Unknown` whatever happens.

use super::body_tests::class;
use super::far_side::{Act, Caller, FarSide, RIGHT, adapter_at, answer, hasty, ok, settings};
use super::settings::AdapterSettings;
use crate::domain::bill::LookupError;
use crate::domain::flow::Operation;
use crate::domain::outcome::{Cause, Reply};
use futures_util::future::join_all;
use tokio::net::TcpListener;

const JSON: &str = "content-type: application/json\r\n";

/// Asserts that a far side's doing is unknown for this reason at every call, and no bill.
async fn assert_unknown(name: &str, wanted: &str, act: Act, settings: AdapterSettings) {
    let far_side = FarSide::always(act).await;
    let adapter = far_side.adapter(settings);
    let caller = Caller::new();
    for &operation in Operation::ALL {
        let reply = caller.call(&adapter, operation).await;
        assert_eq!(class(&reply), wanted, "{name}, {operation}: {reply:?}");
    }
    let found = caller.lookup(&adapter).await;
    let none = matches!(found, Err(LookupError::Unavailable { .. }));
    assert!(none, "{name}, lookup: {found:?}");
    let sent = far_side.seen().len();
    assert_eq!(sent, 4, "{name}: each call is sent once and only once");
}

/// A head, blank line and right body, without any length.
fn raw(head: &str) -> Vec<u8> {
    format!("{head}\r\n\r\n{RIGHT}").into_bytes()
}

#[tokio::test]
async fn any_status_but_200_is_unknown() {
    let table = [
        "201 Created",
        "202 Accepted",
        "203 Non-Authoritative Information",
        "204 No Content",
        "206 Partial Content",
        "226 IM Used",
        "300 Multiple Choices",
        "304 Not Modified",
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "407 Proxy Authentication Required",
        "408 Request Timeout",
        "409 Conflict",
        "425 Too Early",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
        "599 Strange",
        "999 Stranger",
    ];
    for status in table {
        let act = Act::SayAndClose(answer(status, JSON, RIGHT));
        assert_unknown(status, "status", act, settings()).await;
    }
    let html = answer("502 Bad Gateway", "content-type: text/html\r\n", "<html>");
    assert_unknown("HTML 502", "status", Act::Say(html), settings()).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let trap = FarSide::always(Act::Say(ok(RIGHT))).await;
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let headers = format!("{JSON}location: {}/bank/pay\r\n", trap.url);
        let act = Act::Say(answer(status, &headers, RIGHT));
        assert_unknown(status, "status", act, settings()).await;
    }
    assert!(trap.seen().is_empty(), "a redirect was followed");
}

#[tokio::test]
async fn a_body_that_is_not_declared_as_plain_json_is_malformed() {
    let gzip_magic = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let table: &[(&str, &str, &[u8])] = &[
        ("no content type", "", RIGHT.as_bytes()),
        (
            "an empty content type",
            "content-type:\r\n",
            RIGHT.as_bytes(),
        ),
        ("HTML", "content-type: text/html\r\n", RIGHT.as_bytes()),
        ("text", "content-type: text/plain\r\n", RIGHT.as_bytes()),
        (
            "JSONP",
            "content-type: application/jsonp\r\n",
            RIGHT.as_bytes(),
        ),
        (
            "a problem",
            "content-type: application/problem+json\r\n",
            RIGHT.as_bytes(),
        ),
        (
            "bytes",
            "content-type: application/octet-stream\r\n",
            RIGHT.as_bytes(),
        ),
        (
            "GBK",
            "content-type: application/json; charset=GBK\r\n",
            RIGHT.as_bytes(),
        ),
        (
            "UTF-16",
            "content-type: application/json;charset=utf-16\r\n",
            RIGHT.as_bytes(),
        ),
        (
            "two charsets",
            "content-type: application/json; charset=utf-8; charset=gb18030\r\n",
            RIGHT.as_bytes(),
        ),
        (
            "two content types",
            "content-type: application/json\r\ncontent-type: text/html\r\n",
            RIGHT.as_bytes(),
        ),
        (
            "gzip",
            "content-type: application/json\r\ncontent-encoding: gzip\r\n",
            &gzip_magic,
        ),
        (
            "gzip that is none",
            "content-type: application/json\r\ncontent-encoding: gzip\r\n",
            RIGHT.as_bytes(),
        ),
        (
            "identity",
            "content-type: application/json\r\ncontent-encoding: identity\r\n",
            RIGHT.as_bytes(),
        ),
        ("gzip undeclared", JSON, &gzip_magic),
    ];
    for (name, headers, body) in table {
        let act = Act::Say(answer("200 OK", headers, body));
        assert_unknown(name, "malformed", act, settings()).await;
    }
}

#[tokio::test]
async fn json_in_utf8_is_taken_however_it_is_written() {
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;Charset=UTF-8",
        "application/json; charset=\"utf-8\"",
        "application/json ; q=1",
    ] {
        let headers = format!("content-type: {kind}\r\n");
        let far_side = FarSide::always(Act::Say(answer("200 OK", &headers, RIGHT))).await;
        let reply = Caller::new().pay(&far_side.adapter(settings())).await;
        assert!(matches!(reply, Reply::Succeeded(_)), "{kind}: {reply:?}");
    }
}

#[tokio::test]
async fn a_length_that_lies_is_unknown() {
    let long = RIGHT.len() + 1;
    let half = RIGHT.len() / 2;
    let head = |lengths: &str| raw(&format!("HTTP/1.1 200 OK\r\n{JSON}{lengths}"));
    let table = [
        ("too long", "lost", head(&format!("content-length: {long}"))),
        (
            "too short",
            "malformed",
            head(&format!("content-length: {half}")),
        ),
        ("zero", "malformed", head("content-length: 0")),
        ("negative", "lost", head("content-length: -1")),
        ("no number", "lost", head("content-length: many")),
        (
            "beyond 64 bits",
            "lost",
            head("content-length: 99999999999999999999"),
        ),
        (
            "beyond the limit",
            "malformed",
            head("content-length: 10000000"),
        ),
        (
            "two of them",
            "lost",
            head("content-length: 154\r\ncontent-length: 3"),
        ),
        ("a list", "lost", head("content-length: 154, 3")),
    ];
    for (name, wanted, bytes) in table {
        assert_unknown(name, wanted, Act::SayAndClose(bytes), settings()).await;
    }
}

#[tokio::test]
async fn broken_chunks_are_unknown() {
    let size = RIGHT.len();
    let chunked = |rest: String| {
        format!("HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\n\r\n{rest}").into_bytes()
    };
    let whole = format!("{size:x}\r\n{RIGHT}\r\n0\r\n\r\n");
    let with =
        |headers: &str| format!("HTTP/1.1 200 OK\r\n{JSON}{headers}\r\n\r\n{whole}").into_bytes();
    let table = [
        (
            "no size",
            "lost",
            chunked(format!("\r\n{RIGHT}\r\n0\r\n\r\n")),
        ),
        (
            "rubbish for a size",
            "lost",
            chunked(format!("xyz\r\n{RIGHT}\r\n0\r\n\r\n")),
        ),
        (
            "a huge size",
            "lost",
            chunked("fffffffffffffffff\r\n{".to_owned()),
        ),
        (
            "a negative size",
            "lost",
            chunked(format!("-1\r\n{RIGHT}\r\n0\r\n\r\n")),
        ),
        (
            "cut in the middle",
            "lost",
            chunked(format!("{size:x}\r\n{}", &RIGHT[..50])),
        ),
        (
            "no last chunk",
            "lost",
            chunked(format!("{size:x}\r\n{RIGHT}\r\n")),
        ),
        (
            "no line end",
            "lost",
            chunked(format!("{size:x}\r\n{RIGHT}0\r\n\r\n")),
        ),
        (
            "half the answer in chunks",
            "malformed",
            chunked(format!("5\r\n{}\r\n0\r\n\r\n", &RIGHT[..5])),
        ),
        (
            "not chunked at all",
            "lost",
            raw(&format!(
                "HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked"
            )),
        ),
        (
            "gzip, then chunked",
            "malformed",
            with("transfer-encoding: gzip, chunked"),
        ),
        (
            "two lengths",
            "malformed",
            with(&format!(
                "content-length: {size}\r\ntransfer-encoding: chunked"
            )),
        ),
    ];
    for (name, wanted, bytes) in table {
        assert_unknown(name, wanted, Act::SayAndClose(bytes), settings()).await;
    }
}

#[tokio::test]
async fn right_answers_in_chunks_are_taken() {
    let (first, second) = RIGHT.split_at(60);
    let body = format!(
        "{:x}\r\n{first}\r\n{:x};x=y\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    let head = format!("HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\n\r\n");
    let far_side = FarSide::always(Act::Say(format!("{head}{body}").into_bytes())).await;
    let reply = Caller::new().pay(&far_side.adapter(settings())).await;
    assert!(matches!(reply, Reply::Succeeded(_)), "{reply:?}");
}

#[tokio::test]
async fn what_is_no_http_is_lost() {
    let bombs: String = (0..300).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(1024 * 1024));
    let head = |lines: &str| raw(&format!("HTTP/1.1 200 OK\r\n{JSON}{lines}"));
    let table = [
        ("nothing", vec![]),
        ("one byte", b"H".to_vec()),
        ("half a status line", b"HTTP/1.1 2".to_vec()),
        ("a status line", b"HTTP/1.1 200 OK\r\n".to_vec()),
        (
            "half a head",
            b"HTTP/1.1 200 OK\r\ncontent-type: appl".to_vec(),
        ),
        (
            "a body without a head, as in HTTP/0.9",
            RIGHT.as_bytes().to_vec(),
        ),
        (
            "HTTP/2.0",
            raw("HTTP/2.0 200 OK\r\ncontent-type: application/json"),
        ),
        (
            "another protocol",
            raw("ICY 200 OK\r\ncontent-type: application/json"),
        ),
        (
            "a short status",
            raw("HTTP/1.1 20\r\ncontent-type: application/json"),
        ),
        (
            "a status of letters",
            raw("HTTP/1.1 OK\r\ncontent-type: application/json"),
        ),
        ("a TLS alert", vec![0x15, 3, 3, 0, 2, 2, 40]),
        ("NULs", vec![0; 512]),
        ("a header without a colon", head("rubbish")),
        ("a header with a NUL", head("x: a\0b")),
        ("300 headers", head(bombs.trim_end())),
        ("a header of 1 MiB", head(long.trim_end())),
        ("100 and no more", b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        (
            "103 and no more",
            b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".to_vec(),
        ),
        (
            "a head without its body",
            format!("HTTP/1.1 200 OK\r\n{JSON}content-length: 9\r\n\r\n").into_bytes(),
        ),
    ];
    for (name, bytes) in table {
        assert_unknown(name, "lost", Act::SayAndClose(bytes), settings()).await;
    }
}

#[tokio::test]
async fn another_protocol_is_not_switched_to() {
    let bytes = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let far_side = FarSide::always(Act::SayAndClose(bytes.to_vec())).await;
    let reply = Caller::new().pay(&far_side.adapter(settings())).await;
    assert!(matches!(reply, Reply::Unknown(_)), "{reply:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_unknown() {
    let whole = ok(RIGHT);
    let head = whole.len() - RIGHT.len();
    for bytes in [
        0,
        1,
        9,
        head - 1,
        head,
        head + 1,
        head + 60,
        whole.len() - 1,
    ] {
        let name = format!("closed after {bytes} bytes");
        let act = Act::SayAndClose(whole[..bytes].to_vec());
        assert_unknown(&name, "lost", act, settings()).await;
        let name = format!("reset after {bytes} bytes");
        let act = Act::SayAndReset(whole[..bytes].to_vec());
        assert_unknown(&name, "lost", act, settings()).await;
    }
}

#[tokio::test]
async fn an_old_answer_without_a_length_counts_only_when_it_is_whole() {
    let old = raw("HTTP/1.0 200 OK\r\ncontent-type: application/json");
    let cut = old[..old.len() - 1].to_vec();
    assert_unknown("cut", "malformed", Act::SayAndClose(cut), settings()).await;
    let far_side = FarSide::always(Act::SayAndClose(old)).await;
    let reply = Caller::new().pay(&far_side.adapter(settings())).await;
    assert!(matches!(reply, Reply::Succeeded(_)), "{reply:?}");
}

#[tokio::test]
async fn what_never_ends_is_late() {
    let whole = ok(RIGHT);
    let head = whole.len() - RIGHT.len();
    let drip = format!("HTTP/1.1 200 OK\r\n{JSON}content-length: 60000\r\n\r\n").into_bytes();
    let table = [
        ("silence", Act::SayAndHang(vec![])),
        ("one byte", Act::SayAndHang(b"H".to_vec())),
        (
            "a head, then silence",
            Act::SayAndHang(whole[..head].to_vec()),
        ),
        (
            "half a body, then silence",
            Act::SayAndHang(whole[..head + 60].to_vec()),
        ),
        ("a dripping body", Act::Drip(drip, b' ')),
        (
            "a dripping header",
            Act::Drip(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), b'y'),
        ),
        (
            "a dripping status line",
            Act::Drip(b"HTTP/1.1 200 ".to_vec(), b'O'),
        ),
    ];
    let all = table.map(|(name, act)| assert_unknown(name, "late", act, hasty()));
    join_all(all).await;
}

#[tokio::test]
async fn what_is_too_much_is_cut_off() {
    let ten_mb = format!("{RIGHT}{}", " ".repeat(10_000_000));
    let spaces = vec![b' '; 8 * 1024];
    let chunked = format!("HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\n\r\n");
    let chunk = [b"2000\r\n".as_slice(), &spaces, b"\r\n"].concat();
    let endless = format!("HTTP/1.1 200 OK\r\n{JSON}\r\n");
    let table = [
        ("10 MB", "malformed", Act::SayAndClose(ok(ten_mb))),
        (
            "chunks for ever",
            "malformed",
            Act::Flood(chunked.into(), chunk),
        ),
        (
            "a body for ever",
            "malformed",
            Act::Flood(endless.into(), spaces),
        ),
        (
            "headers for ever",
            "lost",
            Act::Flood(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".repeat(512)),
        ),
        (
            "one header for ever",
            "lost",
            Act::Flood(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 4096]),
        ),
    ];
    for (name, wanted, act) in table {
        assert_unknown(name, wanted, act, settings()).await;
    }
}

#[tokio::test]
async fn interim_answers_for_ever_are_unknown() {
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(64);
    let far_side = FarSide::always(Act::Flood(vec![], interim)).await;
    let reply = Caller::new().pay(&far_side.adapter(hasty())).await;
    assert!(matches!(reply, Reply::Unknown(_)), "{reply:?}");
}

#[tokio::test]
async fn an_interim_answer_before_the_right_one_is_skipped() {
    let bytes = [b"HTTP/1.1 100 Continue\r\n\r\n".as_slice(), &ok(RIGHT)].concat();
    let far_side = FarSide::always(Act::Say(bytes)).await;
    let reply = Caller::new().pay(&far_side.adapter(settings())).await;
    assert!(matches!(reply, Reply::Succeeded(_)), "{reply:?}");
}

#[tokio::test]
async fn a_second_answer_in_advance_is_not_taken_for_the_next_call() {
    let forged = RIGHT.replace("\"status\":1", "\"status\":1001");
    let bytes = [ok(RIGHT), ok(forged)].concat();
    let far_side = FarSide::always(Act::Say(bytes)).await;
    let adapter = far_side.adapter(settings());
    let caller = Caller::new();
    for _ in 0..20 {
        let reply = caller.pay(&adapter).await;
        let harmless = matches!(reply, Reply::Succeeded(_) | Reply::Unknown(_));
        assert!(harmless, "{reply:?}");
    }
}

#[tokio::test]
async fn a_connection_closed_at_once_may_have_carried_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let reply = Caller::new().pay(&adapter_at(&url, settings())).await;
    let lost = matches!(reply, Reply::Unknown(Cause::ConnectionLost(_)));
    assert!(lost, "{reply:?}");
}

#[tokio::test]
async fn defects_of_the_envelope_are_named() {
    let json = |body: &[u8]| answer("200 OK", JSON, body);
    let bom = format!("\u{feff}{RIGHT}");
    let table = [
        ("begins with a byte order mark", json(bom.as_bytes())),
        ("not UTF-8", json(b"{\"status\":\"\xff\"}")),
        ("longer than 65536 bytes", json(&[b' '; 70_000])),
        ("no content type", answer("200 OK", "", RIGHT)),
    ];
    for (defect, bytes) in table {
        let far_side = FarSide::always(Act::Say(bytes)).await;
        let reply = Caller::new().pay(&far_side.adapter(settings())).await;
        let wanted = Reply::Unknown(Cause::Malformed(defect.to_owned()));
        assert_eq!(reply, wanted);
    }
}
