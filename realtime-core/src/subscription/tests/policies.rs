//! Each policy as it is documented, by example.

use super::*;

fn world() -> World {
    World::new(Retention::default())
}

fn text(n: usize) -> Event {
    Event::text("x".repeat(n))
}

fn keyed(key: &str) -> Event {
    Event::text("").keyed(key).unwrap()
}

fn limit(events: u64) -> LagLimit {
    LagLimit::default().events(events)
}

fn request(overflow: Overflow, limit: LagLimit) -> Subscribe {
    Subscribe::to("a").overflow(overflow).lag(limit)
}

fn follow(world: &World, overflow: Overflow, limit: LagLimit) -> Subscription {
    world.subscribe(request(overflow, limit))
}

/// Publishes `n` events without a key.
fn publish(world: &World, n: usize) {
    for _ in 0..n {
        world.publish("a", text(1));
    }
}

#[test]
fn at_the_limit_nothing_happens() {
    for overflow in
        [Overflow::Disconnect, Overflow::DropOldest, Overflow::DropNewest, Overflow::Conflate]
    {
        let world = world();
        let mut subscription = follow(&world, overflow, limit(3).bytes(3));
        publish(&world, 3);
        assert_eq!(summary(&world.drain(&mut subscription)), ["1", "2", "3"], "{overflow:?}");
    }
}

#[test]
fn disconnect_ends_it_and_its_id_resumes() {
    let world = world();
    let mut subscription = follow(&world, Overflow::Disconnect, limit(3));
    publish(&world, 1);
    assert_eq!(summary(&world.drain(&mut subscription)), ["1"]);
    publish(&world, 4);
    assert_eq!(summary(&world.drain(&mut subscription)), ["disconnected"]);
    assert!(subscription.has_ended());
    assert_eq!(world.hub.stats().slow_disconnects, 1);
    let id = subscription.last_event_id();
    drop(subscription);
    let mut resumed = world.subscribe(request(Overflow::Disconnect, limit(3)).after(id));
    assert_eq!(summary(&world.drain(&mut resumed)), ["2", "3", "4", "5"], "a replay is no lag");
}

#[test]
fn the_lag_that_disconnects_is_told() {
    let mut world = world();
    let mut subscription = follow(&world, Overflow::Disconnect, limit(1));
    world.publish("a", text(5));
    world.now += Duration::from_secs(2);
    world.publish("a", text(6));
    let lag = Lag { events: 2, bytes: 11, age: Duration::from_secs(2), evicted: false };
    match world.drain(&mut subscription).as_slice() {
        [Delivery::Disconnected(Disconnected::Lagged(told))] => assert_eq!(*told, lag),
        other => panic!("{other:?}"),
    }
}

#[test]
fn drop_oldest_skips_to_the_newest_within_each_limit() {
    let mut world = world();
    let mut by_events = follow(&world, Overflow::DropOldest, limit(2));
    let mut by_bytes = follow(&world, Overflow::DropOldest, limit(9).bytes(5));
    let age = Some(Duration::from_millis(10));
    let mut by_age = follow(&world, Overflow::DropOldest, limit(9).age(age));
    for size in [2, 2, 2, 2, 2] {
        world.publish("a", text(size));
        world.now += Duration::from_millis(4);
    }
    assert_eq!(summary(&world.drain(&mut by_events)), ["-3..4", "4", "5"]);
    assert_eq!(summary(&world.drain(&mut by_bytes)), ["-3..4", "4", "5"]);
    assert_eq!(summary(&world.drain(&mut by_age)), ["-3..4", "4", "5"]);
}

