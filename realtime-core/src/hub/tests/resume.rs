//! Resuming is complete or says that it is not.

use proptest::prelude::*;

use super::*;
use crate::ResetReason;

const TOPICS: [&str; 3] = ["a", "b", "c"];

/// What happened on a hub whose retention is counted here once more.
struct History {
    hub: Hub,
    retention: Retention,
    now: Instant,
    /// Topic, key and time of each event; the index is the sequence less one.
    events: Vec<(usize, Option<u8>, Instant)>,
}

impl History {
    fn new(retention: Retention) -> Self {
        let hub = build(|hub| hub.retention(retention));
        Self { hub, retention, now: Instant::now(), events: Vec::new() }
    }

    fn publish(&mut self, (topic, key, wait): (usize, Option<u8>, u64)) {
        self.now += Duration::from_millis(wait);
        let event = Event::text("x");
        let event = match key {
            Some(key) => event.keyed(key.to_string()).unwrap(),
            None => event,
        };
        let sequence = publish_at(&self.hub, TOPICS[topic], event, self.now).unwrap();
        self.events.push((topic, key, self.now));
        assert_eq!(sequence as usize, self.events.len());
    }

    /// The sequences of a topic's events, those that have been let go first.
    fn split(&self, topic: usize) -> (Vec<u64>, Vec<u64>) {
        let all = self.events.iter().zip(1..).filter(|((of, ..), _)| *of == topic);
        let all: Vec<_> = all.map(|((_, _, at), sequence)| (sequence, *at)).collect();
        let over = all.len().saturating_sub(self.retention.events);
        let old = all.partition_point(|(_, at)| self.now - *at > self.retention.age);
        let (gone, there) = all.split_at(over.max(old));
        let sequences = |events: &[(u64, Instant)]| events.iter().map(|event| event.0).collect();
        (sequences(gone), sequences(there))
    }

    fn complete_after(&self, topics: &[usize], sequence: u64) -> bool {
        topics.iter().all(|&topic| self.split(topic).0.iter().all(|&gone| gone <= sequence))
    }

    fn after(&self, topics: &[usize], sequence: u64) -> Vec<u64> {
        let found = self.events.iter().zip(1..).filter(|((of, ..), _)| topics.contains(of));
        found.map(|(_, n)| n).filter(|&n| n > sequence).collect()
    }

    fn started(&self, topics: &[usize], start: Start) -> Vec<u64> {
        let mut all = Vec::new();
        for &topic in topics {
            let (gone, there) = self.split(topic);
            match start {
                Start::Live => {}
                Start::Last(n) => all.extend(&there[there.len().saturating_sub(n)..]),
                Start::NewestPerKey => {
                    let of = |n: u64| self.events[n as usize - 1].1;
                    let mut newest = gone.iter().chain(&there).copied().collect::<Vec<_>>();
                    let seen = newest.clone();
                    newest.retain(|&n| {
                        of(n).is_some() && !seen.iter().any(|&m| m > n && of(m) == of(n))
                    });
                    all.extend(newest);
                }
            }
        }
        all.sort_unstable();
        all
    }

    fn subscribe(
        &self,
        topics: &[usize],
        request: impl Fn(Subscribe) -> Subscribe,
    ) -> Subscription {
        let topics: Subscribe = topics.iter().map(|&topic| TOPICS[topic]).collect();
        let topics = topics.overflow(Overflow::Disconnect);
        self.hub.subscribe_at(request(topics), self.now).unwrap()
    }

    fn names(&self, topics: &[usize]) -> String {
        topics.iter().map(|&topic| TOPICS[topic]).collect()
    }
}

fn retention() -> impl Strategy<Value = Retention> {
    (1..10usize, 1..200u64).prop_map(|(events, age)| {
        Retention::default().events(events).age(Duration::from_millis(age))
    })
}

fn events(n: usize) -> impl Strategy<Value = Vec<(usize, Option<u8>, u64)>> {
    let wait = prop_oneof![3 => Just(0u64), 1 => 0..40u64];
    prop::collection::vec((0..3usize, prop::option::of(0..3u8), wait), 0..n)
}

