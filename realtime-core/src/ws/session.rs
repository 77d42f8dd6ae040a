//! A connection's state machine: what comes in, what goes out, and when. No IO and no clock.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;

use super::{codec::Decoder, format::Format, socket::Shared};
use crate::{
    admission::Admission,
    close::CloseCause,
    config::WebSocketConfig,
    lifetime::{Lifetime, later},
    limits::Limits,
    rejection::Rejection,
    stats::add,
    subscription::{Disconnected, Subscribe, Subscription},
};

mod changes;
mod chunks;
mod closing;
mod identification;
mod incoming;
mod outgoing;
mod pace;
mod take;

use closing::{Peer, Phase};
use identification::Identification;
use outgoing::Outgoing;
use pace::Pace;
use take::TakeFrames;

/// As much as a session has in writing at once, unless one event or message is larger.
pub(crate) const WRITE_BYTES: usize = 64 * 1024;

/// The most fragments of the message that says who the peer is.
const FIRST_MESSAGE_FRAGMENTS: u32 = 16;

/// One WebSocket connection: bytes in, bytes out, deadlines.
///
/// The caller feeds it with [`receive`](Self::receive), asks it with
/// [`poll_transmit`](Self::poll_transmit) what to write and says with [`wrote`](Self::wrote) what was
/// written, calls [`handle_timeout`](Self::handle_timeout) when [`deadline`](Self::deadline) has
/// passed, and ends when [`status`](Self::status) says so.
#[derive(Debug)]
pub struct Session {
    // What each batch of events needs lies together.
    phase: Phase,
    format: Format,
    subscription: Subscription,
    outgoing: Outgoing,
    heard_at: Instant,
    pinged_at: Option<Instant>,
    blocked_since: Option<Instant>,
    shared: Option<Arc<Shared>>,
    lifetime: Lifetime,
    identification: Identification,
    admission: Admission,
    /// If it is not the hub's; boxed because it mostly is.
    config: Option<Box<WebSocketConfig>>,
    /// Input that was read while the handler had no room; at most one read's worth, boxed because there is
    /// mostly none.
    unread: Option<Box<Bytes>>,
    decoder: Decoder,
    pace: Pace,
}

/// How a connection is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) format: Format,
    pub(super) config: WebSocketConfig,
    pub(super) limits: Limits,
}

/// What the caller is to do with the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Go on.
    Open,
    /// Close it; nothing more is to be written.
    Ended {
        /// Why.
        cause: CloseCause,
        /// Whether the peer may still be sending: then close the writing half, and read and discard
        /// for a while, or the reset that unread bytes cause may destroy the Close on its way.
        linger: bool,
    },
}

impl Session {
    /// A session that is subscribed to what `request` says.
    pub(super) fn open(
        request: Subscribe,
        setup: Setup,
        admission: Admission,
        now: Instant,
    ) -> Result<Self, Rejection> {
        let subscription = admission
            .subscribe(request, now)
            .inspect_err(|_| add(&admission.hub().counters().rejected, 1))?;
        let decoder = Decoder::new(setup.limits.message_bytes, setup.limits.message_fragments);
        let identification = Identification::done(admission.hub());
        let mut session = Self::new(subscription, decoder, identification, setup, admission, now);
        session.tell_ready();
        Ok(session)
    }

    /// A session that does nothing until its peer has said in a message who it is, and then what
    /// `request` says.
    pub(super) fn awaiting_token(
        request: Subscribe,
        setup: Setup,
        admission: Admission,
        now: Instant,
    ) -> Self {
        let subscription = Subscription::to_nothing(admission.hub());
        let decoder = Decoder::new(setup.limits.first_message_bytes, FIRST_MESSAGE_FRAGMENTS);
        let identification = Identification::awaiting(admission.hub(), request, &setup.limits, now);
        Self::new(subscription, decoder, identification, setup, admission, now)
    }

    fn new(
        subscription: Subscription,
        decoder: Decoder,
        identification: Identification,
        setup: Setup,
        mut admission: Admission,
        now: Instant,
    ) -> Self {
        admission.opened();
        let is_own = setup.config != admission.hub().config().websocket;
        Self {
            subscription,
            format: setup.format,
            config: is_own.then(|| Box::new(setup.config)),
            decoder,
            outgoing: Outgoing::default(),
            shared: None,
            phase: Phase::Open,
            heard_at: now,
            pinged_at: None,
            blocked_since: None,
            unread: None,
            pace: Pace::new(&setup.limits, now),
            identification,
            admission,
            lifetime: Lifetime::new(&setup.limits, now),
        }
    }

