//! Making a subscription, and changing its topics while it lives.

use std::{collections::HashSet, sync::Arc, time::Instant};

use super::{Joined, Reset, ResetReason, Start, Subscribe, SubscribeError, Subscription};
use crate::{
    cursor::{Cursor, Policy},
    fanout::{Fanout, Membership},
    hub::Hub,
    log::{Log, Mark},
    position::LastEventId,
    stats::{SubscriptionCounts, add},
    topic::{TopicName, TopicNameError},
};

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
        let request = request.into();
        let names = request.topics?;
        check_count(self, names.len())?;
        let mut seen = HashSet::new();
        let names: Vec<_> = names.into_iter().filter(|name| seen.insert(name.clone())).collect();
        let fanouts: Vec<_> =
            names.iter().map(|name| self.topic(name, now)).collect::<Result<_, _>>()?;
        // Read before any topic is joined: what is published meanwhile has a higher sequence.
        let visible = self.visible();

        let resumed = match request.after {
            None => None,
            // Of no topic, nothing can be missing.
            Some(_) if names.is_empty() => None,
            Some(Err(_)) => Some(Err(ResetReason::Malformed)),
            Some(Ok(id)) if id.epoch != self.epoch() => Some(Err(ResetReason::Epoch)),
            Some(Ok(id)) if id.sequence > visible => Some(Err(ResetReason::Ahead)),
            Some(Ok(id)) => Some(self.resume(&fanouts, id, now)),
        };
        let (topics, taken, reason) = match resumed {
            Some(Ok((topics, taken))) => (topics, taken, None),
            Some(Err(reason)) => {
                let (topics, taken, _) = self.start(&fanouts, request.start, visible, now);
                (topics, taken, Some(reason))
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
        Ok(Subscription {
            hub: self.clone(),
            topics,
            policy,
            taken,
            counts: SubscriptionCounts::default(),
            reset,
            ended: false,
            is_counted: true,
        })
    }

    /// Joins all topics after `id`, unless one of them has let go of an event after it.
    fn resume(
        &self,
        fanouts: &[Arc<Fanout>],
        id: LastEventId,
        now: Instant,
    ) -> Result<(Vec<Joined>, u64), ResetReason> {
        let mut joined = Vec::with_capacity(fanouts.len());
        let mut complete = true;
        for fanout in fanouts {
            joined.push(self.join(fanout, |log| {
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
    fn start(
        &self,
        fanouts: &[Arc<Fanout>],
        start: Start,
        visible: u64,
        now: Instant,
    ) -> (Vec<Joined>, u64, bool) {
        let mut taken = visible;
        let mut complete = true;
        let mut joined = Vec::with_capacity(fanouts.len());
        for fanout in fanouts {
            joined.push(self.join(fanout, |log| {
                log.expire(now);
                complete &= log.evicted_through() <= visible;
                // What was published since `visible` was read comes after the start: whoever
                // resumes from there gets it too.
                let live = log.index_after(visible);
                let joined = log.mark_at(live).unwrap_or(log.head());
                let (cursor, first) = match start {
                    Start::Live => (cursor_at(log, live, joined), None),
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
    ) -> Result<Joined, SubscribeError> {
        let fanout = self.topic(name, now)?;
        Ok(self.join(&fanout, |log| Cursor::new(log.head(), log.head())))
    }

    fn join(&self, fanout: &Arc<Fanout>, place: impl FnOnce(&mut Log) -> Cursor) -> Joined {
        let (member, is_first) = fanout.join(place);
        if is_first {
            self.interest(fanout);
        }
        Joined { member, quiet_at: u64::MAX }
    }

    fn leave(&self, member: Membership) {
        let fanout = Arc::clone(member.fanout());
        drop(member);
        if fanout.members() == 0 {
            self.interest(&fanout);
            self.left(&fanout);
        }
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
        if self.topics().any(|topic| *topic == name) {
            return Ok(());
        }
        check_count(&self.hub, self.topics.len() + 1)?;
        let joined = self.hub.join_live(&name, now)?;
        self.attach(joined);
        Ok(())
    }

    /// Adds a topic that was joined; nothing changes when it is there already.
    pub(crate) fn attach(&mut self, joined: Joined) {
        if self.topics().any(|topic| topic == joined.member.fanout().topic()) {
            return self.hub.leave(joined.member);
        }
        self.topics.push(joined);
    }

    /// Removes a topic; what it has pending is not delivered. Tells whether it was there.
    pub fn remove(&mut self, topic: &TopicName) -> bool {
        let found = self.topics().position(|name| name == topic);
        if let Some(at) = found {
            let joined = self.topics.remove(at);
            self.hub.leave(joined.member);
        }
        found.is_some()
    }
}

fn cursor_at(log: &Log, next: u64, joined: Mark) -> Cursor {
    Cursor::new(log.mark_at(next).unwrap_or(joined), joined)
}

fn check_count(hub: &Hub, count: usize) -> Result<(), SubscribeError> {
    let max = hub.config().limits.topics_per_subscription;
    if count > max {
        return Err(SubscribeError::TooManyTopics { count, max });
    }
    Ok(())
}
