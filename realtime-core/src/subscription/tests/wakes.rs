//! Who is woken, and when.

use std::{cell::Cell, ops::Range};

use super::*;

fn text(n: usize) -> Event {
    Event::text("x".repeat(n))
}

fn disconnecting(limit: LagLimit) -> Subscribe {
    Subscribe::from(["a", "b"]).overflow(Overflow::Disconnect).lag(limit)
}

fn poll(world: &World, subscription: &mut Subscription, waker: &Waker) -> Poll<usize> {
    let mut out = Vec::new();
    subscription.poll_recv_many(&mut Context::from_waker(waker), &mut out, 9, world.now)
}

fn poll_overflow(world: &World, subscription: &mut Subscription, waker: &Waker) -> bool {
    subscription.poll_overflow(&mut Context::from_waker(waker), world.now).is_ready()
}

#[test]
fn a_parked_subscriber_is_woken_once_for_what_it_follows() {
    let world = World::new(Retention::default());
    let mut subscription = world.subscribe(["a", "b"]);
    let (wakes, waker) = Wakes::new();
    assert!(poll(&world, &mut subscription, &waker).is_pending());
    world.publish("elsewhere", text(1));
    assert_eq!(wakes.count(), 0, "not for a topic that it does not follow");
    world.publish("b", text(0));
    assert_eq!(wakes.count(), 1, "for an event without a byte");
    world.publish("b", text(1));
    assert_eq!(wakes.count(), 1, "once, as long as it does not look");
    assert_eq!(poll(&world, &mut subscription, &waker), Poll::Ready(2));
    assert!(poll(&world, &mut subscription, &waker).is_pending());
    let b = TopicName::new("b").unwrap();
    assert!(subscription.remove(&b));
    world.publish("b", text(1));
    assert_eq!(wakes.count(), 1, "not for a topic that it has left");
    world.publish("a", text(1));
    assert_eq!(wakes.count(), 2);
}

#[test]
fn the_last_waker_counts() {
    let world = World::new(Retention::default());
    let mut subscription = world.subscribe("a");
    let (first, first_waker) = Wakes::new();
    let (last, last_waker) = Wakes::new();
    assert!(poll(&world, &mut subscription, &first_waker).is_pending());
    assert!(poll(&world, &mut subscription, &last_waker).is_pending());
    world.publish("a", text(1));
    assert_eq!((first.count(), last.count()), (0, 1));
}

/// Whoever is parked need not ask again; who waits for its limit is not.
#[test]
fn a_subscription_is_parked_when_it_has_nothing_and_waits_for_the_next_event() {
    let world = World::new(Retention::default());
    let mut subscription = world.subscribe(disconnecting(LagLimit::default()));
    let waker = Waker::noop();
    assert!(!subscription.is_parked());
    assert!(poll(&world, &mut subscription, waker).is_pending());
    assert!(subscription.is_parked());
    assert!(!poll_overflow(&world, &mut subscription, waker));
    assert!(!subscription.is_parked());
    (0..9).for_each(|_| _ = world.publish("a", text(1)));
    assert_eq!(poll(&world, &mut subscription, waker), Poll::Ready(9));
    assert!(!subscription.is_parked(), "it took as many as it may");
    world.publish("b", text(1));
    assert_eq!(poll(&world, &mut subscription, waker), Poll::Ready(1));
    assert!(subscription.is_parked(), "it took less");
}

#[test]
fn taking_nothing_is_ready_at_once() {
    let world = World::new(Retention::default());
    let mut subscription = world.subscribe("a");
    let mut cx = Context::from_waker(Waker::noop());
    let polled = subscription.poll_recv_many(&mut cx, &mut Vec::new(), 0, world.now);
    assert_eq!(polled, Poll::Ready(0));
}

#[test]
fn overflow_wakes_when_the_limit_is_crossed_and_not_before() {
    for limit in [LagLimit::default().events(5), LagLimit::default().bytes(10)] {
        let world = World::new(Retention::default());
        let mut subscription = world.subscribe(disconnecting(limit));
        let (wakes, waker) = Wakes::new();
        assert!(!poll_overflow(&world, &mut subscription, &waker));
        for _ in 0..5 {
            world.publish("a", text(2));
            world.publish("b", text(2));
            assert_eq!(wakes.count(), 0, "{limit:?}");
        }
        assert!(!poll_overflow(&world, &mut subscription, &waker), "at the limit");
        world.publish("b", text(2));
        assert_eq!(wakes.count(), 1, "{limit:?}");
        assert!(poll_overflow(&world, &mut subscription, &waker));
        world.publish("a", text(2));
        assert_eq!(wakes.count(), 2, "the other topic crosses its own");
    }
}

