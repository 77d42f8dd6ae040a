//! How topics come to those who follow patterns: asked for one by one, and through one inbox.

use std::sync::Mutex;

use super::*;

const AGE: Duration = Duration::from_millis(10);

fn world(topics: usize) -> World {
    let hub = Hub::builder()
        .retention(Retention::default().events(4).age(AGE))
        .limits(|limits| limits.topics_per_subscription = topics)
        .broker(LocalBroker::with_epoch(7))
        .build()
        .unwrap();
    World { hub, now: Instant::now() }
}

fn text() -> Event {
    Event::text("x")
}

fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

/// Allows what a test says, and remembers what it was asked.
#[derive(Clone)]
struct Asked {
    allows: fn(&str) -> bool,
    names: Arc<Mutex<Vec<String>>>,
}

impl Asked {
    fn who(allows: fn(&str) -> bool) -> Self {
        Self { allows, names: Arc::default() }
    }

    fn permission(&self) -> Option<Permission> {
        let asked = self.clone();
        Some(Arc::new(move |topic| {
            asked.names.lock().unwrap().push(topic.to_string());
            (asked.allows)(topic.as_str())
        }))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.names.lock().unwrap())
    }
}

#[test]
fn each_topic_is_asked_for_once_and_none_after_one_too_many() {
    let world = world(5);
    for n in 0..3_000 {
        world.publish(&format!("a.{n:04}"), text());
    }
    let asked = Asked::who(|topic| topic >= "a.2000");
    let request = || Subscribe::pattern("a.*").and_pattern(">").permitted(asked.permission());
    let refused = world.hub.subscribe_at(request(), world.now).unwrap_err();
    assert_eq!(refused, SubscribeError::TooManyTopics { count: 6, max: 5 });
    let names = asked.take();
    assert_eq!(names.len(), 2_004, "three fit beside two patterns, and the fourth is too many");
    assert!(names.is_sorted_by(|a, b| a < b), "each once");

    let asked = Asked::who(|topic| topic == "a.0007" || topic == "a.2999");
    let request = Subscribe::pattern("*.*").and_pattern("a.>").permitted(asked.permission());
    let mut subscription = world.subscribe(request);
    assert_eq!(asked.take().len(), 3_000, "those that are permitted are found behind all others");
    let topics = subscription.topics().map(TopicName::as_str).collect::<Vec<_>>();
    assert_eq!(topics, ["a.0007", "a.2999"]);
    subscription.set_permission(asked.permission());
    assert!(asked.take().len() <= 3_000 + 4, "and at a refresh those that are there once more");
}

#[test]
fn idle_topics_do_not_keep_others_out() {
    let mut world = world(4);
    for n in 0..2_000 {
        world.publish(&format!("a.{n:04}"), text());
    }
    world.now += AGE * 2;
    world.publish("a.1000", text());
    world.publish("a.1999", text());
    let mut subscription = world.subscribe(Subscribe::pattern("a.*"));
    let topics = subscription.topics().map(TopicName::as_str).collect::<Vec<_>>();
    assert!(topics.contains(&"a.1000") && topics.contains(&"a.1999"), "{topics:?}");
    assert!(subscription.count() <= 4);
    world.publish("a.1000", text());
    world.publish("a.0500", text());
    assert_eq!(summary(&world.drain(&mut subscription)), ["2003", "2004"]);
}

#[test]
fn a_topic_comes_once_however_many_patterns_match_it() {
    let world = world(6);
    let request = Subscribe::pattern("a.*").and_pattern("*.*").and_pattern(">");
    let mut subscription = world.subscribe(request);
    world.publish("a.1", text());
    world.publish("a.2", text());
    world.publish("a.3", text());
    let arrived = subscription.followed().unwrap().take();
    assert_eq!(arrived.topics.len(), 3);
    for n in 4..20 {
        world.publish(&format!("a.{n}"), text());
    }
    let arrived = subscription.followed().unwrap().take();
    assert_eq!(arrived.topics.len(), 6, "as many as the subscription may have, not per pattern");
    assert_eq!(arrived.missing_from, Some(10), "the first one that did not fit");
    drop(arrived);
    subscription.remove_pattern(&TopicPattern::new("*.*").unwrap());
    world.publish("b.1", text());
    assert_eq!(subscription.followed().unwrap().take().topics.len(), 1, "the others are there");
}

