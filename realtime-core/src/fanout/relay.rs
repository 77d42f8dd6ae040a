//! Subscribers that are yet to be woken, of all topics of a hub.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    task::Waker,
};

use super::{Fanout, lock};
use crate::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

/// How many subscribers are woken by whoever comes by.
#[cfg(not(all(test, shuttle)))]
const RELAYED: usize = 32;
/// A model has few.
#[cfg(all(test, shuttle))]
const RELAYED: usize = 1;

/// What publishers have left to be woken, so that to publish takes no longer the more subscribe.
///
/// A publisher wakes the first few. From then on whoever uses the hub wakes some more, those who have
/// just been woken before all others: so the number of those who wake grows as fast as that of those who
/// are awake, on all threads at once, and nobody does much of it. It goes on as long as the hub is used
/// at all, be it by a heartbeat: those who are woken and do not look hold up the rest no longer than that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Relay(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Whether there may be topics, so that who comes by looks at nothing else mostly.
    is_due: AtomicBool,
    topics: Mutex<VecDeque<Weak<Fanout>>>,
}

impl Relay {
    /// Adds a topic, which is not there.
    pub(super) fn add(&self, topic: &Arc<Fanout>) {
        let mut topics = lock(&self.0.topics);
        topics.push_back(Arc::downgrade(topic));
        self.0.is_due.store(true, Ordering::Release);
    }

    /// Wakes some, if any are left. The caller holds no lock.
    pub(crate) fn wake_some(&self) {
        if self.0.is_due.load(Ordering::Acquire) {
            self.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Takes some of the topic that waits for the longest.
    fn take(&self) -> Vec<Waker> {
        let mut wakers = Vec::with_capacity(RELAYED);
        while wakers.is_empty() {
            let mut topics = lock(&self.0.topics);
            let Some(topic) = topics.pop_front() else {
                self.0.is_due.store(false, Ordering::Release);
                break;
            };
            drop(topics);
            if let Some(topic) = topic.upgrade() {
                topic.take_due(RELAYED, &mut wakers);
            }
        }
        wakers
    }
}
