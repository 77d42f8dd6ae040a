//! Servers that die and come back, with their data or without, and streams that others delete.

use realtime_bridge::{At, EngineError, Fed, Link};
use realtime_testkit::servers::{NatsBinary, NatsServer};

use crate::instance::{Instance, bounded, seen, sequences, texts};

on_both!(
    nothing_acknowledged_is_lost_by_a_kill_and_the_sequence_goes_on,
    a_kill_while_publishing_loses_nothing_acknowledged,
    a_server_that_has_forgotten_begins_a_new_epoch,
    a_server_that_has_lost_what_somebody_has_seen_begins_anew,
    a_stream_that_is_deleted_shows_at_the_next_mark,
    a_stream_that_is_made_anew_shows,
    a_stream_that_keeps_more_or_less_is_set_right,
);

async fn nothing_acknowledged_is_lost_by_a_kill_and_the_sequence_goes_on(on: NatsBinary) {
    let mut server = NatsServer::start(on);
    let mut instance = Instance::of(&server).await;
    let mut newest = instance.at;
    for i in 0..200 {
        newest = instance.publish("t", format!("{i}").as_str()).await;
    }
    server.kill();
    assert!(matches!(instance.lost().await, EngineError::Unreachable(_)));
    assert!(instance.next().await.is_none(), "the loss comes last");
    let after = instance.try_publish("t", "lost").await;
    assert!(matches!(after, Err(EngineError::Unreachable(_))), "{after:?}");
    server.restart();
    let instance = Instance::saying(&server, &seen(newest)).await;
    assert_eq!(instance.at, newest);
    let history = instance.read("t", 0, 1000).await;
    assert_eq!(sequences(&history.records), (1..=200).collect::<Vec<_>>());
    assert_eq!(history.complete_after, 0);
    let at = instance.publish("t", "after").await;
    assert_eq!(at, At { epoch: newest.epoch, sequence: 201 });
}

async fn a_kill_while_publishing_loses_nothing_acknowledged(on: NatsBinary) {
    let mut server = NatsServer::start(on);
    let mut acknowledged = Vec::new();
    let mut newest = None;
    for round in 0..3 {
        let hello = newest.map_or_else(crate::instance::hello, seen);
        let mut instance = Instance::saying(&server, &hello).await;
        assert_eq!(instance.at.epoch, newest.map_or(instance.at.epoch, |at| at.epoch));
        instance.follow("t").await;
        let mut published = 0;
        while published < 300 {
            let text = format!("{round} {published}");
            acknowledged.push((instance.publish("t", text.as_str()).await, text));
            newest = acknowledged.last().map(|(at, _)| *at);
            published += 1;
        }
        // One more, of which it will not be known whether it was stored.
        let (lost, ()) = tokio::join!(instance.try_publish("t", "unknown"), async {
            tokio::task::block_in_place(|| server.kill());
        });
        if let Ok(at) = lost {
            acknowledged.push((at, "unknown".to_owned()));
            newest = Some(at);
        }
        while let Some(fed) = instance.next().await {
            assert!(matches!(fed, Fed::Event(_) | Fed::Lost(_)), "{fed:?}");
        }
        server.restart();
    }
    let instance = Instance::saying(&server, &seen(newest.unwrap())).await;
    assert_eq!(instance.at.epoch, newest.unwrap().epoch);
    let history = instance.read("t", 0, 10_000).await;
    let texts = texts(&history.records);
    for (at, text) in acknowledged {
        let place = history.records.iter().position(|record| record.at == at);
        assert_eq!(place.map(|place| texts[place]), Some(&*text), "{at:?}");
    }
}

async fn a_server_that_has_forgotten_begins_a_new_epoch(on: NatsBinary) {
    let mut server = NatsServer::start(on);
    let mut instance = Instance::of(&server).await;
    let old = instance.publish("t", "x").await;
    server.forget();
    instance.lost().await;
    let instance = Instance::saying(&server, &seen(old)).await;
    assert!(instance.at.epoch > old.epoch);
    assert_eq!(instance.at.sequence, 0);
    assert!(instance.read("t", 0, 9).await.records.is_empty());
}