fn topics() -> impl Strategy<Value = Vec<usize>> {
    prop::sample::subsequence(vec![0usize, 1, 2], 1..=3)
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![Just(Start::Live), (0..6usize).prop_map(Start::Last), Just(Start::NewestPerKey)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_resume_is_complete_or_a_reset(
        retention in retention(),
        before in events(60),
        idle in 0..60u64,
        topics in topics(),
        start in start(),
        epoch in prop_oneof![5 => Just(EPOCH), 1 => Just(EPOCH + 1)],
        back in -2..40i64,
        after in events(12),
    ) {
        let mut history = History::new(retention);
        before.into_iter().for_each(|event| history.publish(event));
        history.now += Duration::from_millis(idle);
        let head = history.events.len() as u64;
        let sequence = head.saturating_add_signed(-back);
        let mut subscription =
            history.subscribe(&topics, |request| request.after(id(epoch, sequence)).start(start));
        let reason = if epoch != EPOCH {
            Some(ResetReason::Epoch)
        } else if sequence > head {
            Some(ResetReason::Ahead)
        } else if !history.complete_after(&topics, sequence) {
            Some(ResetReason::Evicted)
        } else {
            None
        };
        let mut expected = match reason {
            None => history.after(&topics, sequence),
            Some(_) => history.started(&topics, start),
        };
        let fresh = subscription.last_event_id();
        let mut got = Vec::new();
        match (reason, read(&mut subscription, 1, history.now).pop()) {
            (Some(reason), Some(Delivery::Reset(reset))) => {
                prop_assert_eq!((reset.reason, reset.id), (reason, fresh));
            }
            (None, first) => got.extend(first),
            (reason, first) => prop_assert!(false, "{:?}, got {:?}", reason, first),
        }
        if start == Start::Live || reason.is_none() {
            let again = history.subscribe(&topics, |request| request.after(fresh));
            prop_assert_eq!(again.last_event_id(), fresh, "the fresh id resumes");
        }
        got.extend(drain(&mut subscription, history.now));
        for event in after {
            history.publish((event.0, event.1, 0));
            got.extend(drain(&mut subscription, history.now));
        }
        expected.extend(history.after(&topics, head));
        prop_assert_eq!(sequences(&got), expected, "{}", history.names(&topics));
    }

    /// Where retention allows: the id at any moment gives what is left, no more and no less.
    #[test]
    fn its_id_resumes_what_is_left_at_any_moment(
        before in events(40),
        topics in topics(),
        start in start(),
        resume in prop::option::of(0..40u64),
        steps in prop::collection::vec((0..5usize, events(6)), 1..12),
    ) {
        let mut history = History::new(Retention::default());
        before.into_iter().for_each(|event| history.publish(event));
        let head = history.events.len() as u64;
        let mut subscription = history.subscribe(&topics, |request| match resume {
            Some(sequence) => request.after(id(EPOCH, sequence.min(head))),
            None => request.start(start),
        });
        for (max, events) in steps {
            read(&mut subscription, max, history.now);
            let id = subscription.last_event_id();
            let resumed = history.subscribe(&topics, |request| request.after(id));
            events.into_iter().for_each(|event| history.publish(event));
            let (mut left, mut resumed) = (subscription, resumed);
            let got = sequences(&drain(&mut resumed, history.now));
            let left_sequences = sequences(&drain(&mut left, history.now));
            let exact = resume.is_some() || start == Start::Live || topics.len() == 1
                && matches!(start, Start::Last(_));
            if exact {
                prop_assert_eq!(&got, &left_sequences);
            } else {
                let all_there = left_sequences.iter().all(|sequence| got.contains(sequence));
                prop_assert!(all_there, "{:?} left, got {:?}", left_sequences, got);
            }
            // It goes on where it was: behind, with everything still to take.
            subscription = history.subscribe(&topics, |request| request.after(id));
        }
    }
}

#[test]
fn what_is_no_id_is_told_so() {
    let history = History::new(Retention::default());
    let claimed = Some(LastEventId::parse(b"garbage"));
    let mut subscription = history.subscribe(&[0], |request| request.or_after(claimed));
    match read(&mut subscription, 9, history.now).as_slice() {
        [Delivery::Reset(reset)] => assert_eq!(reset.reason, ResetReason::Malformed),
        other => panic!("{other:?}"),
    }
    assert_eq!(history.hub.stats().resets, 1);
}

/// A client that is cut before the first event of its snapshot gets the snapshot again.
#[test]
fn the_first_id_of_a_snapshot_stands_before_it() {
    for events in [2, 100] {
        let mut history = History::new(Retention::default().events(events));
        for key in [1, 2, 1, 1] {
            history.publish((0, Some(key), 0));
        }
        let first = history.subscribe(&[0], |request| request.start(Start::NewestPerKey));
        let mut again = history.subscribe(&[0], |request| {
            request.after(first.last_event_id()).start(Start::NewestPerKey)
        });
        let mut got = drain(&mut again, history.now);
        got.retain(|delivery| matches!(delivery, Delivery::Event(_)));
        let got = sequences(&got);
        assert!([2, 4].iter().all(|newest| got.contains(newest)), "{got:?}");
    }
}
