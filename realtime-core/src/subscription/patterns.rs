//! Patterns of a subscription: topics come to it, and go, while it lives.

use std::{sync::Arc, task::Waker, time::Instant};

use super::{
    Disconnected, Extra, Joined, Permission, SubscribeError, Subscription, join::live_cursor,
    permission::Permitted,
};
use crate::{
    cursor::Cursor,
    fanout::{Fanout, Membership},
    hub::{Follower, Hub},
    log::{Log, Mark},
    overflow::Lag,
    pattern::{Place, TopicPattern, TopicPatternError},
    topic::TopicName,
};

/// A pattern that is followed: topics made from now on arrive in its inbox, until it is dropped.
#[derive(Debug)]
pub(super) struct Followed {
    hub: Hub,
    pattern: TopicPattern,
    follower: Arc<Follower>,
    place: Place,
}

impl Followed {
    pub(super) fn new(hub: &Hub, pattern: TopicPattern) -> Self {
        let follower = Follower::new(hub.config().limits.topics_per_subscription);
        let place = hub.follow(&pattern, Arc::clone(&follower));
        Self { hub: hub.clone(), pattern, follower, place }
    }

    /// Whether it brings `topic`.
    pub(super) fn matches(&self, topic: &TopicName) -> bool {
        self.pattern.matches(topic)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.hub.unfollow(&self.place);
        self.follower.take().members.into_iter().for_each(|member| self.hub.leave(member));
    }
}

/// A pattern to be added to a subscription, with the topics that were there already.
#[derive(Debug)]
pub(crate) struct Following {
    hub: Hub,
    followed: Option<Followed>,
    joined: Vec<Joined>,
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
        let followed = Followed::new(self, pattern);
        let visible = self.visible();
        let mut there = self.matching(&followed.pattern);
        there.retain(|topic| permitted.allows(topic.topic()));
        self.fit(&mut there, room, now)?;
        let join = |topic: &Arc<Fanout>| self.join(topic, false, |log| live_cursor(log, visible));
        let joined = there.iter().map(join).collect();
        Ok(Following { hub: self.clone(), followed: Some(followed), joined })
    }

    /// The topics that are there and that one of the patterns matches, each once.
    pub(super) fn matching_any(&self, followed: &[Followed]) -> Vec<Arc<Fanout>> {
        let mut found: Vec<Arc<Fanout>> = Vec::new();
        for (at, one) in followed.iter().enumerate() {
            let before = &followed[..at];
            let mut more = self.matching(&one.pattern);
            more.retain(|topic| !before.iter().any(|other| other.matches(topic.topic())));
            found.extend(more);
        }
        found
    }

    /// Makes `topics` fit into `room`, if letting go of those that are idle is enough. None is
    /// there twice.
    pub(super) fn fit(
        &self,
        topics: &mut Vec<Arc<Fanout>>,
        room: usize,
        now: Instant,
    ) -> Result<(), SubscribeError> {
        if topics.len() > room {
            self.retire(topics.iter(), 1, now);
            topics.retain(|topic| !topic.is_retired());
        }
        if topics.len() > room {
            let max = self.config().limits.topics_per_subscription;
            let count = topics.len().saturating_add(max.saturating_sub(room));
            return Err(SubscribeError::TooManyTopics { count, max });
        }
        Ok(())
    }
}

impl Subscription {
    /// Its patterns, in the order in which they were added.
    pub fn patterns(&self) -> impl Iterator<Item = &TopicPattern> {
        self.followed().iter().map(|followed| &followed.pattern)
    }

    /// Adds a pattern at the time `now`; see [`Subscription::add_pattern`].
    ///
    /// # Errors
    /// See [`Subscription::add_pattern`].
    pub fn add_pattern_at<P>(&mut self, pattern: P, now: Instant) -> Result<(), SubscribeError>
    where
        P: TryInto<TopicPattern>,
        TopicPatternError: From<P::Error>,
    {
        let pattern = pattern.try_into().map_err(TopicPatternError::from)?;
        if self.patterns().any(|other| *other == pattern) {
            return Ok(());
        }
        self.check_room(1)?;
        let followed = Followed::new(&self.hub, pattern);
        let visible = self.hub.visible();
        let mut there = self.hub.matching(&followed.pattern);
        self.drain_inboxes();
        self.retain_new(&mut there);
        let max = self.hub.config().limits.topics_per_subscription;
        self.hub.fit(&mut there, max.saturating_sub(self.count() + 1), now)?;
        for topic in there {
            let joined = self.hub.join(&topic, false, |log| live_cursor(log, visible));
            self.place(joined);
        }
        self.extra().followed.push(followed);
        Ok(())
    }

