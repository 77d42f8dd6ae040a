//! The one room that awaits time: everything else is told `now`.
//!
//! It joins state machines to the clock and to bytes: a [`Body`] for event streams, a
//! [`Connection`] for WebSockets over a byte stream that is read and written, a [`ByteStream`] for
//! frameworks that hand out chunks and take chunks, and [`Messages`] for sockets that a framework
//! has already made.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Instant,
};

use tokio::task::coop::unconstrained;

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

/// A timer that rings at its deadline, however often that is moved.
///
/// To move it on costs the runtime an atomic operation, and the timer its place only when it would have
/// rung. To let it ring too early and look would cost an idle connection a second ring per interval.
#[derive(Debug, Default)]
struct Timer {
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    /// For whom it rings, by the waker's address: it lies with the timer, and as long as it does the
    /// address is nobody else's. 0 for nobody.
    rings_for: usize,
    /// When it rings.
    deadline: Option<Instant>,
}

impl Timer {
    /// Whether it is set and is to ring by `deadline`, whoever it rings for.
    fn is_set_before(&self, deadline: Instant) -> bool {
        let deadline = tokio::time::Instant::from_std(deadline);
        self.sleep.as_ref().is_some_and(|it| !it.is_elapsed() && it.deadline() <= deadline)
    }

    /// Whether it is set and is to ring at `deadline`, whoever it rings for.
    fn is_set_to(&self, deadline: Instant) -> bool {
        let deadline = tokio::time::Instant::from_std(deadline);
        self.sleep.as_ref().is_some_and(|it| !it.is_elapsed() && it.deadline() == deadline)
    }

    /// Ready when `deadline` has passed; otherwise the task is woken then.
    #[expect(clippy::disallowed_methods, reason = "the one place where core waits for time")]
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant, now: Instant) -> Poll<()> {
        if deadline <= now {
            return Poll::Ready(());
        }
        let address = cx.waker().data() as usize;
        // Tokio rings no earlier than at the deadline, so until then it has kept the waker.
        if self.deadline == Some(deadline) && self.rings_for == address && address != 0 {
            return Poll::Pending;
        }
        (self.deadline, self.rings_for) = (Some(deadline), address);
        let deadline = tokio::time::Instant::from_std(deadline);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        // The clock may have passed the deadline since `now` was read. A handler may have used up what
        // tokio lets a task do in one poll: then it would not take the waker, and has to.
        let polled = pin!(unconstrained(sleep.as_mut())).poll(cx);
        if polled.is_ready() {
            self.rings_for = 0;
        }
        polled
    }
}

#[cfg(test)]
mod tests;
