//! One topic's shared state: its log, and the subscribers parked on it.

use std::{
    sync::{Arc, PoisonError, TryLockError},
    task::Waker,
    time::Instant,
};

use crate::{
    cursor::Cursor,
    event::Event,
    log::{Log, LogMemory, Newest, Retention},
    position::Position,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    topic::TopicName,
};

mod membership;
mod parking;
mod relay;
mod shard;
mod shared;
mod wakeups;

pub(crate) use membership::{Membership, Waiting};
use parking::Parking;
pub(crate) use relay::Relay;
use shard::{Member, Past};
pub use wakeups::Wakeups;

/// How many subscribers a publisher wakes itself; see [`Relay`].
#[cfg(not(all(test, shuttle)))]
const WOKEN_AT_ONCE: usize = 16;
/// A model has few.
#[cfg(all(test, shuttle))]
const WOKEN_AT_ONCE: usize = 1;

/// A topic: its log under one mutex, its subscribers under others, and what most of them read next
/// under none.
///
/// Std mutexes, since they are held for a few instructions and never across an await, and no waker and
/// no user code runs under them. The log's is taken before a subscriber's.
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
    newest: Arc<Newest>,
    parking: Parking,
    relay: Relay,
    /// Whether the relay has it.
    is_relayed: AtomicBool,
    /// Whether other instances publish to it as well.
    is_shared: bool,
    /// Whether the log gets all that is published: always, unless it is shared. Set under the lock.
    is_established: AtomicBool,
}

/// What a topic's mutex guards.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) log: Log,
    /// Subscribers.
    members: usize,
    /// In how many inboxes of patterns it waits.
    waiting: usize,
    /// After which sequence the broker has been asked for the past, and has answered.
    past_read_after: Option<u64>,
}

