//! Servers that are found through others.

use realtime_bridge::EngineError;
use realtime_testkit::servers::{RedisOptions, RedisSentinel, RedisServer};

use crate::instance::{Instance, connect, hello, texts};

async fn works(instance: &mut Instance) {
    instance.follow("t").await;
    instance.follow_pattern("p.*").await;
    instance.publish("t", "1").await;
    instance.publish("p.a", "2").await;
    assert_eq!(texts(&instance.until_mark().await.0), ["1", "2"]);
    assert_eq!(texts(&instance.read("t", 0, 9).await.records), ["1"]);
    assert_eq!(instance.topics(">", 0, 9).await, ["p.a", "t"]);
}

#[tokio::test]
async fn a_cluster_says_who_has_the_slot() {
    let server = RedisServer::with(RedisOptions::new().cluster());
    let nobody = RedisServer::start().port();
    let url = format!("redis+cluster://127.0.0.1:{nobody},127.0.0.1:{}", server.port());
    let mut instance = connect(&url, &hello()).await.unwrap();
    works(&mut instance).await;
    // The slot goes elsewhere: a new connection is needed, to whoever has it then.
    let slot = server.call(&[b"CLUSTER", b"KEYSLOT", b"realtime"]);
    let realtime_testkit::servers::RedisReply::Integer(slot) = slot else { panic!("{slot:?}") };
    server.call(&[b"CLUSTER", b"DELSLOTS", slot.to_string().as_bytes()]);
    let error = instance.try_publish("t", "x").await.unwrap_err();
    assert!(matches!(error, EngineError::Unreachable(_)), "{error:?}");
    instance.lost().await;
    let error = connect(&url, &hello()).await.err().unwrap();
    assert!(matches!(error, EngineError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn a_sentinel_says_who_the_master_is() {
    let server = RedisServer::with(RedisOptions::new().password("sesame"));
    let sentinel = RedisSentinel::watching(&server, "main");
    let nobody = RedisServer::start().port();
    let url = |service: &str| {
        format!(
            "redis+sentinel://:sesame@127.0.0.1:{nobody},127.0.0.1:{}/{service}",
            sentinel.port()
        )
    };
    works(&mut connect(&url("main"), &hello()).await.unwrap()).await;
    let error = connect(&url("other"), &hello()).await.err().unwrap();
    assert!(matches!(&error, EngineError::Unreachable(why) if why.contains("other")), "{error:?}");
}