async fn a_server_that_has_lost_what_somebody_has_seen_begins_anew(on: NatsBinary) {
    let server = NatsServer::start(on);
    let mut instance = Instance::of(&server).await;
    let known = instance.publish("t", "x").await;
    assert_eq!(Instance::saying(&server, &seen(known)).await.at, known);
    let ahead = At { sequence: known.sequence + 1, ..known };
    let anew = Instance::saying(&server, &seen(ahead)).await;
    assert!(anew.at.epoch > known.epoch);
    assert_eq!(anew.at.sequence, 0);
    // Another that has seen it too does not begin once more.
    assert_eq!(Instance::saying(&server, &seen(ahead)).await.at, anew.at);
    anew.publish("t", "new").await;
    assert_eq!(texts(&anew.read("t", 0, 9).await.records), ["new"]);
    // Who is still connected learns of it.
    bounded("marking", instance.link.mark(1)).await.unwrap_or_default();
    assert!(matches!(instance.lost().await, EngineError::Unreachable(_)));
}

fn delete(server: &NatsServer, epoch: u64) {
    let subject = format!("$JS.API.STREAM.DELETE.realtime-{epoch:x}");
    let answer = server.client().ask(&subject, b"").unwrap();
    assert!(answer.contains("\"success\":true"), "{answer}");
}

async fn a_stream_that_is_deleted_shows_at_the_next_mark(on: NatsBinary) {
    let server = NatsServer::start(on);
    let mut instance = Instance::of(&server).await;
    let old = instance.publish("t", "x").await;
    delete(&server, old.epoch);
    let marked = bounded("marking", instance.link.mark(1)).await;
    assert!(matches!(marked, Err(EngineError::Unreachable(_))), "{marked:?}");
    assert!(matches!(instance.lost().await, EngineError::Unreachable(_)));
    let instance = Instance::saying(&server, &seen(old)).await;
    assert!(instance.at.epoch > old.epoch);
    // Reading and publishing notice it as well.
    for read in [true, false] {
        let mut instance = Instance::of(&server).await;
        delete(&server, instance.at.epoch);
        if read {
            let read =
                bounded("reading", instance.link.read(&crate::instance::topic("t"), 0, 9)).await;
            assert!(matches!(read, Err(EngineError::Unreachable(_))), "{read:?}");
        } else {
            let published = instance.try_publish("t", "x").await;
            assert!(matches!(published, Err(EngineError::Unreachable(_))), "{published:?}");
        }
        instance.lost().await;
    }
}

async fn a_stream_that_is_made_anew_shows(on: NatsBinary) {
    let server = NatsServer::start(on);
    let mut one = Instance::of(&server).await;
    let mut two = Instance::of(&server).await;
    one.follow("t").await;
    delete(&server, one.at.epoch);
    let three = Instance::of(&server).await;
    assert_ne!(three.at.epoch, one.at.epoch);
    let at = three.publish("t", "x").await;
    assert_eq!(at.epoch, three.at.epoch);
    // By an event, and by what is published.
    assert!(matches!(one.lost().await, EngineError::Unreachable(_)));
    let at = two.try_publish("t", "y").await;
    assert_eq!(at.map(|at| at.epoch), Ok(three.at.epoch));
    assert!(matches!(two.lost().await, EngineError::Unreachable(_)));
    assert_eq!(texts(&three.read("t", 0, 9).await.records), ["x", "y"]);
}

async fn a_stream_that_keeps_more_or_less_is_set_right(on: NatsBinary) {
    let server = NatsServer::start(on);
    let instance = Instance::of(&server).await;
    let stream = format!("realtime-{:x}", instance.at.epoch);
    let info = || server.client().ask(&format!("$JS.API.STREAM.INFO.{stream}"), b"").unwrap();
    let update = |of: &str, to: &str| {
        let info: serde_json::Value = serde_json::from_str(&info()).unwrap();
        let config = info["config"].to_string().replace(of, to);
        let subject = format!("$JS.API.STREAM.UPDATE.{stream}");
        let answer = server.client().ask(&subject, config.as_bytes()).unwrap();
        assert!(!answer.contains("\"error\""), "{answer}");
    };
    update("\"max_msgs_per_subject\":-1", "\"max_msgs_per_subject\":3");
    update("\"max_age\":300000000000", "\"max_age\":900000000000");
    assert_eq!(Instance::of(&server).await.at, instance.at);
    let now = info();
    assert!(now.contains("\"max_msgs_per_subject\":-1"), "{now}");
    assert!(now.contains("\"max_age\":900000000000"), "{now}");
    update("\"max_age\":900000000000", "\"max_age\":200000000000");
    assert_eq!(Instance::of(&server).await.at, instance.at);
    assert!(info().contains("\"max_age\":300000000000"));
}