    /// Tells the client where it starts, if it has topics. Where that is not where it wanted to, it is
    /// told so at once, not when events are taken: whoever is let go before would come back with the
    /// fresh id and never know of the loss.
    fn tell_ready(&mut self) {
        if !self.subscription.has_started() {
            // Not before the broker has said where that is.
            return self.subscription.tell_start();
        }
        if self.subscription.count() > 0 {
            self.outgoing.extend(self.format.ready(self.subscription.last_event_id()));
            let reset = self.subscription.take_reset();
            self.outgoing.extend(reset.and_then(|reset| self.format.reset(&reset)));
        }
    }

    /// When a close that starts at `now` must be over, TCP's part included.
    pub(crate) fn close_by(&self, now: Instant) -> Instant {
        later(now, self.config().close_deadline)
    }

    /// Whether it wants to be given more input; while not, don't read.
    pub fn wants_input(&self) -> bool {
        let may_come = match &self.phase {
            Phase::Open => self.has_room(),
            // Nothing is to follow a Close. The FIN that does must not keep our answer from going
            // out; what is discarded from a broken peer may free it to read our Close.
            Phase::Closing(closing) => closing.peer != Peer::Closed,
            Phase::Ended(_) => false,
        };
        may_come && self.unread.is_none()
    }

    /// Takes word that the connection is lost: the peer sends no more, or nothing can be written.
    pub fn receive_eof(&mut self) {
        self.end(CloseCause::Vanished, false);
    }

    /// Makes everything ready that is to be written, up to 64 KiB or one message. Ready when there
    /// is something in [`outgoing`](Self::chunks) or the session has ended.
    pub fn poll_transmit(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        // Before anything is looked at, so that what the handler does from now on wakes.
        if let Some(shared) = &self.shared {
            shared.register(cx);
        }
        self.decode_unread(now);
        self.apply_changes(now);
        // Of the identity that the handler has just proved as well: from here on a revocation wakes.
        if self.is_open() {
            self.check_identity(cx, now);
        }
        self.check_drain(cx, now);
        self.check_lifetime(now);
        if let Some(cause) = self.shared.as_ref().and_then(|shared| shared.close_wanted()) {
            self.close(cause, now);
        }
        self.queue_direct(now);
        if self.is_open() {
            self.take_events(cx, now);
        }
        self.send_close_if_due();
        self.outgoing.place_control();
        if !self.outgoing.is_empty() || matches!(self.phase, Phase::Ended(_)) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// What is to be written, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.outgoing.chunks()
    }

    /// The first `n` bytes of the chunks have been written.
    pub fn wrote(&mut self, n: usize) {
        self.blocked_since = None;
        self.outgoing.advance(n);
        self.subscription.hub().counters().bytes_sent.add(n as u64);
        self.end_if_closed();
    }

    /// Takes the first chunk as it is, as if it had been written.
    pub fn pop_chunk(&mut self) -> Option<Bytes> {
        let chunk = self.outgoing.pop()?;
        self.blocked_since = None;
        self.subscription.hub().counters().bytes_sent.add(chunk.len() as u64);
        self.end_if_closed();
        Some(chunk)
    }

    /// Takes the first frame, its opcode and its payload, as if it had been written.
    pub(crate) fn pop_frame(&mut self) -> Option<(u8, Bytes)> {
        let (opcode, payload) = self.outgoing.pop_frame()?;
        self.blocked_since = None;
        self.subscription.hub().counters().bytes_sent.add(payload.len() as u64);
        self.end_if_closed();
        Some((opcode, payload))
    }

