//! Random use of one subscription: order, no loss without a gap, conservation.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    model::{Model, TOPICS},
    *,
};

#[derive(Clone, Debug)]
enum Op {
    Publish {
        topic: usize,
        key: Option<u8>,
        size: usize,
    },
    Read(usize),
    Wait(u64),
    Policy(Overflow),
    Limit(LagLimit),
    /// Follows the topic by its name, or leaves it.
    Toggle(usize),
    /// Follows the pattern, or leaves it.
    TogglePattern(usize),
    /// Only some topics are permitted from now on, by bits; those that are named are left if they are
    /// not.
    Permit(u8),
    /// Memory is short: the topic gives some of its oldest events.
    Shrink(usize, u64),
    /// The hub lets go of topics that nobody waits for, as when its table is full.
    LetGo,
    PollOverflow,
    /// Drops the subscription and resumes where it was.
    Reconnect,
}

fn overflow() -> impl Strategy<Value = Overflow> {
    prop_oneof![
        1 => Just(Overflow::Disconnect),
        3 => Just(Overflow::DropOldest),
        3 => Just(Overflow::DropNewest),
        4 => Just(Overflow::Conflate),
    ]
}

fn limit() -> impl Strategy<Value = LagLimit> {
    (1..12u64, 1..100u64, prop::option::weighted(0.3, 0..40u64)).prop_map(|(events, bytes, age)| {
        LagLimit { events, bytes, age: age.map(Duration::from_millis) }
    })
}

fn retention() -> impl Strategy<Value = Retention> {
    (1..16usize, 20..150u64, prop_oneof![1 => 1..60u64, 2 => Just(1000)], 0..4usize).prop_map(
        |(events, bytes, age, keys)| {
            let age = Duration::from_millis(age);
            Retention::default().events(events).bytes(bytes).age(age).keys(keys)
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0..3usize, prop::option::of(0..4u8), 0..19usize)
            .prop_map(|(topic, key, size)| Op::Publish { topic, key, size }),
        6 => (1..6usize).prop_map(Op::Read),
        2 => (0..30u64).prop_map(Op::Wait),
        1 => overflow().prop_map(Op::Policy),
        1 => limit().prop_map(Op::Limit),
        1 => (0..3usize).prop_map(Op::Toggle),
        2 => (0..PATTERNS.len()).prop_map(Op::TogglePattern),
        1 => (0..8u8).prop_map(Op::Permit),
        1 => Just(Op::LetGo),
        1 => (0..3usize, 1..2000u64).prop_map(|(topic, bytes)| Op::Shrink(topic, bytes)),
        1 => Just(Op::PollOverflow),
        1 => Just(Op::Reconnect),
    ]
}

/// A subscription next to its model.
struct Run {
    world: World,
    subscription: Subscription,
    model: Model,
    limit: LagLimit,
    /// What is followed by its name, and by which patterns.
    named: BTreeSet<usize>,
    patterns: BTreeSet<usize>,
    permitted: u8,
}

const PATTERNS: [&str; 3] = ["x.*", ">", "*.b"];

/// The topics that a pattern matches.
fn matched(pattern: usize) -> &'static [usize] {
    [&[1, 2][..], &[0, 1, 2], &[1]][pattern]
}

