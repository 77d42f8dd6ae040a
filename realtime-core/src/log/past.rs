//! What a log takes in that others publish to as well: where it begins, what was published before, and
//! what was lost.

use std::{ops::Range, sync::Arc, time::Instant};

use super::{Entry, Log, Mark};
use crate::{event::Event, position::Position};

/// An event that was published before a log knew of its topic.
#[derive(Debug)]
pub(crate) struct Earlier {
    pub(crate) position: Position,
    pub(crate) event: Event,
    pub(crate) at: Instant,
}

impl Log {
    /// Makes room for events before the first one. It must be empty.
    pub(crate) fn open_to_the_past(&mut self) {
        (self.start, self.head) = (Mark::OPEN_START, Mark::OPEN_START);
    }

    /// Lets go of all, for what was published up to the sequence `through` is not known, or of another
    /// life.
    pub(crate) fn begin_after(&mut self, through: u64) {
        if !self.is_blank() {
            self.clear();
        }
        self.evicted_through = through;
        self.is_open = true;
    }

    /// Appends word that events were lost, the last one at `through`, or none later than the newest.
    pub(crate) fn lose(&mut self, through: Position, now: Instant) {
        let index = self.head.index;
        let newest = self.ring.back().map(|last| last.position);
        let through = newest.filter(|it| it.sequence() > through.sequence()).unwrap_or(through);
        self.append(through, Event::text(""), now);
        // It may be past the retention already.
        if self.first_index() <= index {
            self.losses.push_back(index);
        }
    }

    /// Takes word that what was appended last had been missed.
    pub(crate) fn has_been_repaired(&mut self) {
        self.repaired = self.head;
    }

    /// Where it ended when the last of what had been missed was appended.
    pub(crate) fn repaired(&self) -> Mark {
        self.repaired
    }

    /// How many entries of `range` stand for events which were lost.
    pub(crate) fn losses_in(&self, range: Range<u64>) -> u64 {
        let until = |index: u64| self.losses.partition_point(|it| *it < index);
        until(range.end).saturating_sub(until(range.start)) as u64
    }

    /// The first entry with an index of at least `from` that stands for events which were lost.
    pub(crate) fn loss_from(&self, from: u64) -> Option<&Entry> {
        let index = self.losses.get(self.losses.partition_point(|index| *index < from))?;
        self.get(*index).map(|entry| &**entry)
    }

    /// Puts events before the oldest: of those that were published before it, the newest that fit. None
    /// is missing after the sequence `complete_after`.
    ///
    /// Nothing changes once an event has left the ring: older ones have no place in it.
    pub(crate) fn prepend(&mut self, earlier: Vec<Earlier>, complete_after: u64, now: Instant) {
        if !self.is_open {
            return;
        }
        let known_after = self.evicted_through;
        let first = self.ring.front().map_or(u64::MAX, |front| front.position.sequence());
        let is_older = |it: &Earlier| {
            let sequence = it.position.sequence();
            sequence <= known_after && sequence < first
        };
        let older = earlier.into_iter().filter(is_older);
        let mut oldest = self.ring.front().map_or(self.head, |front| front.mark);
        let mut latest = self.ring.front().map_or(now, |front| front.at);
        for Earlier { position, event, at } in older.rev() {
            let (size, keyed) = (event.size() as u64, u64::from(event.key().is_some()));
            let at = at.min(latest);
            let is_over = self.ring.len() >= self.retention.events
                || self.head.bytes - oldest.bytes + size > self.retention.bytes
                || now.saturating_duration_since(at) > self.retention.age;
            if is_over {
                self.evicted_through = position.sequence();
                self.is_open = false;
                self.settle();
                return;
            }
            let mark = Mark {
                index: oldest.index - 1,
                keyed: oldest.keyed - keyed,
                bytes: oldest.bytes - size,
            };
            if let Some(key) = event.key() {
                self.keys.prepended(key, mark.index);
            }
            self.ring.push_front(Arc::new(Entry {
                topic: self.topic.clone(),
                position,
                event,
                mark,
                at,
            }));
            (oldest, latest) = (mark, at);
        }
        self.evicted_through = complete_after.min(known_after);
        self.settle();
    }

    /// Whether something was appended to it, though it may have left.
    pub(crate) fn has_had_events(&self) -> bool {
        self.head.index > self.start.index
    }

    /// Totals before the first event that was appended.
    pub(crate) fn start(&self) -> Mark {
        self.start
    }
}
