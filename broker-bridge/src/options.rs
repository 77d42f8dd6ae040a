//! How patient a bridge is, and how much it holds: [`Options`].

use std::time::Duration;

/// How patient a bridge is, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// By when a publish has been accepted, or fails with
    /// [`BrokerError::Unavailable`](realtime_core::BrokerError::Unavailable). Default: 5 s, as long as a
    /// request may reasonably wait.
    pub publish_deadline: Duration,
    /// By when the server has answered anything else, the connection's start included; it is taken for
    /// lost otherwise. Default: 5 s.
    pub request_deadline: Duration,
    /// How often the server is asked where the sequence is, so that a connection that is dead without a
    /// word is found. Default: 2 s.
    pub heartbeat: Duration,
    /// The longest wait before the first attempt to connect anew; it doubles with each, and what is waited is
    /// anything between nothing and that, so that instances do not come back all at once.
    /// Default: 100 ms.
    pub reconnect_after: Duration,
    /// Where that doubling ends. Default: 5 s.
    pub reconnect_at_most: Duration,
    /// Publishes that wait for an answer at a time; more wait for these, up to their deadline.
    /// Default: 1 024.
    pub publishes_in_flight: usize,
    /// Events that have come and wait to be delivered, which they do only while something is repaired. With more, the
    /// connection is dropped and everything repaired from history. Default: 65 536.
    pub feed_events: usize,
    /// Their bytes. Default: 64 MiB.
    pub feed_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            publish_deadline: Duration::from_secs(5),
            request_deadline: Duration::from_secs(5),
            heartbeat: Duration::from_secs(2),
            reconnect_after: Duration::from_millis(100),
            reconnect_at_most: Duration::from_secs(5),
            publishes_in_flight: 1024,
            feed_events: 65_536,
            feed_bytes: 64 * 1024 * 1024,
        }
    }
}

impl Options {
    /// How long to wait before attempt number `attempt`, the first being 0: exponential, with full jitter.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        let longest = self.reconnect_after.saturating_mul(2_u32.saturating_pow(attempt.min(30)));
        longest.min(self.reconnect_at_most).mul_f64(fastrand::f64())
    }
}
