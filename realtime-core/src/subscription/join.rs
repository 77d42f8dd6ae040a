//! Making a subscription, and changing its topics while it lives.

use std::{collections::HashSet, hash::Hash, sync::Arc, time::Instant};

use super::{
    Extra, Followed, Joined, Reset, ResetReason, Start, Starting, Subscribe, SubscribeError,
    Subscription,
};
use crate::{
    cursor::{Cursor, Policy},
    fanout::{Fanout, Membership},
    hub::Hub,
    log::{Log, Mark},
    position::LastEventId,
    stats::{SubscriptionCounts, add},
    topic::{TopicName, TopicNameError},
};

/// A topic to be added to a subscription; left again when it is not.
#[derive(Debug)]
pub(crate) struct Joining {
    hub: Hub,
    joined: Option<Joined>,
}

impl Drop for Joining {
    fn drop(&mut self) {
        if let Some(joined) = self.joined.take() {
            self.hub.leave(joined.member);
        }
    }
}

impl Hub {
    /// Subscribes at the time `now`; see [`Hub::subscribe`].
    ///
    /// # Errors
    /// See [`Hub::subscribe`].
    pub fn subscribe_at(
        &self,
        request: impl Into<Subscribe>,
        now: Instant,
    ) -> Result<Subscription, SubscribeError> {
        self.upkeep(now);
        let request = request.into();
        let (names, patterns) = (request.topics?, request.patterns?);
        let permitted = request.permitted;
        let max = self.config().limits.topics_per_subscription;
        check_patterns(self, patterns.len())?;
        check_count(self, names.len().saturating_add(patterns.len()))?;
        names.iter().try_for_each(|name| permitted.check(name))?;
        let (names, patterns) = (without_repeats(names), without_repeats(patterns));
        let room = max.saturating_sub(names.len() + patterns.len());
        let mut named = Vec::with_capacity(names.len());
        for name in &names {
            match self.topic(name, now) {
                Ok(topic) => named.push(topic),
                Err(full) => {
                    self.leave_unused(named);
                    return Err(full.into());
                }
            }
        }
        let followed = (!patterns.is_empty()).then(|| {
            let mut followed = Followed::nothing(self);
            patterns.into_iter().for_each(|pattern| followed.add(pattern));
            followed
        });
        // Read before any topic is joined: what is published meanwhile has a higher sequence. And
        // after the patterns are followed: topics made later are joined from their first event.
        let visible = self.visible();
        let is_new = |topic: &Arc<Fanout>| {
            !named.iter().any(|it| Arc::ptr_eq(it, topic)) && permitted.allows(topic.topic())
        };
        let patterns = followed.iter().flat_map(Followed::patterns);
        let matched = match self.find(patterns, room, Some(now), is_new) {
            Ok(matched) => matched,
            Err(error) => {
                self.leave_unused(named);
                return Err(error);
            }
        };
        // Topics that have gone can't be matched any more.
        let removed = if followed.is_none() { 0 } else { self.removed_through() };
        let is_empty = named.is_empty() && followed.is_none();
        let named = named.into_iter().map(|topic| (topic, true));
        let fanouts: Vec<_> =
            named.chain(matched.into_iter().map(|topic| (topic, false))).collect();
        let starting =
            self.is_shared().then(|| Starting::new(self, request.after, request.start));

        let resumed = match request.after {
            None => None,
            // It is told that later.
            _ if starting.is_some() => None,
            // Of no topic, nothing can be missing.
            Some(_) if is_empty => None,
            Some(Err(_)) => Some(Err(ResetReason::Malformed)),
            Some(Ok(id)) if id.epoch != self.epoch() => Some(Err(ResetReason::Epoch)),
            Some(Ok(id)) if id.sequence > visible => Some(Err(ResetReason::Ahead)),
            Some(Ok(id)) if removed > id.sequence => Some(Err(ResetReason::Evicted)),
            Some(Ok(id)) => Some(self.resume(&fanouts, id, now)),
        };
        let (topics, taken, reason) = match resumed {
            Some(Ok((topics, taken))) => (topics, taken, None),
            Some(Err(reason)) => {
                let (topics, taken, _) = self.start(&fanouts, request.start, visible, now);
                (topics, taken, Some(reason))
            }
            None if starting.is_some() => {
                let join = |(topic, named): &(Arc<Fanout>, bool)| {
                    self.join(topic, *named, |log| Cursor::new(log.head(), log.head()))
                };
                (fanouts.iter().map(join).collect(), visible, None)
            }
            None => {
                let (topics, taken, complete) = self.start(&fanouts, request.start, visible, now);
                (topics, taken, (!complete).then_some(ResetReason::Evicted))
            }
        };

        let counters = self.counters();
        add(&counters.subscriptions, 1);
        let id = LastEventId { epoch: self.epoch(), sequence: taken };
        let reset = reason.map(|reason| {
            add(&counters.resets, 1);
            Reset { id, reason }
        });
        let policy = Policy {
            overflow: request.overflow.unwrap_or(self.config().overflow),
            limit: request.lag.unwrap_or(self.config().lag),
        };
        let is_plain = followed.is_none() && permitted.is_all() && starting.is_none();
        let extra = (!is_plain).then(|| {
            Box::new(Extra { followed, permitted, starting, seen_at: Some(now), ..Extra::default() })
        });
        Ok(Subscription {
            hub: self.clone(),
            topics,
            policy,
            taken,
            counts: SubscriptionCounts::default(),
            reset,
            ended: false,
            is_counted: true,
            is_parked: false,
            extra,
        })
    }