/// The mark where the first event alone is more than the limit.
#[test]
fn overflow_wakes_for_the_second_event_when_the_first_alone_fills_it() {
    for second in [0, 1] {
        let world = World::new(Retention::default());
        let mut subscription = world.subscribe(disconnecting(LagLimit::default().bytes(10)));
        let (wakes, waker) = Wakes::new();
        assert!(!poll_overflow(&world, &mut subscription, &waker));
        world.publish("a", text(100));
        assert!(!poll_overflow(&world, &mut subscription, &waker), "one event always fits");
        let before = wakes.count();
        world.publish("a", text(second));
        assert_eq!(wakes.count(), before + 1, "{second} bytes");
        assert!(poll_overflow(&world, &mut subscription, &waker));
    }
}

#[test]
fn overflow_wakes_who_falls_off_the_ring() {
    let retentions = [
        Retention::default().events(3),
        Retention::default().bytes(6),
        Retention::default().age(Duration::from_millis(5)),
    ];
    for retention in retentions {
        let mut world = World::new(retention);
        let mut subscription = world.subscribe(disconnecting(LagLimit::default()));
        let (wakes, waker) = Wakes::new();
        assert!(!poll_overflow(&world, &mut subscription, &waker));
        for _ in 0..3 {
            world.publish("a", text(2));
        }
        assert_eq!(wakes.count(), 0, "{retention:?}");
        world.now += Duration::from_millis(6);
        world.publish("a", text(2));
        assert_eq!(wakes.count(), 1, "{retention:?}");
        assert!(poll_overflow(&world, &mut subscription, &waker));
    }
}

/// A gap that is due is for the reader: looking for an overflow must not swallow it.
#[test]
fn overflow_takes_nothing_from_the_reader() {
    let world = World::new(Retention::default());
    let limit = LagLimit::default().events(2);
    let mut subscription = world.subscribe(disconnecting(limit));
    subscription.set_overflow(Overflow::DropNewest);
    for _ in 0..3 {
        world.publish("a", text(1));
    }
    assert_eq!(summary(&world.read(&mut subscription, 2)), ["1", "2"]);
    subscription.set_overflow(Overflow::Disconnect);
    assert!(!poll_overflow(&world, &mut subscription, Waker::noop()));
    let rest = summary(&world.drain(&mut subscription));
    assert!(rest == ["3"] || rest == ["-1..4"], "{rest:?}");
}

/// Publishes in the middle of a look: after the subscription has read what is visible.
struct Meanwhile<'a> {
    world: &'a World,
    published: Cell<bool>,
    taken: u64,
}

impl Take for Meanwhile<'_> {
    fn run(&mut self, _: &mut Log, run: Range<u64>) -> u64 {
        self.taken += run.end - run.start;
        run.end
    }

    fn kept(&mut self, _: &Arc<Entry>) {}

    fn notice(&mut self, _: Delivery) {}

    fn is_full(&self) -> bool {
        if !self.published.replace(true) {
            self.world.publish("a", text(1));
        }
        false
    }
}

#[test]
fn what_comes_between_looking_and_parking_is_not_slept_over() {
    let world = World::new(Retention::default());
    let mut subscription = world.subscribe("a");
    let mut take = Meanwhile { world: &world, published: Cell::new(false), taken: 0 };
    let mut cx = Context::from_waker(Waker::noop());
    let polled = subscription.poll_take(&mut cx, &mut take, world.now);
    assert!(polled.is_ready(), "it would sleep, and nobody would wake it");
    assert_eq!(take.taken, 1);
}

/// The hub is told where a subscription has got to, also of one that has more to take and does not wait.
#[test]
fn who_takes_some_of_what_is_there_lags_by_the_rest() {
    let world = World::new(Retention::default());
    let mut subscription = world.subscribe("a");
    (0..100).for_each(|_| _ = world.publish("a", text(1)));
    assert_eq!(world.hub.stats().max_lag, 100);
    assert_eq!(world.read(&mut subscription, 10).len(), 10);
    assert_eq!(world.hub.stats().max_lag, 90);
    assert_eq!(world.read(&mut subscription, 100).len(), 90);
    assert_eq!(world.hub.stats().max_lag, 0);
}