impl Run {
    fn new(retention: Retention, overflow: Overflow, limit: LagLimit) -> Self {
        let world = World::new(retention);
        let request = Subscribe::from([TOPICS[0], TOPICS[1]]).overflow(overflow).lag(limit);
        let subscription = world.subscribe(request);
        let mut model = Model::new();
        model.conflates = overflow == Overflow::Conflate;
        model.follow(0);
        model.follow(1);
        let (named, patterns) = (BTreeSet::from([0, 1]), BTreeSet::new());
        Self { world, subscription, model, limit, named, patterns, permitted: u8::MAX }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Publish { topic, key, size } => self.publish(topic, key, size),
            Op::Read(max) => {
                let deliveries = self.world.read(&mut self.subscription, max);
                self.check(&deliveries);
            }
            Op::Wait(millis) => self.world.now += Duration::from_millis(millis),
            Op::Policy(overflow) => {
                self.subscription.set_overflow(overflow);
                self.model.conflates |= overflow == Overflow::Conflate;
            }
            Op::Limit(limit) => {
                self.limit = limit;
                self.subscription.set_lag(limit);
            }
            Op::Toggle(topic) => self.toggle(topic),
            Op::TogglePattern(pattern) => self.toggle_pattern(pattern),
            Op::Permit(topics) => self.permit(topics),
            Op::Shrink(topic, bytes) => {
                let topic = TopicPattern::new(">")
                    .map(|all| self.world.hub.matched(&all))
                    .unwrap()
                    .into_iter()
                    .find(|it| it.topic().as_str() == TOPICS[topic]);
                topic.into_iter().for_each(|topic| drop(topic.shrink_by(bytes)));
            }
            Op::LetGo => {
                let all = self.world.hub.matched(&TopicPattern::new(">").unwrap());
                self.world.hub.retire(all.iter(), 1, self.world.now);
            }
            Op::PollOverflow => self.poll_overflow(),
            Op::Reconnect => self.reconnect(),
        }
    }

    fn publish(&mut self, topic: usize, key: Option<u8>, size: usize) {
        let event = Event::text("x".repeat(size));
        let event = match key {
            Some(key) => event.keyed(key.to_string()).unwrap(),
            None => event,
        };
        let sequence = self.world.publish(TOPICS[topic], event);
        self.model.published(sequence, topic, key);
    }

    fn check(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            self.model.take(delivery);
        }
        if let Some(Delivery::Disconnected(Disconnected::Lagged(lag))) = deliveries.last() {
            self.overflowed(*lag);
            self.reconnect();
        }
    }

    fn overflowed(&self, lag: Lag) {
        assert_eq!(self.subscription.overflow(), Overflow::Disconnect);
        let over = lag.evicted
            || lag.events > self.limit.events
            || lag.bytes > self.limit.bytes
            || self.limit.age.is_some_and(|age| lag.age > age);
        assert!(over, "{lag:?}");
    }

    fn toggle(&mut self, topic: usize) {
        self.drain();
        let name = TopicName::new(TOPICS[topic]).unwrap();
        let removed = self.subscription.remove(&name);
        assert_eq!(removed, self.named.remove(&topic));
        if removed {
            self.leave_unfollowed();
        } else if !self.permits(topic) {
            let refused = self.subscription.add_at(name.clone(), self.world.now);
            assert_eq!(refused, Err(SubscribeError::Forbidden { topic: name }));
        } else {
            self.subscription.add_at(name, self.world.now).unwrap();
            self.named.insert(topic);
            self.model.follow(topic);
        }
    }

    fn permits(&self, topic: usize) -> bool {
        self.permitted & (1 << topic) != 0
    }

    fn permission(&self) -> Option<Permission> {
        let permitted = self.permitted;
        Some(Arc::new(move |topic| {
            TOPICS
                .iter()
                .enumerate()
                .any(|(at, name)| permitted & (1 << at) != 0 && *name == topic.as_str())
        }))
    }

    fn permit(&mut self, topics: u8) {
        self.drain();
        self.permitted = topics;
        let refused = self.subscription.set_permission(self.permission());
        let named = std::mem::take(&mut self.named);
        let (permitted, lost) = named.into_iter().partition(|&topic| self.permits(topic));
        self.named = permitted;
        let refused: BTreeSet<_> =
            refused.iter().map(|name| TOPICS.iter().position(|it| *it == name.as_str())).collect();
        let lost: BTreeSet<usize> = lost;
        assert_eq!(refused, lost.iter().map(|&topic| Some(topic)).collect());
        for topic in lost {
            self.subscription.remove(&TopicName::new(TOPICS[topic]).unwrap());
        }
        self.leave_unfollowed();
        for topic in 0..TOPICS.len() {
            if self.follows(topic) {
                self.model.follow(topic);
            }
        }
    }

    fn follows(&self, topic: usize) -> bool {
        let by_pattern = self.patterns.iter().any(|&of| matched(of).contains(&topic));
        self.permits(topic) && (by_pattern || self.named.contains(&topic))
    }

    fn toggle_pattern(&mut self, pattern: usize) {
        self.drain();
        let name = TopicPattern::new(PATTERNS[pattern]).unwrap();
        let removed = self.subscription.remove_pattern(&name);
        assert_eq!(removed, self.patterns.remove(&pattern));
        if removed {
            self.leave_unfollowed();
        } else {
            self.subscription.add_pattern_at(name, self.world.now).unwrap();
            self.patterns.insert(pattern);
            let permitted = matched(pattern).iter().filter(|&&topic| self.permits(topic));
            permitted
                .copied()
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|topic| self.model.follow(topic));
        }
    }

    fn leave_unfollowed(&mut self) {
        for topic in 0..TOPICS.len() {
            if !self.follows(topic) {
                self.model.leave(topic);
            }
        }
    }

    /// Looking for an overflow takes nothing and tells nothing.
    fn poll_overflow(&mut self) {
        let before = (self.subscription.counts(), self.subscription.last_event_id());
        let mut cx = Context::from_waker(Waker::noop());
        let due = self.subscription.poll_overflow(&mut cx, self.world.now);
        assert_eq!((self.subscription.counts(), self.subscription.last_event_id()), before);
        if let Poll::Ready(Disconnected::Lagged(lag)) = due {
            self.overflowed(lag);
        }
    }

    fn reconnect(&mut self) {
        let id = self.subscription.last_event_id();
        let topics: Subscribe = self.named.iter().map(|&topic| TOPICS[topic]).collect();
        let patterns = self.patterns.iter().map(|&pattern| PATTERNS[pattern]);
        let request = patterns.fold(topics, Subscribe::and_pattern).permitted(self.permission());
        let request = |after: LastEventId| {
            request.clone().after(after).overflow(self.subscription.overflow()).lag(self.limit)
        };
        let mut resumed = self.world.subscribe(request(id));
        let mut after = id.sequence;
        if let Some(reset) = resumed.reset.take() {
            assert_eq!(reset.reason, ResetReason::Evicted);
            assert_eq!(reset.id, resumed.last_event_id());
            after = reset.id.sequence;
        }
        self.subscription = resumed;
        self.model.resume(after);
    }

    fn drain(&mut self) {
        loop {
            let deliveries = self.world.read(&mut self.subscription, 7);
            if deliveries.is_empty() {
                break;
            }
            self.check(&deliveries);
        }
        self.model.drained(self.subscription.counts());
        let head = self.subscription.last_event_id().sequence;
        assert_eq!(head, self.world.hub.visible(), "all is taken");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn in_order_nothing_lost_unsaid_and_all_accounted_for(
        retention in retention(),
        policy in overflow(),
        limit in limit(),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut run = Run::new(retention, policy, limit);
        ops.iter().for_each(|op| run.apply(op));
        run.drain();
        drop(run.subscription);
        prop_assert_eq!(run.world.hub.stats().subscriptions, 0);
    }
}
