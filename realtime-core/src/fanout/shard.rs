//! Some of a topic's subscribers, and which of them wait for what.

use std::{collections::BTreeSet, task::Waker};

use slab::Slab;

use super::keep;
use crate::log::Mark;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// Some of a topic's subscribers.
///
/// Those who wait for the next event are in a list, which becomes that of those who are due as a whole:
/// that costs the same however many there are.
#[derive(Debug)]
pub(super) struct Shard {
    slots: Slab<Slot>,
    /// Who waits for the next event.
    parked: List,
    /// Who is to be woken, in the order in which they parked.
    due: List,
    /// How often what was parked has become due; tells in which of the two lists a slot is.
    turn: u64,
    /// Who can't take anything now; few topics have any.
    far: Option<Box<Far>>,
}

/// What a topic knows of a subscriber, whose cursor is its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// The index from which on it has yet to take entries.
    pub(super) reached: u64,
    /// Whether it has something to tell before that, so that it is not at an end there.
    pub(super) is_in_trouble: bool,
    /// Whether the topic is kept for this subscriber: it asked for this one, not by a pattern.
    pub(super) is_pinned: bool,
}

#[derive(Debug)]
struct Slot {
    member: Member,
    waker: Option<Waker>,
    waits: Waits,
}

/// What a subscriber waits for; it has a waker if it waits.
#[derive(Debug)]
enum Waits {
    No,
    /// The next event: in a list since that turn.
    Next {
        turn: u64,
        before: u32,
        after: u32,
    },
    /// Boxed because few do.
    Far(Box<Past>),
}

/// What a subscriber waits for that can't take anything now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    /// The log grows past these totals of entries and bytes.
    pub(crate) mark: Mark,
    /// Or lets go of the entry with this index.
    pub(crate) first: u64,
}

/// Subscribers by what they wait for.
#[derive(Debug, Default)]
struct Far {
    by_index: BTreeSet<(u64, u32)>,
    by_bytes: BTreeSet<(u64, u32)>,
    by_first: BTreeSet<(u64, u32)>,
    /// The log as it was last told.
    head: Mark,
    first: u64,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List { first: NONE, last: NONE };

impl Default for Shard {
    fn default() -> Self {
        Self { slots: Slab::new(), parked: EMPTY, due: EMPTY, turn: 0, far: None }
    }
}

impl Shard {
    pub(super) fn insert(&mut self, member: Member) -> u32 {
        self.slots.insert(Slot { member, waker: None, waits: Waits::No }) as u32
    }

    /// Removes a subscriber, and returns what may run anything when it is dropped.
    #[must_use]
    pub(super) fn remove(&mut self, at: u32) -> Option<Waker> {
        self.unpark(at);
        let slot = self.slots.try_remove(at as usize);
        if self.slots.is_empty() {
            self.slots.shrink_to_fit();
        }
        slot.and_then(|slot| slot.waker)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.slots.iter().map(|(_, slot)| &slot.member)
    }

    pub(super) fn member(&mut self, at: u32) -> Option<&mut Member> {
        self.slots.get_mut(at as usize).map(|slot| &mut slot.member)
    }

    /// Has `waker` woken with the next event. Returns the one before.
    #[must_use]
    pub(super) fn park(&mut self, at: u32, waker: &Waker) -> Option<Waker> {
        // Whoever was due has looked by itself: to be woken for that later would take its waker away though
        // nothing has come.
        self.unpark(at);
        self.push(at);
        keep(&mut self.slots[at as usize].waker, waker)
    }

    /// Has `waker` woken when it gets to what is given. Returns the one before.
    #[must_use]
    pub(super) fn park_far(&mut self, at: u32, waker: &Waker, past: Past) -> Option<Waker> {
        self.unpark(at);
        self.far.get_or_insert_default().insert(at, &past);
        let slot = &mut self.slots[at as usize];
        slot.waits = Waits::Far(Box::new(past));
        keep(&mut slot.waker, waker)
    }

