//! One topic's log: a ring that is replay buffer and send queue at once.
//!
//! Entries are found by *index*, the count of entries appended before; it never wraps or restarts
//! in the life of a log, so the distance of two indices is a number of events even when the ring
//! has let go of them.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration, time::Instant};

use bytes::Bytes;

use crate::{event::Event, position::Position, topic::TopicName};

mod batch;
mod keys;
mod memory;
mod wire;

pub(crate) use batch::Batch;
use keys::KeyIndex;
pub(crate) use memory::LogMemory;
use memory::{ENTRY_BYTES, KEY_BYTES, Share};
use wire::WireCache;
pub(crate) use wire::{Newest, WIRE_FORMATS, WireFormat};

/// How much of a topic's past is kept for replay and for slow subscribers.
///
/// A topic takes at most `bytes` for the events in the ring, as much again for the newest events of
/// keys that have left the ring, as much again for encoded copies or one encoded batch (up to 64 KiB
/// and one event more), whichever is more, and a fixed overhead per event and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Events kept per topic. Default: 1 024, some minutes of a chatty topic.
    pub events: usize,
    /// Bytes of events (data, names and keys) kept per topic. Default: 1 MiB, so that a thousand
    /// busy topics fit a small machine.
    pub bytes: u64,
    /// The age at which an event is let go: looked at when something is published to the topic or
    /// somebody subscribes, and in all topics in turn while the hub is used at all, within about a
    /// quarter of this (1 s at least, 60 s at most). Default: 5 minutes, longer than a client's
    /// reconnect takes.
    pub age: Duration,
    /// Keys whose newest event is kept after it left the ring, whatever its age: until a newer one
    /// comes, the topic has to give way to another ([`Limits::topics`](crate::Limits::topics)), or
    /// memory is short ([`Limits::log_bytes`](crate::Limits::log_bytes)). Default: 4 096.
    pub keys: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { events: 1024, bytes: 1024 * 1024, age: Duration::from_secs(300), keys: 4096 }
    }
}

impl Retention {
    /// The same retention with at most `events` events; at least 1.
    #[must_use]
    pub fn events(mut self, events: usize) -> Self {
        self.events = events;
        self
    }

    /// The same retention with at most `bytes` bytes; at least the largest event allowed.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// The same retention with events let go at `age`.
    #[must_use]
    pub fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// The same retention with at most `keys` keys kept beyond the ring.
    #[must_use]
    pub fn keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }
}

/// An event as it stands in a topic's log.
#[derive(Debug)]
pub struct Entry {
    topic: TopicName,
    position: Position,
    event: Event,
    mark: Mark,
    at: Instant,
}

impl Entry {
    /// The topic that it was published to.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Its place in the hub's sequence.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The event.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// What was appended before it.
    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    /// When it was appended.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// What has been appended with it.
    pub(crate) fn end(&self) -> Mark {
        Mark {
            index: self.mark.index + 1,
            keyed: self.mark.keyed + u64::from(self.event.key().is_some()),
            bytes: self.mark.bytes + self.event.size() as u64,
        }
    }
}

/// An event that was published before a log knew of its topic.
#[derive(Debug)]
pub(crate) struct Earlier {
    pub(crate) position: Position,
    pub(crate) event: Event,
    pub(crate) at: Instant,
}

/// Running totals of a log up to some place in it; differences of two say what lies between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Entries.
    pub(crate) index: u64,
    /// Entries with a key.
    pub(crate) keyed: u64,
    /// Bytes of events.
    pub(crate) bytes: u64,
}

impl Mark {
    /// Of a log before whose first entry others may be put: room for as many as there may be.
    const OPEN_START: Self = Self { index: 1 << 32, keyed: 1 << 32, bytes: 1 << 48 };

    /// Entries without a key between `self` and `to`; none when `to` is earlier.
    pub(crate) fn unkeyed_until(&self, to: &Self) -> u64 {
        let keyed = to.keyed.saturating_sub(self.keyed);
        to.index.saturating_sub(self.index).saturating_sub(keyed)
    }
}

/// One topic's ring, key index and encoded copies.
#[derive(Debug)]
pub(crate) struct Log {
    topic: TopicName,
    retention: Retention,
    ring: VecDeque<Arc<Entry>>,
    /// Totals when nothing has been appended.
    start: Mark,
    head: Mark,
    evicted_through: u64,
    /// Whether nothing has left the ring, so that what was published before may be put into it.
    is_open: bool,
    /// The indices of entries in the ring that stand for events which were lost; hardly ever any.
    losses: VecDeque<u64>,
    /// Where it ended when the last of what had been missed was appended: what lies before is no lag.
    repaired: Mark,
    keys: KeyIndex,
    wire: WireCache,
    share: Share,
}

