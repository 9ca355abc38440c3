//! Faults on the wire: the connection between hyper and the socket, with a hand on the cable.
//!
//! hyper writes a good response; what reaches the caller is decided here. A fault is laid into the
//! connection's [`Slot`] just before the response is handed to hyper, and stays until the
//! connection ends: such a response always carries `connection: close`.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// What happens to the bytes of a response.
#[derive(Debug)]
pub(super) enum WireFault {
    /// So many of them are sent, then the connection is closed.
    CutAfter(usize),
    /// None is sent; the connection is reset.
    Reset,
    /// They are sent one by one, with a pause after each.
    Drip(Duration),
    /// These are sent instead, then the connection is closed.
    Instead(Bytes),
}

/// Where the server lays down the fault for the next response of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot(Arc<Mutex<Option<WireFault>>>);

impl Slot {
    /// From the next byte on, this happens.
    pub fn lay(&self, fault: WireFault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    fn take(&self) -> Option<WireFault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct FaultIo {
    stream: TcpStream,
    slot: Slot,
    fault: Option<WireFault>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl FaultIo {
    /// A sound connection, until a fault is laid into its slot.
    pub fn new(stream: TcpStream, slot: Slot) -> Self {
        Self {
            stream,
            slot,
            fault: None,
            pause: None,
        }
    }

    /// The end of the connection: hyper gives it up at this error and drops the socket.
    fn end<T>() -> Poll<io::Result<T>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn poll_drip(
        &mut self,
        cx: &mut Context<'_>,
        byte: &[u8],
        rest: Duration,
    ) -> Poll<io::Result<usize>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, byte))?;
        match &mut self.pause {
            Some(pause) => pause.as_mut().reset(Instant::now() + rest),
            None => self.pause = Some(Box::pin(sleep(rest))),
        }
        Poll::Ready(Ok(written))
    }
}

impl AsyncWrite for FaultIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.fault.is_none() {
            this.fault = this.slot.take();
        }
        let mut stream = Pin::new(&mut this.stream);
        match &mut this.fault {
            None => stream.poll_write(cx, bytes),
            Some(WireFault::CutAfter(0)) => Self::end(),
            Some(WireFault::CutAfter(left)) => {
                let some = bytes.get(..*left).unwrap_or(bytes);
                let written = ready!(stream.poll_write(cx, some))?;
                *left -= written;
                Poll::Ready(Ok(written))
            }
            Some(WireFault::Reset) => {
                this.stream.set_zero_linger()?;
                Self::end()
            }
            Some(WireFault::Drip(pause)) => {
                let pause = *pause;
                this.poll_drip(cx, bytes.get(..1).unwrap_or(bytes), pause)
            }
            Some(WireFault::Instead(left)) => {
                while !left.is_empty() {
                    let written = ready!(stream.as_mut().poll_write(cx, left))?;
                    drop(left.split_to(written));
                }
                Self::end()
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl AsyncRead for FaultIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}
