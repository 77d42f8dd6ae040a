//! The inbox of a pattern that is followed: topics that were made since.

use std::{
    sync::{Arc, Mutex},
    task::Waker,
};

use crate::{
    cursor::Cursor,
    fanout::{Fanout, Membership, keep, lock},
};

/// Who follows a pattern: the hub joins new topics on its behalf, so that not even their first event
/// is missed.
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
    /// Topics, joined from their first event on.
    pub(crate) members: Vec<Membership>,
    /// Whether there were more.
    pub(crate) overflowed: bool,
}

impl Arrived {
    fn is_empty(&self) -> bool {
        self.members.is_empty() && !self.overflowed
    }
}

impl Follower {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { inbox: Mutex::default(), max })
    }

    /// Joins a topic that is being made. Returns whom to wake, and whether it is the topic's first
    /// subscriber.
    pub(super) fn offer(&self, topic: &Arc<Fanout>) -> (Option<Waker>, bool) {
        let mut inbox = lock(&self.inbox);
        let mut is_first = false;
        if inbox.arrived.members.len() < self.max {
            let (member, first) = topic.join(false, |log| Cursor::new(log.head(), log.head()));
            inbox.arrived.members.push(member);
            is_first = first;
        } else {
            inbox.arrived.overflowed = true;
        }
        (inbox.parked.take(), is_first)
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
