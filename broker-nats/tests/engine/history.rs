//! Reading what has been.

use std::time::Duration;

use realtime_bridge::Link;
use realtime_core::Retention;
use realtime_nats::NatsEngine;
use realtime_testkit::{
    servers::{NatsBinary, NatsServer},
    wait,
};

use crate::instance::{Instance, SHORT, bounded, connect_to, hello, keeping, sequences, texts};

on_both!(
    reading_tells_what_there_is_and_from_where_on_it_is_complete,
    a_busy_topic_among_others_is_read_from_its_end,
    what_is_past_its_age_goes_and_is_told,
    what_does_not_fit_the_stream_goes_and_is_told,
    the_instance_that_wants_the_most_is_heard,
    topics_are_told_by_their_newest_event,
    reading_while_events_go_tells_no_hole,
);

async fn reading_tells_what_there_is_and_from_where_on_it_is_complete(on: NatsBinary) {
    let server = NatsServer::start(on);
    let instance = Instance::of(&server).await;
    let history = instance.read("t", 0, 9).await;
    assert_eq!((history.records.len(), history.complete_after), (0, 0));
    assert_eq!(history.epoch, instance.at.epoch);
    for i in 1..=10 {
        instance.publish(["t", "other"][i % 2], i.to_string().as_str()).await;
    }
    for (after, limit, expected, complete_after) in [
        (0, 9, &[2, 4, 6, 8, 10][..], 0),
        (0, 5, &[2, 4, 6, 8, 10], 0),
        (0, 2, &[8, 10], 6),
        (4, 9, &[6, 8, 10], 4),
        (5, 3, &[6, 8, 10], 5),
        (5, 2, &[8, 10], 6),
        (9, 9, &[10], 9),
        (10, 9, &[], 10),
        (99, 9, &[], 99),
        (0, 0, &[], 10),
        (0, usize::MAX, &[2, 4, 6, 8, 10], 0),
        (u64::MAX - 1, 1, &[], u64::MAX - 1),
    ] {
        let history = instance.read("t", after, limit).await;
        assert_eq!(sequences(&history.records), expected, "after {after}, {limit}");
        assert_eq!(history.complete_after, complete_after, "after {after}, {limit}");
        let mut previous = complete_after;
        for record in &history.records {
            assert_eq!(record.previous, previous);
            assert!(record.age < Duration::from_secs(60), "{:?}", record.age);
            assert_eq!(record.event.data().as_text().unwrap(), record.at.sequence.to_string());
            previous = record.at.sequence;
        }
    }
}

async fn a_busy_topic_among_others_is_read_from_its_end(on: NatsBinary) {
    let server = NatsServer::start(on);
    let instance = Instance::of(&server).await;
    let mut client = server.client();
    let mut last = 0;
    // Crowded in the middle: no even spread.
    for i in 1..=6000_u32 {
        let name = if (1000..4000).contains(&i) || i % 10 == 0 { "busy" } else { "other" };
        if name == "busy" {
            last = u64::from(i);
        }
        client.publish(&format!("realtime.t.{name}"), &[], i.to_string().as_bytes()).unwrap();
    }
    for limit in [1, 7, 200, 1000, 2000] {
        let history = instance.read("busy", 0, limit).await;
        assert_eq!(history.records.len(), limit);
        assert_eq!(history.records[limit - 1].at.sequence, last);
        let first = history.records[0].at.sequence;
        assert!(history.complete_after < first);
        let again = instance.read("busy", history.complete_after, usize::MAX).await;
        assert_eq!(sequences(&again.records), sequences(&history.records));
        // What is left out is told: it is the event before the first.
        let before = instance.read("busy", history.complete_after - 1, usize::MAX).await;
        assert_eq!(before.records[0].at.sequence, history.complete_after);
        assert_eq!(before.records.len(), limit + 1);
    }
    let all = instance.read("busy", 0, usize::MAX).await;
    assert_eq!((all.records.len(), all.complete_after), (3300, 0));
}

async fn what_is_past_its_age_goes_and_is_told(on: NatsBinary) {
    let server = NatsServer::start(on);
    let instance = Instance::saying(&server, &keeping(Retention::default().age(SHORT))).await;
    instance.publish("t", "1").await;
    instance.publish("other", "2").await;
    // An old server may look at ages only when it stores something.
    let store = async || bounded("marking", instance.link.mark(1)).await.unwrap();
    wait::until_async("it is past its age", async || {
        store().await;
        instance.read("t", 0, 9).await.complete_after >= 1
    })
    .await;
    assert!(instance.read("t", 0, 9).await.records.is_empty());
    wait::until_async("no topic is left", async || {
        store().await;
        instance.topics(">", 0, 9).await.is_empty()
    })
    .await;
    // The sequence goes on.
    assert!(instance.publish("t", "3").await.sequence > 2);
    assert_eq!(instance.at.epoch, Instance::of(&server).await.at.epoch);
}