impl Log {
    /// An empty log whose topic may have had events up to the sequence `evicted_through` in an
    /// earlier life. What it takes counts in `memory`.
    pub(crate) fn new(
        topic: TopicName,
        retention: Retention,
        evicted_through: u64,
        memory: &LogMemory,
    ) -> Self {
        Self {
            topic,
            retention,
            ring: VecDeque::new(),
            start: Mark::default(),
            head: Mark::default(),
            evicted_through,
            is_open: true,
            losses: VecDeque::new(),
            repaired: Mark::default(),
            keys: KeyIndex::default(),
            wire: WireCache::default(),
            share: Share::new(memory),
        }
    }

    /// Appends an event and lets go of what is past the retention.
    pub(crate) fn append(&mut self, position: Position, event: Event, now: Instant) {
        // Publishers read the clock before they get here: never earlier than the one before.
        let at = self.ring.back().map_or(now, |last| last.at.max(now));
        let entry = Entry { topic: self.topic.clone(), position, event, mark: self.head, at };
        if let Some(key) = entry.event.key() {
            self.keys.appended(key, entry.mark.index);
        }
        self.head = entry.end();
        self.ring.push_back(Arc::new(entry));
        self.expire(now);
    }

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
        let older = earlier.into_iter().filter(|it| it.position.sequence() <= known_after);
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

