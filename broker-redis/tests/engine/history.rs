//! Reading the past.

use std::time::{Duration, Instant};

use realtime_core::{Event, Retention};
use realtime_testkit::{servers::RedisServer, wait};

use crate::instance::{Instance, SHORT, keeping, sequences, texts};

#[tokio::test]
async fn a_topic_that_was_never_published_to_is_complete() {
    let server = RedisServer::start();
    let instance = Instance::of(&server).await;
    instance.publish("other", "x").await;
    for after in [0, 1] {
        let history = instance.read("t", after, 9).await;
        assert!(history.records.is_empty());
        assert_eq!((history.epoch, history.complete_after), (instance.at.epoch, after));
    }
    assert!(instance.topics("t.>", 0, 9).await.is_empty());
}

#[tokio::test]
async fn the_newest_above_after_are_read_and_what_is_missing_is_said() {
    let server = RedisServer::start();
    let instance = Instance::of(&server).await;
    // 1, 3, 5, …, 19.
    for i in 0..10 {
        instance.publish("t", format!("{i}").as_str()).await;
        instance.publish("other", "x").await;
    }
    for (after, limit, expected, complete_after) in [
        (0, 100, (1..20).step_by(2).collect::<Vec<u64>>(), 0),
        (14, 100, vec![15, 17, 19], 14),
        (15, 100, vec![17, 19], 15),
        (0, 3, vec![15, 17, 19], 13),
        (13, 3, vec![15, 17, 19], 13),
        (14, 3, vec![15, 17, 19], 14),
        (17, 1, vec![19], 17),
        (19, 100, vec![], 19),
        (20, 100, vec![], 20),
    ] {
        let history = instance.read("t", after, limit).await;
        assert_eq!(sequences(&history.records), expected, "after {after}, at most {limit}");
        assert_eq!(history.complete_after, complete_after, "after {after}, at most {limit}");
    }
    let history = instance.read("t", 16, 9).await;
    assert_eq!(texts(&history.records), ["8", "9"]);
    assert!(history.records.iter().all(|record| record.age < Duration::from_secs(60)));
    assert_eq!(history.records[0].previous, 15);
}

#[tokio::test]
async fn what_the_number_of_events_has_evicted_is_missing() {
    let server = RedisServer::start();
    let instance = Instance::saying(&server, &keeping(Retention::default().events(10))).await;
    for _ in 0..1000 {
        instance.publish("t", "x").await;
    }
    let history = instance.read("t", 0, 2000).await;
    let kept = history.records.len();
    assert!((10..500).contains(&kept), "{kept} are kept");
    let oldest = history.records[0].at.sequence;
    assert_eq!(oldest, 1001 - kept as u64);
    assert_eq!(history.complete_after, oldest - 1);
    assert_eq!(instance.read("t", oldest - 1, 2000).await.complete_after, oldest - 1);
    assert_eq!(instance.read("t", oldest - 2, 2000).await.complete_after, oldest - 1);
}

#[tokio::test]
async fn large_histories_come_whole() {
    let server = RedisServer::start();
    let retention = Retention::default().bytes(64 * 1024 * 1024);
    let instance = Instance::saying(&server, &keeping(retention)).await;
    let event = Event::binary(vec![7; 200_000]);
    for _ in 0..60 {
        instance.publish("t", &event).await;
    }
    for i in 0..500 {
        instance.publish("t", format!("{i}").as_str()).await;
    }
    let history = instance.read("t", 0, 1000).await;
    assert_eq!(sequences(&history.records), (1..=560).collect::<Vec<_>>());
    assert_eq!(history.complete_after, 0);
}

/// The age is over: what is published later finds nothing before it.
#[tokio::test]
async fn what_is_past_its_age_is_missing_and_its_topics_are_forgotten() {
    let server = RedisServer::start();
    let instance = Instance::saying(&server, &keeping(Retention::default().age(SHORT))).await;
    for i in 0..50 {
        instance.publish(&format!("old.{i}"), "x").await;
    }
    let old = instance.publish("old.t", "x").await.sequence;
    assert_eq!(instance.topics("old.*", 0, 100).await.len(), 51);
    wait::until_async("the topic's events are gone", async || {
        instance.read("old.t", 0, 9).await.records.is_empty()
    })
    .await;
    // Gone, and it is said.
    assert_eq!(instance.read("old.t", 0, 9).await.complete_after, old);
    assert_eq!(instance.read("old.t", old, 9).await.complete_after, old);
    wait::until_async("the topics are forgotten", async || {
        instance.publish("new", "x").await;
        instance.topics("old.*", 0, 100).await.is_empty()
    })
    .await;
    // Whoever was there before the floor may have missed something, and a topic that is new has a
    // history from the floor on.
    let history = instance.read("never", 0, 9).await;
    assert!(history.complete_after >= old, "{history:?}");
    let at = instance.publish("old.t", "again").await;
    let history = instance.read("old.t", 0, 9).await;
    assert_eq!(sequences(&history.records), [at.sequence]);
    assert!(history.complete_after >= old && history.complete_after < at.sequence, "{history:?}");
    // What is kept for the floor is bounded, however long it goes on.
    let start = Instant::now();
    while start.elapsed() < 4 * SHORT {
        instance.publish("t", "x").await;
    }
    let ages = server.call(&[b"ZCARD", b"{realtime}:ages"]);
    let realtime_testkit::servers::RedisReply::Integer(ages) = ages else { panic!("{ages:?}") };
    assert!(ages <= 18, "{ages} samples");
}

#[tokio::test]
async fn topics_are_told_by_pattern_above_a_sequence_and_up_to_a_limit() {
    let server = RedisServer::start();
    let instance = Instance::of(&server).await;
    for i in 0..2300 {
        instance.publish(&format!("many.{i}"), "x").await;
    }
    for name in ["a.b", "a.c", "a.b.c", "b"] {
        instance.publish(name, "x").await;
    }
    assert_eq!(instance.topics("a.*", 0, 9).await, ["a.b", "a.c"]);
    assert_eq!(instance.topics("a.>", 0, 9).await, ["a.b", "a.b.c", "a.c"]);
    assert_eq!(instance.topics("a.>", 2301, 9).await, ["a.b.c", "a.c"]);
    assert_eq!(instance.topics("many.*", 0, 5000).await.len(), 2300);
    assert_eq!(instance.topics("many.*", 0, 99).await.len(), 100);
    assert_eq!(instance.topics("*", 2303, 9).await, ["b"]);
    instance.publish("a.b", "y").await;
    assert_eq!(instance.topics(">", 2304, 9).await, ["a.b"]);
}

#[tokio::test]
async fn the_largest_retention_that_is_asked_for_counts() {
    let server = RedisServer::start();
    let _large = Instance::saying(&server, &keeping(Retention::default().events(2000))).await;
    let small = Instance::saying(&server, &keeping(Retention::default().events(10))).await;
    for _ in 0..2000 {
        small.publish("t", "x").await;
    }
    assert_eq!(small.read("t", 0, 2000).await.records.len(), 2000);
}