#[test]
fn drop_newest_keeps_what_was_pending_when_the_limit_was_reached() {
    let mut world = world();
    let mut by_events = follow(&world, Overflow::DropNewest, limit(2));
    let mut by_bytes = follow(&world, Overflow::DropNewest, limit(9).bytes(5));
    let age = Some(Duration::from_millis(10));
    let mut by_age = follow(&world, Overflow::DropNewest, limit(9).age(age));
    for size in [2, 2, 2, 2, 2] {
        world.publish("a", text(size));
        world.now += Duration::from_millis(4);
    }
    assert_eq!(summary(&world.read(&mut by_events, 1)), ["1"]);
    assert_eq!(summary(&world.read(&mut by_age, 1)), ["1"]);
    world.publish("a", text(2));
    assert_eq!(summary(&world.drain(&mut by_events)), ["2", "-3..6", "6"]);
    assert_eq!(summary(&world.drain(&mut by_bytes)), ["1", "2", "-4..7"]);
    assert_eq!(summary(&world.drain(&mut by_age)), ["2", "3", "-2..6", "6"]);
}

#[test]
fn drop_newest_off_the_ring_keeps_what_is_left_of_what_was_pending() {
    let world = World::new(Retention::default().events(4));
    let mut subscription = follow(&world, Overflow::DropNewest, limit(3));
    publish(&world, 4);
    assert_eq!(summary(&world.read(&mut subscription, 1)), ["1"], "held: 2, 3");
    publish(&world, 2);
    assert_eq!(summary(&world.drain(&mut subscription)), ["-1..3", "3", "-1..5", "5", "6"]);
}

#[test]
fn conflate_keeps_the_newest_of_each_key_and_of_the_rest_what_the_limit_allows() {
    let world = world();
    let mut subscription = follow(&world, Overflow::Conflate, limit(3));
    for key in ["k", "l"] {
        world.publish("a", keyed(key)); // 1, 2
    }
    publish(&world, 2); // 3, 4
    world.publish("a", keyed("k")); // 5
    publish(&world, 1); // 6
    let got = summary(&world.drain(&mut subscription));
    assert_eq!(got, ["-1..4", "2", "4", "5", "6"]);
    let counts = subscription.counts();
    assert_eq!((counts.delivered, counts.missed, counts.conflated), (4, 1, 1));
}

#[test]
fn conflate_finds_keys_that_have_left_the_ring() {
    let world = World::new(Retention::default().events(3).keys(2));
    let mut subscription = follow(&world, Overflow::Conflate, limit(2));
    world.publish("b", text(1)); // 1
    for key in ["k", "l", "k", "m", "m", "m"] {
        world.publish("a", keyed(key)); // 2 to 7
    }
    assert_eq!(summary(&world.drain(&mut subscription)), ["3", "4", "7"]);
    assert_eq!(subscription.counts().conflated, 3);
}

/// The honest answer where the key index is full: a gap of an unknown number, each time anew.
#[test]
fn conflate_tells_each_time_that_keys_had_to_be_let_go() {
    let world = World::new(Retention::default().events(1).keys(1));
    let mut subscription = follow(&world, Overflow::Conflate, limit(1));
    for key in ["k", "l", "m", "n"] {
        world.publish("a", keyed(key)); // kept: 3, in the ring: 4
    }
    assert_eq!(summary(&world.read(&mut subscription, 2)), ["-?..4", "3"]);
    for key in ["o", "p", "q"] {
        world.publish("a", keyed(key)); // kept: 6, in the ring: 7
    }
    assert_eq!(summary(&world.drain(&mut subscription)), ["-?..7", "6", "7"]);
}

#[test]
fn conflate_never_passes_over_events_without_a_key_in_silence() {
    let world = World::new(Retention::default().events(4));
    let mut resumed = {
        let id = world.subscribe("a").last_event_id();
        publish(&world, 4);
        world.subscribe(request(Overflow::Conflate, limit(2)).after(id))
    };
    publish(&world, 1);
    assert_eq!(summary(&world.read(&mut resumed, 2)), ["-3..4", "4"]);
    publish(&world, 4);
    let rest = summary(&world.drain(&mut resumed));
    assert_eq!(rest, ["-3..8", "8", "9"]);
    assert_eq!(resumed.counts().missed, 6);
}

