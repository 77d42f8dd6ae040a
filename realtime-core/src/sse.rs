//! Server-Sent Events (WHATWG HTML, "Server-sent events"): encoding, the stream, the endpoint.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    config::SseConfig,
    head::{RequestHead, last_event_id},
    hub::Hub,
    limits::{Permit, Transport},
    log::{Entry, Log},
    position::{LastEventId, LastEventIdError},
    rejection::Rejection,
    stats::add,
    subscription::{Delivery, Subscribe, Subscription, Take},
};

mod block;
mod encode;

pub use crate::config::BinaryData;
pub use block::{Block, BlockIdError};

/// The headers of a stream's response, to be sent with status 200.
///
/// `no-store`, because Chromium lets a cacheable response run tens of MB ahead of a page that does not
/// read it, and a slow client would not be seen. `no-transform` and `identity` keep compressing
/// middleware and proxies from holding events back, `X-Accel-Buffering` does so for nginx.
pub const RESPONSE_HEADERS: [(&str, &str); 4] = [
    ("content-type", "text/event-stream"),
    ("cache-control", "no-store, no-transform"),
    ("content-encoding", "identity"),
    ("x-accel-buffering", "no"),
];

/// A stream that gives so much at once adds no more events to it.
const CHUNK_BYTES: usize = 64 * 1024;

/// A request for a stream that has passed admission; what the adapters' extractors hold.
#[derive(Debug)]
pub struct Request {
    hub: Hub,
    config: SseConfig,
    after: Option<Result<LastEventId, LastEventIdError>>,
    is_event_source: bool,
    permit: Permit,
}

impl Request {
    /// Lets a request in, or says why not.
    ///
    /// # Errors
    /// A [`Rejection`]: 405 for a method but GET, 503 when too many connections are open (a browser
    /// gets an empty stream instead, which it retries).
    pub fn accept(hub: &Hub, head: &impl RequestHead) -> Result<Self, Rejection> {
        let accept = || {
            if head.method() != "GET" {
                return Err(Rejection::new(405, "an event stream is read with GET")
                    .with_header("allow", "GET"));
            }
            let is_event_source = is_event_source(head);
            let config = hub.config().sse;
            let admitted = hub.admit(Transport::Sse);
            let permit =
                admitted.map_err(|full| survivable(full.into(), is_event_source, &config))?;
            Ok(Self {
                hub: hub.clone(),
                config,
                after: last_event_id(head),
                is_event_source,
                permit,
            })
        };
        accept().inspect_err(|_| add(&hub.counters().rejected, 1))
    }

    /// The hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Changes the configuration for this stream.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut SseConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Subscribes, at the time `now`, and starts the stream. The client's id, if it sent one, is
    /// resumed after.
    ///
    /// # Errors
    /// A [`Rejection`]: 400 for bad topics, 503 when the hub's table is full (a browser gets an empty
    /// stream instead, which it retries).
    pub fn open(
        self,
        request: impl Into<Subscribe>,
        now: Instant,
    ) -> Result<EventStream, Rejection> {
        let request = request.into().or_after(self.after);
        let subscription = self.hub.subscribe_at(request, now).map_err(|error| {
            add(&self.hub.counters().rejected, 1);
            survivable(error.into(), self.is_event_source, &self.config)
        })?;
        Ok(EventStream::new(subscription, self.config, self.permit, now))
    }
}

/// A stream's state machine: bytes out of a subscription, and heartbeats by the time that it is
/// told.
#[derive(Debug)]
pub struct EventStream {
    subscription: Subscription,
    config: SseConfig,
    heartbeat_at: Instant,
    preamble: Option<Bytes>,
    ended: bool,
    _permit: Permit,
}

impl EventStream {
    fn new(subscription: Subscription, config: SseConfig, permit: Permit, now: Instant) -> Self {
        let preamble =
            Some(encode::preamble(jittered_retry(&config), subscription.last_event_id()));
        let heartbeat_at = later(now, config.heartbeat);
        Self { subscription, config, heartbeat_at, preamble, ended: false, _permit: permit }
    }