    /// Joins all topics after `id`, unless one of them has let go of an event after it.
    pub(super) fn resume(
        &self,
        fanouts: &[(Arc<Fanout>, bool)],
        id: LastEventId,
        now: Instant,
    ) -> Result<(Vec<Joined>, u64), ResetReason> {
        let mut joined = Vec::with_capacity(fanouts.len());
        let mut complete = true;
        for (fanout, named) in fanouts {
            joined.push(self.join(fanout, *named, |log| {
                log.expire(now);
                complete &= log.evicted_through() <= id.sequence;
                let next = log.index_after(id.sequence);
                cursor_at(log, next, log.head())
            }));
        }
        if complete {
            return Ok((joined, id.sequence));
        }
        for topic in joined {
            self.leave(topic.member);
        }
        Err(ResetReason::Evicted)
    }

    /// Joins all topics as `start` says; also tells the sequence after which everything follows, and
    /// whether it does: a topic may have let go of events that were published since `visible` was
    /// read.
    pub(super) fn start(
        &self,
        fanouts: &[(Arc<Fanout>, bool)],
        start: Start,
        visible: u64,
        now: Instant,
    ) -> (Vec<Joined>, u64, bool) {
        let mut taken = visible;
        let mut complete = true;
        let mut joined = Vec::with_capacity(fanouts.len());
        for (fanout, named) in fanouts {
            joined.push(self.join(fanout, *named, |log| {
                log.expire(now);
                complete &= log.evicted_through() <= visible;
                // What was published since `visible` was read comes after the start: whoever
                // resumes from there gets it too.
                let live = log.index_after(visible);
                let joined = log.mark_at(live).unwrap_or(log.head());
                let (cursor, first) = match start {
                    Start::Live => (live_cursor(log, visible), None),
                    Start::Last(count) => {
                        let next = live.saturating_sub(count as u64).max(log.first_index());
                        let first = log.get(next).map(|entry| entry.position().sequence());
                        (cursor_at(log, next, joined), first)
                    }
                    Start::NewestPerKey => {
                        (Cursor::newest_per_key(log, joined), log.first_newest_of_key())
                    }
                };
                taken = first.map_or(taken, |first| taken.min(first - 1));
                cursor
            }));
        }
        (joined, taken, complete)
    }

    /// Joins a topic from its next event on.
    pub(crate) fn join_live(
        &self,
        name: &TopicName,
        now: Instant,
    ) -> Result<Joining, SubscribeError> {
        let fanout = self.topic(name, now)?;
        let joined = self.join(&fanout, true, |log| Cursor::new(log.head(), log.head()));
        Ok(Joining { hub: self.clone(), joined: Some(joined) })
    }

