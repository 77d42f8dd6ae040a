//! A bound on how long a peer may take nothing.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Timer, now};
use crate::lifetime::later;

/// IO whose writes fail when the peer has taken no byte for the length of a deadline.
///
/// No framework has such a bound, and a response's body can't have one of its own: while the socket
/// takes nothing, nobody asks the body. So it lies below the framework, where writes are seen. It
/// costs a timer only while a write is pending.
///
/// A write, flush or shutdown that was pending for the deadline fails with
/// [`io::ErrorKind::TimedOut`], and so does every one after it.
#[derive(Debug)]
pub struct WriteDeadline<T> {
    io: T,
    deadline: Duration,
    pending_since: Option<Instant>,
    timer: Option<Timer>,
    is_over: bool,
}

impl<T> WriteDeadline<T> {
    /// Bounds how long writes to `io` may be pending. [`Duration::MAX`] stands for ever.
    pub fn new(io: T, deadline: Duration) -> Self {
        Self { io, deadline, pending_since: None, timer: None, is_over: false }
    }

    /// The IO without a deadline.
    pub fn into_inner(self) -> T {
        self.io
    }

    /// The IO.
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    fn bound<R>(
        &mut self,
        cx: &mut Context<'_>,
        attempt: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>>
    where
        T: Unpin,
    {
        if self.is_over {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if let Poll::Ready(done) = attempt(Pin::new(&mut self.io), cx) {
            self.pending_since = None;
            self.timer = None;
            return Poll::Ready(done);
        }
        let now = now();
        let until = later(*self.pending_since.get_or_insert(now), self.deadline);
        let timer = self.timer.get_or_insert_default();
        if timer.poll(cx, until, now).is_pending() {
            return Poll::Pending;
        }
        self.is_over = true;
        self.timer = None;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WriteDeadline<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.bound(cx, |io, cx| io.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bound(cx, |io, cx| io.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bound(cx, |io, cx| io.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.bound(cx, |io, cx| io.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
