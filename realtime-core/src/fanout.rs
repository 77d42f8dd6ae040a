//! One topic's shared state: its log, and the subscribers parked on it.

use std::{
    sync::{Arc, PoisonError, TryLockError},
    task::Waker,
    time::Instant,
};

use slab::Slab;

use crate::{
    cursor::Cursor,
    event::Event,
    log::{Log, LogMemory, Mark, Retention},
    position::Position,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    topic::TopicName,
};

mod wakeups;

pub use wakeups::Wakeups;

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
    /// Whether it has left the table: nothing will be appended any more. Set under the lock.
    retired: AtomicBool,
    /// Which topic of its table it is, in the order in which they were made.
    number: u64,
    state: Mutex<State>,
}

/// What a topic's mutex guards.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) log: Log,
    slots: Slab<Slot>,
    /// In how many inboxes of patterns it waits.
    waiting: usize,
}

#[derive(Debug)]
struct Slot {
    cursor: Cursor,
    parked: Option<Waker>,
    wake_past: Mark,
    /// Whether the topic is kept for this subscriber: it asked for this one, not by a pattern.
    pinned: bool,
}

impl Fanout {
    pub(crate) fn new(
        topic: TopicName,
        retention: Retention,
        evicted_through: u64,
        number: u64,
        memory: &LogMemory,
    ) -> Self {
        Self {
            last_sequence: AtomicU64::new(evicted_through),
            retired: AtomicBool::new(false),
            number,
            state: Mutex::new(State {
                log: Log::new(topic.clone(), retention, evicted_through, memory),
                slots: Slab::new(),
                waiting: 0,
            }),
            topic,
        }
    }

    pub(crate) fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Which topic of its table it is, in the order in which they were made.
    pub(crate) fn number(&self) -> u64 {
        self.number
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
        Wakeups::new(wakers)
    }

    /// Lets go of events past their age at `now`. Returns whether nothing is left, not even by key, and
    /// no subscriber asked for this topic, and whom to wake.
    pub(crate) fn expire(&self, now: Instant) -> (bool, Vec<Waker>) {
        let mut state = self.lock();
        let State { log, slots, .. } = &mut *state;
        log.expire(now);
        let is_over = log.is_blank() && slots.iter().all(|(_, slot)| !slot.pinned);
        (is_over, fallen_off(slots, log))
    }

    /// Bytes that its log takes.
    pub(crate) fn memory(&self) -> u64 {
        self.lock().log.memory()
    }

    /// Lets go of what is encoded.
    pub(crate) fn forget_encoded(&self) {
        self.lock().log.forget_encoded();
    }

    /// Lets go of its oldest events, until its log takes `bytes` less or holds none. Returns how many
    /// went, and whom to wake.
    pub(crate) fn shrink_by(&self, bytes: u64) -> (u64, Vec<Waker>) {
        let mut state = self.lock();
        let State { log, slots, .. } = &mut *state;
        (log.shrink_by(bytes), fallen_off(slots, log))
    }

