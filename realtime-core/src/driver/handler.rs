//! A user's handler as part of its connection.

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use crate::ws::{CloseCause, Outcome};

/// A handler that may move between threads.
pub type BoxHandler = Pin<Box<dyn Future<Output = CloseCause> + Send>>;

/// A handler that stays on its thread.
pub type LocalBoxHandler = Pin<Box<dyn Future<Output = CloseCause>>>;

/// Turns a handler's future into one that ends with the cause to close with.
pub async fn handler<F>(future: F) -> CloseCause
where
    F: Future<Output: Outcome>,
{
    future.await.into_cause()
}

/// A handler while it runs; gone when it has ended.
pub(super) struct Running<H>(Option<H>);

impl<H: Future<Output = CloseCause> + Unpin> Running<H> {
    pub(super) fn new(handler: Option<H>) -> Self {
        Self(handler)
    }

    /// Ready, once, with the cause to close with; a panic is one.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseCause> {
        let Some(handler) = &mut self.0 else { return Poll::Pending };
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
        let handler = self.0.take();
        // Dropping it runs user code as well.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(handler)));
    }
}

impl<H> fmt::Debug for Running<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Running").field(&self.0.is_some()).finish()
    }
}
