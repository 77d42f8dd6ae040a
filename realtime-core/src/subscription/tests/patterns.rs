//! Patterns: what they bring, when it goes, and how much of it there may be.

use super::*;

fn text() -> Event {
    Event::text("x")
}

fn world(max: usize) -> World {
    let hub = Hub::builder()
        .retention(Retention::default().age(AGE))
        .limits(|limits| limits.topics_per_subscription = max)
        .broker(LocalBroker::with_epoch(7))
        .build()
        .unwrap();
    World { hub, now: Instant::now() }
}

const AGE: Duration = Duration::from_millis(10);

fn pattern(pattern: &str) -> TopicPattern {
    TopicPattern::new(pattern).unwrap()
}

fn topics(subscription: &Subscription) -> Vec<&str> {
    subscription.topics().map(TopicName::as_str).collect()
}

#[test]
fn follows_what_is_there_and_what_is_made_later_from_its_first_event() {
    let world = world(9);
    world.publish("a.old", text());
    let mut subscription = world.subscribe(Subscribe::pattern("a.*").and("b"));
    world.publish("a.old", text());
    world.publish("a.new", text());
    world.publish("a.new.deeper", text());
    world.publish("b", text());
    world.publish("a.new", text());
    assert_eq!(summary(&world.drain(&mut subscription)), ["2", "3", "5", "6"]);
    assert_eq!(topics(&subscription), ["b", "a.old", "a.new"]);
    assert_eq!(subscription.patterns().collect::<Vec<_>>(), [&pattern("a.*")]);
}

#[test]
fn invalid_patterns_are_told_and_names_never_are_patterns() {
    let world = world(9);
    let refused = |request: Subscribe| world.hub.subscribe_at(request, world.now).unwrap_err();
    assert!(matches!(refused(Subscribe::pattern("a")), SubscribeError::Pattern(_)));
    assert!(matches!(refused(Subscribe::none().and_pattern(">.a")), SubscribeError::Pattern(_)));
    assert!(matches!(refused(Subscribe::to("a.*")), SubscribeError::Topic(_)));
    let mut subscription = world.subscribe(Subscribe::none());
    assert!(subscription.add_at("a.*", world.now).is_err());
    assert!(subscription.add_pattern_at("a", world.now).is_err());
}

#[test]
fn a_parked_subscriber_is_woken_for_the_first_event_of_a_new_topic() {
    let world = world(9);
    let mut subscription = world.subscribe(Subscribe::pattern("a.*"));
    let (wakes, waker) = Wakes::new();
    let poll = |subscription: &mut Subscription| {
        let mut cx = Context::from_waker(&waker);
        subscription.poll_recv_many(&mut cx, &mut Vec::new(), 9, world.now)
    };
    assert!(poll(&mut subscription).is_pending());
    world.publish("b.1", text());
    assert_eq!(wakes.count(), 0);
    world.publish("a.1", text());
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll(&mut subscription), Poll::Ready(1));
    assert!(poll(&mut subscription).is_pending());
    // Made by somebody else's subscription: parked on it before its first event, or woken by it.
    let _other = world.subscribe("a.2");
    let before = wakes.count();
    if before > 1 {
        assert!(poll(&mut subscription).is_pending());
    }
    world.publish("a.2", text());
    assert_eq!(wakes.count(), before + 1);
    assert_eq!(poll(&mut subscription), Poll::Ready(1));
}

#[test]
fn names_and_patterns_that_overlap_bring_a_topic_once() {
    let mut world = world(9);
    let request = Subscribe::pattern("a.*").and_pattern("*.1").and_pattern("a.*").and("a.1");
    let mut subscription = world.subscribe(request);
    world.publish("a.1", text());
    world.publish("b.1", text());
    world.publish("a.2", text());
    assert_eq!(summary(&world.drain(&mut subscription)), ["1", "2", "3"]);
    assert_eq!(world.hub.subscribers(&TopicName::new("a.1").unwrap()), 1);

    assert!(subscription.remove(&TopicName::new("a.1").unwrap()));
    assert!(!subscription.remove(&TopicName::new("a.1").unwrap()), "it is there by pattern only");
    assert!(subscription.remove_pattern(&pattern("a.*")));
    assert!(!subscription.remove_pattern(&pattern("a.*")));
    assert_eq!(topics(&subscription), ["a.1", "b.1"], "another pattern has them");
    world.publish("a.1", text());
    world.publish("a.2", text());
    assert_eq!(summary(&world.drain(&mut subscription)), ["4"]);

    subscription.add_at("b.1", world.now).unwrap();
    subscription.remove_pattern(&pattern("*.1"));
    assert_eq!(topics(&subscription), ["b.1"], "it was also named");
    world.now += AGE * 2;
    world.hub.retire(world.hub.matched(&pattern(">")).iter(), 1, world.now);
    world.publish("b.1", text());
    assert_eq!(summary(&world.drain(&mut subscription)), ["6"], "and is kept since");
}

