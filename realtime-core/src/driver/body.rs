//! An event stream as a response's body.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;

use super::{Timer, now};
use crate::{
    rejection::Rejection,
    sse::{Accepted, EventStream, Request},
    subscription::Subscribe,
};

/// The body of an event stream: gives the pending bytes in one piece, a heartbeat when it was silent
/// for long, and ends when the stream does.
#[derive(Debug)]
pub struct Body {
    stream: EventStream,
    timer: Timer,
}

impl Body {
    /// Subscribes and starts the stream.
    ///
    /// # Errors
    /// See [`Request::open`].
    pub fn open(
        request: Request,
        subscribe: impl Into<Subscribe>,
    ) -> Result<(Accepted, Self), Rejection> {
        let (accepted, stream) = request.open(subscribe, now())?;
        Ok((accepted, Self { stream, timer: Timer::default() }))
    }
}

impl Stream for Body {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        loop {
            let now = now();
            if let Poll::Ready(bytes) = this.stream.poll_next(cx, now) {
                return Poll::Ready(bytes);
            }
            if this.timer.poll(cx, this.stream.deadline(), now).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
