//! A connection's state machine: what comes in, what goes out, and when. No IO and no clock.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;

use super::{
    close::{CloseCause, CloseFrame},
    codec::{Decoder, Incoming},
    format::Format,
    frames,
    socket::{Change, Shared, Socket},
};
use crate::{
    config::WebSocketConfig,
    limits::{Limits, Permit},
    stats::add,
    subscription::Subscription,
};

mod outgoing;
mod take;

use outgoing::Outgoing;
use take::TakeFrames;

/// As much as a session has in writing at once, unless one event or message is larger.
pub(crate) const WRITE_BYTES: usize = 64 * 1024;

/// One WebSocket connection: bytes in, bytes out, deadlines.
///
/// The caller feeds it with [`receive`](Self::receive), asks it with
/// [`poll_transmit`](Self::poll_transmit) what to write and says with [`wrote`](Self::wrote) what was
/// written, calls [`handle_timeout`](Self::handle_timeout) when [`deadline`](Self::deadline) has
/// passed, and ends when [`status`](Self::status) says so.
#[derive(Debug)]
pub struct Session {
    subscription: Subscription,
    format: Format,
    config: WebSocketConfig,
    decoder: Decoder,
    outgoing: Outgoing,
    shared: Option<Arc<Shared>>,
    phase: Phase,
    heard_at: Instant,
    pinged_at: Option<Instant>,
    blocked_since: Option<Instant>,
    /// Input that was read while the handler had no room; at most one read's worth.
    unread: Vec<u8>,
    _permit: Permit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// A Close is to go out, after what is queued.
    Closing {
        cause: CloseCause,
        until: Instant,
        sent: bool,
        received: bool,
    },
    Ended {
        cause: CloseCause,
        linger: bool,
    },
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
    pub(super) fn new(
        subscription: Subscription,
        format: Format,
        config: WebSocketConfig,
        limits: &Limits,
        permit: Permit,
        now: Instant,
    ) -> Self {
        let mut outgoing = Outgoing::default();
        if subscription.topics().next().is_some() {
            outgoing.extend(format.ready(subscription.last_event_id()));
        }
        Self {
            subscription,
            format,
            config,
            decoder: Decoder::new(limits.message_bytes, limits.message_fragments),
            outgoing,
            shared: None,
            phase: Phase::Open,
            heard_at: now,
            pinged_at: None,
            blocked_since: None,
            unread: Vec::new(),
            _permit: permit,
        }
    }

    /// Makes the handler's end.
    pub(super) fn socket(&mut self, limits: &Limits) -> Socket {
        let topics = self.subscription.topics().count();
        let (socket, shared) = Shared::pair(self.subscription.hub().clone(), limits, topics);
        self.shared = Some(shared);
        socket
    }

    /// How long the closing handshake may take.
    pub(crate) fn config(&self) -> &WebSocketConfig {
        &self.config
    }

    /// Whether it wants to be given more input; while not, don't read.
    pub fn wants_input(&self) -> bool {
        self.unread.is_empty() && !matches!(self.phase, Phase::Ended { .. }) && self.has_room()
    }

    /// Takes bytes that the peer sent.
    pub fn receive(&mut self, input: &[u8], now: Instant) {
        self.heard_at = now;
        self.pinged_at = None;
        if self.unread.is_empty() {
            let rest = self.decode(input, now);
            self.unread.extend_from_slice(rest);
        } else {
            self.unread.extend_from_slice(input);
        }
    }

    /// Takes what the peer sent as a whole, for sockets that a framework has made.
    pub fn receive_incoming(&mut self, incoming: Incoming, now: Instant) {
        self.heard_at = now;
        self.pinged_at = None;
        self.handle(incoming, now);
    }

    /// Takes word that the peer sends no more.
    pub fn receive_eof(&mut self) {
        self.end(CloseCause::Vanished, false);
    }

