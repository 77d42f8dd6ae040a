//! The inbox of a subscription that follows patterns: topics that were made since.

use std::{sync::Arc, task::Waker};

use crate::{
    fanout::{Fanout, Waiting, keep, lock},
    sync::Mutex,
};

/// Who follows patterns: the hub puts new topics here before anything is published to them, so that
/// not even their first event is missed.
///
/// They are not joined yet: whether they may be followed is asked by whoever takes them out, where no
/// lock is held.
#[derive(Debug)]
pub(crate) struct Follower {
    inbox: Mutex<Inbox>,
    /// The most topics that wait here; past it, they have to be looked for in the table.
    max: usize,
}

#[derive(Debug, Default)]
struct Inbox {
    arrived: Arrived,
    parked: Option<Waker>,
}

/// What has come into an inbox.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Topics, in the order in which they were made.
    pub(crate) topics: Vec<Waiting>,
    /// The number of the first one that did not fit.
    pub(crate) missing_from: Option<u64>,
    /// Whether there was one for which the hub's table had no room.
    pub(crate) is_refused: bool,
}

impl Arrived {
    fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.missing_from.is_none() && !self.is_refused
    }

    /// Whether it has had `topic`, which is the newest one.
    fn has(&self, topic: &Arc<Fanout>) -> bool {
        self.topics.last().is_some_and(|last| Arc::ptr_eq(last.fanout(), topic))
    }
}

impl Follower {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { inbox: Mutex::default(), max })
    }

    /// Takes a topic that is being made, once however many patterns of this follower match it.
    /// Returns whom to wake, and whether nobody wanted the topic before.
    pub(super) fn offer(&self, topic: &Arc<Fanout>) -> (Option<Waker>, bool) {
        let mut inbox = lock(&self.inbox);
        let arrived = &mut inbox.arrived;
        let mut is_first = false;
        if arrived.has(topic) {
            return (None, false);
        } else if arrived.topics.len() < self.max {
            let (waiting, first) = topic.wait();
            arrived.topics.push(waiting);
            is_first = first;
        } else {
            arrived.missing_from.get_or_insert(topic.number());
        }
        (inbox.parked.take(), is_first)
    }

    /// Takes word that there was no room for a topic. Returns whom to wake.
    pub(super) fn refuse(&self) -> Option<Waker> {
        let mut inbox = lock(&self.inbox);
        inbox.arrived.is_refused = true;
        inbox.parked.take()
    }

    /// Whom to wake, though nothing has come.
    pub(super) fn wake(&self) -> Option<Waker> {
        lock(&self.inbox).parked.take()
    }

    /// Takes what has come.
    pub(crate) fn take(&self) -> Arrived {
        std::mem::take(&mut lock(&self.inbox).arrived)
    }

    /// Wakes `waker` once something comes, unless something has already: then it returns false and
    /// nothing is parked.
    pub(crate) fn park(&self, waker: &Waker) -> bool {
        let mut inbox = lock(&self.inbox);
        if !inbox.arrived.is_empty() {
            return false;
        }
        let before = keep(&mut inbox.parked, waker);
        drop(inbox);
        drop(before);
        true
    }
}