/// Whether a topic may be followed is asked before it is joined: until then nobody counts.
#[test]
fn what_is_not_permitted_has_no_subscriber_at_any_time() {
    let world = world(9);
    let hub = world.hub.clone();
    let permission: Permission = Arc::new(move |topic| {
        assert_eq!(hub.subscribers(topic), 0, "asked too late");
        topic.as_str() == "a.mine"
    });
    world.publish("a.before", text());
    let request = Subscribe::pattern("a.*").and_pattern(">").permitted(Some(permission));
    let mut subscription = world.subscribe(request);
    world.publish("a.after", text());
    world.publish("a.mine", text());
    for topic in ["a.before", "a.after", "a.mine"] {
        assert_eq!(world.hub.subscribers(&name(topic)), 0, "{topic} was not asked for yet");
    }
    assert_eq!(summary(&world.drain(&mut subscription)), ["3"]);
    for (topic, subscribers) in [("a.before", 0), ("a.after", 0), ("a.mine", 1)] {
        assert_eq!(world.hub.subscribers(&name(topic)), subscribers, "{topic}");
    }
}

/// As if it had been joined when it was made: what is published while it waits keeps it in the table,
/// and what its ring lets go of is told.
#[test]
fn what_is_published_before_a_topic_is_taken_in_is_there_or_told() {
    let mut world = world(9);
    let request = Subscribe::pattern("a.*").overflow(Overflow::DropOldest);
    let mut subscription = world.subscribe(request.clone());
    world.publish("a.1", text());
    world.now += AGE * 2;
    world.hub.retire(world.hub.matched(&TopicPattern::new(">").unwrap()).iter(), 1, world.now);
    assert_eq!(world.hub.stats().topics, 1, "it is waited for");
    assert_eq!(summary(&world.drain(&mut subscription)), ["1"]);

    let mut subscription = world.subscribe(request);
    for _ in 0..6 {
        world.publish("a.2", text());
    }
    assert_eq!(summary(&world.drain(&mut subscription)), ["-2..4", "4", "5", "6", "7"]);
    let counts = subscription.counts();
    assert_eq!((counts.delivered, counts.missed), (4, 2));
}

#[test]
fn a_topic_that_waits_without_an_event_keeps_no_place_in_the_table() {
    let world = world(9);
    let mut subscription = world.subscribe(Subscribe::pattern("a.*"));
    drop(world.subscribe("a.1"));
    assert_eq!(world.hub.stats().topics, 0);
    world.publish("a.1", text());
    assert_eq!(summary(&world.drain(&mut subscription)), ["1"], "made again, and there again");
    assert_eq!(subscription.topics().count(), 1);
}

/// What did not fit into the inbox comes from its first event on, and what only the new permission
/// allows does not: it was not followed then.
#[test]
fn a_new_permission_tells_nothing_of_the_time_before() {
    let world = world(3);
    let mut subscription = world.subscribe(
        Subscribe::pattern("a.*").permitted(Asked::who(|topic| topic == "a.9").permission()),
    );
    world.publish("a.hidden", text());
    assert!(world.drain(&mut subscription).is_empty());
    // They fill the inbox.
    for n in 0..9 {
        world.publish(&format!("a.x{n}"), text());
    }
    world.publish("a.9", text());
    let both = Asked::who(|topic| topic == "a.9" || topic == "a.hidden");
    subscription.set_permission(both.permission());
    world.publish("a.hidden", text());
    assert_eq!(summary(&world.drain(&mut subscription)), ["11", "12"]);
}

/// The same for a pattern that is added when the inbox is full.
#[test]
fn a_new_pattern_tells_nothing_of_the_time_before() {
    let world = world(5);
    let mut subscription = world.subscribe(Subscribe::pattern("a.*"));
    world.publish("b.1", text());
    let strangers: Vec<_> = (0..9).map(|n| world.subscribe(format!("a.s{n}"))).collect();
    world.publish("a.late", text());
    drop(strangers);
    subscription.add_pattern_at("b.*", world.now).unwrap();
    world.publish("b.1", text());
    assert_eq!(summary(&world.drain(&mut subscription)), ["2", "3"]);
}

