//! Given how far a subscriber lags and the policy: what happens. One pure function.

use std::time::Duration;

/// What happens to a subscription that falls behind its [`LagLimit`] or off the topic's log.
///
/// | policy | what the subscriber gets | what is lost |
/// |---|---|---|
/// | `Disconnect` | its connection ends; it comes back and resumes from its id | nothing, within retention |
/// | `DropOldest` | a [`Gap`](crate::Gap), then the newest events | the oldest pending ones, told |
/// | `DropNewest` | what was pending, a [`Gap`](crate::Gap), then what comes | what came while full, told |
/// | `Conflate` | the newest event of each key | nothing but superseded values; events without a key as in `DropOldest` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "whoever matches on a policy must know each of them")]
pub enum Overflow {
    /// End the subscription: SSE ends cleanly, WebSocket closes 1013 with `slow consumer`.
    #[default]
    Disconnect,
    /// Skip forward to the newest events that the limit allows, and tell one gap.
    DropOldest,
    /// Keep what was pending when the limit was reached, lose what came while full, and tell one
    /// gap at that point.
    DropNewest,
    /// Under pressure keep only the newest event per key. A subscriber that keeps up sees every
    /// event; never an old event after a newer one of the same key.
    Conflate,
}

/// How far a subscription may lag on one topic before its [`Overflow`] policy applies.
///
/// Each bound holds by itself. What a subscription is replayed at its start doesn't count as lag,
/// and one event always fits, whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LagLimit {
    /// Pending events. Default: 512, half of the default retention, so that a subscriber that is
    /// cut at the limit has as much again to come back and resume.
    pub events: u64,
    /// Bytes of pending events (data, names and keys). Default: 512 KiB, half of the default
    /// retention, for the same reason.
    pub bytes: u64,
    /// Age of the oldest pending event. Default: none, because an idle timeout or a write deadline
    /// catches a dead reader, and a slow one is measured better by events and bytes.
    pub age: Option<Duration>,
}

impl Default for LagLimit {
    fn default() -> Self {
        Self { events: 512, bytes: 512 * 1024, age: None }
    }
}

impl LagLimit {
    /// The same limit with `events` pending events; at least 1.
    #[must_use]
    pub fn events(mut self, events: u64) -> Self {
        self.events = events;
        self
    }

    /// The same limit with `bytes` pending bytes; at least 1.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// The same limit with `age` as the age of the oldest pending event.
    #[must_use]
    pub fn age(mut self, age: Option<Duration>) -> Self {
        self.age = age;
        self
    }
}

/// How far a subscription lags on one topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// Pending events.
    pub events: u64,
    /// Bytes of pending events.
    pub bytes: u64,
    /// Age of the oldest pending event that the topic still has.
    pub age: Duration,
    /// Whether an event that was pending has left the topic's log.
    pub evicted: bool,
}

/// What to do with a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It keeps up: deliver.
    Deliver,
    /// End it.
    Disconnect,
    /// Skip to the newest events within the limit.
    SkipToNewest,
    /// Keep the oldest events within the limit, skip the rest.
    KeepOldest,
    /// Skip what a newer event of the same key replaces.
    NewestPerKey,
}

/// The verdict for a subscriber that lags by `lag`.
pub(crate) fn judge(policy: Overflow, lag: &Lag, limit: &LagLimit) -> Verdict {
    let exceeded = lag.evicted
        || lag.events > limit.events
        || lag.bytes > limit.bytes && lag.events > 1
        || limit.age.is_some_and(|age| lag.age > age);
    match (exceeded, policy) {
        (false, _) => Verdict::Deliver,
        (true, Overflow::Disconnect) => Verdict::Disconnect,
        (true, Overflow::DropOldest) => Verdict::SkipToNewest,
        (true, Overflow::DropNewest) => Verdict::KeepOldest,
        (true, Overflow::Conflate) => Verdict::NewestPerKey,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: LagLimit = LagLimit { events: 10, bytes: 100, age: Some(Duration::from_secs(5)) };

    #[test]
    fn each_bound_holds_by_itself_and_at_its_edge() {
        let edge = Lag { events: 10, bytes: 100, age: Duration::from_secs(5), ..Lag::default() };
        assert_eq!(judge(Overflow::Disconnect, &edge, &LIMIT), Verdict::Deliver);
        let one = Lag { events: 1, bytes: 101, ..Lag::default() };
        assert_eq!(judge(Overflow::Disconnect, &one, &LIMIT), Verdict::Deliver);
        for over in [
            Lag { events: 11, ..edge },
            Lag { bytes: 101, ..edge },
            Lag { age: Duration::from_millis(5001), ..edge },
            Lag { events: 2, bytes: 101, ..Lag::default() },
            Lag { evicted: true, ..Lag::default() },
        ] {
            assert_eq!(judge(Overflow::Disconnect, &over, &LIMIT), Verdict::Disconnect);
            assert_eq!(judge(Overflow::DropOldest, &over, &LIMIT), Verdict::SkipToNewest);
            assert_eq!(judge(Overflow::DropNewest, &over, &LIMIT), Verdict::KeepOldest);
            assert_eq!(judge(Overflow::Conflate, &over, &LIMIT), Verdict::NewestPerKey);
        }
    }
}
