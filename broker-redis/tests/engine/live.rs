//! Publishing, subscribing, marks.

use realtime_bridge::{At, Engine, EngineError, Fed, Feed, Interest, Link};
use realtime_core::Event;
use realtime_redis::RedisEngine;
use realtime_testkit::servers::{RedisReply, RedisServer};

use crate::instance::{Instance, bounded, connect_to, hello, pattern, sequences, texts, topic};

#[tokio::test]
async fn positions_count_up_over_all_topics_and_events_come_in_their_order() {
    let server = RedisServer::start();
    let publisher = Instance::of(&server).await;
    let mut follower = Instance::of(&server).await;
    assert_eq!(publisher.at.sequence, 0);
    assert_eq!(publisher.at, follower.at);
    follower.subscribe(&[Interest::Topic(topic("a")), Interest::Topic(topic("b"))]).await;
    for sequence in 1..=100_u64 {
        let name = ["a", "b", "elsewhere"][sequence as usize % 3];
        let at = publisher.publish(name, sequence.to_string().as_str()).await;
        assert_eq!(at, At { epoch: publisher.at.epoch, sequence });
    }
    let (records, at) = follower.until_mark().await;
    assert_eq!(at, At { epoch: publisher.at.epoch, sequence: 100 });
    assert_eq!(records.len(), 67);
    let mut previous = [0, 0];
    for record in records {
        let sequence = record.at.sequence;
        let index = sequence as usize % 3;
        assert_eq!(record.topic.as_str(), ["a", "b"][index]);
        assert_eq!(record.previous, previous[index]);
        assert_eq!(record.event, Event::text(sequence.to_string()));
        previous[index] = sequence;
    }
}

