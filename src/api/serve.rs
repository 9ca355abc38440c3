//! The listener: connections, their time-outs, and their end.
//!
//! HTTP/1.1 over hyper itself, because a server at a bank's edge needs what the framework's own
//! server does not set: a time-out for the head of a request (which ends idle connections too), a
//! bound on its size, and a bound on connections. TLS and HTTP/2 end at the gateway before it.

use super::edge::Api;
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

impl Api {
    /// Serves until the program stops, then finishes the open requests, within the time that the
    /// options give them.
    ///
    /// # Errors
    /// Only if the listener cannot tell its own address.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let local = listener.local_addr()?;
        let places = Arc::new(Semaphore::new(self.0.options.connections_max));
        let connections = TaskTracker::new();
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
                    let api = self.clone();
                    connections.spawn(async move {
                        let _place = place;
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

    async fn connection(&self, stream: TcpStream, local: SocketAddr, remote: SocketAddr) {
        // Answers are small and written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
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
