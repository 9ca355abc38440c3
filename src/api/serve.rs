//! The listener: connections, their time-outs, and their end.
//!
//! HTTP/1.1 over hyper itself, because a server at a bank's edge needs what the framework's own
//! server does not set: a time-out for the head of a request (which ends idle connections too) and for
//! taking the answer, a bound on the head's size, and bounds on connections, in all and of one address.
//! TLS and HTTP/2 end at the gateway before it.

use super::edge::Api;
use super::limits::{CallerAddress, Limit, Seat, Seats, is_trusted};
use super::unread::Impatient;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// How many bytes the head of a request may have.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// How many headers a request may have.
const HEADERS_MAX: usize = 64;
/// How long to wait after a connection could not be accepted, so that a full table of files does
/// not become a full processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often the limits forget whoever has been quiet.
const TIDY_EVERY: Duration = Duration::from_secs(30);

impl Api {
    /// Serves until the program stops, then finishes the open requests, within the time that the
    /// options give them.
    ///
    /// # Errors
    /// Only if the listener cannot tell its own address.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let local = listener.local_addr()?;
        let places = Arc::new(Semaphore::new(self.0.options.connections_max));
        let seats = Seats::new(self.0.options.connections_per_address);
        let connections = TaskTracker::new();
        self.keep_tidy();
        loop {
            // A place first: who is not accepted waits in the system's own queue.
            let accepted = tokio::select! {
                accepted = async {
                    let place = places.clone().acquire_owned().await;
                    (place, listener.accept().await)
                } => accepted,
                () = self.0.stop.cancelled() => break,
            };
            match accepted {
                (Ok(place), Ok((stream, remote))) => {
                    let Some(seat) = self.seat(&seats, remote) else {
                        continue;
                    };
                    let api = self.clone();
                    connections.spawn(async move {
                        let _kept = (place, seat);
                        api.connection(stream, local, remote).await;
                    });
                }
                (_, refused) => {
                    if let Err(error) = refused {
                        tracing::warn!(%error, "a connection could not be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        connections.close();
        self.0.sockets.close();
        let all_done = async {
            connections.wait().await;
            self.0.sockets.wait().await;
        };
        if tokio::time::timeout(self.0.options.drain, all_done)
            .await
            .is_err()
        {
            tracing::warn!(
                open = connections.len(),
                "requests were cut off at the stop"
            );
        }
        Ok(())
    }

    /// A seat for a connection; none where the address has as many as it may. A proxy of ours brings
    /// everybody's, and needs none.
    fn seat(&self, seats: &Seats, remote: SocketAddr) -> Option<Option<Seat>> {
        if is_trusted(remote.ip(), &self.0.options.trusted_proxies) {
            return Some(None);
        }
        let seat = seats.take(CallerAddress::of(remote.ip()));
        if seat.is_none() {
            Limit::Connections.met();
        }
        seat.map(Some)
    }

    /// Has the limits forget, now and then, whoever has been quiet.
    fn keep_tidy(&self) {
        let limits = self.0.limits.clone();
        let tidying = async move {
            loop {
                tokio::time::sleep(TIDY_EVERY).await;
                limits.tidy();
            }
        };
        tokio::spawn(self.0.stop.clone().run_until_cancelled_owned(tidying));
    }

    async fn connection(&self, stream: TcpStream, local: SocketAddr, remote: SocketAddr) {
        // Answers are small and written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let stream = Impatient::new(stream, self.0.options.write_timeout);
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let addresses = (
                LocalAddr(Addr::SocketAddr(local)),
                RemoteAddr(Addr::SocketAddr(remote)),
            );
            let api = self.clone();
            async move {
                let request = (request, addresses.0, addresses.1, Scheme::HTTP).into();
                let response = api.get_response(request).await;
                Ok::<hyper::Response<_>, Infallible>(response.into())
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.0.options.header_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        futures_util::pin_mut!(connection);
        tokio::select! {
            ended = &mut connection => {
                // Whatever the other end did, it is its own affair and no fault of ours.
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = self.0.stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