impl Fanout {
    pub(crate) fn new(
        topic: TopicName,
        retention: Retention,
        evicted_through: u64,
        number: u64,
        memory: &LogMemory,
        relay: &Relay,
    ) -> Self {
        let log = Log::new(topic.clone(), retention, evicted_through, memory);
        Self {
            last_sequence: AtomicU64::new(evicted_through),
            retired: AtomicBool::new(false),
            number,
            newest: Arc::clone(log.newest()),
            state: Mutex::new(State { log, members: 0, waiting: 0, past_read_after: None }),
            is_shared: false,
            is_established: AtomicBool::new(true),
            parking: Parking::default(),
            relay: relay.clone(),
            is_relayed: AtomicBool::new(false),
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
        self: &Arc<Self>,
        position: Position,
        event: Event,
        visible: &AtomicU64,
        now: Instant,
    ) -> Wakeups {
        let mut state = self.lock();
        if self.is_established() {
            state.log.append(position, event, now);
        } else {
            // Nobody is to have it yet; whoever is told that it gets all starts after it.
            state.log.begin_after(position.sequence());
        }
        self.last_sequence.store(position.sequence(), Ordering::Release);
        visible.store(position.sequence(), Ordering::Release);
        Wakeups::new(self.note(state, true))
    }

    /// Lets go of events past their age at `now`. Returns whether nothing is left, not even by key, and
    /// no subscriber asked for this topic, and whom to wake.
    pub(crate) fn expire(self: &Arc<Self>, now: Instant) -> (bool, Vec<Waker>) {
        let mut state = self.lock();
        state.log.expire(now);
        let is_over = state.log.is_blank() && !self.parking.any(|member| member.is_pinned);
        (is_over, self.note(state, false))
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
    pub(crate) fn shrink_by(self: &Arc<Self>, bytes: u64) -> (u64, Vec<Waker>) {
        let mut state = self.lock();
        let gone = state.log.shrink_by(bytes);
        (gone, self.note(state, false))
    }

    /// Looks at the topic under its lock.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.lock())
    }

    /// Adds a subscriber with the cursor that `place` makes, and tells whether nobody wanted the topic
    /// before. The topic is kept for it if it is `pinned`.
    pub(crate) fn join(
        self: &Arc<Self>,
        pinned: bool,
        place: impl FnOnce(&mut Log) -> Cursor,
    ) -> (Membership, Cursor, bool) {
        let mut state = self.lock();
        let is_first = !state.is_wanted();
        if is_first && self.is_shared {
            // Others may have published to it since somebody wanted it here.
            self.is_established.store(false, Ordering::Release);
            state.past_read_after = None;
        }
        let cursor = place(&mut state.log);
        let member = Member::new(&cursor, pinned);
        let place = self.parking.insert(member, state.members);
        state.members += 1;
        (Membership::new(Arc::clone(self), place), cursor, is_first)
    }

    /// Has the topic wait in an inbox, and tells whether nobody wanted it before.
    pub(crate) fn wait(self: &Arc<Self>) -> (Waiting, bool) {
        let mut state = self.lock();
        let is_first = !state.is_wanted();
        state.waiting += 1;
        (Waiting::new(Arc::clone(self)), is_first)
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
        let State { log, members, waiting, .. } = &mut *state;
        let is_held = Arc::strong_count(self) > held + *members + *waiting;
        let is_to_wait = *waiting > 0 && log.has_had_events();
        let waited_for = |member: &Member| member.is_pinned || !member.is_at_end(log);
        let is_wanted = is_to_wait || self.parking.any(waited_for);
        if is_held || is_wanted || !is_over(log) {
            return None;
        }
        self.retired.store(true, Ordering::Release);
        // What it holds by key nobody can read any more. It would take memory that is not in the table,
        // where room is made, until the last subscriber looks.
        log.clear();
        drop(state);
        Some(self.parking.take_all())
    }

    /// Whether it has left the table. Then its subscribers have taken everything, and what is
    /// published under its name goes to another.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Subscribers.
    pub(crate) fn members(&self) -> usize {
        self.lock().members
    }

    /// Whether it has subscribers, or waits for some to take it in.
    pub(crate) fn is_wanted(&self) -> bool {
        self.lock().is_wanted()
    }

    /// Room for subscribers.
    #[cfg(test)]
    pub(crate) fn slots_capacity(&self) -> usize {
        self.parking.capacity()
    }

    /// Bytes retained, and the lag of the slowest subscriber in events.
    pub(crate) fn gauge(&self) -> (u64, u64) {
        let (head, bytes) = self.with(|state| (state.log.head(), state.log.retained_bytes()));
        // However many there are, nobody who publishes waits for all of them.
        (bytes, self.parking.max(|member| member.pending(head)))
    }

    /// Takes at most `max` of those who are to be woken and were left. Called by the relay, which does
    /// not have it any more.
    fn take_due(self: &Arc<Self>, max: usize, wakers: &mut Vec<Waker>) {
        // Not a mere store, which a look at who is due might overtake: a publisher that finds this still
        // set, and so leaves it to us, has said before who is due.
        self.is_relayed.swap(false, Ordering::AcqRel);
        if self.parking.is_due() {
            self.leave_to_relay();
            self.take_some_due(true, max, wakers);
        }
    }

    fn take_some_due(self: &Arc<Self>, relayed: bool, max: usize, wakers: &mut Vec<Waker>) {
        if self.parking.take_due(relayed, max, wakers) {
            self.leave_to_relay();
        }
    }

    /// Has others be woken by whoever uses the hub. Before any is taken to be woken here, if there may be
    /// more: who leaves though it is about to be woken wakes others instead.
    fn leave_to_relay(self: &Arc<Self>) {
        if !self.is_relayed.swap(true, Ordering::AcqRel) {
            self.relay.add(self);
        }
    }

    /// Tells those who wait how the log is now, which no longer needs to be locked; `has_grown` when
    /// there is a new event. Returns whom to wake at once.
    fn note(self: &Arc<Self>, state: MutexGuard<'_, State>, has_grown: bool) -> Vec<Waker> {
        let log = (state.log.head(), state.log.first_index());
        let members = state.members;
        drop(state);
        let mut wakers = Vec::new();
        if self.parking.note(has_grown, log) {
            wakers.reserve(members.min(WOKEN_AT_ONCE));
            if members > WOKEN_AT_ONCE {
                self.leave_to_relay();
            }
            self.take_some_due(false, WOKEN_AT_ONCE, &mut wakers);
        }
        wakers
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn is_wanted(&self) -> bool {
        self.waiting > 0 || self.members > 0
    }
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
