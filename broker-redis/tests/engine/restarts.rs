//! Servers that die and come back, with all of their data, some of it, or none.

use realtime_bridge::EngineError;
use realtime_testkit::servers::{RedisOptions, RedisReply, RedisServer};

use crate::instance::{Instance, seen, sequences, texts};

#[tokio::test]
async fn with_an_append_only_file_nothing_acknowledged_is_lost_and_the_sequence_goes_on() {
    let mut server = RedisServer::with(RedisOptions::new().append_only());
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
    assert_eq!(instance.at.epoch, newest.epoch);
    assert!(instance.at.sequence > newest.sequence);
    let history = instance.read("t", 0, 1000).await;
    assert_eq!(sequences(&history.records), (1..=200).collect::<Vec<_>>());
    assert_eq!(history.complete_after, 0);
    let at = instance.publish("t", "after").await;
    assert_eq!(at.epoch, newest.epoch);
    assert_eq!(at.sequence, instance.at.sequence + 1);
    let history = instance.read("t", 199, 1000).await;
    assert_eq!(sequences(&history.records), [200, at.sequence]);
    assert_eq!(history.records[1].previous, 200);
    // Nothing happens at the second connection.
    assert_eq!(Instance::saying(&server, &seen(at)).await.at, at);
    assert_eq!(Instance::saying(&server, &seen(instance.at)).await.at, at);
}

#[tokio::test]
async fn without_persistence_a_restart_is_a_new_epoch() {
    let mut server = RedisServer::start();
    let instance = Instance::of(&server).await;
    let old = instance.publish("t", "x").await;
    server.kill();
    server.restart();
    let instance = Instance::saying(&server, &seen(old)).await;
    assert_ne!(instance.at.epoch, old.epoch);
    assert_eq!(instance.at.sequence, 0);
    assert!(instance.read("t", 0, 9).await.records.is_empty());
}

/// A server with events 1 to 10 on its disk that has numbered up to 15 and was killed.
async fn rolled_back() -> (RedisServer, u64) {
    let mut server = RedisServer::start();
    let instance = Instance::of(&server).await;
    for i in 1..=10 {
        instance.publish("t", format!("{i}").as_str()).await;
    }
    assert_eq!(server.call(&[b"SAVE"]), RedisReply::Status("OK".into()));
    for i in 11..=15 {
        instance.publish("t", format!("lost {i}").as_str()).await;
    }
    server.kill();
    server.restart();
    (server, instance.at.epoch)
}

#[tokio::test]
async fn a_server_that_has_lost_what_somebody_has_seen_begins_anew() {
    for sequence in [11, 15] {
        let (server, epoch) = rolled_back().await;
        let old = realtime_bridge::At { epoch, sequence };
        let mut instance = Instance::saying(&server, &seen(old)).await;
        assert!(instance.at.epoch > epoch, "seen {sequence}");
        assert_eq!(instance.at.sequence, 0);
        assert_eq!(instance.mark().await, instance.at);
        // The events of the old epoch are none of the new one's.
        let history = instance.read("t", 0, 9).await;
        assert!(history.records.is_empty());
        assert_eq!(history.complete_after, 0);
        assert!(instance.topics(">", 0, 9).await.is_empty());
        let at = instance.publish("t", "new").await;
        assert_eq!((at.epoch, at.sequence), (instance.at.epoch, 1));
        assert_eq!(texts(&instance.read("t", 0, 9).await.records), ["new"]);
    }
}

#[tokio::test]
async fn also_when_that_is_noticed_after_the_sequence_has_gone_on() {
    let (server, epoch) = rolled_back().await;
    let instance = Instance::of(&server).await;
    assert_eq!(instance.at.epoch, epoch);
    instance.publish("t", "after").await;
    let late = seen(realtime_bridge::At { epoch, sequence: 12 });
    assert_ne!(Instance::saying(&server, &late).await.at.epoch, epoch);
}

#[tokio::test]
async fn a_server_that_has_all_that_somebody_has_seen_goes_on_above_all_numbers() {
    let (server, epoch) = rolled_back().await;
    let known = realtime_bridge::At { epoch, sequence: 10 };
    let instance = Instance::saying(&server, &seen(known)).await;
    assert_eq!(instance.at.epoch, epoch);
    assert!(instance.at.sequence > 1_000_000, "{:?}", instance.at);
    let at = instance.publish("t", "after").await;
    assert_eq!(at.sequence, instance.at.sequence + 1);
    let history = instance.read("t", 10, 9).await;
    assert_eq!(texts(&history.records), ["after"]);
    assert_eq!(history.complete_after, 10);
    assert_eq!(Instance::saying(&server, &seen(at)).await.at, at);
}

#[tokio::test]
async fn what_is_ahead_of_the_server_was_lost_by_it() {
    let server = RedisServer::start();
    let instance = Instance::of(&server).await;
    let mut ahead = instance.publish("t", "x").await;
    ahead.sequence += 1;
    assert_ne!(Instance::saying(&server, &seen(ahead)).await.at.epoch, ahead.epoch);
}

#[tokio::test]
async fn functions_that_are_gone_are_loaded_by_the_next_connection() {
    let server = RedisServer::start();
    let mut instance = Instance::of(&server).await;
    let at = instance.publish("t", "x").await;
    assert_eq!(server.call(&[b"FUNCTION", b"FLUSH"]), RedisReply::Status("OK".into()));
    let published = instance.try_publish("t", "y").await;
    assert!(matches!(published, Err(EngineError::Unreachable(_))), "{published:?}");
    instance.lost().await;
    let instance = Instance::saying(&server, &seen(at)).await;
    assert_eq!(instance.at, at, "the server is the same");
}

/// Data of a master that this server was a replica of, as after a failover.
#[tokio::test]
async fn a_replica_that_becomes_the_master_goes_on_above_all_numbers() {
    let master = RedisServer::start();
    let replica = RedisServer::start();
    let port = master.port().to_string();
    let instance = Instance::of(&master).await;
    replica.call(&[b"REPLICAOF", b"127.0.0.1", port.as_bytes()]);
    let at = instance.publish("t", "x").await;
    realtime_testkit::wait::until("the replica has it", || {
        replica.call(&[b"XLEN", b"{realtime}:t:t"]) == RedisReply::Integer(1)
    })
    .await;
    // Nobody may write to it yet.
    let refused = crate::instance::connect(&replica.url(), &seen(at)).await.err();
    assert!(matches!(refused, Some(EngineError::Unreachable(_))), "{refused:?}");
    replica.call(&[b"REPLICAOF", b"NO", b"ONE"]);
    let instance = Instance::saying(&replica, &seen(at)).await;
    assert_eq!(instance.at.epoch, at.epoch);
    assert!(instance.at.sequence > at.sequence + 1000);
    assert_eq!(texts(&instance.read("t", 0, 9).await.records), ["x"]);
}
