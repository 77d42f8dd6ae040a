//! What a bridge counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use realtime_core::BrokerStats;

/// A count; relaxed, since it orders nothing.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
}

/// The counters behind [`BrokerStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) published: Count,
    pub(crate) publishes_failed: Count,
    pub(crate) received: Count,
    pub(crate) repaired: Count,
    pub(crate) lost: Count,
    pub(crate) connected: Count,
    pub(crate) resets: Count,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> BrokerStats {
        let read = |count: &Count| count.0.load(Relaxed);
        let mut stats = BrokerStats::default();
        stats.published = read(&self.published);
        stats.publishes_failed = read(&self.publishes_failed);
        stats.received = read(&self.received);
        stats.repaired = read(&self.repaired);
        stats.lost = read(&self.lost);
        stats.connected = read(&self.connected);
        stats.resets = read(&self.resets);
        stats
    }
}
