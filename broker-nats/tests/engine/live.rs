//! Publishing, subscribing, marks.

use realtime_bridge::{Engine, EngineError, Fed, Feed, Interest, Link};
use realtime_core::Event;
use realtime_nats::NatsEngine;
use realtime_testkit::servers::{NatsBinary, NatsServer};

use crate::instance::{Instance, bounded, connect_to, hello, pattern, sequences, texts, topic};

on_both!(
    positions_count_up_over_all_topics_and_events_come_in_their_order,
    a_mark_comes_after_what_was_before_it_and_before_what_was_after,
    thousands_over_hundreds_of_subscriptions_come_in_their_order,
    everything_published_after_subscribing_comes_and_nothing_after_unsubscribing,
    many_interests_are_taken_at_once,
    patterns_bring_what_they_match,
    odd_names_stand_for_themselves,
    every_kind_of_event_arrives_as_it_was,
    hubs_with_different_prefixes_know_nothing_of_each_other,
    what_does_not_fit_into_the_feed_ends_it_and_the_connection,
    a_link_that_is_dropped_closes_its_connection,
);

async fn positions_count_up_over_all_topics_and_events_come_in_their_order(on: NatsBinary) {
    let server = NatsServer::start(on);
    let publisher = Instance::of(&server).await;
    let mut follower = Instance::of(&server).await;
    assert_eq!(publisher.at.sequence, 0);
    assert_eq!(publisher.at, follower.at);
    follower.subscribe(&[Interest::Topic(topic("a")), Interest::Topic(topic("b"))]).await;
    for sequence in 1..=100_u64 {
        let name = ["a", "b", "elsewhere"][sequence as usize % 3];
        let at = publisher.publish(name, sequence.to_string().as_str()).await;
        assert_eq!((at.epoch, at.sequence), (publisher.at.epoch, sequence));
    }
    let (records, at) = follower.until_mark().await;
    assert_eq!((at.epoch, at.sequence), (publisher.at.epoch, 101));
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
    // An instance that comes later is told where the sequence is.
    assert_eq!(Instance::of(&server).await.at, at);
}

