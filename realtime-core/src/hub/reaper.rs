//! Topics that nobody uses leave the table in time, a few at a time.

use std::{
    ops::Bound,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::{Duration, Instant},
};

use super::table::Table;
use crate::{fanout::try_lock, lifetime::later, sync::Mutex, topic::TopicName};

/// Topics that one round looks at, and at most when the last one is long ago: some microseconds, and a
/// tenth of a millisecond, where topics have few subscribers.
const ROUND: usize = 64;
const LONG_ROUND: usize = 1024;

/// Comes by all topics in turn, in rounds that whoever uses the hub pays for.
///
/// The table is gone through within an eighth of the retention's age, as long as the hub is used often
/// enough, and a topic is met again within twice that, since what goes on the way makes the next time
/// through shorter. Where nothing happens at all, nothing is reaped.
#[derive(Debug)]
pub(super) struct Reaper {
    /// How long once through the table takes.
    period: Duration,
    /// What `due` counts from.
    began: OnceLock<Instant>,
    /// When the next round is due, in milliseconds.
    due: AtomicU64,
    place: Mutex<Place>,
}

#[derive(Debug)]
struct Place {
    from: Bound<TopicName>,
    last: Option<Instant>,
    /// Topics when it began at the first name: what goes meanwhile must not slow it down.
    lap: usize,
}

impl Reaper {
    pub(super) fn new(age: Duration) -> Self {
        Self {
            period: (age / 8).clamp(Duration::from_millis(500), Duration::from_secs(30)),
            began: OnceLock::new(),
            due: AtomicU64::new(0),
            place: Mutex::new(Place { from: Bound::Unbounded, last: None, lap: 0 }),
        }
    }

    /// Whether a round is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.millis_at(now) >= self.due.load(Relaxed)
    }

    /// Does a round, if it is due and nobody else does. Returns whom to wake.
    pub(super) fn reap(&self, table: &Table, now: Instant) -> Vec<Waker> {
        let Some(mut place) = try_lock(&self.place) else { return Vec::new() };
        if !self.is_due(now) {
            return Vec::new();
        }
        let since = place.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let from = std::mem::replace(&mut place.from, Bound::Unbounded);
        let lap = if from == Bound::Unbounded { table.len().max(1) } else { place.lap };
        let share = lap as f64 * since.as_secs_f64() / self.period.as_secs_f64();
        let round = (share as usize).clamp(ROUND, LONG_ROUND).min(lap);
        let (from, wakers) = table.reap(from, round, now);
        *place = Place { from, last: Some(now), lap };
        let next = later(now, self.period.mul_f64(round as f64 / lap as f64));
        self.due.store(self.millis_at(next), Relaxed);
        wakers
    }

    fn millis_at(&self, at: Instant) -> u64 {
        let began = self.began.get_or_init(|| at);
        at.saturating_duration_since(*began).as_millis() as u64
    }
}
