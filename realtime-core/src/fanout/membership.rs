//! Who a topic is for: its subscribers, and inboxes that it waits in.

use std::{sync::Arc, task::Waker};

use super::{
    Fanout,
    parking::Place,
    shard::{Member, Past},
};
use crate::{
    cursor::Cursor,
    log::{Batch, Log, Mark, WireFormat},
};

impl Member {
    pub(super) fn new(cursor: &Cursor, is_pinned: bool) -> Self {
        let mut member = Self { reached: 0, is_in_trouble: false, is_pinned };
        member.follow(cursor);
        member
    }

    fn follow(&mut self, cursor: &Cursor) {
        (self.reached, self.is_in_trouble) = (cursor.live_from(), cursor.is_in_trouble());
    }

    /// Whether it has taken and told everything.
    pub(super) fn is_at_end(&self, log: &Log) -> bool {
        self.reached == log.head().index && !self.is_in_trouble
    }

    /// Events between its place and `head`, where the log ends or has ended.
    pub(super) fn pending(&self, head: Mark) -> u64 {
        head.index.saturating_sub(self.reached)
    }
}

/// A subscriber's place among a topic's members; it leaves when dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    fanout: Arc<Fanout>,
    place: Place,
}

impl Membership {
    pub(super) fn new(fanout: Arc<Fanout>, place: Place) -> Self {
        Self { fanout, place }
    }

    pub(crate) fn fanout(&self) -> &Arc<Fanout> {
        &self.fanout
    }

    /// Sets whether the topic is kept for this member.
    pub(crate) fn pin(&self, pinned: bool) {
        self.fanout.parking.change(self.place, |member| member.is_pinned = pinned);
    }

    /// Looks at the log, under the topic's lock.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut Log) -> R) -> R {
        self.fanout.with(|state| look(&mut state.log))
    }

    /// Looks at the newest batch, if that ends where the log does and there is one. No lock is taken.
    pub(crate) fn with_newest<R>(
        &self,
        format: &dyn WireFormat,
        look: impl FnOnce(&Batch) -> Option<R>,
    ) -> Option<R> {
        let newest = self.fanout.newest.load(format);
        let is_newest = |batch: &&Batch| batch.last_sequence() == self.fanout.last_sequence();
        look(newest.as_deref().filter(is_newest)?)
    }

    /// Tells where this member's cursor has got to, without waiting for more.
    pub(crate) fn reached(&self, cursor: &Cursor) {
        self.fanout.parking.change(self.place, |member| member.follow(cursor));
    }

    /// Tells where this member's cursor has got to, and wakes `waker` once there is an event with another
    /// sequence than `seen`, unless there is: then it returns false and nothing is parked.
    pub(crate) fn park(&self, cursor: &Cursor, waker: &Waker, seen: u64) -> bool {
        let follow = |member: &mut Member| member.follow(cursor);
        let is_over = || self.fanout.last_sequence() != seen;
        match self.fanout.parking.park(self.place, waker, follow, is_over) {
            Ok(before) => {
                drop(before);
                true
            }
            Err(()) => false,
        }
    }

    /// Wakes `waker` once the broker says something of the topic after `said`, unless it has: then it
    /// returns false and nothing is parked.
    pub(crate) fn park_until_told(&self, cursor: &Cursor, waker: &Waker, said: u64) -> bool {
        let follow = |member: &mut Member| member.follow(cursor);
        let is_over = || self.fanout.said() != said || self.fanout.is_retired();
        self.fanout.parking.park(self.place, waker, follow, is_over).map(drop).is_ok()
    }

    /// Wakes `waker` once the log has grown past the mark that `past` makes, or has let go of this
    /// member's next event, unless it has already: then it returns false and nothing is parked.
    pub(crate) fn park_far(
        &self,
        cursor: &Cursor,
        waker: &Waker,
        past: impl FnOnce(&Log, &Cursor) -> Mark,
    ) -> bool {
        self.reached(cursor);
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
