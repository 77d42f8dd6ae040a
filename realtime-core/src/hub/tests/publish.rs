//! Publishing: what is refused, and that nothing of it is stored.

use super::*;

#[test]
fn what_is_refused_is_not_stored() {
    let now = Instant::now();
    let hub = build(|hub| hub.limits(|limits| (limits.event_bytes, limits.topics) = (10, 1)));
    let mut subscription = hub.subscribe_at("a", now).unwrap();

    let bad = publish_at(&hub, "a.*", Event::text("x"), now).unwrap_err();
    assert!(matches!(bad, PublishError::Topic(TopicNameError::Reserved(_))), "{bad:?}");
    let keyed = |data: &str| Event::text(data).keyed("key").unwrap();
    let large = publish_at(&hub, "a", keyed("12345678"), now).unwrap_err();
    assert_eq!(large, PublishError::TooLarge { size: 11, max: 10 });
    let full = publish_at(&hub, "b", Event::text("x"), now).unwrap_err();
    let table = DeliverError::TooManyTopics { max: 1 };
    assert_eq!(full, PublishError::Broker(BrokerError::Deliver(table.clone())));
    let refused = hub.subscribe_at("b", now).unwrap_err();
    assert_eq!(refused, SubscribeError::Table(table));

    let stats = hub.stats();
    assert_eq!((stats.topics, stats.published, stats.retained_bytes), (1, 0, 0));
    assert!(read(&mut subscription, 9, now).is_empty());
    assert_eq!(publish_at(&hub, "a", keyed("1234567"), now), Ok(1), "no number was lost");
}

#[test]
fn too_many_topics_of_one_subscription_are_refused() {
    let now = Instant::now();
    let hub = build(|hub| hub.limits(|limits| limits.topics_per_subscription = 2));
    let refused = hub.subscribe_at(["a", "b", "c"], now).unwrap_err();
    assert_eq!(refused, SubscribeError::TooManyTopics { count: 3, max: 2 });
    assert_eq!(hub.stats().topics, 0);
    let mut subscription = hub.subscribe_at(["a", "a"], now).unwrap();
    assert_eq!(subscription.topics().count(), 1, "named twice, followed once");
    subscription.add_at("b", now).unwrap();
    assert!(subscription.add_at("c", now).is_err());
    assert!(subscription.add_at("a", now).is_ok(), "it has it");
    assert!(subscription.remove(&TopicName::new("a").unwrap()));
    assert!(subscription.add_at("c", now).is_ok());
}

/// Nobody who reads slowly, or not at all, has any part in publishing.
#[test]
fn publishing_waits_for_nobody() {
    let now = Instant::now();
    let hub = build(|hub| hub.retention(Retention::default().events(4)));
    let stalled: Vec<_> = (0..50).map(|_| hub.subscribe_at("a", now).unwrap()).collect();
    for sequence in 1..=100 {
        assert_eq!(publish_at(&hub, "a", Event::text("x"), now), Ok(sequence));
    }
    let stats = hub.stats();
    assert_eq!((stats.retained_bytes, stats.max_lag, stats.subscriptions), (4, 100, 50));
    drop(stalled);
}

#[test]
fn lag_counts_what_is_to_be_taken() {
    let now = Instant::now();
    let hub = build(|hub| hub);
    (0..5).for_each(|_| drop(publish_at(&hub, "a", Event::text("x"), now)));
    let snapshot = Subscribe::to("a").start(Start::NewestPerKey);
    let _snapshot = hub.subscribe_at(snapshot, now).unwrap();
    assert_eq!(hub.stats().max_lag, 0, "a snapshot of nothing");
    drop(publish_at(&hub, "a", Event::text("x"), now));
    assert_eq!(hub.stats().max_lag, 1);
    let mut last = hub.subscribe_at(Subscribe::to("a").start(Start::Last(4)), now).unwrap();
    assert_eq!(hub.stats().max_lag, 4);
    assert_eq!(sequences(&drain(&mut last, now)), [3, 4, 5, 6]);
    assert_eq!(hub.stats().max_lag, 1);
}

#[test]
fn subscribers_are_counted_by_topic() {
    let now = Instant::now();
    let hub = build(|hub| hub);
    let (a, b) = (TopicName::new("a").unwrap(), TopicName::new("b").unwrap());
    assert_eq!(hub.subscribers(&a), 0, "nobody made it");
    let both = hub.subscribe_at(["a", "b"], now).unwrap();
    let one = hub.subscribe_at("a", now).unwrap();
    assert_eq!((hub.subscribers(&a), hub.subscribers(&b)), (2, 1));
    drop(both);
    assert_eq!((hub.subscribers(&a), hub.subscribers(&b)), (1, 0));
    drop(one);
    assert_eq!(hub.subscribers(&a), 0);
}
