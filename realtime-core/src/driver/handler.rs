//! A user's handler as part of its connection.

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use super::admit::Identifying;
use crate::ws::{CloseCause, Outcome, Session, Socket};

/// A handler that may move between threads.
pub type BoxHandler = Pin<Box<dyn Future<Output = CloseCause> + Send>>;

/// A handler that stays on its thread.
pub type LocalBoxHandler = Pin<Box<dyn Future<Output = CloseCause>>>;

/// Calls a handler, when this is first polled, and gives the cause to close with when it has ended.
///
/// # Cancel safety
/// Dropping this drops the handler where it waits, or unless it was polled does not call it.
pub async fn handler<F, R>(handler: F, socket: Socket) -> CloseCause
where
    F: FnOnce(Socket) -> R,
    R: Future<Output: Outcome>,
{
    handler(socket).await.into_cause()
}

/// A handler while it runs, gone when it has ended.
pub(super) struct Running<H> {
    handler: Option<H>,
}

impl<H: Future<Output = CloseCause> + Unpin> Running<H> {
    pub(super) fn new(handler: Option<H>) -> Self {
        Self { handler }
    }

    /// Lets what is to run beside the session run: the check of who its peer is, and once that is
    /// known, the handler.
    pub(super) fn run(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        identifying: &mut Identifying,
        now: Instant,
    ) {
        identifying.poll(cx, session, now);
        if session.is_admitted()
            && let Poll::Ready(cause) = self.poll(cx)
        {
            session.handler_ended(cause, now);
        }
    }

    /// Ready, once, with the cause to close with; a panic is one.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseCause> {
        let Some(handler) = &mut self.handler else { return Poll::Pending };
        // A handler that panicked is dropped and never looked at again.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(handler).poll(cx)));
        let cause = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(cause)) => cause,
            Err(_) => {
                tracing::error!("a WebSocket handler panicked; its connection closes with 1011");
                CloseCause::HandlerFailed
            }
        };
        self.stop();
        Poll::Ready(cause)
    }

    /// Drops the handler.
    pub(super) fn stop(&mut self) {
        let handler = self.handler.take();
        // Dropping it runs user code as well.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(handler)));
    }
}

impl<H> fmt::Debug for Running<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("handler", &self.handler.is_some()).finish_non_exhaustive()
    }
}
