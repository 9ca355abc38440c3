//! WebSockets at `GET /graphql`, for subscriptions and nothing else: what moves money comes by POST,
//! where one request is one answer.
//!
//! The protocol is `graphql-transport-ws`. A socket has to introduce itself in time, answers a ping
//! now and then, carries so many subscriptions at most, and is closed when the program stops.

use super::desk::Caller;
use super::edge::Api;
use super::errors::{ErrorCode, UNAUTHENTICATED, finish};
use super::http::{EdgeError, check_origin};
use super::request_id::RequestId;
use async_graphql::http::{WebSocket as GraphqlSocket, WebSocketProtocols as Protocols, WsMessage};
use async_graphql::{Data, Executor, Request as GraphqlRequest, Response as GraphqlResponse};
use futures_util::stream::{self, BoxStream};
use futures_util::{SinkExt, Stream, StreamExt};
use poem::http::StatusCode;
use poem::http::header::{self, HeaderMap};
use poem::web::websocket::{CloseCode, Message, WebSocket, WebSocketConfig, WebSocketStream};
use poem::{FromRequest, IntoResponse, Request, Response};
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How many pings may go by without a sign of life.
const SILENT_MAX: u32 = 2;
/// How long one message may take to leave before the other end counts as gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a socket ends: a code of the protocol and its words.
type End = (u16, &'static str);

const GOING_AWAY: End = (1001, "the server stops");
const INVALID: End = (4400, "Invalid message");
const UNAUTHORIZED: End = (4401, "Unauthorized");
const FORBIDDEN: End = (4403, "Forbidden");
const INIT_TIMEOUT: End = (4408, "Connection initialisation timeout");
const TOO_MANY_INITS: End = (4429, "Too many initialisation requests");

impl Api {
    /// Answers a request to become a WebSocket.
    pub(super) async fn upgrade(&self, request: &Request, id: &RequestId) -> Response {
        match self.try_upgrade(request, id).await {
            Ok(response) => response,
            Err(refused) => refused.response(id),
        }
    }

    async fn try_upgrade(&self, request: &Request, id: &RequestId) -> Result<Response, EdgeError> {
        let headers = request.headers();
        check_origin(headers, &self.0.options.origins)?;
        check_protocol(headers)?;
        let known = self.who_calls(headers).await?;
        let place = self.0.socket_places.clone().try_acquire_owned();
        let place = place.map_err(|_| {
            let message = "too many WebSockets are open";
            EdgeError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Busy, message)
        })?;
        let socket = WebSocket::from_request_without_body(request).await;
        let socket = socket.map_err(|_| {
            let message = "this is not a well-formed request for a WebSocket";
            EdgeError::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, message)
        })?;
        let most = self.0.options.body_bytes_max;
        let config = WebSocketConfig::default()
            .max_message_size(Some(most))
            .max_frame_size(Some(most));
        let caller = Caller {
            principal: known.principal,
            visit: known.visit,
            request_id: id.clone(),
            pass: None,
        };
        let (api, counted) = (self.clone(), self.0.sockets.token());
        let upgraded = socket
            .protocols([Protocols::GraphQLWS.sec_websocket_protocol()])
            .config(config)
            .on_upgrade(move |stream| async move {
                let _kept = (place, counted);
                api.talk(stream, caller).await;
            });
        Ok(upgraded.into_response())
    }

    /// Carries a socket from its upgrade to its end.
    async fn talk(&self, socket: WebSocketStream, caller: Caller) {
        let signs = Signs::default();
        let (mut out, incoming) = socket.split();
        let visit = caller.visit.clone();
        let graphql = self.graphql(heard(incoming, &signs), caller, &signs);
        futures_util::pin_mut!(graphql);
        let mut ping = interval(self.0.options.websocket_ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        let init_deadline = tokio::time::sleep(self.0.options.websocket_init_timeout);
        futures_util::pin_mut!(init_deadline);
        let mut waits_for_init = true;
        loop {
            let message = tokio::select! {
                message = graphql.next() => match message {
                    Some(message) => outgoing(message),
                    None => break,
                },
                _ = ping.tick() => match signs.silent_for() {
                    SILENT_MAX.. => break,
                    _ if !self.still_holds(visit.as_deref()).await => close(UNAUTHORIZED),
                    _ => Message::Ping(Vec::new()),
                },
                () = &mut init_deadline, if waits_for_init => {
                    waits_for_init = false;
                    if signs.is_known() {
                        continue;
                    }
                    close(INIT_TIMEOUT)
                }
                () = self.0.stop.cancelled() => close(GOING_AWAY),
            };
            let is_last = message.is_close();
            match timeout(SEND_TIMEOUT, out.send(message)).await {
                Ok(Ok(())) if !is_last => {}
                _ => break,
            }
        }
        let _ = timeout(SEND_TIMEOUT, out.close()).await;
    }

    /// The protocol over what the socket hears.
    fn graphql(
        &self,
        heard: BoxStream<'static, String>,
        caller: Caller,
        signs: &Signs,
    ) -> impl Stream<Item = WsMessage> + use<> {
        let subscriptions = Subscriptions {
            api: self.clone(),
            id: caller.request_id.clone(),
            places: Arc::new(Semaphore::new(self.0.options.subscriptions_max)),
        };
        let (api, signs) = (self.clone(), signs.clone());
        GraphqlSocket::new(subscriptions, heard, Protocols::GraphQLWS).on_connection_init(
            move |payload| {
                signs.0.is_known.store(true, Ordering::Relaxed);
                ready(api.introduced(&payload, caller))
            },
        )
    }

    /// Who a socket is, by what it says about itself, else by the header it came with. Who came with a
    /// session says nothing about itself: it is a token or a session, not both.
    fn introduced(
        &self,
        payload: &serde_json::Value,
        from_header: Caller,
    ) -> async_graphql::Result<Data> {
        let caller = match payload.get("authorization") {
            None | Some(serde_json::Value::Null) => from_header,
            Some(given) => {
                let principal = given
                    .as_str()
                    .map(|text| self.0.tokens.principal(Some(text)));
                match principal {
                    Some(Ok(principal)) if from_header.visit.is_none() => Caller {
                        principal,
                        ..from_header
                    },
                    _ => return Err(async_graphql::Error::new(UNAUTHENTICATED)),
                }
            }
        };
        let mut data = Data::default();
        data.insert(caller);
        Ok(data)
    }
}