    /// Adds a pattern that is followed already; nothing changes when it is there.
    pub(crate) fn attach_pattern(&mut self, mut following: Following) {
        self.drain_inboxes();
        for joined in std::mem::take(&mut following.joined) {
            self.take_in(joined);
        }
        let followed = following.followed.take();
        let is_new = |new: &Followed| self.patterns().all(|pattern| *pattern != new.pattern);
        let followed = followed.filter(is_new);
        self.extra().followed.extend(followed);
    }

    /// Removes a pattern, and the topics that only it brought; what they have pending is not
    /// delivered. Topics that were also added by their name, or that another pattern matches, stay.
    /// Tells whether it was there.
    pub fn remove_pattern(&mut self, pattern: &TopicPattern) -> bool {
        let Some(at) = self.patterns().position(|other| other == pattern) else { return false };
        // What has arrived may also be of another pattern, or may have to take a stale one's place.
        self.drain_inboxes();
        let gone = self.extra().followed.remove(at);
        drop(gone);
        let followed = std::mem::take(&mut self.extra().followed);
        self.leave_if(|topic| {
            let name = topic.member.fanout().topic();
            !topic.named && !followed.iter().any(|other| other.matches(name))
        });
        self.extra().followed = followed;
        true
    }

    /// Decides anew which topics may be followed. Those that a pattern brought are left or joined,
    /// from their next event on; returns those that were added by their name and are not permitted:
    /// they are still followed.
    pub(crate) fn set_permission(&mut self, permission: Option<Permission>) -> Vec<TopicName> {
        let permitted = Permitted::by(permission);
        let before = std::mem::replace(&mut self.extra().permitted, permitted.clone());
        drop(before);
        let visible = self.hub.visible();
        let mut there = self.hub.matching_any(self.followed());
        self.drain_inboxes();
        self.leave_if(|topic| !topic.named && !permitted.allows(topic.member.fanout().topic()));
        self.retain_new(&mut there);
        self.join_all(there, |log| live_cursor(log, visible));
        let named = self.topics.iter().filter(|topic| topic.named);
        let names = named.map(|topic| topic.member.fanout().topic());
        names.filter(|name| !permitted.allows(name)).cloned().collect()
    }

    pub(super) fn followed(&self) -> &[Followed] {
        self.extra.as_ref().map_or(&[], |extra| &extra.followed)
    }

    pub(super) fn ending(&self) -> Option<&Disconnected> {
        self.extra.as_ref()?.ending.as_ref()
    }

    fn seen_at(&self) -> Option<Instant> {
        self.extra.as_ref()?.seen_at
    }

    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// What it may follow.
    pub(crate) fn permitted(&self) -> &Permitted {
        self.extra.as_ref().map_or(Permitted::ALL, |extra| &extra.permitted)
    }