/// What comes by a pattern just before it is removed belongs to nobody.
#[test]
fn what_only_a_removed_pattern_has_brought_is_let_go() {
    let world = world(9);
    let (hub, now) = (world.hub.clone(), world.now);
    let permission: Permission = Arc::new(move |topic| {
        if topic.as_str() == "a.1" {
            drop(hub.publish_at("a.2", text(), now));
            drop(hub.publish_at("b.2", text(), now));
        }
        true
    });
    for others in [Subscribe::none(), Subscribe::pattern("b.*")] {
        let request = others.and_pattern("a.*").permitted(Some(Arc::clone(&permission)));
        let mut subscription = world.subscribe(request);
        world.publish("a.1", text());
        subscription.remove_pattern(&TopicPattern::new("a.*").unwrap());
        let follows_others = subscription.patterns().count();
        assert_eq!(world.drain(&mut subscription).len(), follows_others);
        assert_eq!(world.hub.subscribers(&name("a.2")), 0);
        drop(subscription);
        let later = world.now + AGE * 2;
        let all = TopicPattern::new(">").unwrap();
        world.hub.retire(world.hub.matched(&all).iter(), 1, later);
        assert_eq!(world.hub.stats().topics, 0);
    }
}

#[test]
fn no_more_patterns_than_allowed() {
    let hub = Hub::builder().limits(|limits| limits.patterns_per_subscription = 2).build().unwrap();
    let world = World { hub, now: Instant::now() };
    let refused = |count| SubscribeError::TooManyPatterns { count, max: 2 };
    let three = Subscribe::pattern("a.*").and_pattern("b.*").and_pattern("c.*").and("new");
    assert_eq!(world.hub.subscribe_at(three, world.now).unwrap_err(), refused(3));
    assert_eq!(world.hub.stats().topics, 0);
    let mut subscription = world.subscribe(Subscribe::pattern("a.*"));
    subscription.add_pattern_at("b.*", world.now).unwrap();
    subscription.add_pattern_at("a.*", world.now).unwrap();
    assert_eq!(subscription.add_pattern_at("c.*", world.now), Err(refused(3)));
    assert_eq!(subscription.patterns().count(), 2);
    subscription.remove_pattern(&TopicPattern::new("a.*").unwrap());
    subscription.add_pattern_at("c.*", world.now).unwrap();
    let rejection = crate::Rejection::from(refused(3));
    assert_eq!(rejection.status(), 400);
    assert!(rejection.to_string().contains("3 patterns") && rejection.to_string().contains('2'));
}

/// Who looks through the table holds what it finds, and does so no longer when it is done.
#[test]
fn a_topic_that_is_left_while_somebody_is_asked_about_it_goes() {
    let world = world(128);
    let last = Arc::new(Mutex::new(Some(world.subscribe("a.x"))));
    let others: Vec<_> = (0..100).map(|n| world.subscribe(&*format!("b.{n}"))).collect();
    let (leaving, staying) = (Arc::clone(&last), Arc::new(Mutex::new(others)));
    let all = Arc::clone(&staying);
    let refuse: Permission = Arc::new(move |_: &TopicName| {
        drop(leaving.lock().unwrap().take());
        all.lock().unwrap().clear();
        false
    });
    let request = Subscribe::pattern("a.*").and_pattern("b.*").permitted(Some(refuse));
    drop(world.subscribe(request));
    assert_eq!(world.hub.stats().topics, 0);

    let others: Vec<_> = (0..200).map(|n| world.subscribe(&*format!("b.{n}"))).collect();
    *staying.lock().unwrap() = others;
    let all = Arc::clone(&staying);
    let permit: Permission = Arc::new(move |topic: &TopicName| {
        if topic.as_str() == "b.99" {
            all.lock().unwrap().clear();
        }
        true
    });
    let request = Subscribe::pattern("b.*").permitted(Some(permit));
    world.hub.subscribe_at(request, world.now).unwrap_err();
    staying.lock().unwrap().clear();
    assert_eq!(world.hub.stats().topics, 0);
}
