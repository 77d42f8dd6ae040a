//! A hub whose broker other instances publish to as well: what it has from where on.

use std::{collections::HashMap, sync::Arc, task::Waker, time::Instant};

use slab::Slab;

use super::{Hub, Inner};
use crate::{
    broker::{Deliver, DeliverError, EarlierEvent, Interest},
    event::Event,
    fanout::{Fanout, Wakeups, keep, lock},
    log::{Earlier, Retention},
    pattern::{Place, TopicPattern},
    position::{LastEventId, Position},
    stats::add,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    topic::TopicName,
};

/// What a hub keeps beside its topics that shares them with other instances.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// How often the numbers have begun anew; 0 until the broker has told where they are.
    life: AtomicU64,
    /// How often the broker has answered where the sequence is.
    reached: AtomicU64,
    /// Topics with events that nobody is to see yet.
    unseen: Mutex<Vec<Arc<Fanout>>>,
    patterns: Mutex<HashMap<TopicPattern, FollowedPattern>>,
    waiting: Mutex<Waiting>,
}

/// A pattern that somebody here follows.
#[derive(Debug, Default)]
struct FollowedPattern {
    followers: usize,
    /// Where it stands among those whose events come, once they do.
    established: Option<Place>,
    /// After which sequence its topics have been asked for and found.
    found_after: Option<u64>,
    /// How many topics had left the table then.
    found_at: u64,
    /// After which sequence they can't be found.
    lost_after: Option<u64>,
}

/// Who waits until the broker has said something.
#[derive(Debug, Default)]
struct Waiting {
    /// Changes with each thing that it says.
    said: u64,
    wakers: Slab<Option<Waker>>,
}

/// The topics that a pattern matches, as far as the broker has been asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// They are all in the table.
    All,
    /// They can't be told.
    Unknown,
    /// It has not been asked yet.
    NotYet,
}

/// The place of one who waits for the broker; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Waiter {
    hub: Hub,
    place: Option<usize>,
}

impl Waiter {
    pub(crate) fn new(hub: &Hub) -> Self {
        Self { hub: hub.clone(), place: None }
    }

    /// Wakes `waker` once the broker says something after `said`, unless it has: then it returns false.
    pub(crate) fn park(&mut self, waker: &Waker, said: u64) -> bool {
        let mut waiting = lock(&self.hub.inner.sharing.waiting);
        if waiting.said != said {
            return false;
        }
        let place = match self.place {
            Some(place) => place,
            None => *self.place.insert(waiting.wakers.insert(None)),
        };
        let before = waiting.wakers.get_mut(place).map(|slot| keep(slot, waker));
        drop(waiting);
        drop(before);
        true
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut waiting = lock(&self.hub.inner.sharing.waiting);
        let waker = waiting.wakers.try_remove(place);
        if waiting.wakers.is_empty() {
            waiting.wakers = Slab::new();
        }
        drop(waiting);
        drop(waker);
    }
}

impl Hub {
    /// Whether other instances publish to its topics as well.
    pub(crate) fn is_shared(&self) -> bool {
        self.inner.broker.is_shared()
    }

    /// How often the numbers have begun anew; 0 as long as it is not known where they are.
    ///
    /// To be read after what is visible: as long as it has not changed, that is of the same life.
    pub(crate) fn life(&self) -> u64 {
        self.inner.sharing.life.load(Ordering::Acquire)
    }

    /// Changes with each thing that the broker says; see [`Waiter`].
    pub(crate) fn said(&self) -> u64 {
        lock(&self.inner.sharing.waiting).said
    }

    /// How often the broker has answered [`ask_to_catch_up`](Self::ask_to_catch_up).
    pub(crate) fn reached(&self) -> u64 {
        self.inner.sharing.reached.load(Ordering::Acquire)
    }

    /// Asks the broker how far the sequence has got.
    pub(crate) fn ask_to_catch_up(&self) {
        self.inner.broker.catch_up();
    }

