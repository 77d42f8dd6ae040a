//! The one room that awaits time: everything else is told `now`.
//!
//! It joins state machines to the clock and to bytes: a [`Body`] for event streams, a
//! [`Connection`] for WebSockets over a byte stream that is read and written, a [`ByteStream`] for
//! frameworks that hand out chunks and take chunks, and [`Messages`] for sockets that a framework
//! has already made.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

mod admit;
mod api;
mod body;
mod byte_stream;
mod connection;
mod drain;
mod handler;
mod held;
#[cfg(feature = "jwt")]
mod jwt;
mod messages;
mod open;
mod write_deadline;

pub use admit::{Admitting, accept_event_stream, accept_websocket};
pub use body::Body;
pub use byte_stream::ByteStream;
pub use connection::Connection;
pub use handler::{BoxHandler, LocalBoxHandler, handler};
pub use messages::{Closed, MessageTransport, Messages, Outgoing};
pub use open::{Attached, after_accept_error, attach, open, open_with_socket};
pub use write_deadline::WriteDeadline;

/// How many rounds of reading and writing one poll does before it lets other tasks run.
const ROUNDS_PER_POLL: usize = 16;

/// The time: tokio's, so that tests may pause it.
#[expect(clippy::disallowed_methods, reason = "the one place where core reads a clock")]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A timer that is set again only when it has to ring earlier than it is set to.
///
/// Deadlines that move on with every frame heard would else cost a change of the runtime's timers
/// each; this way a connection that is never silent costs one ring per interval.
#[derive(Debug, Default)]
struct Timer {
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Timer {
    /// Whether it is set and is to ring by `deadline`, whoever it rings for.
    fn is_set_before(&self, deadline: Instant) -> bool {
        let deadline = tokio::time::Instant::from_std(deadline);
        self.sleep.as_ref().is_some_and(|it| !it.is_elapsed() && it.deadline() <= deadline)
    }

    /// Ready when `deadline` has passed; otherwise the task is woken no later than then.
    #[expect(clippy::disallowed_methods, reason = "the one place where core waits for time")]
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant, now: Instant) -> Poll<()> {
        if deadline <= now {
            return Poll::Ready(());
        }
        let deadline = tokio::time::Instant::from_std(deadline);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        loop {
            if deadline < sleep.deadline() {
                // Not a reset: where the deadline has passed since `now` was read, that would wake
                // from in here, while whoever is woken (`held`) holds its lock.
                sleep.set(tokio::time::sleep_until(deadline));
            }
            ready!(sleep.as_mut().poll(cx));
            // The clock may have passed the deadline since `now` was read.
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.set(tokio::time::sleep_until(deadline));
        }
    }
}

#[cfg(test)]
mod tests;