async fn what_does_not_fit_the_stream_goes_and_is_told(on: NatsBinary) {
    let server = NatsServer::start(on);
    let nats = NatsEngine::connect(&server.url()).unwrap().max_bytes(64 * 1024);
    let instance = connect_to(&nats, &hello()).await.unwrap();
    instance.publish("quiet", "1").await;
    let large = "x".repeat(4096);
    for _ in 0..30 {
        instance.publish("t", large.as_str()).await;
    }
    let quiet = instance.read("quiet", 0, 9).await;
    assert!(quiet.records.is_empty() && quiet.complete_after >= 1);
    let history = instance.read("t", 0, 99).await;
    let kept = sequences(&history.records);
    assert!((10..16).contains(&kept.len()), "{kept:?}");
    assert_eq!(history.complete_after + 1, kept[0]);
    assert_eq!(kept.last(), Some(&31));
    let history = instance.read("t", 29, 99).await;
    assert_eq!((sequences(&history.records), history.complete_after), (vec![30, 31], 29));
}

async fn the_instance_that_wants_the_most_is_heard(on: NatsBinary) {
    let server = NatsServer::start(on);
    let ages = [7, 300, 20, 600, 600, 1].map(|seconds| {
        let retention = Retention::default().age(Duration::from_secs(seconds));
        keeping(retention)
    });
    let mut handles = Vec::new();
    let url = server.url();
    for hello in ages {
        let url = url.clone();
        let connected =
            tokio::spawn(async move { crate::instance::connect(&url, &hello).await.unwrap() });
        handles.push(connected);
    }
    let mut instances = Vec::new();
    for handle in handles {
        instances.push(handle.await.unwrap());
    }
    assert!(instances.iter().all(|instance| instance.at.epoch == instances[0].at.epoch));
    let stream = format!("realtime-{:x}", instances[0].at.epoch);
    let info = server.client().ask(&format!("$JS.API.STREAM.INFO.{stream}"), b"").unwrap();
    assert!(info.contains("\"max_age\":600000000000,"), "{info}");
    let names = server.client().ask("$JS.API.STREAM.NAMES", b"").unwrap();
    assert!(names.contains("\"total\":1,"), "{names}");
}

async fn topics_are_told_by_their_newest_event(on: NatsBinary) {
    let server = NatsServer::start(on);
    let mut instance = Instance::of(&server).await;
    assert!(instance.topics(">", 0, 9).await.is_empty());
    for name in ["a.1", "a.2", "b.1", "a.1", "a.b.c"] {
        instance.publish(name, "x").await;
    }
    instance.mark().await;
    assert_eq!(instance.topics(">", 0, 9).await, ["a.1", "a.2", "a.b.c", "b.1"]);
    assert_eq!(instance.topics("a.*", 0, 9).await, ["a.1", "a.2"]);
    assert_eq!(instance.topics("a.>", 3, 9).await, ["a.1", "a.b.c"]);
    assert_eq!(instance.topics("*.1", 3, 9).await, ["a.1"]);
    assert!(instance.topics(">", 5, 9).await.is_empty());
    assert_eq!(instance.topics(">", 0, 2).await.len(), 3);
    for i in 0..1500 {
        instance.publish(&format!("many.{i}"), "x").await;
    }
    assert_eq!(instance.topics("many.*", 0, 9999).await.len(), 1500);
    assert_eq!(instance.topics("many.*", 0, 1499).await.len(), 1500);
    assert_eq!(instance.topics("many.*", 0, 700).await.len(), 701);
}

async fn reading_while_events_go_tells_no_hole(on: NatsBinary) {
    let server = NatsServer::start(on);
    let nats = NatsEngine::connect(&server.url()).unwrap().max_bytes(400 * 1024);
    let instance = connect_to(&nats, &hello()).await.unwrap();
    let publisher = connect_to(&nats, &hello()).await.unwrap();
    let data = "x".repeat(200);
    let publishing = async {
        for _ in 0..6000 {
            publisher.publish("t", data.as_str()).await;
        }
    };
    let reading = async {
        loop {
            let history = instance.read("t", 0, usize::MAX).await;
            let read = sequences(&history.records);
            // It is the only topic.
            let expected: Vec<u64> = (history.complete_after + 1..).take(read.len()).collect();
            assert_eq!(read, expected);
            if read.last() >= Some(&6000) {
                assert!(history.complete_after > 1000);
                break;
            }
        }
    };
    tokio::join!(publishing, reading);
    let texts = texts(&instance.read("t", 5999, 9).await.records).len();
    assert_eq!(texts, 1);
}