    /// Whether all is written, and the task is woken when there is more to be.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_open() && self.outgoing.is_empty() && self.subscription.is_parked()
    }

    /// Whether anything is to be written.
    pub(crate) fn has_output(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// The socket takes more again.
    pub(crate) fn write_unblocked(&mut self) {
        self.blocked_since = None;
    }

    /// The socket takes no more for now.
    pub fn write_blocked(&mut self, cx: &mut Context<'_>, now: Instant) {
        self.blocked_since.get_or_insert(now);
        if self.is_open()
            && let Poll::Ready(reason) = self.subscription.poll_overflow(cx, now)
        {
            if matches!(reason, Disconnected::Lagged(_)) {
                add(&self.subscription.hub().counters().slow_disconnects, 1);
            }
            self.close(CloseCause::from(&reason), now);
            self.send_close_now();
        }
    }

    /// Whether its subscription is to be cut for its lag.
    pub(crate) fn is_lagging(&self, now: Instant) -> bool {
        self.subscription.is_lagging(now)
    }

    /// Takes word that it is given up, because nobody takes what it gives.
    pub(crate) fn give_up(&mut self, now: Instant) {
        self.end(self.admission.given_up(self.is_lagging(now)), false);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn deadline(&self) -> Instant {
        let phase = match &self.phase {
            Phase::Open => {
                let life = match self.pinged_at {
                    Some(at) => later(at, self.config().pong_deadline),
                    None => later(self.heard_at, self.config().ping_interval),
                };
                self.identity_deadline().into_iter().chain(self.goes_at()).fold(life, Instant::min)
            }
            Phase::Closing(closing) if closing.sent => self.close_by(closing.since),
            // The other half is for the peer to read the Close and answer.
            Phase::Closing(closing) => later(closing.since, self.config().close_deadline / 2),
            Phase::Ended(_) => self.heard_at,
        };
        self.write_deadline().map_or(phase, |write| write.min(phase))
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline() {
            return;
        }
        if self.write_deadline().is_some_and(|deadline| now >= deadline) {
            return self.end(CloseCause::WriteDeadline, false);
        }
        match &self.phase {
            Phase::Open if self.identity_deadline().is_some_and(|deadline| now >= deadline) => {
                self.handle_identity_timeout(now);
            }
            // What is to be written next says so.
            Phase::Open if self.goes_at().is_some_and(|at| now >= at) => {}
            Phase::Open => self.check_life(now),
            Phase::Closing(closing) if !closing.sent => self.send_close_now(),
            Phase::Closing(closing) => {
                let cause = closing.cause.clone();
                self.end(cause, false);
            }
            Phase::Ended(_) => {}
        }
    }

    /// From now on, and only, `waker` is woken when the connection is to go.
    pub(crate) fn hold(&mut self, waker: &Waker) {
        self.admission.guard_mut().hold(waker);
    }

    /// Whether it is to go at once.
    pub(crate) fn is_cut(&self) -> bool {
        self.admission.guard().is_cut()
    }

    /// What the handler's future ended with.
    pub fn handler_ended(&mut self, cause: CloseCause, now: Instant) {
        self.apply_changes(now);
        let wanted = self.shared.as_ref().and_then(|shared| shared.close_wanted());
        self.close(wanted.unwrap_or(cause), now);
    }

    /// Whether to go on.
    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Ended(ended) => {
                Status::Ended { cause: ended.cause.clone(), linger: ended.linger }
            }
            Phase::Open | Phase::Closing(_) => Status::Open,
        }
    }

    fn config(&self) -> &WebSocketConfig {
        self.config.as_deref().unwrap_or(&self.hub().config().websocket)
    }

    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.pinged_at = None;
    }

    /// The peer was silent for long.
    fn check_life(&mut self, now: Instant) {
        if self.pinged_at.is_none() {
            self.pinged_at = Some(now);
            self.outgoing.ping();
            // Where nothing is published, somebody else has to do it.
            self.hub().upkeep(now);
        } else if !self.wants_input() {
            // Its pong may be there: it is our handler that keeps us from reading.
            self.heard(now);
            if self.shared.as_ref().is_some_and(|shared| shared.is_stalled()) {
                tracing::error!(
                    "a WebSocket handler takes nothing; its connection closes with 1011"
                );
                self.close(CloseCause::HandlerStalled, now);
            }
        } else if self.outgoing.owes_control() {
            // It can't answer what is not written; for that there is the write deadline.
            self.pinged_at = Some(now);
        } else {
            self.end(CloseCause::PongDeadline, false);
        }
    }

    fn write_deadline(&self) -> Option<Instant> {
        self.blocked_since.map(|since| later(since, self.hub().config().limits.write_deadline))
    }

    fn has_room(&self) -> bool {
        // While closing, messages are read over to find the peer's Close.
        !self.is_open()
            || (!self.identification.is_checking()
                && self.shared.as_ref().is_none_or(|shared| shared.has_room()))
    }

    /// When it is to go, by a drain or since its time is up.
    fn goes_at(&self) -> Option<Instant> {
        let leaves_at = self.admission.guard().leaves_at();
        leaves_at.into_iter().chain(self.lifetime.deadline()).min()
    }

    fn take_events(&mut self, cx: &mut Context<'_>, now: Instant) {
        if self.outgoing.len() >= WRITE_BYTES {
            return self.subscription.pass_over();
        }
        let before = self.outgoing.len();
        if self.subscription.poll_start(cx, now) {
            self.tell_ready();
        }
        loop {
            let mut take = TakeFrames::new(&mut self.outgoing, self.format);
            let polled = self.subscription.poll_take(cx, &mut take, now);
            if let Some(reason) = self.subscription.ended_by() {
                let cause = CloseCause::from(reason);
                self.close(cause, now);
                return self.send_close_now();
            }
            if self.outgoing.len() > before {
                self.lifetime.active(now);
            }
            // A format without notices may have taken one and have nothing to send for it; then
            // nobody would be woken for what comes.
            if polled.is_pending() || self.outgoing.len() > before {
                return;
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.closing(&CloseCause::Vanished);
            shared.seal();
        }
        let phase = &self.phase;
        self.admission.ended(|| match phase {
            Phase::Open => CloseCause::Vanished,
            Phase::Closing(closing) => closing.cause.clone(),
            Phase::Ended(ended) => ended.cause.clone(),
        });
    }
}

#[cfg(test)]
mod tests;
