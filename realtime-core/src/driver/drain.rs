//! Draining a hub at the time of now.

use std::{
    future::{Future, poll_fn, ready},
    pin::pin,
    task::Poll,
};

use super::now;
use crate::{drain::DrainReport, hub::Hub};

impl Hub {
    /// Lets all connections go, as [`Config::drain`](crate::Config::drain) says, and tells what became
    /// of them.
    ///
    /// From its beginning on, new connections are refused: with 503 and `Retry-After`, or where the
    /// client is an `EventSource`, which would give up for good, with a stream that tells it when to come
    /// back. Those that are there are closed one after the other, at most so many per second: a
    /// WebSocket with 1012 and the reason `retry=<ms>`, an event stream with its `retry` and
    /// `realtime.bye`. Whoever is still there at the deadline is cut. Events that are published until
    /// then reach who is still there; after it, [`publish`](Self::publish) is an error.
    ///
    /// A hub is drained once: a second call waits for the same end.
    ///
    /// # Cancel safety
    /// The drain goes on when this is dropped, but nobody is cut at its deadline.
    pub async fn drain(&self) -> DrainReport {
        self.drain_beside(ready(())).await
    }

    /// The same as [`drain`](Self::drain), which in addition waits for `beside`, such as what else a
    /// server has to finish, no longer than until the same deadline, also if another call of `drain` is
    /// done before.
    ///
    /// # Cancel safety
    /// See [`drain`](Self::drain).
    pub async fn drain_beside(&self, beside: impl Future<Output = ()>) -> DrainReport {
        self.start_drain();
        let draining = self.permits().draining();
        let until = draining.begin(&self.config().drain, now());
        let waiter = draining.wait();
        let mut beside = pin!(beside);
        let mut is_beside_done = false;
        let both = poll_fn(|cx| {
            is_beside_done = is_beside_done || beside.as_mut().poll(cx).is_ready();
            // Both are also asked when that is not done: somebody may end the drain.
            let gone = waiter.poll_gone(cx);
            let is_done = gone.is_ready() && is_beside_done;
            if is_done { Poll::Ready(()) } else { waiter.poll_ended(cx) }
        });
        #[expect(clippy::disallowed_methods, reason = "the one place where core waits for time")]
        match tokio::time::timeout_at(until.into(), both).await {
            Ok(()) => draining.gone(now()),
            Err(_) => self.end_drain(),
        }
    }

    /// Runs `server` until it is done, or until a drain has been ended by its deadline or by
    /// [`end_drain`](Self::end_drain): then the server is dropped with what it still has, and there is
    /// `None`. It does not begin a drain.
    ///
    /// It is for servers whose own graceful shutdown knows no end before all clients have gone, or none
    /// that can be changed once it has begun.
    ///
    /// # Cancel safety
    /// Dropping this drops `server`, and nothing else.
    pub async fn run_until_drained<T>(&self, server: impl Future<Output = T>) -> Option<T> {
        let waiter = self.permits().draining().wait();
        let mut server = pin!(server);
        // Whoever drains may be done long before the deadline, when no connection of the hub's is left.
        #[expect(clippy::disallowed_methods, reason = "the one place where core waits for time")]
        let mut ended = pin!(async {
            let until = poll_fn(|cx| waiter.poll_begun(cx)).await;
            let ended = poll_fn(|cx| waiter.poll_ended(cx));
            let _ = tokio::time::timeout_at(until.into(), ended).await;
            self.end_drain();
        });
        poll_fn(|cx| match server.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => ended.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    /// Begins a [`drain`](Self::drain) and does not wait for its end, which somebody else is to do.
    /// Nothing changes when one has begun.
    pub fn start_drain(&self) {
        self.permits().draining().begin(&self.config().drain, now());
    }

    /// Ends a drain at once, begun or not: whoever is still there is cut, and nothing beside is waited for
    /// any more. Tells what became of the connections.
    pub fn end_drain(&self) -> DrainReport {
        self.permits().draining().end(now())
    }

    /// Whether a drain has begun: then this process should be sent nothing more.
    pub fn is_draining(&self) -> bool {
        self.permits().draining().has_begun()
    }
}
