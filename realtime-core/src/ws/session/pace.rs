//! How fast the peer may send.

use std::time::Instant;

use crate::{
    limits::Limits,
    rate::{Bucket, Rate},
};

/// What the peer may send yet.
#[derive(Debug)]
pub(super) struct Pace {
    messages: Bucket,
    bytes: Bucket,
    /// Made at the first one, since most connections never have any.
    refreshes: Option<Box<Bucket>>,
}

impl Pace {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            messages: Bucket::new(limits.messages, now),
            bytes: Bucket::new(limits.inbound_bytes, now),
            refreshes: None,
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

    /// Counts a refresh of the peer's identity, which may happen at this rate; whether that was too
    /// fast.
    pub(super) fn refresh(&mut self, rate: Rate, now: Instant) -> bool {
        let bucket = || Box::new(Bucket::new(rate, now));
        self.refreshes.get_or_insert_with(bucket).take(1, now).is_err()
    }
}
