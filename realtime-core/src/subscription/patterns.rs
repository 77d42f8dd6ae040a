//! Patterns of a subscription: topics come to it, and go, while it lives.

use std::{iter, sync::Arc, task::Waker, time::Instant};

use super::{
    Disconnected, Extra, Followed, Following, Joined, Permission, SubscribeError, Subscription,
    join::{check_patterns, live_cursor},
    permission::Permitted,
};
use crate::{
    cursor::Cursor,
    fanout::{Fanout, Membership},
    hub::Arrived,
    log::Log,
    overflow::Lag,
    pattern::{TopicPattern, TopicPatternError},
    topic::TopicName,
};

impl Subscription {
    /// Its patterns, in the order in which they were added.
    pub fn patterns(&self) -> impl Iterator<Item = &TopicPattern> {
        self.followed().into_iter().flat_map(Followed::patterns)
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
        check_patterns(&self.hub, self.patterns().count() + 1)?;
        self.check_room(1)?;
        self.follow(pattern.clone());
        let visible = self.hub.visible();
        self.drain_inbox();
        let max = self.hub.config().limits.topics_per_subscription;
        let room = max.saturating_sub(self.count());
        let is_new = |topic: &Arc<Fanout>| self.is_new(topic);
        match self.hub.find(iter::once(&pattern), room, Some(now), is_new) {
            Ok(there) => self.join_all(there, |log| live_cursor(log, visible)),
            Err(error) => {
                self.remove_pattern(&pattern);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Adds a pattern that is followed already; nothing changes when it is there.
    pub(crate) fn attach_pattern(&mut self, mut following: Following) {
        self.drain_inbox();
        for pattern in following.followed.patterns() {
            if self.patterns().all(|it| it != pattern) {
                self.follow(pattern.clone());
            }
        }
        for joined in std::mem::take(&mut following.joined) {
            self.take_in(joined);
        }
        // From here on topics arrive in this subscription's inbox as well.
        let arrived = following.followed.take();
        drop(following);
        self.take_arrived(arrived);
    }

    /// Removes a pattern, and the topics that only it brought; what they have pending is not
    /// delivered. Topics that were also added by their name, or that another pattern matches, stay.
    /// Tells whether it was there.
    pub fn remove_pattern(&mut self, pattern: &TopicPattern) -> bool {
        if self.patterns().all(|other| other != pattern) {
            return false;
        }
        // What has arrived may also be of another pattern, or may have to take a stale one's place.
        self.drain_inbox();
        let mut followed = self.extra().followed.take();
        if let Some(followed) = &mut followed {
            followed.remove(pattern);
        }
        self.leave_if(|topic| {
            let name = topic.member.fanout().topic();
            !topic.named && !followed.as_ref().is_some_and(|followed| followed.matches(name))
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
        // What has arrived comes from its first event on, what was there from its next.
        self.drain_inbox();
        self.leave_if(|topic| !topic.named && !permitted.allows(topic.member.fanout().topic()));
        self.join_new(|_| true, |log| live_cursor(log, visible));
        let named = self.topics.iter().filter(|topic| topic.named);
        let names = named.map(|topic| topic.member.fanout().topic());
        names.filter(|name| !permitted.allows(name)).cloned().collect()
    }

    pub(super) fn followed(&self) -> Option<&Followed> {
        self.extra.as_ref()?.followed.as_ref()
    }

    /// Has topics that are made from now on and that `pattern` matches arrive in the inbox.
    fn follow(&mut self, pattern: TopicPattern) {
        let hub = self.hub.clone();
        let followed = &mut self.extra().followed;
        followed.get_or_insert_with(|| Followed::nothing(&hub)).add(pattern);
        self.wait_for_added();
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
        if self.followed().is_none() {
            return;
        }
        self.extra().seen_at = Some(now);
        self.drain_inbox();
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
    pub(super) fn drain_inbox(&mut self) {
        if let Some(followed) = self.followed() {
            let arrived = followed.take();
            self.take_arrived(arrived);
        }
    }

    /// Joins what has arrived from its first event on, as far as it is still followed and permitted.
    fn take_arrived(&mut self, arrived: Arrived) {
        for waiting in arrived.topics {
            let topic = waiting.fanout();
            let is_followed = self.followed().is_some_and(|it| it.matches(topic.topic()));
            if is_followed && !topic.is_retired() && self.is_new(topic) {
                // Before it waits no longer: it would be let go.
                let joined = self.hub.join(topic, false, first_cursor);
                self.place(joined);
            } else {
                self.hub.let_go(waiting);
            }
        }
        if let Some(from) = arrived.missing_from {
            self.look_for_arrivals(from);
        }
    }

    /// Joins topics that did not fit into an inbox, from their first event on: in the table they have
    /// this number or a higher one.
    fn look_for_arrivals(&mut self, from: u64) {
        self.join_new(|topic| topic.number() >= from, first_cursor);
        // One may have been made, published to and removed again.
        if self.hub.removed_through() > self.taken {
            let lag = Lag { events: 0, bytes: 0, age: Default::default(), evicted: true };
            self.is_to_end(Disconnected::Lagged(lag));
        }
    }

    /// Whether a topic is not there and may be.
    fn is_new(&self, topic: &Arc<Fanout>) -> bool {
        let is_same = |joined: &Joined| Arc::ptr_eq(joined.member.fanout(), topic);
        !self.topics.iter().any(is_same) && self.permitted().allows(topic.topic())
    }

    /// Joins the topics in the table that a pattern matches and that are `due`; when there are too
    /// many, the subscription is to end.
    fn join_new(&mut self, due: impl Fn(&Fanout) -> bool, cursor: impl Fn(&mut Log) -> Cursor) {
        let max = self.hub.config().limits.topics_per_subscription;
        let find = |it: &Self| {
            let room = max.saturating_sub(it.count());
            let is_new = |topic: &Arc<Fanout>| due(topic) && it.is_new(topic);
            it.hub.find(it.patterns(), room, it.seen_at(), is_new)
        };
        let mut found = find(self);
        if found.is_err() {
            let before = self.count();
            self.let_go_of_idle();
            if self.count() < before {
                found = find(self);
            }
        }
        match found {
            Ok(topics) => self.join_all(topics, cursor),
            Err(_) => self.is_to_end(Disconnected::TooManyTopics { max }),
        }
    }

    /// Joins topics that are not there yet and may be.
    fn join_all(&mut self, topics: Vec<Arc<Fanout>>, cursor: impl Fn(&mut Log) -> Cursor) {
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
            None => {
                if !joined.member.fanout().is_established() {
                    self.wait_for_added();
                }
                return self.topics.push(joined);
            }
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

    /// Parks on the inbox; false when something has arrived meanwhile.
    pub(super) fn park_inbox(&self, waker: &Waker) -> bool {
        self.followed().is_none_or(|followed| followed.park(waker))
    }
}

/// A cursor at a topic's first event, also when that has left the ring.
fn first_cursor(log: &mut Log) -> Cursor {
    Cursor::new(log.start(), log.start())
}
