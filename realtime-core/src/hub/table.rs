//! The table of topics, who follows them by pattern, and what is known of those that have gone.

use std::{
    collections::{BTreeSet, BinaryHeap, HashMap},
    fmt,
    hash::{BuildHasher, RandomState},
    ops::Bound,
    sync::{Arc, PoisonError},
    task::Waker,
    time::Instant,
};

use super::{follower::Follower, matching::Matching};
use crate::{
    broker::DeliverError,
    fanout::{Fanout, Relay, lock},
    log::{Log, LogMemory, Retention},
    pattern::{Place, TopicPattern, Trie},
    sync::{
        Mutex, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    topic::TopicName,
};

/// Below this size the table is not swept.
pub(super) const SWEEP_FLOOR: usize = 1024;

/// Topics that a full table is looked at for, on average, when it refuses a name.
const LOOKS_PER_REFUSAL: usize = 64;

/// Topics that are looked at under the table's lock at a time.
pub(super) const PAGE: usize = 1024;

/// Topics by name. Locks are taken in the order of the fields, after them an inbox's, and a topic's
/// last; no user code runs under any.
#[derive(Debug)]
pub(super) struct Table {
    topics: RwLock<Topics>,
    /// Looked at when a topic is made only, so that a publish to one that is there pays nothing.
    patterns: Mutex<Trie<Arc<Follower>>>,
    watermarks: Watermarks,
    /// How many topics have gone that had subscribers: tells these to look for them.
    retired: AtomicU64,
    max: usize,
    retention: Retention,
    memory: LogMemory,
    relay: Relay,
    /// Of a hub that shares its topics with others: the patterns of which everything comes.
    established: Option<Mutex<Trie<()>>>,
}

#[derive(Debug)]
pub(super) struct Topics {
    pub(super) by_name: HashMap<TopicName, Arc<Fanout>>,
    /// The same names, for patterns: what has their prefix stands together, and a name says where to
    /// go on. Who knows a topic's name needs the other one only, so it costs when a topic is made.
    pub(super) in_order: BTreeSet<TopicName>,
    /// How many have been made.
    made: u64,
    /// The size of the table at which topics that nobody uses are looked for.
    sweep_at: usize,
    /// Names that are refused before a full table is looked through again.
    patience: usize,
}

/// A topic out of the table, and what is to be done for it without a lock.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) topic: Arc<Fanout>,
    /// Followers of a topic that was made, or has gone.
    pub(super) wakers: Vec<Waker>,
    /// Whether it was made for somebody's inbox, so that the broker is to be told.
    pub(super) is_followed: bool,
}

impl Table {
    pub(super) fn new(
        max: usize,
        retention: Retention,
        memory: LogMemory,
        relay: Relay,
        is_shared: bool,
    ) -> Self {
        Self {
            topics: RwLock::new(Topics {
                by_name: HashMap::new(),
                in_order: BTreeSet::new(),
                made: 0,
                sweep_at: SWEEP_FLOOR,
                patience: 0,
            }),
            patterns: Mutex::default(),
            watermarks: Watermarks::default(),
            retired: AtomicU64::new(0),
            max,
            retention,
            memory,
            relay,
            established: is_shared.then(Mutex::default),
        }
    }

    pub(super) fn read<R>(&self, read: impl FnOnce(&HashMap<TopicName, Arc<Fanout>>) -> R) -> R {
        self.look(|topics| read(&topics.by_name))
    }

