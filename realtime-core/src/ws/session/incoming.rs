//! What comes in: bytes to frames, frames to the handler.

use std::time::Instant;

use bytes::{Buf, Bytes};

use super::{Peer, Phase, Session};
use crate::{
    close::CloseCause,
    stats::add,
    ws::{codec::Incoming, frames},
};

impl Session {
    /// Takes bytes that the peer sent.
    pub fn receive(&mut self, input: &[u8], now: Instant) {
        self.heard(now);
        if self.accepts_frames() && self.pace.bytes(input.len(), now) {
            return self.fail(CloseCause::TooFast, now);
        }
        if let Some(unread) = &mut self.unread {
            **unread = [&**unread, input].concat().into();
        } else {
            let rest = self.decode(input, now);
            // Of a peer that is not known yet no more is kept than of its first message.
            if !self.is_admitted() && rest.len() > self.hub().config().limits.first_message_bytes {
                return self.fail(CloseCause::TooFast, now);
            }
            self.unread = (!rest.is_empty()).then(|| Box::new(Bytes::copy_from_slice(rest)));
        }
    }

    /// Takes what the peer sent as a whole, for sockets that a framework has made.
    pub fn receive_incoming(&mut self, incoming: Incoming, now: Instant) {
        self.heard(now);
        let bytes = match &incoming {
            Incoming::Message(message) => message.len(),
            Incoming::Ping(payload) => payload.len(),
            Incoming::Pong | Incoming::Close(_) => 0,
        };
        if self.accepts_frames() && self.pace.bytes(bytes, now) {
            self.fail(CloseCause::TooFast, now);
        } else if self.accepts_frames() {
            self.handle(incoming, now);
        }
    }

    pub(super) fn decode_unread(&mut self, now: Instant) {
        if self.has_room()
            && let Some(mut unread) = self.unread.take()
        {
            let left = self.decode(&unread, now).len();
            unread.advance(unread.len() - left);
            self.unread = Some(unread).filter(|_| left > 0);
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

    pub(super) fn accepts_frames(&self) -> bool {
        match &self.phase {
            Phase::Open => true,
            Phase::Closing(closing) => closing.peer == Peer::Open,
            Phase::Ended(_) => false,
        }
    }

    fn handle(&mut self, incoming: Incoming, now: Instant) {
        if self.accepts_frames() && self.pace.message(now) {
            return self.fail(CloseCause::TooFast, now);
        }
        match incoming {
            Incoming::Message(message) => {
                self.lifetime.active(now);
                add(&self.subscription.hub().counters().messages_received, 1);
                if self.is_open()
                    && let Some(message) = self.identify(message, now)
                    && let Some(shared) = &self.shared
                {
                    shared.receive(message);
                }
            }
            Incoming::Ping(payload) => {
                if self.is_open() {
                    self.outgoing.pong(frames::pong(&payload), self.blocked_since.is_some());
                }
            }
            Incoming::Pong => {}
            Incoming::Close(frame) => self.peer_closed(frame, now),
        }
    }
}