    /// Makes everything ready that is to be written, up to 64 KiB or one message. Ready when there
    /// is something in [`outgoing`](Self::chunks) or the session has ended.
    pub fn poll_transmit(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        self.decode_unread(now);
        self.apply_changes();
        if let Some(shared) = &self.shared {
            shared.register(cx);
            if self.phase == Phase::Open
                && let Some(cause) = shared.close_wanted()
            {
                self.close(cause, now);
            }
        }
        self.queue_direct();
        if self.phase == Phase::Open {
            self.take_events(cx, now);
        }
        self.send_close_if_due();
        self.outgoing.place_control();
        if !self.outgoing.is_empty() || matches!(self.phase, Phase::Ended { .. }) {
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
        add(&self.subscription.hub().counters().bytes_sent, n as u64);
        self.end_if_closed();
    }

    /// Takes the first chunk as it is, as if it had been written.
    pub fn pop_chunk(&mut self) -> Option<Bytes> {
        let chunk = self.outgoing.pop()?;
        self.blocked_since = None;
        add(&self.subscription.hub().counters().bytes_sent, chunk.len() as u64);
        self.end_if_closed();
        Some(chunk)
    }

    /// The socket takes no more for now.
    pub fn write_blocked(&mut self, cx: &mut Context<'_>, now: Instant) {
        self.blocked_since.get_or_insert(now);
        if self.phase == Phase::Open && self.subscription.poll_overflow(cx, now).is_ready() {
            add(&self.subscription.hub().counters().slow_disconnects, 1);
            self.close(CloseCause::SlowConsumer, now);
            self.send_close_if_due();
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn deadline(&self) -> Instant {
        let blocked = self.blocked_since.map(|since| since + self.config.write_deadline);
        let phase = match &self.phase {
            Phase::Open => match self.pinged_at {
                Some(at) => at + self.config.pong_deadline,
                None => self.heard_at + self.config.ping_interval,
            },
            Phase::Closing { until, .. } => *until,
            Phase::Ended { .. } => self.heard_at,
        };
        blocked.map_or(phase, |blocked| blocked.min(phase))
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline() {
            return;
        }
        let blocked = self.blocked_since.map(|since| since + self.config.write_deadline);
        if blocked.is_some_and(|deadline| now >= deadline) {
            return self.end(CloseCause::WriteDeadline, false);
        }
        match (&self.phase, self.pinged_at) {
            (Phase::Open, None) => {
                self.pinged_at = Some(now);
                self.outgoing.ping();
            }
            (Phase::Open, Some(_)) => self.end(CloseCause::PongDeadline, false),
            (Phase::Closing { cause, .. }, _) => {
                let cause = cause.clone();
                self.end(cause, false);
            }
            (Phase::Ended { .. }, _) => {}
        }
    }

    /// What the handler's future ended with.
    pub fn handler_ended(&mut self, cause: CloseCause, now: Instant) {
        self.apply_changes();
        if let Some(shared) = &self.shared
            && let Some(wanted) = shared.close_wanted()
        {
            return self.close(wanted, now);
        }
        self.close(cause, now);
    }

    /// Whether to go on.
    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Ended { cause, linger } => {
                Status::Ended { cause: cause.clone(), linger: *linger }
            }
            Phase::Open | Phase::Closing { .. } => Status::Open,
        }
    }

    fn has_room(&self) -> bool {
        // While closing, messages are read over to find the peer's Close.
        self.phase != Phase::Open || self.shared.as_ref().is_none_or(|shared| shared.has_room())
    }

    fn decode_unread(&mut self, now: Instant) {
        if !self.unread.is_empty() && self.has_room() {
            let unread = std::mem::take(&mut self.unread);
            let rest = self.decode(&unread, now);
            self.unread = rest.to_vec();
        }
    }

    /// Decodes as far as the handler has room, and returns the rest.
    fn decode<'a>(&mut self, mut input: &'a [u8], now: Instant) -> &'a [u8] {
        while self.accepts_frames() && self.has_room() {
            match self.decoder.decode(&mut input) {
                Ok(Some(incoming)) => self.handle(incoming, now),
                Ok(None) => return &[],
                Err(error) => {
                    self.fail(error.0, now);
                    return &[];
                }
            }
        }
        // Whatever follows a Close is not looked at (RFC 6455 §5.5.1).
        if self.accepts_frames() { input } else { &[] }
    }

    fn accepts_frames(&self) -> bool {
        match &self.phase {
            Phase::Open => true,
            Phase::Closing { cause, received, .. } => !received && !cause.is_fatal(),
            Phase::Ended { .. } => false,
        }
    }

    fn handle(&mut self, incoming: Incoming, now: Instant) {
        match incoming {
            Incoming::Message(message) => {
                add(&self.subscription.hub().counters().messages_received, 1);
                if self.phase == Phase::Open
                    && let Some(shared) = &self.shared
                {
                    shared.receive(message);
                }
            }
            Incoming::Ping(payload) => {
                if self.phase == Phase::Open {
                    self.outgoing.pong(frames::pong(&payload));
                }
            }
            Incoming::Pong => {}
            Incoming::Close(frame) => self.peer_closed(frame, now),
        }
    }

    fn peer_closed(&mut self, frame: Option<CloseFrame>, now: Instant) {
        match &mut self.phase {
            Phase::Open => {
                self.close(CloseCause::Peer(frame), now);
                if let Phase::Closing { received, .. } = &mut self.phase {
                    *received = true;
                }
            }
            Phase::Closing { received, .. } => {
                *received = true;
                self.end_if_closed();
            }
            Phase::Ended { .. } => {}
        }
    }

    /// Starts the closing handshake; what was queued before goes first.
    fn close(&mut self, cause: CloseCause, now: Instant) {
        if self.phase == Phase::Open {
            let until = now + self.config.close_deadline;
            if let Some(shared) = &self.shared {
                shared.closing(&cause);
            }
            self.phase = Phase::Closing { cause, until, sent: false, received: false };
        }
    }

    /// Closes because the peer's bytes make no sense: nothing but the Close is sent any more.
    fn fail(&mut self, cause: CloseCause, now: Instant) {
        if let Phase::Closing { cause: before, .. } = &self.phase {
            let before = before.clone();
            return self.end(before, true);
        }
        self.close(cause, now);
        self.outgoing.drop_unstarted();
        self.send_close_if_due();
    }

    fn queue_direct(&mut self) {
        let Some(shared) = &self.shared else { return };
        let is_open = matches!(self.phase, Phase::Open | Phase::Closing { sent: false, .. });
        while is_open && self.outgoing.len() < WRITE_BYTES {
            let Some(frame) = shared.outgoing() else { break };
            self.outgoing.push(frame);
        }
    }

    fn send_close_if_due(&mut self) {
        let Phase::Closing { cause, sent, .. } = &mut self.phase else { return };
        let at_once = cause.is_fatal() || *cause == CloseCause::SlowConsumer;
        // A handler gets to answer what came before the peer's Close.
        let is_peer = matches!(cause, CloseCause::Peer(_));
        let is_due = at_once || self.shared.as_ref().is_none_or(|shared| shared.is_done(is_peer));
        if *sent || !is_due {
            return;
        }
        *sent = true;
        if let Some(shared) = &self.shared {
            shared.seal();
        }
        if *cause == CloseCause::SlowConsumer {
            self.outgoing.drop_unstarted();
        }
        self.outgoing.push(frames::close(cause.frame().as_ref()));
    }

    fn end_if_closed(&mut self) {
        if let Phase::Closing { cause, sent: true, received, .. } = &self.phase
            && self.outgoing.is_empty()
            && (*received || cause.is_fatal())
        {
            let (cause, linger) = (cause.clone(), !*received);
            self.end(cause, linger);
        }
    }

    fn end(&mut self, cause: CloseCause, linger: bool) {
        if matches!(self.phase, Phase::Ended { .. }) {
            return;
        }
        if let Some(shared) = &self.shared {
            shared.closing(&cause);
            shared.seal();
        }
        self.unread = Vec::new();
        self.outgoing = Outgoing::default();
        self.phase = Phase::Ended { cause, linger };
    }

    fn apply_changes(&mut self) {
        let Some(shared) = &self.shared else { return };
        let mut changed = false;
        while let Some(change) = shared.change() {
            changed = true;
            match change {
                Change::Join(joined) => self.subscription.attach(joined),
                Change::Leave(topic) => {
                    self.subscription.remove(&topic);
                }
            }
        }
        if changed {
            shared.set_topics(self.subscription.topics().count());
        }
    }

    fn take_events(&mut self, cx: &mut Context<'_>, now: Instant) {
        if self.outgoing.len() >= WRITE_BYTES {
            return;
        }
        let mut take = TakeFrames::new(&mut self.outgoing, self.format);
        let _ = self.subscription.poll_take(cx, &mut take, now);
        if self.subscription.has_ended() {
            self.close(CloseCause::SlowConsumer, now);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.closing(&CloseCause::Vanished);
            shared.seal();
        }
    }
}

#[cfg(test)]
mod tests;