    /// Looks at the topic under its lock.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.lock())
    }

    /// Adds a subscriber whose cursor `place` makes, and tells whether nobody wanted the topic before.
    /// The topic is kept for it if it is `pinned`.
    pub(crate) fn join(
        self: &Arc<Self>,
        pinned: bool,
        place: impl FnOnce(&mut Log) -> Cursor,
    ) -> (Membership, bool) {
        let mut state = self.lock();
        let cursor = place(&mut state.log);
        let slot = Slot { cursor, parked: None, wake_past: Mark::default(), pinned };
        let is_first = !state.is_wanted();
        let slot = state.slots.insert(slot);
        (Membership { fanout: Arc::clone(self), slot }, is_first)
    }

    /// Has the topic wait in an inbox, and tells whether nobody wanted it before.
    pub(crate) fn wait(self: &Arc<Self>) -> (Waiting, bool) {
        let mut state = self.lock();
        let is_first = !state.is_wanted();
        state.waiting += 1;
        (Waiting { fanout: Arc::clone(self) }, is_first)
    }

    /// Retires the topic if `is_over` says so of its log, nobody holds it but its subscribers,
    /// inboxes and `held` others, these subscribers follow it by pattern and have taken everything,
    /// and nothing was published that is to wait in an inbox. Returns whom to wake, to let go of it.
    ///
    /// The caller holds the table's lock, which everybody else needs to get hold of a topic.
    pub(crate) fn retire(
        self: &Arc<Self>,
        held: usize,
        is_over: impl FnOnce(&mut Log) -> bool,
    ) -> Option<Vec<Waker>> {
        let mut state = self.lock();
        let State { log, slots, waiting } = &mut *state;
        let is_held = Arc::strong_count(self) > held + slots.len() + *waiting;
        let is_to_wait = *waiting > 0 && log.head().index > 0;
        let waited_for = |slot: &Slot| slot.pinned || !slot.cursor.is_at_end(log);
        let is_wanted = is_to_wait || slots.iter().any(|(_, slot)| waited_for(slot));
        if is_held || is_wanted || !is_over(log) {
            return None;
        }
        self.retired.store(true, Ordering::Release);
        // What it holds by key nobody can read any more. It would take memory that is not in the table,
        // where room is made, until the last subscriber looks.
        log.clear();
        Some(slots.iter_mut().filter_map(|(_, slot)| slot.parked.take()).collect())
    }

    /// Whether it has left the table. Then its subscribers have taken everything, and what is
    /// published under its name goes to another.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Subscribers.
    pub(crate) fn members(&self) -> usize {
        self.lock().slots.len()
    }

    /// Whether it has subscribers, or waits for some to take it in.
    pub(crate) fn is_wanted(&self) -> bool {
        self.lock().is_wanted()
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

impl State {
    fn is_wanted(&self) -> bool {
        self.waiting > 0 || !self.slots.is_empty()
    }
}

/// Those that are parked and whose next event the log has let go of.
fn fallen_off(slots: &mut Slab<Slot>, log: &Log) -> Vec<Waker> {
    let fallen = slots.iter_mut().filter(|(_, slot)| slot.cursor.has_fallen_off(log));
    fallen.filter_map(|(_, slot)| slot.parked.take()).collect()
}

/// Locks a mutex whose data no panic can leave half-changed: nothing that may panic on outside data
/// runs under it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same, unless somebody else has it.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Keeps `waker` in `slot` and returns the one before, to be dropped without a lock: a waker may run
/// anything when dropped.
#[must_use]
pub(crate) fn keep(slot: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    if slot.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
        return None;
    }
    slot.replace(waker.clone())
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

    /// Sets whether the topic is kept for this member.
    pub(crate) fn pin(&self, pinned: bool) {
        if let Some(slot) = self.fanout.lock().slots.get_mut(self.slot) {
            slot.pinned = pinned;
        }
    }

    /// Looks at the log and at this member's cursor under the topic's lock.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut Log, &mut Cursor) -> R) -> R {
        let mut state = self.fanout.lock();
        let State { log, slots, .. } = &mut *state;
        look(log, &mut slots[self.slot].cursor)
    }

    /// Wakes `waker` once the log has grown past the mark that `wake_past` makes, or has let go of this
    /// member's next event, unless it has already: then it returns false and nothing is parked.
    pub(crate) fn park(
        &self,
        waker: &Waker,
        wake_past: impl FnOnce(&Log, &Cursor) -> Mark,
    ) -> bool {
        let mut state = self.fanout.lock();
        let State { log, slots, .. } = &mut *state;
        let slot = &mut slots[self.slot];
        let past = wake_past(log, &slot.cursor);
        let head = log.head();
        let has_grown = head.index > past.index || head.bytes > past.bytes;
        if has_grown || slot.cursor.has_fallen_off(log) {
            return false;
        }
        slot.wake_past = past;
        let before = keep(&mut slot.parked, waker);
        drop(state);
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

/// A topic in an inbox, until it is dropped: what is published to it keeps it in the table, so that
/// whoever takes it in can join it from its first event on.
#[derive(Debug)]
pub(crate) struct Waiting {
    fanout: Arc<Fanout>,
}

impl Waiting {
    pub(crate) fn fanout(&self) -> &Arc<Fanout> {
        &self.fanout
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.fanout.lock().waiting -= 1;
    }
}