    /// Lets go of what is past the retention at `now`; the newest entry only for its age.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(front) = self.ring.front() {
            let over = self.ring.len() - self.losses.len() > self.retention.events
                || self.head.bytes - front.mark.bytes > self.retention.bytes && self.ring.len() > 1
                || now.saturating_duration_since(front.at) > self.retention.age;
            if !over {
                break;
            }
            self.evict();
        }
        self.settle();
    }

    /// Lets go of what is encoded, which can be made anew.
    pub(crate) fn forget_encoded(&mut self) {
        self.wire.clear();
        self.settle();
    }

    /// Lets go of the oldest events, those kept by key first, until the log takes `bytes` less or
    /// holds none. Returns how many went.
    pub(crate) fn shrink_by(&mut self, bytes: u64) -> u64 {
        let until = self.memory().saturating_sub(bytes);
        let before = self.len();
        while self.memory() > until && !self.is_blank() {
            if !self.keys.lose_oldest() {
                self.evict();
            }
            self.settle();
        }
        (before - self.len()) as u64
    }

    /// Lets go of all that it holds.
    pub(crate) fn clear(&mut self) {
        self.shrink_by(u64::MAX);
    }

    /// Counts what it takes, and returns what an empty one does not need.
    fn settle(&mut self) {
        if self.ring.is_empty() {
            self.ring = VecDeque::new();
            self.keys.shrink();
        }
        let entries = self.len() as u64 * ENTRY_BYTES + self.keys.len() as u64 * KEY_BYTES;
        self.share.set(self.retained_bytes() + entries + self.wire.memory());
    }

    fn evict(&mut self) {
        let Some(entry) = self.ring.pop_front() else { return };
        self.evicted_through = entry.position.sequence();
        self.is_open = false;
        self.losses.pop_front_if(|index| *index == entry.mark.index);
        let first = entry.mark.index + 1;
        self.keys.evicted(entry, self.retention.keys, self.retention.bytes);
        self.wire.forget_before(first);
    }

    /// Totals of everything appended.
    pub(crate) fn head(&self) -> Mark {
        self.head
    }

    /// The index of the oldest entry in the ring; the head's when it is empty.
    pub(crate) fn first_index(&self) -> u64 {
        self.head.index - self.ring.len() as u64
    }

    /// The sequence of the newest entry that has left the ring, 0 if none has.
    pub(crate) fn evicted_through(&self) -> u64 {
        self.evicted_through
    }

    /// The sequence of the newest entry, also when it has left the ring.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.ring.back().map_or(self.evicted_through, |entry| entry.position.sequence())
    }

    /// The entry with `index`, if it is in the ring.
    pub(crate) fn get(&self, index: u64) -> Option<&Arc<Entry>> {
        let offset = index.checked_sub(self.first_index())?;
        self.ring.get(usize::try_from(offset).ok()?)
    }

    /// Totals up to the entry with `index`, if it is in the ring or the next to come.
    pub(crate) fn mark_at(&self, index: u64) -> Option<Mark> {
        if index == self.head.index {
            return Some(self.head);
        }
        self.get(index).map(|entry| entry.mark)
    }

    /// The index of the first entry in the ring with a sequence above `sequence`.
    pub(crate) fn index_after(&self, sequence: u64) -> u64 {
        if self.last_sequence() <= sequence {
            return self.head.index;
        }
        self.index_where(|entry| entry.position.sequence() <= sequence)
    }

    /// The index of the first entry in the ring for which `before` is false; it must be true for a
    /// prefix.
    pub(crate) fn index_where(&self, before: impl Fn(&Entry) -> bool) -> u64 {
        self.first_index() + self.ring.partition_point(|entry| before(entry)) as u64
    }

    /// The sequence of the entry before `index`, which is in the ring or the next to come.
    pub(crate) fn sequence_before(&self, index: u64) -> u64 {
        let last = index.checked_sub(1).and_then(|last| self.get(last));
        last.map_or(self.evicted_through, |entry| entry.position.sequence())
    }

    /// Whether no later event has the key of `entry`.
    pub(crate) fn is_newest_of_key(&self, entry: &Entry) -> bool {
        entry.event.key().is_some_and(|key| self.keys.newest(key) == Some(entry.mark.index))
    }

    /// The newest entry of a key that has left the ring, the first with an index of at least `from`.
    pub(crate) fn kept_from(&self, from: u64) -> Option<&Arc<Entry>> {
        self.keys.kept_from(from)
    }

    /// The sequence of the oldest event that is the newest of its key.
    pub(crate) fn first_newest_of_key(&self) -> Option<u64> {
        let in_ring = || self.ring.iter().find(|entry| self.is_newest_of_key(entry));
        let first = self.keys.kept_from(0).or_else(in_ring)?;
        Some(first.position.sequence())
    }

    /// The index after the last entry that was the newest of its key and had to be let go.
    pub(crate) fn lost_keys_until(&self) -> u64 {
        self.keys.lost_until()
    }

    /// Encoded entries of `range`, which must be in the ring: as many of its first ones as lie
    /// together and fit `max` bytes, at least one. Returns the bytes and the index after the last.
    pub(crate) fn encoded(
        &mut self,
        format: &dyn WireFormat,
        range: Range<u64>,
        max: usize,
    ) -> (Bytes, u64) {
        // What most subscribers find changes nothing, and costs no count.
        if let Some(found) = self.wire.get(format, &range, max) {
            return found;
        }
        let (first, end) = (self.first_index(), range.end);
        let entry = |index: u64| -> Option<&Entry> {
            self.ring.get((index - first) as usize).map(|entry| &**entry)
        };
        let (head, budget) = (self.head.index, self.retention.bytes as usize);
        let made = self.wire.encode(format, range, max, entry, head, budget);
        self.settle();
        made.unwrap_or((Bytes::new(), end))
    }

    /// Whoever has this looks for encoded entries without the log's lock.
    pub(crate) fn newest(&self) -> &Arc<Newest> {
        self.wire.newest()
    }

    /// Events in the ring and kept by key.
    fn len(&self) -> usize {
        self.ring.len() + self.keys.kept()
    }

    /// Bytes that it takes: events, what each needs beside its bytes, and encoded copies.
    pub(crate) fn memory(&self) -> u64 {
        self.share.bytes()
    }

    /// Bytes of the events in the ring and of those kept by key.
    pub(crate) fn retained_bytes(&self) -> u64 {
        let ring = self.ring.front().map_or(0, |front| self.head.bytes - front.mark.bytes);
        ring + self.keys.kept_bytes()
    }

    /// Bytes of encoded copies.
    #[cfg(test)]
    pub(crate) fn encoded_bytes(&self) -> usize {
        self.wire.bytes()
    }

    /// Whether it holds no event, in the ring or by key.
    pub(crate) fn is_blank(&self) -> bool {
        self.ring.is_empty() && self.keys.kept_from(0).is_none()
    }

    /// Whether something was appended to it, though it may have left.
    pub(crate) fn has_had_events(&self) -> bool {
        self.head.index > self.start.index
    }

    /// Totals before the first event that was appended.
    pub(crate) fn start(&self) -> Mark {
        self.start
    }

    /// Whether nothing is in the ring once what is past its age at `now` is let go.
    pub(crate) fn is_expired(&mut self, now: Instant) -> bool {
        self.expire(now);
        self.ring.is_empty()
    }
}

#[cfg(test)]
mod tests;
