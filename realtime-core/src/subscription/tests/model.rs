//! What a subscription may deliver, told by everything that was published.

use std::collections::BTreeMap;

use super::*;

pub(super) const TOPICS: [&str; 3] = ["a", "x.b", "x.c"];

/// An event that was published.
#[derive(Clone, Debug)]
struct Published {
    topic: usize,
    key: Option<u8>,
}

/// A topic that is followed.
#[derive(Clone, Debug, Default)]
struct Followed {
    /// Sequences that are due and not yet delivered.
    due: Vec<u64>,
    /// Told as missed: after the first, before the second.
    gaps: Vec<(u64, u64)>,
}

/// One subscription's stream, checked item by item.
pub(super) struct Model {
    history: BTreeMap<u64, Published>,
    followed: BTreeMap<usize, Followed>,
    /// Events that were to be delivered, in all topics, also in those that have been left.
    due: u64,
    delivered: u64,
    /// The sum of what gaps told, `None` once one did not know.
    missed: Option<u64>,
    last: u64,
    /// Whether the policy was `Conflate` at some time.
    pub(super) conflates: bool,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            history: BTreeMap::new(),
            followed: BTreeMap::new(),
            due: 0,
            delivered: 0,
            missed: Some(0),
            last: 0,
            conflates: false,
        }
    }

    /// A new subscription to the same topics, after the sequence `after`.
    pub(super) fn resume(&mut self, after: u64) {
        for (topic, followed) in &mut self.followed {
            let due = self.history.range(after + 1..).filter(|(_, event)| event.topic == *topic);
            *followed =
                Followed { due: due.map(|(sequence, _)| *sequence).collect(), gaps: vec![] };
        }
        self.due = self.followed.values().map(|followed| followed.due.len() as u64).sum();
        (self.delivered, self.missed, self.last) = (0, Some(0), after);
    }

    pub(super) fn follow(&mut self, topic: usize) {
        self.followed.entry(topic).or_default();
    }

    /// The topic is left when nothing is pending.
    pub(super) fn leave(&mut self, topic: usize) {
        self.followed.remove(&topic);
    }

    pub(super) fn published(&mut self, sequence: u64, topic: usize, key: Option<u8>) {
        self.history.insert(sequence, Published { topic, key });
        if let Some(followed) = self.followed.get_mut(&topic) {
            followed.due.push(sequence);
            self.due += 1;
        }
    }

    pub(super) fn take(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Event(entry) => self.event(entry),
            Delivery::Gap(gap) => self.gap(gap),
            Delivery::Reset(reset) => panic!("{reset:?}"),
            Delivery::Disconnected(_) => {}
        }
    }

    fn event(&mut self, entry: &Entry) {
        let sequence = entry.position().sequence();
        let published = self.history.get(&sequence).expect("it was published");
        assert_eq!(entry.topic().as_str(), TOPICS[published.topic]);
        let key = published.key.map(|key| key.to_string());
        assert_eq!(entry.event().key().map(|key| key.as_str().to_owned()), key);
        assert!(sequence > self.last, "{sequence} after {}", self.last);
        self.last = sequence;
        self.delivered += 1;
        let followed = self.followed.get_mut(&published.topic).expect("it is followed");
        assert!(followed.due.contains(&sequence), "{sequence} was not due");
        let told = followed.gaps.iter().any(|&(_, resumes_at)| sequence < resumes_at);
        assert!(!told || self.conflates && published.key.is_some(), "{sequence} was told missed");
        followed.due.retain(|&due| due != sequence);
        self.nothing_lost_before(sequence);
    }

    /// Every event of a topic that lies before one delivered is delivered, told or replaced.
    fn nothing_lost_before(&self, sequence: u64) {
        for followed in self.followed.values() {
            for &due in followed.due.iter().take_while(|&&due| due < sequence) {
                let told = followed.gaps.iter().any(|&(a, b)| a < due && due < b);
                assert!(told || self.is_replaced(due), "{due} is lost before {sequence}");
            }
        }
    }

    fn is_replaced(&self, sequence: u64) -> bool {
        let event = &self.history[&sequence];
        let same = |later: &Published| later.topic == event.topic && later.key == event.key;
        let mut later = self.history.range(sequence + 1..).map(|(_, later)| later);
        self.conflates && event.key.is_some() && later.any(same)
    }

    fn gap(&mut self, gap: &Gap) {
        let topic = TOPICS.iter().position(|name| *name == gap.topic.as_str()).unwrap();
        let followed = self.followed.get_mut(&topic).expect("it is followed");
        assert_ne!(gap.missed, Some(0));
        assert!(self.last <= gap.after.sequence, "what comes after it was not taken");
        let (after, resumes_at) = (gap.after.sequence, gap.resumes_at.sequence);
        let within = followed.due.iter().filter(|&&due| due > after && due < resumes_at).count();
        assert!(within > 0, "{gap:?} in place of nothing");
        if !self.conflates {
            let untold = |due: &&u64| !followed.gaps.iter().any(|&(_, until)| **due < until);
            let missed =
                followed.due.iter().filter(|&&due| due < resumes_at).filter(untold).count();
            assert_eq!(gap.missed, Some(missed as u64), "{gap:?}");
        }
        followed.gaps.push((after, resumes_at));
        self.missed = self.missed.zip(gap.missed).map(|(a, b)| a + b);
    }

    /// Everything that is there has been taken.
    pub(super) fn drained(&self, counts: SubscriptionCounts) {
        assert_eq!(counts.delivered, self.delivered);
        if let Some(missed) = self.missed {
            assert_eq!(counts.missed, missed);
        }
        let accounted = counts.delivered + counts.missed + counts.conflated;
        assert_eq!(accounted, self.due, "{counts:?}");
        assert!(self.conflates || counts.conflated == 0, "{counts:?}");
        self.nothing_lost_before(u64::MAX);
    }
}
