//! Server-Sent Events (WHATWG HTML, "Server-sent events"): encoding, the stream, the endpoint.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;

use crate::{
    admission::Admission,
    close::CloseCause,
    config::SseConfig,
    drain::{Leave, jittered},
    hub::Hub,
    lifetime::{Lifetime, later},
    log::{Entry, Log, WireFormat},
    permits::{Principal, PrincipalEnd},
    subscription::{Delivery, Subscription, Take},
};

mod block;
mod encode;
mod request;

pub use crate::config::BinaryData;
pub use block::{Block, BlockIdError};
pub use request::{Accepted, Request};

/// A stream that gives so much at once adds no more events to it.
const CHUNK_BYTES: usize = 64 * 1024;

/// A stream's state machine: bytes out of a subscription, and heartbeats by the time that it is
/// told.
#[derive(Debug)]
pub struct EventStream {
    subscription: Subscription,
    config: SseConfig,
    heartbeat_at: Instant,
    preamble: Option<Bytes>,
    ended: bool,
    admission: Admission,
    lifetime: Lifetime,
}

impl EventStream {
    fn new(
        mut subscription: Subscription,
        config: SseConfig,
        mut admission: Admission,
        now: Instant,
    ) -> Self {
        // A fresh id comes with the word that it is one, in the same block: else who is cut, or let go,
        // between the two would come back with it and never know of the loss.
        let has_started = subscription.has_started();
        let has_id = has_started && !subscription.is_to_tell_reset();
        let id = has_id.then(|| subscription.last_event_id());
        let preamble = Some(encode::preamble(jittered(config.retry), id));
        let heartbeat_at = later(now, config.heartbeat);
        admission.opened();
        let lifetime = Lifetime::new(&admission.hub().config().limits, now);
        if !has_started {
            subscription.tell_start();
        }
        Self { subscription, config, heartbeat_at, preamble, ended: false, admission, lifetime }
    }

    /// When [`poll_next`](Self::poll_next) wants to be called again though no event wakes it.
    pub fn deadline(&self) -> Instant {
        let expires_at = self.admission.principal().and_then(Principal::expires_at);
        let leaves_at = self.admission.guard().leaves_at();
        let others = expires_at.into_iter().chain(leaves_at).chain(self.lifetime.deadline());
        others.fold(self.heartbeat_at, Instant::min)
    }

    /// The hub.
    pub(crate) fn hub(&self) -> &Hub {
        self.subscription.hub()
    }

    /// Whether its subscription is to be cut for its lag.
    pub(crate) fn is_lagging(&self, now: Instant) -> bool {
        self.subscription.is_lagging(now)
    }

    /// Takes word that it is given up, because nobody takes what it gives.
    pub(crate) fn give_up(&mut self, now: Instant) {
        self.end(self.admission.given_up(self.is_lagging(now)));
    }

    /// The next bytes: everything that is pending in one piece, up to 64 KiB and one event. `None`
    /// when the stream has ended.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Option<Bytes>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut take = TakeBlocks::new(self.preamble.take(), self.config.binary);
        if let Some((cause, bye)) = self.due(cx, now) {
            self.end(cause);
            let Some(bye) = bye else { return Poll::Ready(None) };
            take.push(bye);
        } else {
            // A reset brings its own id.
            if self.subscription.poll_start(cx, now) && !self.subscription.is_to_tell_reset() {
                take.push(encode::id(self.subscription.last_event_id()));
            }
            let polled = self.subscription.poll_take(cx, &mut take, now);
            if let Some(cause) = self.subscription.ended_by().map(CloseCause::from) {
                self.end(cause);
            }
            if polled.is_pending() && take.is_empty() {
                if now < self.heartbeat_at {
                    return Poll::Pending;
                }
                take.push(Bytes::from_static(encode::HEARTBEAT));
                // Where nothing is published, somebody else has to do it.
                self.hub().upkeep(now);
            } else {
                self.lifetime.active(now);
            }
        }
        self.heartbeat_at = later(now, self.config.heartbeat);
        let bytes = take.into_bytes();
        self.subscription.hub().counters().bytes_sent.add(bytes.len() as u64);
        Poll::Ready(Some(bytes))
    }

    /// Why it is to end now, if it is, and what its client is told; nothing when it is cut.
    fn due(&mut self, cx: &Context<'_>, now: Instant) -> Option<(CloseCause, Option<Bytes>)> {
        let retry = self.hub().config().drain.retry;
        let cause = if let Some(end) = self.identity_end(cx, now) {
            end
        } else {
            match self.admission.guard_mut().poll(cx) {
                Some(Leave::Now) => return Some((CloseCause::Draining { retry }, None)),
                Some(Leave::At(at)) if now >= at => {
                    let retry = jittered(retry);
                    let bye = encode::refusal(retry, "draining");
                    return Some((CloseCause::Draining { retry }, Some(bye)));
                }
                Some(Leave::At(_)) | None => self.lifetime.end(now)?.into(),
            }
        };
        let bye = match &cause {
            CloseCause::Revoked(reason) => encode::bye(reason),
            // As a WebSocket would be told.
            cause => {
                let frame = cause.frame();
                encode::bye(frame.as_ref().map_or("", |frame| frame.reason.as_str()))
            }
        };
        Some((cause, Some(bye)))
    }

    fn end(&mut self, cause: CloseCause) {
        self.ended = true;
        self.admission.ended(|| cause);
    }

    /// From now on, and only, `waker` is woken when the stream is to go.
    pub(crate) fn hold(&mut self, waker: &Waker) {
        self.admission.guard_mut().hold(waker);
    }

    /// Whether it is to go at once.
    pub(crate) fn is_cut(&self) -> bool {
        self.admission.guard().is_cut()
    }

    /// Why the identity no longer stands for this stream.
    fn identity_end(&self, cx: &Context<'_>, now: Instant) -> Option<CloseCause> {
        match self.admission.principal()?.poll_end(cx, now) {
            Poll::Ready(PrincipalEnd::Expired) => Some(CloseCause::Expired),
            Poll::Ready(PrincipalEnd::Revoked(reason)) => Some(CloseCause::Revoked(reason)),
            Poll::Pending => None,
        }
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
    fn wire(&self) -> Option<(&'static dyn WireFormat, usize)> {
        Some((encode::blocks(self.binary), CHUNK_BYTES.saturating_sub(self.length)))
    }

    fn encoded(&mut self, bytes: Bytes) {
        self.push(bytes);
    }

    fn run(&mut self, log: &mut Log, run: std::ops::Range<u64>) -> u64 {
        let room = CHUNK_BYTES.saturating_sub(self.length);
        let (bytes, end) = log.encoded(encode::blocks(self.binary), run, room);
        self.push(bytes);
        end
    }

    fn kept(&mut self, entry: &Arc<Entry>) {
        let mut block = Vec::new();
        encode::blocks(self.binary).encode(entry, &mut block);
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

#[cfg(test)]
mod tests;
