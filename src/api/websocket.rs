//! WebSockets at `GET /graphql`, for subscriptions and nothing else: what moves money comes by POST,
//! where one request is one answer.
//!
//! The protocol is `graphql-transport-ws`. A socket has to introduce itself in time, answers a ping
//! now and then, carries so many subscriptions at most, and is closed when the program stops, or when
//! what it came in by counts no more: its session, or the key that signed its upgrade. Every message
//! counts like a request.

use super::desk::Caller;
use super::edge::Api;
use super::errors::{ErrorCode, UNAUTHENTICATED, finish};
use super::http::{EdgeError, check_origin};
use super::limits::{CallerAddress, Limit, Limited};
use super::request_id::RequestId;
use super::session::Known;
use super::signed::{Signed, is_signed};
use crate::engine::{Admittance, Visit};
use async_graphql::http::{WebSocket as GraphqlSocket, WebSocketProtocols as Protocols, WsMessage};
use async_graphql::{Data, Executor, Request as GraphqlRequest, Response as GraphqlResponse};
use futures_util::stream::{self, BoxStream};
use futures_util::{SinkExt, Stream, StreamExt};
use poem::http::StatusCode;
use poem::http::header::{self, HeaderMap};
use poem::web::websocket::{CloseCode, Message, WebSocket, WebSocketConfig, WebSocketStream};
use poem::{FromRequest, IntoResponse, Request, Response};
use std::any::TypeId;
use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How many pings may go by without a sign of life.
const SILENT_MAX: u32 = 2;
/// How long one message may take to leave before the other end counts as gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// When an address that has as many WebSockets as it may should ask again.
const SEAT_AGAIN: Duration = Duration::from_secs(30);
/// "Try again later", by the registry of close codes.
const AGAIN_LATER: u16 = 1013;

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
        let address = self.origin(request);
        match self.try_upgrade(request, id, address).await {
            Ok(response) => response,
            Err(refused) => {
                self.count_refused(&refused, address);
                refused.response(id)
            }
        }
    }

    async fn try_upgrade(
        &self,
        request: &Request,
        id: &RequestId,
        address: CallerAddress,
    ) -> Result<Response, EdgeError> {
        let headers = request.headers();
        check_origin(headers, &self.0.options.origins)?;
        check_protocol(headers)?;
        let (known, standing) = self.who_upgrades(request).await?;
        let counted = self.0.limits.call(&known.principal);
        counted.map_err(EdgeError::limited)?;
        let seat = self
            .0
            .socket_seats
            .take(address)
            .ok_or_else(|| EdgeError::limited(Limited::new(Limit::WebSockets, SEAT_AGAIN)))?;
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
            address,
        };
        let (api, counted) = (self.clone(), self.0.sockets.token());
        let upgraded = socket
            .protocols([Protocols::GraphQLWS.sec_websocket_protocol()])
            .config(config)
            .on_upgrade(move |stream| async move {
                let _kept = (place, seat, counted);
                api.talk(stream, caller, standing).await;
            });
        Ok(upgraded.into_response())
    }

    /// Who asks for a socket: by a signature over the request, which has no body, or as for a POST.
    async fn who_upgrades(&self, request: &Request) -> Result<(Known, Standing), EdgeError> {
        if is_signed(request.headers()) {
            let (principal, admittance) = Signed::of(self, request, b"").recognise(self).await?;
            self.let_in(Some(&admittance.pass)).await?;
            let standing = Standing::Key(Arc::new(admittance));
            return Ok((Known::without_session(principal), standing));
        }
        let known = self.who_calls(request.headers()).await?;
        let standing = match &known.visit {
            Some(visit) => Standing::Session(visit.clone()),
            None => Standing::Alone,
        };
        Ok((known, standing))
    }

    /// Whether what a socket came in by still counts.
    async fn stands(&self, standing: &Standing) -> bool {
        match standing {
            Standing::Alone => true,
            Standing::Session(visit) => self.still_holds(visit).await,
            Standing::Key(admittance) => match self.0.engine.still_admits(admittance).await {
                Ok(stands) => stands,
                Err(error) => {
                    tracing::error!(%error, "a key cannot be read");
                    false
                }
            },
        }
    }

    /// Carries a socket from its upgrade to its end.
    async fn talk(&self, socket: WebSocketStream, caller: Caller, standing: Standing) {
        let signs = Signs::default();
        let (mut out, incoming) = socket.split();
        let heard = self.heard(incoming, caller.address, &signs);
        let graphql = self.graphql(heard, (caller, standing.clone()), &signs);
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
                    None => match signs.0.limited.get() {
                        Some(limited) => close((AGAIN_LATER, &limited.message())),
                        None => break,
                    },
                },
                _ = ping.tick() => match signs.silent_for() {
                    SILENT_MAX.. => break,
                    _ if !self.stands(&standing).await => close(UNAUTHORIZED),
                    _ => {
                        // However long the database took over that, the other end has its time to answer.
                        ping.reset();
                        Message::Ping(Vec::new())
                    }
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
        (caller, standing): (Caller, Standing),
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
                ready(api.introduced(&payload, caller, &standing))
            },
        )
    }

    /// Who a socket is, by what it says about itself, else by the header it came with. Who came with a
    /// session or a signature says nothing about itself: it is one of the three, not two.
    fn introduced(
        &self,
        payload: &serde_json::Value,
        from_header: Caller,
        standing: &Standing,
    ) -> async_graphql::Result<Data> {
        let caller = match payload.get("authorization") {
            None | Some(serde_json::Value::Null) => from_header,
            Some(given) => {
                let principal = given
                    .as_str()
                    .map(|text| self.0.tokens.principal(Some(text)));
                match principal {
                    Some(Ok(principal)) if matches!(standing, Standing::Alone) => Caller {
                        principal,
                        ..from_header
                    },
                    _ => {
                        self.0.limits.refuse(from_header.address);
                        return Err(async_graphql::Error::new(UNAUTHENTICATED));
                    }
                }
            }
        };
        let mut data = Data::default();
        data.insert(caller);
        Ok(data)
    }

    /// The texts that a socket hears; everything it hears is a sign of life, and counts like a request
    /// but for the answers to our own pings. One that says too much hears nothing more.
    fn heard(
        &self,
        incoming: impl Stream<Item = std::io::Result<Message>> + Send + 'static,
        address: CallerAddress,
        signs: &Signs,
    ) -> BoxStream<'static, String> {
        let (limits, alive, full) = (self.0.limits.clone(), signs.clone(), signs.clone());
        incoming
            .take_while(move |message| {
                ready(match message {
                    Err(_) | Ok(Message::Close(_)) => false,
                    Ok(Message::Pong(_)) => true,
                    Ok(_) => match limits.arrive(address) {
                        Ok(()) => true,
                        Err(limited) => {
                            full.0.limited.get_or_init(|| limited);
                            false
                        }
                    },
                })
            })
            .filter_map(move |message| {
                alive.0.silent.store(0, Ordering::Relaxed);
                ready(match message {
                    Ok(Message::Text(text)) => Some(text),
                    // No bytes are agreed; what is no JSON ends the socket.
                    Ok(Message::Binary(_)) => Some(String::new()),
                    _ => None,
                })
            })
            .boxed()
    }
}

