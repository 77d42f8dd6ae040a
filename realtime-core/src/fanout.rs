//! One topic's shared state: its log, and the subscribers parked on it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::Instant,
};

use slab::Slab;

use crate::{
    cursor::Cursor,
    event::Event,
    log::{Log, Mark, Retention},
    position::Position,
    topic::TopicName,
};

/// A topic: its log and its subscribers' cursors under one mutex.
///
/// A std mutex, since it is held for a few instructions and never across an await, and no waker and
/// no user code runs under it.
#[derive(Debug)]
pub(crate) struct Fanout {
    topic: TopicName,
    /// The sequence of the newest event: lets a subscription of many topics pass over the quiet
    /// ones without their locks.
    last_sequence: AtomicU64,
    state: Mutex<State>,
}

/// What a topic's mutex guards.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) log: Log,
    slots: Slab<Slot>,
}

#[derive(Debug)]
struct Slot {
    cursor: Cursor,
    parked: Option<Waker>,
    wake_past: Mark,
}

impl Fanout {
    pub(crate) fn new(topic: TopicName, retention: Retention, evicted_through: u64) -> Self {
        Self {
            last_sequence: AtomicU64::new(evicted_through),
            state: Mutex::new(State {
                log: Log::new(topic.clone(), retention, evicted_through),
                slots: Slab::new(),
            }),
            topic,
        }
    }

    pub(crate) fn topic(&self) -> &TopicName {
        &self.topic
    }

    pub(crate) fn last_sequence(&self) -> u64 {
        self.last_sequence.load(Ordering::Acquire)
    }

    /// Appends an event and returns whom to wake; the hub's `deliver` is the only caller.
    ///
    /// `visible` is moved to the event's sequence before the lock is released, so that whoever
    /// finds the entry under this lock also finds it visible.
    pub(crate) fn append(
        &self,
        position: Position,
        event: Event,
        visible: &AtomicU64,
        now: Instant,
    ) -> Wakeups {
        let mut state = self.lock();
        let state = &mut *state;
        state.log.append(position, event, now);
        self.last_sequence.store(position.sequence(), Ordering::Release);
        visible.store(position.sequence(), Ordering::Release);
        let head = state.log.head();
        let passed =
            |slot: &Slot| head.index > slot.wake_past.index || head.bytes > slot.wake_past.bytes;
        let mut wakers = Vec::with_capacity(state.slots.len());
        for (_, slot) in &mut state.slots {
            if passed(slot) || slot.cursor.has_fallen_off(&state.log) {
                wakers.extend(slot.parked.take());
            }
        }
        Wakeups(wakers)
    }

    /// Looks at the topic under its lock.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.lock())
    }

    /// Adds a subscriber whose cursor `place` makes, and tells whether it is the only one.
    pub(crate) fn join(
        self: &Arc<Self>,
        place: impl FnOnce(&mut Log) -> Cursor,
    ) -> (Membership, bool) {
        let mut state = self.lock();
        let cursor = place(&mut state.log);
        let slot = state.slots.insert(Slot { cursor, parked: None, wake_past: Mark::default() });
        (Membership { fanout: Arc::clone(self), slot }, state.slots.len() == 1)
    }

    /// Subscribers.
    pub(crate) fn members(&self) -> usize {
        self.lock().slots.len()
    }

    /// Room for subscribers.
    #[cfg(test)]
    pub(crate) fn slots_capacity(&self) -> usize {
        self.lock().slots.capacity()
    }

    /// Bytes retained, and the lag of the slowest subscriber in events.
    pub(crate) fn gauge(&self) -> (u64, u64) {
        let state = self.lock();
        let lag = state.slots.iter().map(|(_, slot)| slot.cursor.pending(&state.log)).max();
        (state.log.retained_bytes(), lag.unwrap_or(0))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Locks a mutex whose data no panic can leave half-changed: nothing that may panic on outside data
/// runs under it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A subscriber's place among a topic's members; it leaves when dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    fanout: Arc<Fanout>,
    slot: usize,
}

impl Membership {
    pub(crate) fn fanout(&self) -> &Arc<Fanout> {
        &self.fanout
    }

    /// Looks at the log and at this member's cursor under the topic's lock.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut Log, &mut Cursor) -> R) -> R {
        let mut state = self.fanout.lock();
        let State { log, slots } = &mut *state;
        look(log, &mut slots[self.slot].cursor)
    }

    /// Wakes `waker` once the log has grown past the mark that `wake_past` makes, unless it has
    /// already: then it returns false and nothing is parked.
    pub(crate) fn park(
        &self,
        waker: &Waker,
        wake_past: impl FnOnce(&Log, &Cursor) -> Mark,
    ) -> bool {
        let mut state = self.fanout.lock();
        let State { log, slots } = &mut *state;
        let slot = &mut slots[self.slot];
        let past = wake_past(log, &slot.cursor);
        let head = log.head();
        if head.index > past.index || head.bytes > past.bytes {
            return false;
        }
        slot.wake_past = past;
        let before = match &mut slot.parked {
            Some(parked) if parked.will_wake(waker) => None,
            parked => parked.replace(waker.clone()),
        };
        drop(state);
        // A waker may run anything when dropped.
        drop(before);
        true
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let slot = {
            let mut state = self.fanout.lock();
            let slot = state.slots.try_remove(self.slot);
            if state.slots.is_empty() {
                state.slots.shrink_to_fit();
            }
            slot
        };
        drop(slot);
    }
}

/// Subscribers to wake after an append, once no lock is held.
///
/// They are woken when this is dropped, so none can be forgotten; a broker that delivers under its
/// own lock keeps it until the lock is released.
#[derive(Debug)]
#[must_use = "subscribers wake when this is dropped: keep it until your lock is released"]
pub struct Wakeups(Vec<Waker>);

impl Wakeups {
    /// Wakes the subscribers now.
    pub fn wake(self) {}
}

impl Drop for Wakeups {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}
