//! A topic's subscribers, those who wait for the next event among them.

use std::{sync::OnceLock, task::Waker};

use super::{
    Past, lock,
    shard::{Member, Shard},
};
use crate::{
    log::Mark,
    stats::thread_number,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

/// From so many subscribers on, a topic spreads them over several locks.
#[cfg(not(all(test, shuttle)))]
const SPREAD_FROM: usize = 64;
/// A model has few.
#[cfg(all(test, shuttle))]
const SPREAD_FROM: usize = 1;

/// How many locks these are.
const SPREAD: u32 = 8;

/// A topic's subscribers. Who comes to a topic of many goes with those who came on the same thread: it
/// is mostly there that they are polled later, so that threads seldom meet at a lock.
#[derive(Debug, Default)]
pub(super) struct Parking {
    few: Stand,
    many: OnceLock<Box<[Padded]>>,
}

/// A stand in cache lines of its own, two of which are fetched together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded(Stand);

/// Some subscribers.
#[derive(Debug, Default)]
struct Stand {
    /// Whether some are to be woken that nobody has woken yet. Changed under the lock.
    is_due: AtomicBool,
    shard: Mutex<Shard>,
}

/// A subscriber's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    stand: u32,
    slot: u32,
}

impl Parking {
    /// Adds a subscriber to `members` others.
    pub(super) fn insert(&self, member: Member, members: usize) -> Place {
        let stand = if members < SPREAD_FROM {
            0
        } else {
            self.many.get_or_init(|| (0..SPREAD).map(|_| Padded::default()).collect());
            1 + thread_number() % SPREAD
        };
        Place { stand, slot: self.lock(stand).insert(member) }
    }

    /// Removes a subscriber, and returns what may run anything when it is dropped.
    #[must_use]
    pub(super) fn remove(&self, place: Place) -> Option<Waker> {
        self.lock(place.stand).remove(place.slot)
    }

    /// Changes what is known of a subscriber.
    pub(super) fn change(&self, place: Place, change: impl FnOnce(&mut Member)) {
        self.lock(place.stand).member(place.slot).map(change);
    }

    /// Has `waker` woken with the next event, unless `is_over` says, under the lock that whoever wakes
    /// needs, that there is one. Returns the waker before, or that nothing is parked. What is known of it
    /// is changed in any case.
    pub(super) fn park(
        &self,
        place: Place,
        waker: &Waker,
        change: impl FnOnce(&mut Member),
        is_over: impl FnOnce() -> bool,
    ) -> Result<Option<Waker>, ()> {
        let mut shard = self.lock(place.stand);
        shard.member(place.slot).map(change);
        if is_over() {
            return Err(());
        }
        Ok(shard.park(place.slot, waker))
    }

    /// Has `waker` woken when it gets to what is given; the caller keeps the log from growing. Returns
    /// the one before.
    #[must_use]
    pub(super) fn park_far(&self, place: Place, waker: &Waker, past: Past) -> Option<Waker> {
        self.lock(place.stand).park_far(place.slot, waker, past)
    }

    /// Takes word of how the log is, `has_grown` when there is a new event. Tells whether some are to be
    /// woken.
    pub(super) fn note(&self, has_grown: bool, (head, first): (Mark, u64)) -> bool {
        let mut any = false;
        for stand in self.stands() {
            let mut shard = lock(&stand.shard);
            shard.note(has_grown, head, first);
            let is_due = shard.is_due();
            stand.is_due.store(is_due, Ordering::Release);
            any |= is_due;
        }
        any
    }

    /// Whether some are to be woken, or were a moment ago.
    pub(super) fn is_due(&self) -> bool {
        self.stands().any(|stand| stand.is_due.load(Ordering::Acquire))
    }

    /// Takes at most `max` of those who are to be woken, those of this thread first if it is `relayed`, or
    /// else those who came when there were few. Tells whether there are more.
    pub(super) fn take_due(&self, relayed: bool, max: usize, wakers: &mut Vec<Waker>) -> bool {
        let max = max + wakers.len();
        let from = if relayed { 1 + thread_number() % SPREAD } else { 0 };
        let count = self.stands().count() as u32;
        let mut more = false;
        for at in (0..count).map(|at| (from + at) % count) {
            let stand = self.stand(at);
            if !stand.is_due.load(Ordering::Acquire) {
                continue;
            }
            if wakers.len() == max {
                return true;
            }
            let mut shard = lock(&stand.shard);
            let is_due = shard.take_due(max - wakers.len(), wakers);
            stand.is_due.store(is_due, Ordering::Release);
            more |= is_due;
        }
        more
    }

    /// Takes all who wait.
    pub(super) fn take_all(&self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for stand in self.stands() {
            lock(&stand.shard).take_all(&mut wakers);
        }
        wakers
    }

    /// Whether `is_it` is said of any subscriber.
    pub(super) fn any(&self, is_it: impl Fn(&Member) -> bool) -> bool {
        self.stands().any(|stand| lock(&stand.shard).members().any(&is_it))
    }

    /// The largest of what is said of each subscriber.
    pub(super) fn max(&self, of: impl Fn(&Member) -> u64) -> u64 {
        let max = |stand: &Stand| lock(&stand.shard).members().map(&of).max();
        self.stands().filter_map(max).max().unwrap_or(0)
    }

    /// Room for subscribers.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.stands().map(|stand| lock(&stand.shard).capacity()).sum()
    }

    fn stands(&self) -> impl Iterator<Item = &Stand> {
        let many = self.many.get().into_iter().flatten();
        std::iter::once(&self.few).chain(many.map(|Padded(stand)| stand))
    }

    fn stand(&self, at: u32) -> &Stand {
        let many = at.checked_sub(1).and_then(|at| self.many.get()?.get(at as usize));
        many.map_or(&self.few, |Padded(stand)| stand)
    }

    fn lock(&self, at: u32) -> MutexGuard<'_, Shard> {
        lock(&self.stand(at).shard)
    }
}