#[test]
fn one_event_always_fits() {
    for overflow in
        [Overflow::Disconnect, Overflow::DropOldest, Overflow::DropNewest, Overflow::Conflate]
    {
        let world = world();
        let mut subscription = follow(&world, overflow, limit(9).bytes(1));
        world.publish("a", text(100));
        assert_eq!(summary(&world.drain(&mut subscription)), ["1"], "{overflow:?}");
        for _ in 0..2 {
            world.publish("a", text(100));
        }
        let expected: &[&str] = match overflow {
            Overflow::Disconnect => &["disconnected"],
            Overflow::DropOldest | Overflow::Conflate => &["-1..3", "3"],
            Overflow::DropNewest => &["2", "-1..4"],
        };
        assert_eq!(summary(&world.drain(&mut subscription)), expected, "{overflow:?}");
    }
}

#[test]
fn a_change_of_policy_holds_from_the_next_event_on() {
    for (policy, expected) in [
        (Overflow::Disconnect, &["disconnected"][..]),
        (Overflow::DropOldest, &["-5..7", "7", "8"]),
        (Overflow::Conflate, &["-5..7", "7", "8"]),
        (Overflow::DropNewest, &["2", "-5..8", "8"]),
    ] {
        let world = world();
        let mut subscription = follow(&world, Overflow::DropNewest, limit(2));
        publish(&world, 7);
        assert_eq!(summary(&world.read(&mut subscription, 1)), ["1"], "held: 2");
        publish(&world, 1);
        subscription.set_overflow(policy);
        let mut cx = Context::from_waker(Waker::noop());
        let due = subscription.poll_overflow(&mut cx, world.now).is_ready();
        assert_eq!(due, policy == Overflow::Disconnect);
        assert_eq!(summary(&world.drain(&mut subscription)), expected, "{policy:?}");
    }
}

/// What was told missed stays missed, also where the new policy's limit would have kept it.
#[test]
fn what_was_told_missed_does_not_come_back() {
    let world = world();
    let mut subscription = follow(&world, Overflow::Conflate, limit(1));
    for event in [keyed("k"), text(1), text(1), keyed("l"), text(1)] {
        world.publish("a", event);
    }
    assert_eq!(summary(&world.read(&mut subscription, 1)), ["-2..5"]);
    subscription.set_overflow(Overflow::DropOldest);
    subscription.set_lag(limit(3));
    assert_eq!(summary(&world.drain(&mut subscription)), ["-1..3", "4", "5"]);
    let counts = subscription.counts();
    assert_eq!((counts.delivered, counts.missed, counts.conflated), (2, 3, 0));
}

#[test]
fn a_snapshot_is_the_newest_of_each_key_and_then_everything() {
    let world = World::new(Retention::default().events(3));
    for key in ["k", "l", "k", "m"] {
        world.publish("a", keyed(key)); // 1 to 4
    }
    world.publish("b", keyed("k")); // 5
    publish(&world, 1); // 6
    for overflow in [Overflow::Disconnect, Overflow::DropNewest, Overflow::Conflate] {
        let request = Subscribe::from(["a", "b"]).start(Start::NewestPerKey).overflow(overflow);
        let mut subscription = world.subscribe(request.lag(limit(2)));
        assert_eq!(subscription.last_event_id().sequence, 1, "before its first");
        assert_eq!(summary(&world.read(&mut subscription, 2)), ["2", "3"]);
        assert_eq!(summary(&world.drain(&mut subscription)), ["4", "5"]);
        assert_eq!(subscription.last_event_id().sequence, world.hub.visible());
        let counts = subscription.counts();
        assert_eq!((counts.delivered, counts.missed, counts.conflated), (4, 0, 0));
    }
}

#[test]
fn a_snapshot_survives_a_full_queue() {
    let world = World::new(Retention::default().events(8));
    for key in ["k", "k", "k", "l"] {
        world.publish("a", keyed(key)); // 1 to 4
    }
    let snapshot = request(Overflow::DropNewest, limit(2)).start(Start::NewestPerKey);
    let mut subscription = world.subscribe(snapshot);
    publish(&world, 6); // 5 to 10; the ring holds 3 to 10
    assert_eq!(summary(&world.drain(&mut subscription)), ["3", "4", "5", "6", "-4..11"]);
    let counts = subscription.counts();
    assert_eq!((counts.delivered, counts.missed, counts.conflated), (4, 4, 0));
}
