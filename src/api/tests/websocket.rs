//! WebSockets, over a real listener.

use super::support::*;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// The client's end of a socket.
pub struct Client(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What a client hears.
#[derive(Debug, PartialEq)]
pub enum Heard {
    Said(Value),
    Closed(u16),
}

pub async fn listen(world: &World) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = world.api.clone();
    tokio::spawn(async move { api.serve(listener).await });
    address
}

/// Opens a socket with these headers; the status and the code of the refusal where it is refused.
pub async fn open(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Client, (u16, String)> {
    let mut request = format!("ws://{address}/graphql")
        .into_client_request()
        .unwrap();
    for (name, value) in headers {
        let name: poem::http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, response)) => {
            let agreed = &response.headers()["sec-websocket-protocol"];
            assert_eq!(agreed, "graphql-transport-ws");
            Ok(Client(socket))
        }
        Err(Error::Http(response)) => {
            let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
            let code = body["errors"][0]["extensions"]["code"].as_str().unwrap();
            Err((response.status().as_u16(), code.to_owned()))
        }
        Err(other) => panic!("{other}"),
    }
}

pub const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

impl Client {
    pub async fn say(&mut self, message: Value) {
        let text = Message::text(message.to_string());
        self.0.send(text).await.unwrap();
    }

    pub async fn hear(&mut self) -> Heard {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Heard::Said(serde_json::from_str(&text).unwrap());
                }
                Some(Ok(Message::Close(Some(frame)))) => return Heard::Closed(frame.code.into()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn introduced(address: SocketAddr, token: &str) -> Self {
        let mut client = open(address, &[PROTOCOL])
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        let payload = json!({ "authorization": format!("Bearer {token}") });
        client
            .say(json!({ "type": "connection_init", "payload": payload }))
            .await;
        assert_eq!(
            client.hear().await,
            said(json!({ "type": "connection_ack" }))
        );
        client
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, order_no: &str) {
        let payload = json!({ "query": query, "variables": { "n": order_no } });
        self.say(json!({ "id": id, "type": "subscribe", "payload": payload }))
            .await;
    }

    /// The state in the next message of a subscription.
    pub async fn state(&mut self) -> String {
        let Heard::Said(message) = self.hear().await else {
            panic!("closed");
        };
        let state = message["payload"]["data"]["orderChanged"]["state"].as_str();
        state.unwrap_or_else(|| panic!("{message}")).to_owned()
    }

    /// The code of the error in the next message.
    pub async fn refusal(&mut self) -> String {
        let Heard::Said(message) = self.hear().await else {
            panic!("closed");
        };
        let code = message["payload"]["errors"][0]["extensions"]["code"].as_str();
        code.unwrap_or_else(|| panic!("{message}")).to_owned()
    }
}

pub fn said(message: Value) -> Heard {
    Heard::Said(message)
}

pub const WATCH: &str = "subscription($n: String!) { orderChanged(orderNo: $n) { state } }";

#[tokio::test]
async fn an_order_is_watched_to_its_end() {
    let world = World::new().await;
    let address = listen(&world).await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let mut client = Client::introduced(address, ALPHA).await;
    client.subscribe("1", WATCH, &order_no).await;
    assert_eq!(client.state().await, "CREATED");
    world.confirm(ALPHA, &order_no).await;
    assert_eq!(client.state().await, "PAYING");
    assert_eq!(client.state().await, "SUCCEEDED");
    assert_eq!(
        client.hear().await,
        said(json!({ "type": "complete", "id": "1" }))
    );
}

#[tokio::test]
async fn a_socket_may_be_known_by_its_header() {
    let world = World::new().await;
    let address = listen(&world).await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let bearer = format!("Bearer {ALPHA}");
    let mut client = open(address, &[PROTOCOL, ("authorization", &bearer)])
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
    client.say(json!({ "type": "connection_init" })).await;
    assert_eq!(
        client.hear().await,
        said(json!({ "type": "connection_ack" }))
    );
    client.subscribe("1", WATCH, &order_no).await;
    assert_eq!(client.state().await, "CREATED");
}

#[tokio::test]
async fn a_socket_is_refused_at_the_door() {
    let world = World::with(|options| options.websockets_max = 1).await;
    let address = listen(&world).await;
    let refused = async |headers: &[(&str, &str)]| open(address, headers).await.err().unwrap();
    let bad_request = (400, "BAD_REQUEST".to_owned());
    assert_eq!(refused(&[]).await, bad_request);
    assert_eq!(
        refused(&[("sec-websocket-protocol", "graphql-ws")]).await,
        bad_request
    );
    let evil = [PROTOCOL, ("origin", "https://evil.example.com")];
    assert_eq!(refused(&evil).await, (403, "FORBIDDEN".to_owned()));
    let stranger = [PROTOCOL, ("authorization", "Bearer nobody")];
    assert_eq!(
        refused(&stranger).await,
        (401, "UNAUTHENTICATED".to_owned())
    );
    let own = format!("http://{address}");
    let first = open(address, &[PROTOCOL, ("origin", &own)]).await;
    assert!(first.is_ok());
    assert_eq!(refused(&[PROTOCOL]).await, (503, "BUSY".to_owned()));
}

#[tokio::test]
async fn a_socket_that_breaks_the_protocol_is_closed_with_its_code() {
    let world = World::with(|options| options.websockets_max = 10).await;
    let address = listen(&world).await;
    let closed_after = async |messages: &[Message]| {
        let mut client = open(address, &[PROTOCOL])
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        for message in messages {
            client.0.send(message.clone()).await.unwrap();
        }
        loop {
            if let Heard::Closed(code) = client.hear().await {
                return code;
            }
        }
    };
    let init = |payload: Value| {
        Message::text(json!({ "type": "connection_init", "payload": payload }).to_string())
    };
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": WATCH } });
    assert_eq!(closed_after(&[Message::text("{")]).await, 4400);
    assert_eq!(
        closed_after(&[Message::text("{\"type\":\"what\"}")]).await,
        4400
    );
    assert_eq!(closed_after(&[Message::binary(vec![1, 2, 3])]).await, 4400);
    assert_eq!(
        closed_after(&[Message::text(subscribe.to_string())]).await,
        4401
    );
    assert_eq!(
        closed_after(&[init(json!({ "authorization": "Bearer nobody" }))]).await,
        4403
    );
    assert_eq!(
        closed_after(&[init(json!({ "authorization": 7 }))]).await,
        4403
    );
    assert_eq!(
        closed_after(&[init(json!({})), init(json!({}))]).await,
        4429
    );
}

#[tokio::test]
async fn only_subscriptions_are_carried_and_not_too_many() {
    let world = World::with(|options| options.subscriptions_max = 1).await;
    let address = listen(&world).await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let mut client = Client::introduced(address, ALPHA).await;
    for (query, code) in [
        ("{ serverInfo { version } }", "BAD_REQUEST"),
        (
            "mutation { orderCancel(input: {orderNo: \"x\"}) { order { state } } }",
            "BAD_REQUEST",
        ),
        ("subscription { a b }", "DOCUMENT_REFUSED"),
        ("subscription { nothing }", "BAD_REQUEST"),
        ("subscription {", "BAD_REQUEST"),
    ] {
        client.subscribe("x", query, &order_no).await;
        assert_eq!(client.refusal().await, code, "{query}");
        assert_eq!(
            client.hear().await,
            said(json!({ "type": "complete", "id": "x" }))
        );
    }
    client.subscribe("1", WATCH, &order_no).await;
    assert_eq!(client.state().await, "CREATED");
    client.subscribe("2", WATCH, &order_no).await;
    assert_eq!(client.refusal().await, "BUSY");
    assert_eq!(
        client.hear().await,
        said(json!({ "type": "complete", "id": "2" }))
    );
    // A place that is given back can be taken again.
    client.say(json!({ "id": "1", "type": "complete" })).await;
    assert_eq!(
        client.hear().await,
        said(json!({ "type": "complete", "id": "1" }))
    );
    client.subscribe("3", WATCH, &order_no).await;
    assert_eq!(client.state().await, "CREATED");
}

#[tokio::test]
async fn rights_hold_on_a_socket_as_well() {
    let world = World::new().await;
    let address = listen(&world).await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let mut beta = Client::introduced(address, BETA).await;
    beta.subscribe("1", WATCH, &order_no).await;
    assert_eq!(beta.refusal().await, "ORDER_NOT_FOUND");
    let mut nobody = open(address, &[PROTOCOL])
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
    nobody
        .say(json!({ "type": "connection_init", "payload": null }))
        .await;
    nobody.hear().await;
    nobody.subscribe("1", WATCH, &order_no).await;
    assert_eq!(nobody.refusal().await, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_socket_that_never_introduces_itself_is_closed() {
    let world = World::with(|options| {
        options.websocket_init_timeout = Duration::from_millis(20);
    })
    .await;
    let address = listen(&world).await;
    let mut client = open(address, &[PROTOCOL])
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(client.hear().await, Heard::Closed(4408));
}

/// One that is asked for a sign of life and stays silent is gone; one that answers stays.
#[tokio::test]
async fn a_silent_socket_is_given_up() {
    let world = World::with(|options| options.websocket_ping = Duration::from_millis(50)).await;
    let address = listen(&world).await;
    let silent = Client::introduced(address, ALPHA).await;
    let mut alive = Client::introduced(address, ALPHA).await;
    // Reading is what answers pings; the silent one does not read, and may be gone already.
    while world.api.0.sockets.len() > 1 {
        let message = alive.0.next().await.unwrap().unwrap();
        assert!(matches!(message, Message::Ping(_)), "{message:?}");
    }
    assert_eq!(world.api.0.sockets.len(), 1);
    alive.say(json!({ "type": "ping" })).await;
    assert_eq!(alive.hear().await, said(json!({ "type": "pong" })));
    drop(silent);
}

#[tokio::test]
async fn a_message_has_the_size_of_a_body() {
    let world = World::new().await;
    let address = listen(&world).await;
    let mut client = Client::introduced(address, ALPHA).await;
    let long = Message::text(" ".repeat(64 * 1024 + 1));
    client.0.send(long).await.unwrap();
    let end = client.0.next().await;
    assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
}

#[tokio::test]
async fn sockets_are_closed_when_the_program_stops() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = world.api.clone();
    let serving = tokio::spawn(async move { api.serve(listener).await });
    let mut client = Client::introduced(address, ALPHA).await;
    world.stop.cancel();
    assert_eq!(client.hear().await, Heard::Closed(1001));
    serving.await.unwrap().unwrap();
    assert_eq!(world.api.0.sockets.len(), 0);
}

/// A session opens a socket from a page of ours, and takes it along when it ends.
#[tokio::test]
async fn a_socket_ends_with_its_session() {
    use super::operators::{HOST, OWN_PAGE, add};
    let world = World::with(|o| o.websocket_ping = Duration::from_millis(20)).await;
    add(&world, "ann", crate::domain::operator::Role::Viewer).await;
    let cookie = world.log_in("ann").await;
    let address = listen(&world).await;
    let refused = async |headers: &[(&str, &str)]| {
        let opened = open(address, &[&[PROTOCOL], headers].concat()).await;
        opened.err().unwrap()
    };
    let (cookie, host) = (("cookie", cookie.as_str()), ("host", HOST));
    let forbidden = (403, "FORBIDDEN".to_owned());
    assert_eq!(refused(&[cookie, host]).await, forbidden);
    let elsewhere = ("origin", "https://evil.example");
    assert_eq!(refused(&[cookie, host, elsewhere]).await, forbidden);
    let bearer = format!("Bearer {VIEWER}");
    let own = ("origin", OWN_PAGE);
    let both = refused(&[cookie, host, own, ("authorization", &bearer)]).await;
    assert_eq!(both, (400, "BAD_REQUEST".to_owned()));

    let connect = async || {
        let opened = open(address, &[PROTOCOL, cookie, host, own]).await;
        opened.unwrap_or_else(|error| panic!("{error:?}"))
    };
    let mut second = connect().await;
    let payload = json!({ "authorization": bearer });
    second
        .say(json!({ "type": "connection_init", "payload": payload }))
        .await;
    assert_eq!(second.hear().await, Heard::Closed(4403), "not both");

    // From here on the socket is listened to all the time, so that it answers its pings.
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let mut socket = connect().await;
    socket.say(json!({ "type": "connection_init" })).await;
    assert_eq!(
        socket.hear().await,
        said(json!({ "type": "connection_ack" }))
    );
    socket.subscribe("1", WATCH, &order_no).await;
    assert_eq!(socket.state().await, "CREATED");
    world.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(socket.hear().await, Heard::Closed(4401));
}