    /// Takes word of how the log is; `has_grown` when there is a new event.
    pub(super) fn note(&mut self, has_grown: bool, head: Mark, first: u64) {
        if let Some(far) = &mut self.far {
            // Those who bring word may overtake each other.
            far.first = far.first.max(first);
            if far.head.index < head.index {
                far.head = head;
            }
        }
        if has_grown && self.parked.first != NONE {
            self.turn += 1;
            let parked = std::mem::replace(&mut self.parked, EMPTY);
            match self.due.last {
                NONE => self.due = parked,
                last => {
                    self.set_after(last, parked.first);
                    self.set_before(parked.first, last);
                    self.due.last = parked.last;
                }
            }
        }
    }

    /// Takes at most `max` of those who are to be woken, and tells whether there are more.
    pub(super) fn take_due(&mut self, max: usize, wakers: &mut Vec<Waker>) -> bool {
        for _ in 0..max {
            let due = Some(self.due.first).filter(|due| *due != NONE);
            let Some(at) = due.or_else(|| self.passed()) else { return false };
            self.unpark(at);
            wakers.extend(self.slots[at as usize].waker.take());
        }
        self.is_due()
    }

    /// Whether some are to be woken.
    pub(super) fn is_due(&self) -> bool {
        self.due.first != NONE || self.passed().is_some()
    }

    /// Takes all who wait.
    pub(super) fn take_all(&mut self, wakers: &mut Vec<Waker>) {
        (self.parked, self.due, self.far) = (EMPTY, EMPTY, None);
        for (_, slot) in &mut self.slots {
            slot.waits = Waits::No;
            wakers.extend(slot.waker.take());
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// One who could take nothing and is to look.
    fn passed(&self) -> Option<u32> {
        self.far.as_ref()?.passed()
    }

    /// It waits for nothing any more.
    fn unpark(&mut self, at: u32) {
        let Some(slot) = self.slots.get_mut(at as usize) else { return };
        match std::mem::replace(&mut slot.waits, Waits::No) {
            Waits::No => {}
            Waits::Far(past) => {
                self.far.iter_mut().for_each(|far| far.remove(at, &past));
                self.far.take_if(|far| far.by_index.is_empty());
            }
            Waits::Next { turn, before, after } => {
                let is_parked = turn == self.turn;
                let list = if is_parked { &mut self.parked } else { &mut self.due };
                if before == NONE {
                    list.first = after;
                }
                if after == NONE {
                    list.last = before;
                }
                self.set_after(before, after);
                self.set_before(after, before);
            }
        }
    }

    /// Puts it at the end of those who wait for the next event.
    fn push(&mut self, at: u32) {
        let last = self.parked.last;
        let waits = Waits::Next { turn: self.turn, before: last, after: NONE };
        self.slots[at as usize].waits = waits;
        match last {
            NONE => self.parked.first = at,
            last => self.set_after(last, at),
        }
        self.parked.last = at;
    }

    fn set_after(&mut self, at: u32, to: u32) {
        if let Some(Slot { waits: Waits::Next { after, .. }, .. }) = self.slots.get_mut(at as usize)
        {
            *after = to;
        }
    }

    fn set_before(&mut self, at: u32, to: u32) {
        if let Some(Slot { waits: Waits::Next { before, .. }, .. }) =
            self.slots.get_mut(at as usize)
        {
            *before = to;
        }
    }
}

impl Far {
    fn insert(&mut self, at: u32, past: &Past) {
        self.by_index.insert((past.mark.index, at));
        self.by_bytes.insert((past.mark.bytes, at));
        self.by_first.insert((past.first, at));
    }

    fn remove(&mut self, at: u32, past: &Past) {
        self.by_index.remove(&(past.mark.index, at));
        self.by_bytes.remove(&(past.mark.bytes, at));
        self.by_first.remove(&(past.first, at));
    }

    /// One who has got to what it waits for.
    fn passed(&self) -> Option<u32> {
        let below = |of: &BTreeSet<(u64, u32)>, limit: u64| {
            of.first().filter(|(least, _)| *least < limit).map(|(_, at)| *at)
        };
        below(&self.by_index, self.head.index)
            .or_else(|| below(&self.by_bytes, self.head.bytes))
            .or_else(|| below(&self.by_first, self.first))
    }
}

#[cfg(test)]
mod tests;
