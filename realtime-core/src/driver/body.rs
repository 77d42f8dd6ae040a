//! An event stream as a response's body.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use futures_core::Stream;

use super::held::{Held, Holds};
use crate::{
    rejection::Rejection,
    sse::{Accepted, EventStream, Request},
    subscription::Subscribe,
};

/// The body of an event stream: gives the pending bytes in one piece, a heartbeat when it was silent
/// for long, and ends when the stream does.
///
/// When the framework has not come back for more within
/// [`Limits::stall_deadline`](crate::Limits::stall_deadline), or the subscription lags past its limit
/// meanwhile, what the stream holds is given back, though the body still lies with the framework; it
/// has ended then.
///
/// # Cancel safety
/// No chunk is lost when a future for the next one is dropped. Dropping the body ends the stream; all that
/// it held is given back.
#[derive(Debug)]
pub struct Body(Held<EventStream>);

impl Body {
    /// Subscribes and starts the stream.
    ///
    /// # Errors
    /// See [`Request::open`].
    pub fn open(
        request: Request,
        subscribe: impl Into<Subscribe>,
    ) -> Result<(Accepted, Self), Rejection> {
        let (accepted, stream) = request.open(subscribe, super::now())?;
        let stall_deadline = stream.hub().config().limits.stall_deadline;
        Ok((accepted, Self(Held::new(stream, stall_deadline))))
    }
}

impl Stream for Body {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll(cx, EventStream::poll_next)
    }
}

impl Holds for EventStream {
    fn deadline(&self, _: Instant) -> Instant {
        self.deadline()
    }

    fn hold(&mut self, waker: &Waker) {
        self.hold(waker);
    }

    fn is_due(&self, now: Instant) -> bool {
        self.is_cut() || self.is_lagging(now)
    }

    fn give_up(&mut self, now: Instant) {
        self.give_up(now);
    }
}

#[cfg(test)]
impl Body {
    /// Tells whether anything of it is left.
    pub(super) fn watch(&self) -> impl Fn() -> bool + use<> {
        self.0.watch()
    }
}