#[tokio::test]
async fn a_mark_comes_after_what_was_before_it_and_before_what_was_after() {
    let server = RedisServer::start();
    let publisher = Instance::of(&server).await;
    let mut follower = Instance::of(&server).await;
    follower.follow("t").await;
    let publishing = async {
        for _ in 0..300 {
            publisher.publish("t", "x").await;
        }
    };
    let marking = async {
        for token in 0..50 {
            bounded("marking", follower.link.mark(token)).await.unwrap();
        }
    };
    tokio::join!(publishing, marking);
    follower.link.mark(50).await.unwrap();
    let (mut newest, mut token) = (0, 0);
    while token <= 50 {
        match follower.next().await {
            Some(Fed::Event(record)) => {
                assert_eq!(record.at.sequence, newest + 1);
                newest += 1;
            }
            Some(Fed::Mark { token: came, at }) => {
                assert_eq!((came, at.sequence), (token, newest));
                token += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(newest, 300);
}

#[tokio::test]
async fn everything_published_after_subscribing_comes_and_nothing_after_unsubscribing() {
    let server = RedisServer::start();
    let mut instance = Instance::of(&server).await;
    for round in 0..50 {
        let name = format!("t{round}");
        instance.follow(&name).await;
        let at = instance.publish(&name, "live").await;
        assert_eq!(instance.event().await.at, at);
        instance.unsubscribe(&[Interest::Topic(topic(&name))]).await;
        instance.publish(&name, "not wanted").await;
    }
    instance.mark().await;
}

#[tokio::test]
async fn many_interests_are_taken_at_once() {
    let server = RedisServer::start();
    let mut instance = Instance::of(&server).await;
    let interests: Vec<Interest> = (0..2500)
        .map(|i| Interest::Topic(topic(&format!("t{i}"))))
        .chain((0..1500).map(|i| Interest::Pattern(pattern(&format!("p{i}.*")))))
        .collect();
    instance.subscribe(&interests).await;
    for name in ["t0", "t999", "t1000", "t2499", "p0.a", "p1499.a"] {
        instance.publish(name, name).await;
        assert_eq!(instance.event().await.topic.as_str(), name);
    }
    instance.unsubscribe(&interests).await;
    for name in ["t0", "t2499", "p0.a", "p1499.a"] {
        instance.publish(name, name).await;
    }
    instance.mark().await;
}

#[tokio::test]
async fn patterns_bring_what_they_match_and_those_with_one_glob_do_not_end_each_other() {
    let server = RedisServer::start();
    let mut instance = Instance::of(&server).await;
    instance.follow_pattern("a.*").await;
    instance.follow_pattern("a.>").await;
    instance.publish("a.b", "1").await;
    instance.publish("a.b.c", "2").await;
    instance.publish("b.a", "3").await;
    assert_eq!(texts(&instance.until_mark().await.0), ["1", "2"]);
    instance.unsubscribe(&[Interest::Pattern(pattern("a.>"))]).await;
    instance.publish("a.b", "4").await;
    assert_eq!(texts(&instance.until_mark().await.0), ["4"]);
    instance.unsubscribe(&[Interest::Pattern(pattern("a.*"))]).await;
    instance.publish("a.b", "5").await;
    instance.mark().await;
}

#[tokio::test]
async fn characters_of_globs_in_names_stand_for_themselves() {
    let server = RedisServer::start();
    let mut instance = Instance::of(&server).await;
    instance.follow_pattern("a[b-c]?\\^.*").await;
    for name in ["a[b-c]?\\^.x", "ab?\\^.x", "a[b-c]x\\^.x", "äöü"] {
        instance.publish(name, name).await;
    }
    assert_eq!(texts(&instance.until_mark().await.0), ["a[b-c]?\\^.x"]);
    instance.follow("äöü*").await;
    instance.publish("äöü*", "it").await;
    instance.publish("äöü!", "another").await;
    assert_eq!(texts(&instance.until_mark().await.0), ["it"]);
}

#[tokio::test]
async fn every_kind_of_event_arrives_as_it_was() {
    let server = RedisServer::start();
    let mut instance = Instance::of(&server).await;
    instance.follow("t").await;
    let large: Vec<u8> = (0..1024 * 1024).map(|i: u32| (i % 251) as u8).collect();
    let events = [
        Event::text(""),
        Event::text("a\nb\r\n\0 ü"),
        Event::json(&serde_json::json!({ "a": [1, "ü\n"] })).unwrap(),
        Event::binary(vec![0, 255, b'\n', b'\r']),
        Event::binary(Vec::new()),
        Event::text("data").named("name ü:").unwrap().keyed("key\r\n\0").unwrap(),
        Event::text("data").named("x".repeat(255)).unwrap().keyed("y".repeat(255)).unwrap(),
        Event::binary(large.clone()),
        Event::text("x".repeat(1024 * 1024)).keyed("k").unwrap(),
    ];
    for event in &events {
        instance.publish("t", event).await;
        let record = instance.event().await;
        assert!(record.event == *event, "{record:?} instead of {event:?}");
    }
    let history = instance.read("t", 0, 100).await;
    // As many of the newest as fit the retention's bytes, one over.
    assert_eq!(sequences(&history.records), [9]);
    assert_eq!(history.complete_after, 8);
    let history = instance.read("t", 0, 7).await;
    assert!(history.records[0].event == events[8]);
}

#[tokio::test]
async fn hubs_with_different_prefixes_know_nothing_of_each_other() {
    let server = RedisServer::start();
    let redis = RedisEngine::connect(&server.url()).unwrap();
    let mut one = connect_to(&redis.clone().prefix("one").unwrap(), &hello()).await.unwrap();
    let mut two = connect_to(&redis.prefix("two:2").unwrap(), &hello()).await.unwrap();
    for instance in [&one, &two] {
        instance.follow("t").await;
        instance.follow_pattern(">").await;
    }
    assert_eq!(one.publish("t", "1").await.sequence, 1);
    assert_eq!(one.publish("t", "2").await.sequence, 2);
    assert_eq!(two.publish("t", "a").await.sequence, 1);
    // Each twice: for the topic, and for the pattern.
    assert_eq!(texts(&one.until_mark().await.0), ["1", "1", "2", "2"]);
    assert_eq!(texts(&two.until_mark().await.0), ["a", "a"]);
    assert_eq!(texts(&one.read("t", 0, 9).await.records), ["1", "2"]);
    assert_eq!(two.topics(">", 0, 9).await, ["t"]);
}

#[tokio::test]
async fn a_flush_shows_as_a_new_epoch_at_the_next_mark() {
    let server = RedisServer::start();
    let mut instance = Instance::of(&server).await;
    instance.follow("t").await;
    let mut epochs = vec![instance.at.epoch];
    for _ in 0..20 {
        instance.publish("t", "x").await;
        instance.event().await;
        assert_eq!(server.call(&[b"FLUSHALL"]), RedisReply::Status("OK".into()));
        let at = instance.mark().await;
        assert_eq!(at.sequence, 0);
        assert!(!epochs.contains(&at.epoch));
        epochs.push(at.epoch);
        let history = instance.read("t", 0, 9).await;
        assert_eq!((history.epoch, history.complete_after), (at.epoch, 0));
        assert!(history.records.is_empty());
    }
    let at = instance.publish("t", "y").await;
    assert_eq!(at, At { epoch: *epochs.last().unwrap(), sequence: 1 });
    server.call(&[b"FLUSHALL"]);
    // An event does as well.
    assert_ne!(instance.publish("t", "z").await.epoch, at.epoch);
}

#[tokio::test]
async fn what_does_not_fit_into_the_feed_ends_it_and_the_connection() {
    let server = RedisServer::start();
    let publisher = Instance::of(&server).await;
    let redis = RedisEngine::connect(&server.url()).unwrap();
    let (feed, mut fetched) = Feed::new(3, 1024);
    let (link, _) = bounded("connecting", redis.connect(&hello(), feed)).await.unwrap();
    link.subscribe(&[Interest::Topic(topic("t"))]).await.unwrap();
    for _ in 0..5 {
        publisher.publish("t", "x").await;
    }
    // Read only once all have come: then it has not fitted.
    realtime_testkit::wait::until_async("the connection is closed", async || {
        matches!(link.mark(1).await, Err(EngineError::Unreachable(_)))
    })
    .await;
    for _ in 0..3 {
        assert!(matches!(bounded("the feed", fetched.next()).await, Some(Fed::Event(_))));
    }
    assert!(bounded("the feed's end", fetched.next()).await.is_none());
}
