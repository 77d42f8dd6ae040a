//! A topic that other instances publish to as well: from where on its log has everything.

use std::{
    sync::{Arc, PoisonError},
    task::Waker,
    time::Instant,
};

use super::{Fanout, State};
use crate::{
    event::Event,
    log::Earlier,
    position::Position,
    sync::{MutexGuard, atomic::{AtomicBool, Ordering}},
};

/// What a topic's log has of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownPast {
    /// Everything after this sequence is there.
    pub(crate) complete_after: u64,
    /// After which sequence the broker has been asked, and has answered.
    pub(crate) read_after: Option<u64>,
    /// Events in the ring.
    pub(crate) events: usize,
}

impl Fanout {
    /// The same topic, new, of a hub that shares it with others: its log gets all that is published
    /// from the start if it `is_established`, else once it is told so.
    pub(crate) fn shared(mut self, is_established: bool) -> Self {
        self.is_shared = true;
        self.is_established = AtomicBool::new(is_established);
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.log.open_to_the_past();
        self
    }

    /// Whether its log gets all that is published.
    pub(crate) fn is_established(&self) -> bool {
        self.is_established.load(Ordering::Acquire)
    }

    /// Takes word that its log gets all that is published from now on: what it has is complete, or, if
    /// there is an `after`, everything after that sequence comes and nothing is known of before.
    pub(crate) fn establish(self: &Arc<Self>, after: Option<u64>) -> Vec<Waker> {
        let mut state = self.lock();
        if let Some(after) = after
            && !self.is_established()
        {
            // Who published here and did not wait may have had later ones dropped.
            let after = after.max(state.log.last_sequence());
            state.log.begin_after(after);
        }
        self.is_established.store(true, Ordering::Release);
        self.tell(state)
    }

    /// Lets go of everything: the numbers start anew after `after`.
    pub(crate) fn begin_after(self: &Arc<Self>, after: u64) -> Vec<Waker> {
        let mut state = self.lock();
        state.log.begin_after(after);
        state.past_read_after = None;
        self.is_established.store(!self.is_shared, Ordering::Release);
        self.tell(state)
    }

    /// Appends an event that nobody is to see until [`show`](Self::show).
    pub(crate) fn append_unseen(&self, position: Position, event: Event, now: Instant) {
        let mut state = self.lock();
        if !self.is_established() {
            state.log.begin_after(position.sequence());
        } else if position.sequence() > state.log.last_sequence() {
            state.log.append(position, event, now);
            state.log.has_been_repaired();
        }
    }

    /// Takes word that events were lost, the last one at `through`. Returns whom to wake.
    pub(crate) fn lose(self: &Arc<Self>, through: Position, now: Instant) -> Vec<Waker> {
        let mut state = self.lock();
        if !self.is_established() {
            return Vec::new();
        }
        state.log.lose(through, now);
        self.tell(state)
    }

    /// Has what was appended be seen, once it is visible. Returns whom to wake.
    pub(crate) fn show(self: &Arc<Self>) -> Vec<Waker> {
        let state = self.lock();
        self.tell(state)
    }

    /// Takes what the broker has of the past after the sequence `read_after`, of which nothing is missing
    /// after `complete_after`.
    pub(crate) fn prepend(
        self: &Arc<Self>,
        earlier: Vec<Earlier>,
        read_after: u64,
        complete_after: u64,
        now: Instant,
    ) -> Vec<Waker> {
        let mut state = self.lock();
        if self.is_established() {
            state.log.prepend(earlier, complete_after, now);
            let before = state.past_read_after.unwrap_or(u64::MAX);
            state.past_read_after = Some(read_after.min(before));
        }
        self.tell(state)
    }

    /// What is known of the past.
    pub(crate) fn known_past(&self) -> KnownPast {
        self.with(|state| KnownPast {
            complete_after: state.log.evicted_through(),
            read_after: state.past_read_after,
            events: (state.log.head().index - state.log.first_index()) as usize,
        })
    }

    fn tell(self: &Arc<Self>, state: MutexGuard<'_, State>) -> Vec<Waker> {
        self.last_sequence.store(state.log.last_sequence(), Ordering::Release);
        self.note(state, true)
    }
}
