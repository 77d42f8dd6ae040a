//! Who a topic is for: its subscribers, and inboxes that it waits in.

use std::{sync::Arc, task::Waker};

use super::{Fanout, parking::Place, shard::Past};
use crate::{
    cursor::Cursor,
    log::{Batch, Log, Mark, WireFormat},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// What a topic knows of a subscriber that reads without its lock.
#[derive(Debug)]
pub(super) struct Member {
    /// The index of the entry that it has yet to take, doubled; odd when it has to tell something
    /// before.
    reached: AtomicU64,
    /// Whether the topic is kept for this subscriber: it asked for this one, not by a pattern.
    pinned: AtomicBool,
}

impl Member {
    pub(super) fn new(cursor: &Cursor, pinned: bool) -> Self {
        let reached = AtomicU64::new(reached(cursor));
        Self { reached, pinned: AtomicBool::new(pinned) }
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.pinned.load(Ordering::Acquire)
    }

    /// Whether it has taken and told everything.
    pub(super) fn is_at_end(&self, log: &Log) -> bool {
        self.reached.load(Ordering::Acquire) == log.head().index << 1
    }

    /// Events between its place and the end of the log.
    pub(super) fn pending(&self, log: &Log) -> u64 {
        log.head().index.saturating_sub(self.reached.load(Ordering::Acquire) >> 1)
    }
}

fn reached(cursor: &Cursor) -> u64 {
    cursor.live_from() << 1 | u64::from(cursor.is_in_trouble())
}

/// A subscriber's place among a topic's members; it leaves when dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    fanout: Arc<Fanout>,
    member: Arc<Member>,
    place: Place,
}

impl Membership {
    pub(super) fn new(fanout: Arc<Fanout>, member: Arc<Member>, place: Place) -> Self {
        Self { fanout, member, place }
    }

    pub(crate) fn fanout(&self) -> &Arc<Fanout> {
        &self.fanout
    }

    /// Sets whether the topic is kept for this member.
    pub(crate) fn pin(&self, pinned: bool) {
        self.member.pinned.store(pinned, Ordering::Release);
    }

    /// Has the cursor of this member look at the log, under the topic's lock.
    pub(crate) fn with<R>(
        &self,
        cursor: &mut Cursor,
        look: impl FnOnce(&mut Log, &mut Cursor) -> R,
    ) -> R {
        self.fanout.with(|state| {
            let looked = look(&mut state.log, cursor);
            self.reached(cursor);
            looked
        })
    }

    /// Has the cursor of this member look at the newest batch, if that ends where the log does and there
    /// is one. No lock is taken.
    pub(crate) fn with_newest<R>(
        &self,
        cursor: &mut Cursor,
        format: &dyn WireFormat,
        look: impl FnOnce(&Batch, &mut Cursor) -> Option<R>,
    ) -> Option<R> {
        let newest = self.fanout.newest.load(format);
        let is_newest = |batch: &&Batch| batch.last_sequence() == self.fanout.last_sequence();
        let looked = look(newest.as_deref().filter(is_newest)?, cursor)?;
        self.reached(cursor);
        Some(looked)
    }

    /// Wakes `waker` once there is an event with another sequence than `seen`, unless there is: then it
    /// returns false and nothing is parked.
    pub(crate) fn park(&self, waker: &Waker, seen: u64) -> bool {
        let is_over = || self.fanout.last_sequence() != seen;
        match self.fanout.parking.park(self.place, waker, is_over) {
            Ok(before) => {
                drop(before);
                true
            }
            Err(()) => false,
        }
    }

    /// Wakes `waker` once the log has grown past the mark that `past` makes, or has let go of this
    /// member's next event, unless it has already: then it returns false and nothing is parked.
    pub(crate) fn park_far(
        &self,
        cursor: &Cursor,
        waker: &Waker,
        past: impl FnOnce(&Log, &Cursor) -> Mark,
    ) -> bool {
        let before = self.fanout.with(|state| {
            let log = &state.log;
            let past = Past { mark: past(log, cursor), first: cursor.needed_from() };
            let head = log.head();
            let has_grown = head.index > past.mark.index || head.bytes > past.mark.bytes;
            if has_grown || cursor.has_fallen_off(log) {
                return None;
            }
            Some(self.fanout.parking.park_far(self.place, waker, past))
        });
        before.is_some()
    }

    fn reached(&self, cursor: &Cursor) {
        self.member.reached.store(reached(cursor), Ordering::Release);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let waker = self.fanout.parking.remove(self.place);
        self.fanout.with(|state| state.members -= 1);
        drop(waker);
        // It may have been woken to wake others.
        self.fanout.relay.wake_some();
    }
}

/// A topic in an inbox, until it is dropped: what is published to it keeps it in the table, so that
/// whoever takes it in can join it from its first event on.
#[derive(Debug)]
pub(crate) struct Waiting {
    fanout: Arc<Fanout>,
}

impl Waiting {
    pub(super) fn new(fanout: Arc<Fanout>) -> Self {
        Self { fanout }
    }

    pub(crate) fn fanout(&self) -> &Arc<Fanout> {
        &self.fanout
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.fanout.with(|state| state.waiting -= 1);
    }
}