/// What a socket came in by: it ends when that counts no more.
#[derive(Clone)]
enum Standing {
    /// A token of the settings, or nothing yet.
    Alone,
    /// A browser's session.
    Session(Arc<Visit>),
    /// A merchant's key, which signed the upgrade.
    Key(Arc<Admittance>),
}

/// What is known of the other end.
#[derive(Clone, Default)]
struct Signs(Arc<SignsInner>);

#[derive(Default)]
struct SignsInner {
    is_known: AtomicBool,
    silent: AtomicU32,
    /// Why it is not heard any more.
    limited: OnceLock<Limited>,
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

fn close((code, reason): (u16, &str)) -> Message {
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
        let data = data.unwrap_or_default();
        let caller = data.get(&TypeId::of::<Caller>());
        if let Some(caller) = caller.and_then(|caller| caller.downcast_ref::<Caller>()) {
            let counted = api.limits.call(&caller.principal);
            counted.map_err(EdgeError::limited)?;
        }
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            let message = "this WebSocket carries as many subscriptions as it may";
            EdgeError::new(StatusCode::BAD_REQUEST, ErrorCode::Busy, message)
        })?;
        request.query = String::new();
        request.set_parsed_query(admitted.document.clone());
        let answers = api.schema.execute_stream_with_session_data(request, data);
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