    /// Asks the broker for what a topic has had after the sequence `after`.
    pub(crate) fn ask_for_past(&self, topic: &TopicName, after: u64) {
        self.inner.broker.read(topic, after, self.config().retention.events);
    }

    /// Asks the broker for the topics that `pattern` matches and that have events after `after`.
    pub(crate) fn ask_for_topics(&self, pattern: &TopicPattern, after: u64) {
        self.inner.broker.find(pattern, after, self.config().limits.topics_per_subscription);
    }

    /// Whether everything comes that is published to topics which `pattern` matches.
    pub(crate) fn is_pattern_established(&self, pattern: &TopicPattern) -> bool {
        let patterns = lock(&self.inner.sharing.patterns);
        patterns.get(pattern).is_some_and(|it| it.established.is_some())
    }

    /// Whether all topics that `pattern` matches are in the table that have events after `after`.
    pub(crate) fn found(&self, pattern: &TopicPattern, after: u64) -> Found {
        let patterns = lock(&self.inner.sharing.patterns);
        let Some(it) = patterns.get(pattern) else { return Found::NotYet };
        let is_there = self.retired() == it.found_at || self.removed_through() <= after;
        if is_there && it.found_after.is_some_and(|found| found <= after) {
            Found::All
        } else if it.lost_after.is_some_and(|lost| lost >= after) {
            Found::Unknown
        } else {
            Found::NotYet
        }
    }

    /// Takes word that somebody follows `pattern`.
    pub(super) fn follows(&self, pattern: &TopicPattern) {
        if self.is_shared() {
            let mut patterns = lock(&self.inner.sharing.patterns);
            let followed = patterns.entry(pattern.clone()).or_default();
            followed.followers += 1;
            let is_first = followed.followers == 1;
            drop(patterns);
            if is_first {
                self.inner.tell_pattern_interest(pattern);
            }
        }
    }

    /// Takes word that somebody follows `pattern` no longer.
    pub(super) fn unfollows(&self, pattern: &TopicPattern) {
        if !self.is_shared() {
            return;
        }
        let mut patterns = lock(&self.inner.sharing.patterns);
        let Some(followed) = patterns.get_mut(pattern) else { return };
        followed.followers -= 1;
        let is_last = followed.followers == 0;
        if is_last
            && let Some(FollowedPattern { established: Some(place), .. }) = patterns.remove(pattern)
        {
            self.inner.table.not_established(&place);
        }
        drop(patterns);
        if is_last {
            self.inner.tell_pattern_interest(pattern);
        }
    }
}

impl Inner {
    /// As [`interest`](Self::interest): the last to tell tells what is.
    fn tell_pattern_interest(&self, pattern: &TopicPattern) {
        let is_followed = || lock(&self.sharing.patterns).contains_key(pattern);
        loop {
            let interested = is_followed();
            self.broker.pattern_interest(pattern, interested);
            if interested == is_followed() {
                break;
            }
        }
    }

    /// Who is to be woken when the broker has said something.
    fn has_said(&self, wakeups: &mut Wakeups) {
        let mut waiting = lock(&self.sharing.waiting);
        waiting.said += 1;
        let wakers: Vec<_> =
            waiting.wakers.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        drop(waiting);
        wakeups.extend(Wakeups::new(wakers));
    }

    /// The topic of an event that has come, if anybody here wants it.
    fn wanted(
        self: &Arc<Self>,
        topic: &TopicName,
        sequence: u64,
        now: Instant,
    ) -> Result<Option<(Arc<Fanout>, Wakeups)>, DeliverError> {
        if let Some(there) = self.table.read(|topics| topics.get(topic).cloned()) {
            return Ok(Some((there, Wakeups::new(Vec::new()))));
        }
        if !self.table.is_followed(topic) {
            self.table.passed_over(topic, sequence);
            // Made meanwhile, it may have been made before that was kept in mind.
            let there = self.table.read(|topics| topics.get(topic).cloned());
            return Ok(there.map(|there| (there, Wakeups::new(Vec::new()))));
        }
        match self.topic(topic, now) {
            Ok(made) => Ok(Some(made)),
            Err(full) => {
                // Whoever follows it misses this one, and is not to go on as if it had not been.
                self.table.passed_over(topic, sequence);
                Wakeups::new(self.table.refuse_followers(topic)).wake();
                Err(full)
            }
        }
    }
}

