//! How fast the peer may send.

use std::time::Instant;

use crate::{limits::Limits, rate::Bucket};

/// What the peer may send yet.
#[derive(Debug)]
pub(super) struct Pace {
    messages: Bucket,
    bytes: Bucket,
}

impl Pace {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            messages: Bucket::new(limits.messages, now),
            bytes: Bucket::new(limits.inbound_bytes, now),
        }
    }

    /// Counts a message or control frame; whether that was too fast.
    pub(super) fn message(&self, now: Instant) -> bool {
        self.messages.take(1, now).is_err()
    }

    /// Counts bytes; whether that was too fast.
    pub(super) fn bytes(&self, bytes: usize, now: Instant) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes.take(bytes, now).is_err()
    }
}