    pub(super) fn look<R>(&self, look: impl FnOnce(&Topics) -> R) -> R {
        look(&self.topics.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The topic `name`, made if it is not there, and put into the inbox of everybody who follows it
    /// by pattern.
    pub(super) fn get_or_make(
        &self,
        name: &TopicName,
        now: Instant,
        visible: &AtomicU64,
    ) -> Result<Made, DeliverError> {
        let there = |topic: &Arc<Fanout>| Made {
            topic: Arc::clone(topic),
            wakers: Vec::new(),
            is_followed: false,
        };
        if let Some(made) = self.read(|topics| topics.get(name).map(there)) {
            return Ok(made);
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.by_name.get(name) {
            return Ok(there(topic));
        }
        let mut wakers = Vec::new();
        let is_full = topics.by_name.len() >= self.max;
        if is_full && topics.patience > 0 {
            topics.patience -= 1;
        } else if is_full || topics.by_name.len() >= topics.sweep_at {
            self.sweep(&mut topics, is_full, now, &mut wakers);
        }
        if topics.by_name.len() >= self.max {
            // Nothing was swept, so nobody is to be woken.
            return Err(DeliverError::TooManyTopics { max: self.max });
        }
        let mut evicted_through = self.watermarks.get(name);
        let mut is_established = true;
        if let Some(established) = &self.established {
            is_established = false;
            lock(established).for_each_match(name, |()| is_established = true);
            // Whatever came for a pattern has made its topic: so far, this one has had nothing.
            evicted_through = evicted_through.max(visible.load(Ordering::Acquire));
        }
        topics.made += 1;
        let mut topic = Fanout::new(
            name.clone(),
            self.retention,
            evicted_through,
            topics.made,
            &self.memory,
            &self.relay,
        );
        if self.established.is_some() {
            topic = topic.shared(is_established);
        }
        let topic = Arc::new(topic);
        let mut is_followed = false;
        // Before anybody can find it and append to it.
        lock(&self.patterns).for_each_match(name, |follower| {
            let (waker, is_first) = follower.offer(&topic);
            wakers.extend(waker);
            is_followed |= is_first;
        });
        topics.by_name.insert(name.clone(), Arc::clone(&topic));
        topics.in_order.insert(name.clone());
        Ok(Made { topic, wakers, is_followed })
    }

    /// Has every topic that is made from now on and that `pattern` matches put into the follower's
    /// inbox.
    pub(super) fn follow(&self, pattern: &TopicPattern, follower: Arc<Follower>) -> Place {
        lock(&self.patterns).insert(pattern, follower)
    }

    /// Takes back a `follow`; nothing arrives any more once this returns.
    pub(super) fn unfollow(&self, place: &Place) {
        let follower = lock(&self.patterns).remove(place);
        drop(follower);
    }

    /// Whether a pattern that somebody follows matches `name`.
    pub(super) fn is_followed(&self, name: &TopicName) -> bool {
        let mut is_followed = false;
        lock(&self.patterns).for_each_match(name, |_| is_followed = true);
        is_followed
    }

    /// Takes word that everything comes that is published to topics which `pattern` matches.
    pub(super) fn established(&self, pattern: &TopicPattern) -> Option<Place> {
        self.established.as_ref().map(|established| lock(established).insert(pattern, ()))
    }

    /// Takes that back.
    pub(super) fn not_established(&self, place: &Place) {
        if let Some(established) = &self.established {
            lock(established).remove(place);
        }
    }

    /// Keeps in mind that a topic which is not here has had an event with this sequence.
    pub(super) fn passed_over(&self, name: &TopicName, sequence: u64) {
        self.watermarks.raise(name, sequence);
    }

    /// Forgets which topics have gone: the numbers start anew after `after`.
    pub(super) fn begin_after(&self, after: u64) {
        self.watermarks.begin_after(after);
    }

    /// Whether nobody follows a pattern.
    #[cfg(test)]
    pub(super) fn has_no_patterns(&self) -> bool {
        let patterns = lock(&self.patterns);
        patterns.is_empty() && patterns.nodes() == 1
    }

    /// The topics in the table that one of `patterns` matches, each once, in the order of their names.
    pub(super) fn matching<'a>(
        &'a self,
        patterns: impl Iterator<Item = &'a TopicPattern>,
    ) -> Matching<'a> {
        Matching::new(self, patterns)
    }

    /// Removes topics out of `idle` that nobody waits for and whose events are past their age.
    /// Beside the table and their subscribers, `held` references to each are there.
    pub(super) fn retire<'a>(
        &self,
        idle: impl Iterator<Item = &'a Arc<Fanout>>,
        held: usize,
        is_over: impl Fn(&mut Log) -> bool,
    ) -> Vec<Waker> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let mut wakers = Vec::new();
        for topic in idle {
            let is_ours =
                topics.by_name.get(topic.topic()).is_some_and(|it| Arc::ptr_eq(it, topic));
            if is_ours && self.let_go(topic, 1 + held, &is_over, &mut wakers) {
                topics.by_name.remove(topic.topic());
                topics.in_order.remove(topic.topic());
            }
        }
        wakers
    }

    /// Removes a topic in which nothing is and that nobody asked for.
    pub(super) fn forget_blank(&self, name: &TopicName) -> Vec<Waker> {
        let is_blank = |topic: &Arc<Fanout>| topic.with(|state| state.log.is_blank());
        if !self.read(|topics| topics.get(name).is_some_and(is_blank)) {
            return Vec::new();
        }
        self.remove_blank(std::slice::from_ref(name))
    }

    /// Removes topics that nobody waits for and whose events are past their age, those included that
    /// hold something by key only if the table `is_full`. The next sweep is due when the table has
    /// doubled, so that sweeping costs a constant per topic made.
    fn sweep(&self, topics: &mut Topics, is_full: bool, now: Instant, wakers: &mut Vec<Waker>) {
        let is_over = |log: &mut Log| log.is_expired(now) && (is_full || log.is_blank());
        // The table holds one reference; a subscriber or a publisher at work another.
        let Topics { by_name, in_order, .. } = topics;
        by_name.retain(|name, topic| {
            let goes = self.let_go(topic, 1, is_over, wakers);
            if goes {
                in_order.remove(name);
            }
            !goes
        });
        topics.sweep_at = (topics.by_name.len() * 2).max(SWEEP_FLOOR);
        let is_full = topics.by_name.len() >= self.max;
        topics.patience = if is_full { topics.by_name.len() / LOOKS_PER_REFUSAL } else { 0 };
        topics.shrink();
    }

    /// Topics.
    pub(super) fn len(&self) -> usize {
        self.read(HashMap::len)
    }

    /// Looks at all topics, some at a time.
    pub(super) fn each(&self, mut look: impl FnMut(&Arc<Fanout>)) {
        self.each_while(|topic| {
            look(topic);
            true
        });
    }

    /// Looks at all topics, some at a time, as long as `look` wants more.
    pub(super) fn each_while(&self, mut look: impl FnMut(&Arc<Fanout>) -> bool) {
        let mut from = Bound::Unbounded;
        while let Some(last) = self.look(|topics| {
            let names = topics.in_order.range((from.as_ref(), Bound::Unbounded));
            let mut last = None;
            for name in names.take(PAGE) {
                last = Some(name);
                if topics.by_name.get(name).is_some_and(|topic| !look(topic)) {
                    return None;
                }
            }
            last.cloned()
        }) {
            from = Bound::Excluded(last);
        }
    }

    /// Looks at the next `max` topics after `from`, in the order of their names: lets go of events
    /// past their age, and of topics that nobody waits for and that have none left. Returns where to
    /// go on, and whom to wake.
    pub(super) fn reap(
        &self,
        from: Bound<TopicName>,
        max: usize,
        now: Instant,
    ) -> (Bound<TopicName>, Vec<Waker>) {
        let mut wakers = Vec::new();
        let mut over = Vec::new();
        let from = self.look(|topics| {
            let mut names = topics.in_order.range((from.as_ref(), Bound::Unbounded));
            let mut last = None;
            for name in names.by_ref().take(max) {
                last = Some(name);
                let Some(topic) = topics.by_name.get(name) else { continue };
                let (is_over, woken) = topic.expire(now);
                wakers.extend(woken);
                over.extend(is_over.then(|| name.clone()));
            }
            let goes_on = names.next().is_some();
            last.filter(|_| goes_on).map_or(Bound::Unbounded, |last| Bound::Excluded(last.clone()))
        });
        wakers.extend(self.remove_blank(&over));
        (from, wakers)
    }

    /// Removes those of the topics `names`, few enough to be gone through under a lock, in which nothing
    /// is and that nobody asked for.
    pub(super) fn remove_blank(&self, names: &[TopicName]) -> Vec<Waker> {
        let mut wakers = Vec::new();
        if names.is_empty() {
            return wakers;
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let mut gone = Vec::with_capacity(names.len());
        for name in names {
            let topic = topics.by_name.get(name);
            if topic.is_some_and(|it| self.let_go(it, 1, |log| log.is_blank(), &mut wakers)) {
                gone.extend(topics.by_name.remove(name));
                topics.in_order.remove(name);
            }
        }
        topics.shrink();
        drop(topics);
        // Memory is returned when nobody waits for it.
        drop(gone);
        wakers
    }

    /// The topics whose logs take memory and that were published to the longest ago, of those whose
    /// newest event has a sequence above `after`: an eighth of the table at most. Each with this
    /// sequence, and in its order.
    pub(super) fn idlest(&self, after: u64) -> Vec<(u64, TopicName)> {
        self.read(|topics| {
            let room = topics.len() / 8 + 64;
            let mut idlest = BinaryHeap::with_capacity(room + 1);
            for (name, topic) in topics {
                let last = topic.last_sequence();
                let is_idler =
                    idlest.len() < room || idlest.peek().is_some_and(|(newest, _)| last < *newest);
                if last > after && is_idler && topic.memory() > 0 {
                    idlest.push((last, name));
                    if idlest.len() > room {
                        idlest.pop();
                    }
                }
            }
            let idlest = idlest.into_sorted_vec().into_iter();
            idlest.map(|(last, name)| (last, name.clone())).collect()
        })
    }

    /// Retires a topic if it can be, and keeps in mind what it has had.
    fn let_go(
        &self,
        topic: &Arc<Fanout>,
        held: usize,
        is_over: impl FnOnce(&mut Log) -> bool,
        wakers: &mut Vec<Waker>,
    ) -> bool {
        let Some(parked) = topic.retire(held, is_over) else { return false };
        wakers.extend(parked);
        self.retired.fetch_add(1, Ordering::Release);
        self.watermarks.raise(topic.topic(), topic.last_sequence());
        true
    }

    /// Changes whenever a topic goes that a subscriber may still be joined to.
    pub(super) fn retired(&self) -> u64 {
        self.retired.load(Ordering::Acquire)
    }

    /// The highest sequence of all topics that have gone.
    pub(super) fn removed_through(&self) -> u64 {
        self.watermarks.highest.load(Ordering::Acquire)
    }
}

