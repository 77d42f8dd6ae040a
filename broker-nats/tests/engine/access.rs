//! Who is let in, and what is said when nobody is.

use realtime_bridge::EngineError;
use realtime_core::Event;
use realtime_nats::NatsEngine;
use realtime_testkit::servers::{NatsBinary, NatsOptions, NatsServer};

use crate::instance::{Instance, connect, connect_to, hello};

on_both!(
    wrong_credentials_are_refused_and_never_shown,
    tokens_and_keys_let_in,
    a_server_that_is_not_there_is_unreachable,
    a_server_without_jetstream_is_refused,
    the_documented_rights_are_enough,
    what_is_larger_than_the_server_takes_is_refused,
    a_stream_of_somebody_else_is_left_alone,
);

async fn wrong_credentials_are_refused_and_never_shown(on: NatsBinary) {
    let server = NatsServer::with(NatsOptions::new(on).password("sesame"));
    let right = Instance::of(&server).await;
    assert_eq!(right.publish("t", "x").await.sequence, 1);
    for user in ["", "realtime:tahini@", "nobody:tahini@", "tahini@"] {
        let nats =
            NatsEngine::connect(&format!("nats://{user}127.0.0.1:{}", server.port())).unwrap();
        let error = connect_to(&nats, &hello()).await.err().unwrap();
        assert!(matches!(error, EngineError::Refused(_)), "{error:?}");
        let shown = format!("{error} {error:?} {nats:?}");
        assert!(!shown.contains("tahini") && !shown.contains("sesame"), "{shown}");
    }
}

async fn tokens_and_keys_let_in(on: NatsBinary) {
    let token = "authorization { token: \"open sesame\" }";
    let server = NatsServer::with(NatsOptions::new(on.clone()).configuration(token));
    let url = format!("nats://open%20sesame@127.0.0.1:{}", server.port());
    connect(&url, &hello()).await.unwrap();
    // The pair that the documentation of NATS has for an example.
    let key = "authorization { users: [ \
               { nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 } ] }";
    let server = NatsServer::with(NatsOptions::new(on).configuration(key));
    let nats = NatsEngine::connect(&server.url()).unwrap();
    let error = connect_to(&nats, &hello()).await.err().unwrap();
    assert!(matches!(error, EngineError::Refused(_)), "{error:?}");
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let nats = nats.nkey(seed);
    connect_to(&nats, &hello()).await.unwrap();
    assert!(!format!("{nats:?}").contains(seed));
    let error = connect_to(&nats.credentials_file("no such file"), &hello()).await.err().unwrap();
    assert!(matches!(error, EngineError::Refused(_)), "{error:?}");
}

async fn a_server_that_is_not_there_is_unreachable(on: NatsBinary) {
    let mut server = NatsServer::start(on);
    let both = format!("nats://nowhere.invalid,127.0.0.1:{}", server.port());
    connect(&both, &hello()).await.unwrap();
    server.kill();
    for url in [server.url(), both] {
        let error = connect(&url, &hello()).await.err().unwrap();
        assert!(matches!(error, EngineError::Unreachable(_)), "{error:?}");
    }
}

async fn a_server_without_jetstream_is_refused(on: NatsBinary) {
    let accounts = "accounts { plain { users: [ { user: \"plain\", password: \"p\" } ] } }";
    let server = NatsServer::with(NatsOptions::new(on).configuration(accounts));
    let url = format!("nats://plain:p@127.0.0.1:{}", server.port());
    let error = connect(&url, &hello()).await.err().unwrap();
    let EngineError::Refused(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("JetStream"), "{text}");
}

/// The subjects that the documentation names, for publishing and for subscribing.
fn documented() -> [Vec<&'static str>; 2] {
    let text = include_str!("../../src/lib.rs");
    ["publish", "subscribe"].map(|right| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("//! - {right}: ")));
        line.unwrap().split('`').skip(1).step_by(2).collect()
    })
}

async fn the_documented_rights_are_enough(on: NatsBinary) {
    let [publish, subscribe] = documented();
    let configuration = format!(
        "authorization {{ users: [ {{ user: app, password: p, permissions: \
         {{ publish: {publish:?}, subscribe: {subscribe:?} }} }} ] }}"
    );
    let server = NatsServer::with(NatsOptions::new(on).configuration(&configuration));
    let nats = NatsEngine::connect(&format!("nats://app:p@127.0.0.1:{}", server.port())).unwrap();
    let mut instance = connect_to(&nats, &hello()).await.unwrap();
    instance.follow("t").await;
    instance.follow_pattern("p.*").await;
    for _ in 0..3 {
        let at = instance.publish("t", "x").await;
        assert_eq!(instance.event().await.at, at);
    }
    instance.mark().await;
    assert_eq!(instance.read("t", 0, 9).await.records.len(), 3);
    assert_eq!(instance.topics(">", 0, 9).await, ["t"]);
    let mut ahead = instance.at;
    ahead.sequence = u64::MAX;
    let anew = connect_to(&nats, &crate::instance::seen(ahead)).await.unwrap();
    assert_ne!(anew.at.epoch, ahead.epoch);
    let other = nats.prefix("other").unwrap();
    // What the server forbids it says beside its answers, sooner or later.
    let error = match connect_to(&other, &hello()).await {
        Ok(mut connected) => connected.lost().await,
        Err(error) => error,
    };
    assert!(matches!(error, EngineError::Refused(_)), "{error:?}");
}

async fn what_is_larger_than_the_server_takes_is_refused(on: NatsBinary) {
    let server = NatsServer::with(NatsOptions::new(on).max_payload(64 * 1024));
    let mut instance = Instance::of(&server).await;
    instance.follow("t").await;
    for size in [64 * 1024 - 10, 64 * 1024, 1024 * 1024] {
        let error = instance.try_publish("t", &Event::binary(vec![0; size])).await.unwrap_err();
        let EngineError::Refused(text) = &error else { panic!("{error:?}") };
        assert!(text.contains("max_payload"), "{text}");
    }
    // The connection is none the worse for it.
    let at = instance.publish("t", &Event::binary(vec![0; 63 * 1024])).await;
    assert_eq!(at.sequence, 1);
    assert_eq!(instance.event().await.at, at);
}

async fn a_stream_of_somebody_else_is_left_alone(on: NatsBinary) {
    let server = NatsServer::start(on);
    let theirs = br#"{"name":"theirs","subjects":["realtime.>"]}"#;
    server.client().ask("$JS.API.STREAM.CREATE.theirs", theirs).unwrap();
    let error = connect(&server.url(), &hello()).await.err().unwrap();
    let EngineError::Refused(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("theirs"), "{text}");
}
