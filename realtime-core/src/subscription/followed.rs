//! Patterns that are followed: what the table has for them, and the inbox that new topics come into.

use std::{sync::Arc, task::Waker, time::Instant};

use super::{Joined, SubscribeError, join::live_cursor, permission::Permitted};
use crate::{
    fanout::{Fanout, Waiting},
    hub::{Arrived, Follower, Hub},
    pattern::{Place, TopicPattern},
    topic::TopicName,
};

/// The patterns of one subscription: topics made from now on arrive in its inbox, until it is
/// dropped. However many patterns match a topic, it arrives once.
#[derive(Debug)]
pub(super) struct Followed {
    hub: Hub,
    follower: Arc<Follower>,
    patterns: Vec<(TopicPattern, Place)>,
}

impl Followed {
    pub(super) fn nothing(hub: &Hub) -> Self {
        let follower = Follower::new(hub.config().limits.topics_per_subscription);
        Self { hub: hub.clone(), follower, patterns: Vec::new() }
    }

    /// Adds a pattern that is not there yet.
    pub(super) fn add(&mut self, pattern: TopicPattern) {
        let place = self.hub.follow(&pattern, Arc::clone(&self.follower));
        self.patterns.push((pattern, place));
    }

    /// Removes a pattern. What it has brought may still be in the inbox.
    pub(super) fn remove(&mut self, pattern: &TopicPattern) {
        let hub = &self.hub;
        let gone = self.patterns.extract_if(.., |(it, _)| it == pattern);
        gone.for_each(|(pattern, place)| hub.unfollow(&pattern, &place));
    }

    pub(super) fn patterns(&self) -> impl Iterator<Item = &TopicPattern> {
        self.patterns.iter().map(|(pattern, _)| pattern)
    }

    /// Whether one of the patterns brings `topic`.
    pub(super) fn matches(&self, topic: &TopicName) -> bool {
        self.patterns().any(|pattern| pattern.matches(topic))
    }

    /// Takes what has come into the inbox.
    pub(super) fn take(&self) -> Arrived {
        self.follower.take()
    }

    /// Parks on the inbox; false when something has arrived meanwhile.
    pub(super) fn park(&self, waker: &Waker) -> bool {
        self.follower.park(waker)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        for (pattern, place) in self.patterns.drain(..) {
            self.hub.unfollow(&pattern, &place);
        }
        self.take().topics.into_iter().for_each(|waiting| self.hub.let_go(waiting));
    }
}

/// A pattern to be added to a subscription, with the topics that were there already.
#[derive(Debug)]
pub(crate) struct Following {
    pub(super) hub: Hub,
    pub(super) followed: Followed,
    pub(super) joined: Vec<Joined>,
}

impl Following {
    /// How many topics it has.
    pub(crate) fn topics(&self) -> usize {
        self.joined.len()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.joined.drain(..).for_each(|topic| self.hub.leave(topic.member));
    }
}

impl Hub {
    /// Follows a pattern: topics that are there from their next event on, those made later from
    /// their first. Fails when there are more than `room`.
    pub(crate) fn follow_live(
        &self,
        pattern: TopicPattern,
        permitted: &Permitted,
        room: usize,
        now: Instant,
    ) -> Result<Following, SubscribeError> {
        let mut followed = Followed::nothing(self);
        followed.add(pattern);
        let visible = self.visible();
        let is_permitted = |topic: &Arc<Fanout>| permitted.allows(topic.topic());
        let there = self.find(followed.patterns(), room, Some(now), is_permitted)?;
        let join = |topic: &Arc<Fanout>| self.join(topic, false, |log| live_cursor(log, visible));
        let joined = there.iter().map(join).collect();
        Ok(Following { hub: self.clone(), followed, joined })
    }

    /// The topics that are there, that one of the patterns matches and that are `wanted`, each once.
    /// Fails at the first one that `room` is too small for, if letting go of those that are idle at
    /// the time `now` is not enough.
    ///
    /// Foreign code is asked whether a topic is permitted, once for each that is matched until it is
    /// known that they don't fit: any bound below that would hide permitted topics behind others.
    /// What keeps this in proportion is that nothing else waits for it, since no lock is held.
    pub(super) fn find<'a>(
        &'a self,
        patterns: impl Iterator<Item = &'a TopicPattern>,
        room: usize,
        now: Option<Instant>,
        wanted: impl Fn(&Arc<Fanout>) -> bool,
    ) -> Result<Vec<Arc<Fanout>>, SubscribeError> {
        let mut found: Vec<Arc<Fanout>> = Vec::new();
        // So many of these have something to give.
        let mut in_use = 0;
        let mut matching = self.matching(patterns);
        while let Some(topic) = matching.next() {
            if !wanted(&topic) {
                // Its last subscriber may have left while it was held for this.
                if topic.with(|state| state.log.is_blank()) {
                    self.leave_unused([topic]);
                }
                continue;
            }
            found.push(topic);
            if found.len() <= room {
                continue;
            }
            if let Some(now) = now {
                self.retire(found[in_use..].iter(), 1, now);
                found.retain(|topic| !topic.is_retired());
                in_use = found.len();
            }
            if found.len() > room {
                let max = self.config().limits.topics_per_subscription;
                let count = found.len().saturating_add(max.saturating_sub(room));
                self.leave_unused(found.into_iter().chain(matching.into_rest()));
                return Err(SubscribeError::TooManyTopics { count, max });
            }
        }
        Ok(found)
    }

    /// Lets go of a topic that was in an inbox, and is not taken in.
    pub(super) fn let_go(&self, waiting: Waiting) {
        let topic = waiting.fanout().topic().clone();
        drop(waiting);
        self.left_by_one(&topic);
    }
}