/// What has arrived by one pattern must not be passed over because another way leads to it.
#[test]
fn what_has_arrived_is_there_from_its_first_event_whatever_is_added() {
    for how in 0..3 {
        let world = world(9);
        let mut subscription = world.subscribe(Subscribe::pattern("a.*"));
        world.publish("a.1", text());
        match how {
            0 => subscription.add_at("a.1", world.now).unwrap(),
            1 => subscription.add_pattern_at("*.1", world.now).unwrap(),
            _ => drop(subscription.set_permission(Some(Arc::new(|_| true)))),
        }
        world.publish("a.1", text());
        assert_eq!(summary(&world.drain(&mut subscription)), ["1", "2"], "{how}");
    }
}

#[test]
fn starts_with_what_is_retained_of_the_topics_that_are_there() {
    let world = world(9);
    for topic in ["a.1", "a.1", "a.2", "b"] {
        world.publish(topic, text());
    }
    let mut last = world.subscribe(Subscribe::pattern("a.*").start(Start::Last(1)));
    world.publish("a.3", text());
    world.publish("a.3", text());
    assert_eq!(summary(&world.drain(&mut last)), ["2", "3", "5", "6"]);
    let mut resumed =
        world.subscribe(Subscribe::pattern("a.>").after(LastEventId { epoch: 7, sequence: 1 }));
    assert_eq!(summary(&world.drain(&mut resumed)), ["2", "3", "5", "6"]);
}

#[test]
fn a_resume_from_before_a_topic_that_has_gone_is_a_reset() {
    let mut world = world(9);
    world.publish("a.gone", text());
    world.publish("b", text());
    world.now += AGE * 2;
    world.hub.retire(world.hub.matched(&pattern("a.*")).iter(), 1, world.now);
    assert_eq!(world.hub.stats().topics, 1);
    let id = |sequence| LastEventId { epoch: 7, sequence };
    let mut early = world.subscribe(Subscribe::pattern("a.*").after(id(0)));
    assert_eq!(summary(&world.drain(&mut early)), ["reset evicted"]);
    let mut late = world.subscribe(Subscribe::pattern("a.*").after(id(1)));
    assert_eq!(summary(&world.drain(&mut late)), Vec::<String>::new());
    let mut by_name = world.subscribe(Subscribe::to("c").after(id(0)));
    assert_eq!(summary(&world.drain(&mut by_name)), Vec::<String>::new(), "names know better");
}

#[test]
fn a_topic_that_goes_and_comes_again_is_joined_again() {
    let mut world = world(9);
    let mut subscription = world.subscribe(Subscribe::pattern("a.*"));
    for n in 1..5u64 {
        world.publish("a.1", text());
        world.hub.retire(world.hub.matched(&pattern(">")).iter(), 1, world.now + AGE * 2);
        assert_eq!(world.hub.stats().topics, 1, "it has something to take");
        assert_eq!(summary(&world.drain(&mut subscription)), [n.to_string()]);
        world.hub.retire(world.hub.matched(&pattern(">")).iter(), 1, world.now);
        assert_eq!(world.hub.stats().topics, 1, "it is young");
        world.now += AGE * 2;
        let (wakes, waker) = Wakes::new();
        let mut cx = Context::from_waker(&waker);
        let polled = subscription.poll_recv_many(&mut cx, &mut Vec::new(), 9, world.now);
        assert!(polled.is_pending());
        world.hub.retire(world.hub.matched(&pattern(">")).iter(), 1, world.now);
        assert_eq!(world.hub.stats().topics, 0);
        assert_eq!(wakes.count(), 1, "to let go of it");
        if n % 2 == 0 {
            assert!(world.drain(&mut subscription).is_empty());
            assert_eq!(topics(&subscription), Vec::<&str>::new());
        }
    }
}

#[test]
fn patterns_and_topics_count_towards_the_limit() {
    let world = world(3);
    let many = Subscribe::from(["a", "b"]).and_pattern("c.*").and_pattern("d.*");
    let refused = world.hub.subscribe_at(many, world.now).unwrap_err();
    assert_eq!(refused, SubscribeError::TooManyTopics { count: 4, max: 3 });
    assert_eq!(world.hub.stats().topics, 0);

    for topic in ["a.1", "a.2", "a.3"] {
        world.publish(topic, text());
    }
    let refused = world.hub.subscribe_at(Subscribe::pattern("a.*"), world.now).unwrap_err();
    assert_eq!(refused, SubscribeError::TooManyTopics { count: 4, max: 3 });
    let named = Subscribe::pattern("a.*").and("new");
    assert!(world.hub.subscribe_at(named, world.now).is_err());
    assert_eq!(world.hub.stats().topics, 3, "a refusal leaves nothing");
    let mut subscription = world.subscribe("a.1");
    assert!(subscription.add_pattern_at("a.*", world.now).is_err());
    subscription.add_pattern_at("*.2", world.now).unwrap();
    assert!(subscription.add_at("b", world.now).is_err());
    assert_eq!(subscription.count(), 3);
    // What is past its age need not be there.
    world.hub.subscribe_at(Subscribe::pattern("a.*"), world.now + AGE * 2).unwrap();
}

