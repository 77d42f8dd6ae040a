//! Who is let in, and what is said when nobody is.

use realtime_bridge::EngineError;
use realtime_redis::RedisEngine;
use realtime_testkit::servers::{RedisOptions, RedisReply, RedisServer};

use crate::instance::{Instance, connect, connect_to, hello};

#[tokio::test]
async fn wrong_credentials_are_refused_and_never_shown() {
    let server = RedisServer::with(RedisOptions::new().password("sesame"));
    let right = Instance::of(&server).await;
    assert_eq!(right.publish("t", "x").await.sequence, 1);
    for user in ["", ":tahini@", "nobody:tahini@"] {
        let redis = RedisEngine::connect(&format!("redis://{user}127.0.0.1:{}", server.port())).unwrap();
        let error = connect_to(&redis, &hello()).await.err().unwrap();
        assert!(matches!(error, EngineError::Refused(_)), "{error:?}");
        let shown = format!("{error} {error:?} {redis:?}");
        assert!(!shown.contains("tahini") && !shown.contains("sesame"), "{shown}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let mut server = RedisServer::start();
    server.kill();
    let error = connect(&server.url(), &hello()).await.err().unwrap();
    assert!(matches!(error, EngineError::Unreachable(_)), "{error:?}");
    let error = connect("redis://nowhere.invalid", &hello()).await.err().unwrap();
    assert!(matches!(error, EngineError::Unreachable(_)), "{error:?}");
}

/// The commands that the documentation names, and no others.
fn documented() -> Vec<String> {
    let text: String = include_str!("../../src/lib.rs")
        .split("# Access control")
        .nth(1)
        .unwrap()
        .lines()
        .skip(1)
        .map_while(|line| line.strip_prefix("//!"))
        .collect();
    let rights = text.split('`').skip(1).step_by(2);
    let rule = |word: &str| match word.as_bytes()[0] {
        b'%' | b'&' => word.to_owned(),
        _ => format!("+{word}"),
    };
    rights.flat_map(|part| part.split(' ')).map(rule).collect()
}

#[tokio::test]
async fn the_documented_rights_are_enough() {
    let server = RedisServer::start();
    let rules = documented();
    let mut command: Vec<&[u8]> =
        vec![b"ACL", b"SETUSER", b"app", b"on", b">pass", b"resetchannels"];
    command.extend(rules.iter().map(|rule| rule.as_bytes()));
    assert_eq!(server.call(&command), RedisReply::Status("OK".into()), "{rules:?}");
    let url = format!("redis://app:pass@127.0.0.1:{}", server.port());
    let mut instance = connect(&url, &hello()).await.unwrap();
    instance.follow("t").await;
    instance.follow_pattern("p.*").await;
    for _ in 0..3 {
        let at = instance.publish("t", "x").await;
        assert_eq!(instance.event().await.at, at);
    }
    instance.mark().await;
    assert_eq!(instance.read("t", 0, 9).await.records.len(), 3);
    assert_eq!(instance.topics(">", 0, 9).await, ["t"]);
    // A flush, a floor, a rolled back sequence: all that the functions do.
    server.call(&[b"HSET", b"{realtime}:meta", b"age", b"1", b"run", b"another"]);
    for _ in 0..3 {
        instance.publish("t", "x").await;
    }
    let mut ahead = instance.at;
    ahead.sequence = u64::MAX;
    connect(&url, &crate::instance::seen(ahead)).await.unwrap();
    // Without them it is refused.
    let other = RedisEngine::connect(&url).unwrap().prefix("other").unwrap();
    let error = connect_to(&other, &hello()).await.err().unwrap();
    assert!(matches!(error, EngineError::Refused(_)), "{error:?}");
    server.call(&[b"ACL", b"SETUSER", b"app", b"-xadd"]);
    let error = instance.try_publish("t", "x").await.unwrap_err();
    assert!(matches!(error, EngineError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_full_server_refuses() {
    let server = RedisServer::start();
    let instance = Instance::of(&server).await;
    server.call(&[b"CONFIG", b"SET", b"maxmemory", b"1"]);
    let error = instance.try_publish("t", "x").await.unwrap_err();
    assert!(matches!(error, EngineError::Refused(_)), "{error:?}");
    server.call(&[b"CONFIG", b"SET", b"maxmemory", b"0"]);
    assert_eq!(instance.publish("t", "x").await.sequence, 1);
}