    /// Takes in what the patterns have come to match, lets go of what has left the table, and keeps
    /// to the limit.
    ///
    /// To be called after what is visible was read: then nothing that is visible is in a topic that
    /// is not there.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.followed().is_empty() {
            return;
        }
        self.extra().seen_at = Some(now);
        self.drain_inboxes();
        self.drop_retired();
        let max = self.hub.config().limits.topics_per_subscription;
        if self.count() > max {
            self.let_go_of_idle();
            if self.count() > max {
                self.is_to_end(Disconnected::TooManyTopics { max });
            }
        }
    }

    fn is_to_end(&mut self, reason: Disconnected) {
        self.extra().ending.get_or_insert(reason);
    }

    /// Takes those topics out of the table that were brought by a pattern and have nothing to give
    /// to anybody. When one is used again it is made again, and comes back.
    fn let_go_of_idle(&mut self) {
        let Some(now) = self.seen_at() else { return };
        let matched = self.topics.iter().filter(|topic| !topic.named);
        self.hub.retire(matched.map(|topic| topic.member.fanout()), 0, now);
        self.drop_retired();
    }

    /// Takes in what has arrived. Also before a topic is joined in another way: what has arrived is
    /// there from its first event on.
    pub(super) fn drain_inboxes(&mut self) {
        for at in 0..self.followed().len() {
            let arrived = self.followed()[at].follower.take();
            for member in arrived.members {
                self.take_in(Joined { member, quiet_at: u64::MAX, named: false });
            }
            if arrived.overflowed {
                self.look_for_arrivals(at);
            }
        }
    }

    /// Joins topics that did not fit into an inbox, from their first event on: those that are
    /// permitted, are in the table and not in the subscription can only have been made since.
    fn look_for_arrivals(&mut self, followed: usize) {
        let mut there = self.hub.matching(&self.followed()[followed].pattern);
        self.retain_new(&mut there);
        self.join_all(there, |_| Cursor::new(Mark::default(), Mark::default()));
        // One may have been made, published to and removed again.
        if self.hub.removed_through() > self.taken {
            let lag = Lag { events: 0, bytes: 0, age: Default::default(), evicted: true };
            self.is_to_end(Disconnected::Lagged(lag));
        }
    }

    /// Keeps those topics that are not followed and may be.
    fn retain_new(&self, topics: &mut Vec<Arc<Fanout>>) {
        topics.retain(|topic| {
            let is_same = |joined: &Joined| Arc::ptr_eq(joined.member.fanout(), topic);
            !self.topics.iter().any(is_same) && self.permitted().allows(topic.topic())
        });
    }

    /// Joins topics that are not followed yet; when there are too many, the subscription is to end.
    fn join_all(&mut self, mut topics: Vec<Arc<Fanout>>, cursor: impl Fn(&mut Log) -> Cursor) {
        let max = self.hub.config().limits.topics_per_subscription;
        if self.count().saturating_add(topics.len()) > max {
            self.let_go_of_idle();
        }
        let room = max.saturating_sub(self.count());
        let fits = match self.seen_at() {
            Some(now) => self.hub.fit(&mut topics, room, now).is_ok(),
            None => topics.len() <= room,
        };
        if !fits {
            self.is_to_end(Disconnected::TooManyTopics { max });
            return;
        }
        for topic in topics {
            let joined = self.hub.join(&topic, false, &cursor);
            self.place(joined);
        }
    }

    /// Takes in a topic that was joined, if it may be followed.
    pub(super) fn take_in(&mut self, joined: Joined) {
        if self.permitted().allows(joined.member.fanout().topic()) {
            self.place(joined);
        } else {
            self.hub.leave(joined.member);
        }
    }

    /// Puts a topic that was joined among the others, each of which is there once.
    fn place(&mut self, mut joined: Joined) {
        if joined.member.fanout().is_retired() {
            return self.hub.leave(joined.member);
        }
        let name = joined.member.fanout().topic();
        let there = self.topics.iter_mut().find(|topic| topic.member.fanout().topic() == name);
        let leaving = match there {
            None => return self.topics.push(joined),
            Some(there) if Arc::ptr_eq(there.member.fanout(), joined.member.fanout()) => {
                if joined.named {
                    there.named = true;
                    there.member.pin(true);
                }
                joined
            }
            // The one that is there has left the table.
            Some(there) => {
                std::mem::swap(there, &mut joined);
                joined
            }
        };
        self.hub.leave(leaving.member);
    }

    /// Lets go of topics that have left the table; everything in them was taken.
    fn drop_retired(&mut self) {
        let retired = self.hub.retired();
        let seen = std::mem::replace(&mut self.extra().retired_seen, retired);
        if retired != seen {
            self.leave_if(|topic| topic.member.fanout().is_retired());
        }
    }

    pub(super) fn leave_if(&mut self, leave: impl Fn(&Joined) -> bool) {
        let leaving: Vec<Membership> =
            self.topics.extract_if(.., |topic| leave(topic)).map(|topic| topic.member).collect();
        leaving.into_iter().for_each(|member| self.hub.leave(member));
    }

    /// Parks on every inbox; false when something has arrived meanwhile.
    pub(super) fn park_inboxes(&self, waker: &Waker) -> bool {
        self.followed().iter().all(|followed| followed.follower.park(waker))
    }
}