    /// When [`poll_next`](Self::poll_next) wants to be called again though no event wakes it.
    pub fn deadline(&self) -> Instant {
        self.heartbeat_at
    }

    /// The next bytes: everything that is pending in one piece, up to 64 KiB and one event. `None`
    /// when the stream has ended.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Option<Bytes>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut take = TakeBlocks::new(self.preamble.take(), self.config.binary);
        let polled = self.subscription.poll_take(cx, &mut take, now);
        self.ended = self.subscription.has_ended();
        if polled.is_pending() && take.is_empty() {
            if now < self.heartbeat_at {
                return Poll::Pending;
            }
            take.push(Bytes::from_static(encode::HEARTBEAT));
        }
        self.heartbeat_at = later(now, self.config.heartbeat);
        let bytes = take.into_bytes();
        add(&self.subscription.hub().counters().bytes_sent, bytes.len() as u64);
        Poll::Ready(Some(bytes))
    }
}

/// Collects encoded blocks; a single one is passed on as it is, shared with every other stream.
#[derive(Debug)]
struct TakeBlocks {
    binary: BinaryData,
    blocks: Vec<Bytes>,
    length: usize,
}

impl TakeBlocks {
    fn new(preamble: Option<Bytes>, binary: BinaryData) -> Self {
        let mut take = Self { binary, blocks: Vec::new(), length: 0 };
        preamble.into_iter().for_each(|bytes| take.push(bytes));
        take
    }

    fn push(&mut self, block: Bytes) {
        self.length += block.len();
        self.blocks.push(block);
    }

    fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    fn into_bytes(mut self) -> Bytes {
        if self.blocks.len() == 1 {
            return self.blocks.swap_remove(0);
        }
        // One body frame, so that HTTP/1.1 frames it as one chunk and writes it at once.
        self.blocks.concat().into()
    }
}

impl Take for TakeBlocks {
    fn run(&mut self, log: &mut Log, run: std::ops::Range<u64>) -> u64 {
        let room = CHUNK_BYTES.saturating_sub(self.length);
        let (bytes, end) = log.encoded(encode::blocks(self.binary), run, room);
        self.push(bytes);
        end
    }

    fn kept(&mut self, entry: &Arc<Entry>) {
        let mut block = Vec::new();
        crate::log::WireFormat::encode(encode::blocks(self.binary), entry, &mut block);
        self.push(block.into());
    }

    fn notice(&mut self, notice: Delivery) {
        match notice {
            Delivery::Event(entry) => self.kept(&entry),
            Delivery::Gap(gap) => self.push(encode::gap(&gap)),
            Delivery::Reset(reset) => self.push(encode::reset(&reset)),
            Delivery::Disconnected(reason) => self.push(encode::bye(reason.as_str())),
        }
    }

    fn is_full(&self) -> bool {
        self.length >= CHUNK_BYTES
    }
}

/// Whether the request is a browser's `EventSource`: that gives up for good at a status that other
/// clients understand.
fn is_event_source(head: &impl RequestHead) -> bool {
    let accepts = head
        .header_values("accept")
        .any(|accept| accept.windows(17).any(|window| window == b"text/event-stream"));
    accepts && head.header("sec-fetch-mode").is_some()
}

/// The refusal itself, or for overload of a browser one that it survives.
fn survivable(refusal: Rejection, is_event_source: bool, config: &SseConfig) -> Rejection {
    if is_event_source && refusal.status() == 503 {
        Rejection::event_stream(encode::refusal(jittered_retry(config), "overloaded"))
    } else {
        refusal
    }
}

/// A reconnection time of its own for each client: between a half and one and a half of the
/// configured, so that clients cut together don't come back together.
fn jittered_retry(config: &SseConfig) -> Duration {
    let retry = config.retry.as_secs_f64() * (0.5 + fastrand::f64());
    Duration::try_from_secs_f64(retry).unwrap_or(Duration::MAX)
}

/// `Duration::MAX` stands for never.
fn later(at: Instant, by: Duration) -> Instant {
    at.checked_add(by).unwrap_or_else(|| at + Duration::from_secs(365 * 24 * 3600))
}

#[cfg(test)]
mod tests;