impl Topics {
    /// Returns room that is far from needed.
    fn shrink(&mut self) {
        let length = self.by_name.len().max(SWEEP_FLOOR);
        if self.by_name.capacity() > 4 * length {
            self.by_name.shrink_to(2 * length);
        }
    }
}

/// What the topics that were removed have had: for each hash of a name the highest sequence.
///
/// Names that share a bucket share the mark, which can only make a resume start anew that could
/// have been complete, never the reverse.
struct Watermarks {
    hasher: RandomState,
    buckets: Box<[AtomicU64]>,
    /// Over all names: of a pattern it is not known which names it would have matched.
    highest: AtomicU64,
}

impl fmt::Debug for Watermarks {
    /// Without the buckets: whatever holds a hub would print thousands of numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watermarks").field("highest", &self.highest).finish_non_exhaustive()
    }
}

impl Default for Watermarks {
    fn default() -> Self {
        let buckets = (0..Self::BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { hasher: RandomState::new(), buckets, highest: AtomicU64::new(0) }
    }
}

impl Watermarks {
    /// 32 KiB; with a thousand removed topics a name has a bucket of its own more often than not.
    const BUCKETS: usize = 4096;

    fn bucket(&self, name: &TopicName) -> Option<&AtomicU64> {
        let hash = self.hasher.hash_one(name.as_str());
        self.buckets.get(hash as usize % Self::BUCKETS)
    }

    fn get(&self, name: &TopicName) -> u64 {
        self.bucket(name).map_or(0, |mark| mark.load(Ordering::Acquire))
    }

    fn begin_after(&self, sequence: u64) {
        let all = self.buckets.iter().chain([&self.highest]);
        all.for_each(|mark| mark.store(sequence, Ordering::Release));
    }

    fn raise(&self, name: &TopicName, sequence: u64) {
        if let Some(mark) = self.bucket(name) {
            mark.fetch_max(sequence, Ordering::AcqRel);
        }
        self.highest.fetch_max(sequence, Ordering::AcqRel);
    }
}
