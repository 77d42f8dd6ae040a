#![allow(clippy::disallowed_methods, reason = "a test has a clock and tasks")]

use std::{sync::Arc, task::Waker, time::Duration};

use futures_util::FutureExt;
use realtime_testkit::sse::{Event as Seen, Parser};

use super::*;
use crate::{Event, Hub, LagLimit, Overflow, Position, Start, Subscribe, head::testing::Head};

mod losses;
mod stream;
mod wire;

/// A stream with its parser, polled at times that the test makes up.
struct Client {
    stream: EventStream,
    parser: Parser,
    start: Instant,
}

impl Client {
    fn open(hub: &Hub, request: impl Into<Subscribe>) -> Self {
        Self::with(hub, &Head::get(), request, |_| {})
    }

    fn with(
        hub: &Hub,
        head: &Head,
        request: impl Into<Subscribe>,
        configure: impl FnOnce(&mut SseConfig),
    ) -> Self {
        let start = Instant::now();
        let accepted = Request::let_in(hub, head).unwrap().configure(configure);
        let (_, stream) = accepted.open(request, start).unwrap();
        Self { stream, parser: Parser::new(), start }
    }

    /// The bytes that there are `after` the start; `None` when there are none.
    fn poll_at(&mut self, after: Duration) -> Option<Bytes> {
        let mut cx = Context::from_waker(Waker::noop());
        match self.stream.poll_next(&mut cx, self.start + after) {
            Poll::Ready(bytes) => Some(bytes.expect("the stream has ended")),
            Poll::Pending => None,
        }
    }

    fn poll(&mut self) -> Option<Bytes> {
        self.poll_at(Duration::ZERO)
    }

    /// The events in everything that there is.
    fn see(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        while !self.has_ended()
            && let Some(bytes) = self.poll()
        {
            assert!(!bytes.is_empty());
            seen.extend(self.parser.feed(&bytes));
        }
        seen
    }

    fn has_ended(&mut self) -> bool {
        self.stream.ended
    }
}

fn publish(hub: &Hub, topic: &str, event: Event) -> Position {
    hub.publish_at(topic, event, Instant::now()).now_or_never().unwrap().unwrap()
}

fn names(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|seen| &*seen.event).collect()
}