async fn a_mark_comes_after_what_was_before_it_and_before_what_was_after(on: NatsBinary) {
    let server = NatsServer::start(on);
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
    let (mut newest, mut token, mut events) = (0, 0, 0);
    while token <= 50 {
        newest += 1;
        match follower.next().await {
            Some(Fed::Event(record)) => {
                assert_eq!(record.at.sequence, newest);
                events += 1;
            }
            Some(Fed::Mark { token: came, at }) => {
                assert_eq!((came, at.sequence), (token, newest));
                token += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(events, 300);
}

async fn thousands_over_hundreds_of_subscriptions_come_in_their_order(on: NatsBinary) {
    const EVENTS: usize = 8_000;
    let server = NatsServer::start(on);
    let publisher = Instance::of(&server).await;
    let mut follower = Instance::of(&server).await;
    let mut interests: Vec<Interest> =
        (0..400).map(|i| Interest::Topic(topic(&format!("t.{i}")))).collect();
    // Half of them come a second time.
    interests
        .extend((0..5).map(|i| Interest::Pattern(pattern(&format!("{}.*", ["t", "u"][i % 2])))));
    follower.subscribe(&interests).await;
    let publisher = &publisher.link;
    let publishing = async {
        let event = Event::text("x");
        let one = async |part: usize| {
            for i in (part..EVENTS).step_by(32) {
                let name = match i % 3 {
                    0 => format!("t.{}", i % 400),
                    1 => format!("t.{}", i % 7),
                    _ => format!("u.{}", i % 50),
                };
                bounded("publishing", publisher.publish(&topic(&name), &event)).await.unwrap();
            }
        };
        let mut parts: Vec<_> = (0..32).map(|part| Box::pin(one(part))).collect();
        std::future::poll_fn(|cx| {
            parts.retain_mut(|part| part.as_mut().poll(cx).is_pending());
            if parts.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    };
    // All by one connection: what comes over several at the same moment the server may republish in another
    // order than it has stored it, which ends the link.
    let following = async {
        for sequence in 1..=EVENTS as u64 {
            match follower.next().await {
                Some(Fed::Event(record)) => assert_eq!(record.at.sequence, sequence),
                other => panic!("{other:?}"),
            }
        }
        follower.mark().await;
    };
    tokio::join!(publishing, following);
}

async fn everything_published_after_subscribing_comes_and_nothing_after_unsubscribing(
    on: NatsBinary,
) {
    let server = NatsServer::start(on);
    let publisher = Instance::of(&server).await;
    let mut instance = Instance::of(&server).await;
    for round in 0..50 {
        let name = format!("t{round}");
        instance.follow(&name).await;
        // Twice is once.
        instance.follow(&name).await;
        let at = publisher.publish(&name, "live").await;
        assert_eq!(instance.event().await.at, at);
        instance.unsubscribe(&[Interest::Topic(topic(&name))]).await;
        publisher.publish(&name, "not wanted").await;
    }
    instance.mark().await;
}

async fn many_interests_are_taken_at_once(on: NatsBinary) {
    let server = NatsServer::start(on);
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

async fn patterns_bring_what_they_match(on: NatsBinary) {
    let server = NatsServer::start(on);
    let mut instance = Instance::of(&server).await;
    instance.follow_pattern("a.*").await;
    instance.follow_pattern("a.>").await;
    for (name, text) in [("a.b", "1"), ("a.b.c", "2"), ("b.a", "3"), ("a", "4"), ("a.", "5")] {
        instance.publish(name, text).await;
    }
    assert_eq!(texts(&instance.until_mark().await.0), ["1", "2", "5"]);
    instance.unsubscribe(&[Interest::Pattern(pattern("a.>"))]).await;
    instance.publish("a.b", "6").await;
    instance.publish("a.b.c", "7").await;
    assert_eq!(texts(&instance.until_mark().await.0), ["6"]);
    instance.unsubscribe(&[Interest::Pattern(pattern("a.*"))]).await;
    instance.publish("a.b", "8").await;
    instance.mark().await;
}

async fn odd_names_stand_for_themselves(on: NatsBinary) {
    let server = NatsServer::start(on);
    let mut instance = Instance::of(&server).await;
    let dots = ".".repeat(255);
    let stars = "*a".repeat(127);
    let names = [
        "with space",
        "a..b",
        ".",
        "a.",
        ".a",
        "a*",
        "*a",
        ">a",
        "50%",
        "%",
        "%20",
        "ä\u{3000}ö",
        "$JS.x",
    ];
    let names: Vec<&str> = names.into_iter().chain([&*dots, &*stars]).collect();
    for name in &names {
        instance.follow(name).await;
    }
    for name in &names {
        let at = instance.publish(name, *name).await;
        let record = instance.event().await;
        assert_eq!((record.topic.as_str(), record.at), (*name, at));
        assert_eq!(texts(&instance.read(name, 0, 9).await.records), [*name]);
    }
    instance.mark().await;
    let mut expected = names.clone();
    expected.sort_unstable();
    assert_eq!(instance.topics(">", 0, 99).await, expected);
    assert_eq!(instance.topics("a.*", 0, 99).await, ["a."]);
    assert_eq!(instance.topics("*.", 0, 99).await, [".", "a."]);
}

async fn every_kind_of_event_arrives_as_it_was(on: NatsBinary) {
    let server = NatsServer::start(on);
    let mut instance = Instance::of(&server).await;
    instance.follow("t").await;
    let large: Vec<u8> = (0..1024 * 1024).map(|i: u32| (i % 251) as u8).collect();
    let events = [
        Event::text(""),
        Event::text("a\nb\r\n\0 ü"),
        Event::json(&serde_json::json!({ "a": [1, "ü\n"] })).unwrap(),
        Event::binary(vec![0, 255, b'\n', b'\r']),
        Event::binary(Vec::new()),
        Event::text("data").named("name ü: 100%").unwrap().keyed(" key\r\n\0 ").unwrap(),
        Event::text("data").named("x".repeat(255)).unwrap().keyed("\u{1}".repeat(255)).unwrap(),
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
    assert!(history.records[0].event == events[8]);
}

async fn hubs_with_different_prefixes_know_nothing_of_each_other(on: NatsBinary) {
    let server = NatsServer::start(on);
    let nats = NatsEngine::connect(&server.url()).unwrap();
    let mut one = connect_to(&nats.clone().prefix("one").unwrap(), &hello()).await.unwrap();
    let mut two = connect_to(&nats.prefix("one-2").unwrap(), &hello()).await.unwrap();
    for instance in [&one, &two] {
        instance.follow("t").await;
        instance.follow_pattern(">").await;
    }
    assert_eq!(one.publish("t", "1").await.sequence, 1);
    assert_eq!(one.publish("t", "2").await.sequence, 2);
    assert_eq!(two.publish("t", "a").await.sequence, 1);
    assert_eq!(texts(&one.until_mark().await.0), ["1", "2"]);
    assert_eq!(texts(&two.until_mark().await.0), ["a"]);
    assert_eq!(texts(&one.read("t", 0, 9).await.records), ["1", "2"]);
    assert_eq!(two.topics(">", 0, 9).await, ["t"]);
}

async fn what_does_not_fit_into_the_feed_ends_it_and_the_connection(on: NatsBinary) {
    let server = NatsServer::start(on);
    let publisher = Instance::of(&server).await;
    let nats = NatsEngine::connect(&server.url()).unwrap();
    let (feed, mut fetched) = Feed::new(3, 1024);
    let (link, _) = bounded("connecting", nats.connect(&hello(), feed)).await.unwrap();
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

async fn a_link_that_is_dropped_closes_its_connection(on: NatsBinary) {
    let server = NatsServer::start(on);
    let (feed, mut fetched) = Feed::new(3, 1024);
    let nats = NatsEngine::connect(&server.url()).unwrap();
    let hello = hello();
    let (link, _) = bounded("connecting", nats.connect(&hello, feed)).await.unwrap();
    let marks = format!("realtime.live.m.{}", hello.instance);
    let is_heard = || server.client().is_heard(&marks).expect("an answer of the server");
    assert!(is_heard());
    drop(link);
    realtime_testkit::wait::until("nobody hears marks any more", || !is_heard()).await;
    assert!(bounded("the feed's end", fetched.next()).await.is_none());
}