impl Deliver for Inner {
    fn deliver(
        self: Arc<Self>,
        topic: &TopicName,
        position: Position,
        event: Event,
        now: Instant,
    ) -> Result<Wakeups, DeliverError> {
        let mut head = lock(&self.head);
        let before = LastEventId {
            epoch: head.map_or(position.epoch(), Position::epoch),
            sequence: head.map_or(0, Position::sequence),
        };
        if position.epoch() != before.epoch || position.sequence() <= before.sequence {
            return Err(DeliverError::OutOfOrder { head: before, position });
        }
        // Looked up last, since making a topic may leave somebody to be woken.
        let wanted = if self.broker.is_shared() {
            self.wanted(topic, position.sequence(), now)?
        } else {
            Some(self.topic(topic, now)?)
        };
        *head = Some(position);
        let Some((topic, mut wakeups)) = wanted else {
            self.visible.store(position.sequence(), Ordering::Release);
            return Ok(Wakeups::new(Vec::new()));
        };
        wakeups.extend(topic.append(position, event, &self.visible, now));
        drop(head);
        add(&self.counters.published, 1);
        if self.wants_upkeep(now) {
            wakeups.after(move || self.upkeep(now));
        }
        Ok(wakeups)
    }

    fn begin(&self, position: Position) -> Wakeups {
        let mut head = lock(&self.head);
        self.epoch.store(position.epoch(), Ordering::Release);
        // Before what is visible: whoever sees that of the new life finds that it is another one.
        self.sharing.life.fetch_add(1, Ordering::AcqRel);
        self.table.begin_after(position.sequence());
        let mut patterns = lock(&self.sharing.patterns);
        for followed in patterns.values_mut() {
            if let Some(place) = followed.established.take() {
                self.table.not_established(&place);
            }
            (followed.found_after, followed.lost_after) = (None, None);
        }
        drop(patterns);
        lock(&self.sharing.unseen).clear();
        // Before the topics: one that is made meanwhile is to begin here as well.
        self.visible.store(position.sequence(), Ordering::Release);
        let mut wakers = self.table.wake_followers();
        self.table.each(|topic| wakers.extend(topic.begin_after(position.sequence())));
        *head = Some(position);
        drop(head);
        let mut wakeups = Wakeups::new(wakers);
        self.has_said(&mut wakeups);
        wakeups
    }

    fn advance(&self, position: Position) -> Wakeups {
        let mut head = lock(&self.head);
        let is_later = head.is_some_and(|head| {
            head.epoch() == position.epoch() && head.sequence() < position.sequence()
        });
        if is_later {
            *head = Some(position);
            self.visible.store(position.sequence(), Ordering::Release);
        }
        drop(head);
        let unseen = std::mem::take(&mut *lock(&self.sharing.unseen));
        Wakeups::new(unseen.iter().flat_map(Fanout::show).collect())
    }

