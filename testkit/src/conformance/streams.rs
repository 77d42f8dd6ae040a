//! What an event stream looks like on the wire.

use realtime_core::Event;
use serde_json::json;

use super::{Served, Suite};
use crate::http::Request;

/// The whole first block is there though nothing is published: proxies flush, and the client can
/// resume.
pub async fn start_with_their_bytes_before_any_event(suite: Suite) {
    let served = suite.start();
    let position = served.publish("a", "before").await;
    let mut client = served.sse("/events?topic=a").await;
    client.read_until(|body| body.ends_with(b"\n\n")).await;
    assert_eq!(client.last_event_id(), position.to_string());
    let retry = client.retry().expect("a reconnection time");
    assert!((1_500..=4_500).contains(&retry), "{retry} is not around 3 s");
    assert_eq!(client.take_events(), []);

    let mut retries = vec![retry];
    for _ in 0..5 {
        let mut client = served.sse("/events?topic=a").await;
        client.read_until(|body| body.ends_with(b"\n\n")).await;
        retries.extend(client.retry());
    }
    retries.dedup();
    assert!(retries.len() > 1, "all clients would come back together, after {retries:?}");
}

/// Byte for byte what `golden/stream.sse` says.
pub async fn match_the_golden_bytes(suite: Suite) {
    let served = suite.start();
    let mut client = served.sse("/events?topic=golden").await;
    let epoch = publish_golden(&served).await;
    // It ends with the last event's block.
    client.read_until(|body| body.ends_with(b"data: with a key\n\n")).await;
    let retry = client.retry().expect("a reconnection time");
    let expected = STREAM.replace("{epoch}", &format!("{epoch:x}"));
    let expected = expected.replace("{retry}", &retry.to_string());
    assert_eq!(String::from_utf8_lossy(client.raw_body()), expected);
}

/// Header by header what `HEAD` says, but for the date.
pub async fn match_the_golden_head(suite: Suite) {
    let served = suite.start();
    let client = served.sse("/events?topic=a").await;
    let mut head: Vec<_> = client
        .headers
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
        .collect();
    head.sort();
    let head: Vec<_> = head.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(head, HEAD);
}

/// 405, and which one is allowed.
pub async fn refuse_every_method_but_get(suite: Suite) {
    let served = suite.start();
    for method in ["POST", "HEAD", "PUT"] {
        let request = Request::get("/events?topic=a").header("Host", "localhost").method(method);
        let response = served.refused(405, &request.header("Content-Length", "0")).await;
        assert_eq!(response.header("allow"), Some("GET"), "{method}: {response:?}");
    }
    assert_eq!(served.stats().connections_sse, 0);
}

async fn publish_golden(served: &Served) -> u64 {
    let named = |name: &str, event: Event| event.named(name).expect("a name");
    let mut epoch = 0;
    for event in [
        Event::text("one line"),
        Event::text(""),
        Event::text(" a space, and one after "),
        Event::text("first\nsecond\r\nthird\rfourth\n"),
        Event::text("no line ends: \u{b} \u{c} \u{85} \u{2028}, größe, 🦀"),
        named("tick", Event::text("data: 1\n:2\nid: 3")),
        named("größe µ", Event::text("x")),
        Event::json(&json!({ "a": [1, null], "b": "c\nd" })).expect("JSON"),
        Event::binary(&b"\x00\xff\n"[..]),
        Event::text("with a key").keyed("key").expect("a key"),
    ] {
        epoch = served.publish_event("golden", event).await.epoch();
    }
    epoch
}

const STREAM: &str = include_str!("../../golden/stream.sse");

const HEAD: [(&str, &str); 6] = [
    ("cache-control", "no-store, no-transform"),
    ("content-encoding", "identity"),
    ("content-type", "text/event-stream"),
    ("transfer-encoding", "chunked"),
    ("vary", "origin"),
    ("x-accel-buffering", "no"),
];