#[test]
fn too_many_topics_made_later_let_go_of_idle_ones_or_end_it() {
    let mut world = world(3);
    let mut subscription = world.subscribe(Subscribe::pattern("a.*"));
    for n in 1..10u64 {
        world.publish(&format!("a.{n}"), text());
        assert_eq!(summary(&world.drain(&mut subscription)), [n.to_string()]);
        world.now += AGE;
    }
    assert!(subscription.count() <= 3);
    for n in 10..13 {
        world.publish(&format!("a.{n}"), text());
    }
    let told = world.drain(&mut subscription);
    let ended = Disconnected::TooManyTopics { max: 3 };
    assert!(matches!(&told[..], [Delivery::Disconnected(why)] if *why == ended), "{told:?}");
    assert!(subscription.has_ended());
    assert_eq!(world.hub.stats().slow_disconnects, 0);
}

/// An inbox that nobody empties is bounded; what did not fit is found in the table, complete.
#[test]
fn an_inbox_that_overflows_loses_nothing_unsaid() {
    let world = world(4);
    let mut subscription = world.subscribe(Subscribe::pattern("*.1"));
    // Blank topics of somebody else's fill it.
    let strangers: Vec<_> = (0..9).map(|n| world.subscribe(format!("s{n}.1"))).collect();
    world.publish("late.1", text());
    drop(strangers);
    assert_eq!(world.hub.subscribers(&TopicName::new("late.1").unwrap()), 0, "it did not fit");
    assert_eq!(summary(&world.drain(&mut subscription)), ["1"]);
    assert_eq!(topics(&subscription), ["late.1"]);

    let mut slow = world.subscribe(Subscribe::pattern("t.*"));
    for n in 0..9 {
        world.publish(&format!("t.{n}"), text());
    }
    assert_eq!(summary(&world.drain(&mut slow)), ["disconnected"]);
}

#[test]
fn what_came_and_went_while_the_inbox_was_full_is_told() {
    let mut world = world(2);
    let mut subscription = world.subscribe(Subscribe::pattern("*.1"));
    let strangers: Vec<_> = (0..2).map(|n| world.subscribe(format!("s{n}.1"))).collect();
    world.publish("lost.1", text());
    drop(strangers);
    world.now += AGE * 2;
    world.hub.retire(world.hub.matched(&pattern("lost.*")).iter(), 1, world.now);
    let told = world.drain(&mut subscription);
    assert!(
        matches!(&told[..], [Delivery::Disconnected(Disconnected::Lagged(lag))] if lag.evicted),
        "{told:?}"
    );
}

#[test]
fn a_connection_that_can_not_write_is_ended_for_its_topics_too() {
    for overflow in [Overflow::Disconnect, Overflow::DropOldest] {
        let world = world(3);
        let request = Subscribe::pattern("a.*").overflow(overflow);
        let mut subscription = world.subscribe(request);
        let (wakes, waker) = Wakes::new();
        let mut cx = Context::from_waker(&waker);
        assert!(subscription.poll_overflow(&mut cx, world.now).is_pending());
        for n in 1..=3 {
            let before = wakes.count();
            world.publish(&format!("a.{n}"), text());
            assert_eq!(wakes.count(), before + 1, "{overflow:?}");
            let due = subscription.poll_overflow(&mut cx, world.now);
            let ends = Poll::Ready(Disconnected::TooManyTopics { max: 3 });
            assert_eq!(due, if n < 3 { Poll::Pending } else { ends });
        }
    }
}

#[test]
fn nothing_stays_behind() {
    let world = world(9);
    let stranger = world.subscribe("a.0");
    let mut subscription = world.subscribe(Subscribe::pattern("a.*").and_pattern("*.0"));
    let other = world.subscribe(Subscribe::pattern("a.*"));
    let _made = world.subscribe("a.1");
    subscription.add_pattern_at(">", world.now).unwrap();
    drop((stranger, _made));
    assert_eq!(world.hub.stats().topics, 0, "only ever subscribed to");
    let strangers: Vec<_> = (0..5).map(|n| world.subscribe(format!("a.{n}"))).collect();
    drop(subscription);
    assert_eq!(world.hub.stats().topics, 5);
    drop((strangers, other));
    assert_eq!(world.hub.stats().topics, 0);
    assert_eq!(world.hub.stats().subscriptions, 0);
    assert!(world.hub.has_no_patterns());
}

/// What is made while the subscription looks is not passed over: its id does not claim it.
#[test]
fn what_is_made_between_reading_the_head_and_looking_into_the_inbox_comes_next() {
    let world = world(9);
    let (hub, now) = (world.hub.clone(), world.now);
    let permission: Permission = Arc::new(move |topic| {
        if topic.as_str() == "a.1" {
            drop(hub.publish_at("a.2", text(), now));
        }
        true
    });
    let request = Subscribe::pattern("a.*").permitted(Some(permission));
    let mut subscription = world.subscribe(request);
    world.publish("a.1", text());
    assert_eq!(summary(&world.read(&mut subscription, 9)), ["1"]);
    assert_eq!(subscription.last_event_id().sequence, 1);
    assert_eq!(summary(&world.read(&mut subscription, 9)), ["2"]);
}