    fn establish(&self, interests: &[Interest<'_>], anew: bool) -> Wakeups {
        let after = anew.then(|| self.visible.load(Ordering::Acquire));
        let mut wakers = Vec::new();
        for interest in interests {
            match interest {
                Interest::Topic(name) => {
                    let topic = self.table.read(|topics| topics.get(*name).cloned());
                    wakers.extend(topic.iter().flat_map(|topic| topic.establish(after)));
                }
                Interest::Pattern(pattern) => {
                    let mut patterns = lock(&self.sharing.patterns);
                    if let Some(followed) = patterns.get_mut(*pattern)
                        && followed.established.is_none()
                    {
                        followed.established = self.table.established(pattern);
                    }
                }
            }
        }
        let mut wakeups = Wakeups::new(wakers);
        // Who waits for a topic is woken by it.
        if interests.iter().any(|interest| matches!(interest, Interest::Pattern(_))) {
            self.has_said(&mut wakeups);
        }
        wakeups
    }

    fn append_unseen(self: Arc<Self>, topic: &TopicName, event: EarlierEvent) {
        let wanted = self.wanted(topic, event.position.sequence(), event.at);
        let Ok(Some((topic, _wakeups))) = wanted else { return };
        topic.append_unseen(event.position, event.event, event.at);
        add(&self.counters.published, 1);
        let mut unseen = lock(&self.sharing.unseen);
        if unseen.last().is_none_or(|last| !Arc::ptr_eq(last, &topic)) {
            unseen.push(topic);
        }
    }

    fn lose(self: Arc<Self>, topic: &TopicName, through: Position, now: Instant) -> Wakeups {
        let wanted = self.wanted(topic, through.sequence(), now);
        let Ok(Some((topic, mut wakeups))) = wanted else { return Wakeups::new(Vec::new()) };
        topic.lose(through, now);
        if through.sequence() > self.visible.load(Ordering::Acquire) {
            // Word of what nobody can see has whoever looks for it look again and again.
            lock(&self.sharing.unseen).push(topic);
        } else {
            wakeups.extend(Wakeups::new(topic.show()));
        }
        wakeups
    }

    fn earlier(
        &self,
        topic: &TopicName,
        read_after: u64,
        complete_after: u64,
        earlier: Vec<Earlier>,
        now: Instant,
    ) -> Wakeups {
        let topic = self.table.read(|topics| topics.get(topic).cloned());
        let Some(topic) = topic else { return Wakeups::new(Vec::new()) };
        Wakeups::new(topic.prepend(earlier, read_after, complete_after, now))
    }

    fn found(
        self: Arc<Self>,
        pattern: &TopicPattern,
        after: u64,
        topics: Option<Vec<TopicName>>,
        now: Instant,
    ) -> Wakeups {
        let mut wakeups = Wakeups::new(Vec::new());
        // What is put into the table here comes into the inboxes of those who follow it.
        let max = self.config.limits.topics_per_subscription;
        let all = topics.filter(|topics| topics.len() <= max).is_some_and(|topics| {
            let mut matching = topics.iter().filter(|topic| pattern.matches(topic));
            // Word to the broker is given when what was made is passed on.
            let make = |topic| self.topic(topic, now).map(|(_, woken)| wakeups.extend(woken));
            matching.try_for_each(make).is_ok()
        });
        if let Some(followed) = lock(&self.sharing.patterns).get_mut(pattern) {
            let retired = self.table.retired();
            if all && followed.found_at != retired {
                (followed.found_after, followed.found_at) = (None, retired);
            }
            let known = if all { &mut followed.found_after } else { &mut followed.lost_after };
            *known =
                Some(known.map_or(
                    after,
                    |before| if all { before.min(after) } else { before.max(after) },
                ));
        }
        self.has_said(&mut wakeups);
        wakeups
    }

    fn reached(&self) -> Wakeups {
        self.sharing.reached.fetch_add(1, Ordering::AcqRel);
        let mut wakeups = Wakeups::new(Vec::new());
        self.has_said(&mut wakeups);
        wakeups
    }

    fn disconnect(&self, subject: &str, reason: &str) {
        self.permits.revoke(subject, &reason.into());
    }

    fn is_wanted(&self, topic: &TopicName) -> bool {
        *topic == TopicName::control() || Self::is_wanted(self, topic)
    }

    fn is_followed(&self, pattern: &TopicPattern) -> bool {
        lock(&self.sharing.patterns).contains_key(pattern)
    }

    fn subscribers(&self, topic: &TopicName) -> usize {
        self.table.read(|topics| topics.get(topic).map_or(0, |topic| topic.members()))
    }

    fn retention(&self) -> Retention {
        self.config.retention
    }
}
