//! A connection whose other end has to take what it is sent.
//!
//! hyper waits for ever for a client that asks and does not read the answer; such a client would hold
//! its place until the program stops. Here the time runs from the first byte that cannot leave to the
//! end of the answer, so that taking it byte by byte is not enough either.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection that is given up when an answer is not taken in time.
pub(super) struct Impatient<S> {
    stream: S,
    most: Duration,
    /// Runs while something waits to leave.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    /// A connection with at most so much time for an answer that does not leave at once.
    pub fn new(stream: S, most: Duration) -> Self {
        Self {
            stream,
            most,
            deadline: None,
        }
    }

    /// What becomes of something that cannot leave now.
    fn waits<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let most = self.most;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(most)));
        deadline
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Pending => self.waits(cx),
            left => left,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(cx, bytes) {
            Poll::Pending => self.waits(cx),
            left => left,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when everything was handed over: the answer has left, and the time ends.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => self.waits(cx),
            Poll::Ready(flushed) => {
                self.deadline = None;
                Poll::Ready(flushed)
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending => self.waits(cx),
            ended => ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::interval;

    /// Progress alone is not enough: the answer has to be taken in time.
    #[tokio::test]
    async fn an_answer_that_is_taken_byte_by_byte_is_given_up() {
        let (ours, mut theirs) = duplex(8);
        let mut ours = Impatient::new(ours, Duration::from_millis(50));
        let dripping = async move {
            let mut pace = interval(Duration::from_millis(2));
            let mut taken = 0;
            while theirs.read_u8().await.is_ok() {
                taken += 1;
                pace.tick().await;
            }
            taken
        };
        let writing = async move {
            let written = ours.write_all(&[0; 100_000]).await;
            written.unwrap_err().kind()
        };
        let (taken, kind) = tokio::join!(dripping, writing);
        assert_eq!(kind, io::ErrorKind::TimedOut);
        assert!((1..100_000).contains(&taken), "{taken}");
    }

    /// Each answer has a time of its own.
    #[tokio::test]
    async fn an_answer_that_is_taken_starts_the_time_anew() {
        let (ours, mut theirs) = duplex(8);
        let mut ours = Impatient::new(ours, Duration::from_secs(3_600));
        for _ in 0..3 {
            let mut taken = [0; 64];
            let (read, written) =
                tokio::join!(theirs.read_exact(&mut taken), ours.write_all(&[7; 64]));
            assert!(read.is_ok() && written.is_ok());
            assert!(ours.deadline.is_some(), "it had to wait");
            ours.flush().await.unwrap();
            assert!(ours.deadline.is_none());
        }
    }
}