/// What is known of the other end.
#[derive(Clone, Default)]
struct Signs(Arc<SignsInner>);

#[derive(Default)]
struct SignsInner {
    is_known: AtomicBool,
    silent: AtomicU32,
}

impl Signs {
    fn is_known(&self) -> bool {
        self.0.is_known.load(Ordering::Relaxed)
    }

    /// How many pings have gone by without a sign of life, this one counted from now on.
    fn silent_for(&self) -> u32 {
        self.0.silent.fetch_add(1, Ordering::Relaxed)
    }
}

/// The texts that a socket hears; everything it hears is a sign of life.
fn heard(
    incoming: impl Stream<Item = std::io::Result<Message>> + Send + 'static,
    signs: &Signs,
) -> BoxStream<'static, String> {
    let signs = signs.clone();
    incoming
        .take_while(|message| ready(matches!(message, Ok(message) if !message.is_close())))
        .filter_map(move |message| {
            signs.0.silent.store(0, Ordering::Relaxed);
            ready(match message {
                Ok(Message::Text(text)) => Some(text),
                // No bytes are agreed; what is no JSON ends the socket.
                Ok(Message::Binary(_)) => Some(String::new()),
                _ => None,
            })
        })
        .boxed()
}

fn outgoing(message: WsMessage) -> Message {
    match message {
        WsMessage::Text(text) => Message::Text(text),
        WsMessage::Close(1002, reason) if reason == UNAUTHENTICATED => close(FORBIDDEN),
        // The decoder's words could repeat what was sent.
        WsMessage::Close(1002, _) => close(INVALID),
        WsMessage::Close(1011, _) => close(UNAUTHORIZED),
        WsMessage::Close(..) => close(TOO_MANY_INITS),
    }
}

fn close((code, reason): End) -> Message {
    Message::Close(Some((CloseCode::from(code), reason.to_owned())))
}

fn check_protocol(headers: &HeaderMap) -> Result<(), EdgeError> {
    let wanted = Protocols::GraphQLWS.sec_websocket_protocol();
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL);
    let offered = offered.and_then(|value| value.to_str().ok()).unwrap_or("");
    if offered.split(',').any(|one| one.trim() == wanted) {
        return Ok(());
    }
    let message = "a WebSocket has to speak graphql-transport-ws";
    Err(EdgeError::new(
        StatusCode::BAD_REQUEST,
        ErrorCode::BadRequest,
        message,
    ))
}

/// Runs the subscriptions of one socket.
#[derive(Clone)]
struct Subscriptions {
    api: Api,
    id: RequestId,
    places: Arc<Semaphore>,
}

impl Subscriptions {
    fn try_start(
        &self,
        mut request: GraphqlRequest,
        data: Option<Arc<Data>>,
    ) -> Result<BoxStream<'static, GraphqlResponse>, EdgeError> {
        let api = &self.api.0;
        let admitted = api.documents.admit(&request.query)?;
        if !admitted.only_subscribes {
            return Err(EdgeError::new(
                StatusCode::BAD_REQUEST,
                ErrorCode::BadRequest,
                "a WebSocket carries subscriptions only; send everything else by POST",
            ));
        }
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            let message = "this WebSocket carries as many subscriptions as it may";
            EdgeError::new(StatusCode::BAD_REQUEST, ErrorCode::Busy, message)
        })?;
        request.query = String::new();
        request.set_parsed_query(admitted.document.clone());
        let answers = api
            .schema
            .execute_stream_with_session_data(request, data.unwrap_or_default());
        let id = self.id.clone();
        let told = answers.map(move |mut response| {
            let _kept = &place;
            finish(&mut response, &id);
            response
        });
        Ok(told.boxed())
    }
}

impl Executor for Subscriptions {
    /// Never called by the protocol, which knows streams only.
    async fn execute(&self, _request: GraphqlRequest) -> GraphqlResponse {
        EdgeError::fault().graphql(&self.id)
    }

    fn execute_stream(
        &self,
        request: GraphqlRequest,
        data: Option<Arc<Data>>,
    ) -> BoxStream<'static, GraphqlResponse> {
        match self.try_start(request, data) {
            Ok(answers) => answers,
            Err(refused) => stream::once(ready(refused.graphql(&self.id))).boxed(),
        }
    }
}