    /// Joins a topic with the cursor that `place` makes; `named` when it was asked for by its name.
    pub(super) fn join(
        &self,
        fanout: &Arc<Fanout>,
        named: bool,
        place: impl FnOnce(&mut Log) -> Cursor,
    ) -> Joined {
        let (member, cursor, is_first) = fanout.join(named, place);
        if is_first {
            self.interest(fanout.topic());
        }
        Joined { member, cursor, quiet_at: u64::MAX, named }
    }

    pub(super) fn leave(&self, member: Membership) {
        let topic = member.fanout().topic().clone();
        drop(member);
        self.left_by_one(&topic);
    }

    /// Lets go of topics that were to be subscribed to.
    pub(super) fn leave_unused(&self, topics: impl IntoIterator<Item = Arc<Fanout>>) {
        // Several of them may be one.
        let names: Vec<_> = topics.into_iter().map(|topic| topic.topic().clone()).collect();
        names.iter().for_each(|name| self.left(name));
    }

    /// Does what is due when somebody wants a topic no longer.
    pub(super) fn left_by_one(&self, topic: &TopicName) {
        if !self.is_wanted(topic) {
            self.interest(topic);
        }
        self.left(topic);
    }
}

impl Subscription {
    /// Adds a topic from its next event on, at the time `now`; see [`Subscription::add`].
    ///
    /// # Errors
    /// See [`Subscription::add`].
    pub fn add_at<T>(&mut self, topic: T, now: Instant) -> Result<(), SubscribeError>
    where
        T: TryInto<TopicName>,
        TopicNameError: From<T::Error>,
    {
        let name = topic.try_into().map_err(TopicNameError::from)?;
        self.permitted().check(&name)?;
        let there = self.topics.iter().find(|topic| *topic.member.fanout().topic() == name);
        if there.is_some_and(|topic| topic.named) {
            return Ok(());
        }
        if there.is_none() {
            self.check_room(1)?;
        }
        let joined = self.hub.join_live(&name, now)?;
        self.attach(joined);
        Ok(())
    }

    /// Adds a topic that was joined; nothing changes when it is there already.
    pub(crate) fn attach(&mut self, mut joining: Joining) {
        self.drain_inbox();
        if let Some(joined) = joining.joined.take() {
            self.take_in(joined);
        }
    }

    /// Removes a topic that was added by its name; what it has pending is not delivered. Where a
    /// pattern of the subscription matches it too, and it is permitted, it is still followed. Tells whether it was there
    /// by its name.
    pub fn remove(&mut self, topic: &TopicName) -> bool {
        let is_it = |joined: &&mut Joined| joined.named && joined.member.fanout().topic() == topic;
        let Some(joined) = self.topics.iter_mut().find(is_it) else { return false };
        joined.named = false;
        joined.member.pin(false);
        let is_followed = self.followed().is_some_and(|followed| followed.matches(topic));
        if !is_followed || !self.permitted().allows(topic) {
            self.leave_if(|joined| joined.member.fanout().topic() == topic);
        }
        true
    }

    /// Checks that `more` topics or patterns may be added.
    pub(super) fn check_room(&self, more: usize) -> Result<(), SubscribeError> {
        check_count(&self.hub, self.count().saturating_add(more))
    }
}

/// Each once, in the order of their first places.
fn without_repeats<T: Clone + Eq + Hash>(all: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::new();
    all.into_iter().filter(|one| seen.insert(one.clone())).collect()
}

/// A cursor at what was published after `visible` was read.
pub(super) fn live_cursor(log: &Log, visible: u64) -> Cursor {
    let live = log.index_after(visible);
    cursor_at(log, live, log.mark_at(live).unwrap_or(log.head()))
}

fn cursor_at(log: &Log, next: u64, joined: Mark) -> Cursor {
    Cursor::new(log.mark_at(next).unwrap_or(joined), joined)
}

/// Checks that a subscription may have so many patterns.
pub(super) fn check_patterns(hub: &Hub, count: usize) -> Result<(), SubscribeError> {
    let max = hub.config().limits.patterns_per_subscription;
    if count > max {
        return Err(SubscribeError::TooManyPatterns { count, max });
    }
    Ok(())
}

fn check_count(hub: &Hub, count: usize) -> Result<(), SubscribeError> {
    let max = hub.config().limits.topics_per_subscription;
    if count > max {
        return Err(SubscribeError::TooManyTopics { count, max });
    }
    Ok(())
}
