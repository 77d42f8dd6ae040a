//! What events look like in WebSocket messages.

use realtime_core::Event;
use serde_json::json;

use super::Suite;

/// Character for character what `golden/messages.jsonl` says.
pub async fn match_the_golden_messages(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/ws?topic=golden").await;
    let mut epoch = 0;
    for event in events() {
        epoch = served.publish_event("golden", event).await.epoch();
    }
    for line in MESSAGES.lines() {
        peer.expect_text(&line.replace("{epoch}", &format!("{epoch:x}"))).await;
    }
    peer.send_ping(b"nothing else came").await;
    peer.expect_pong(b"nothing else came").await;
}

/// Text as text, bytes as bytes, and nothing about where the connection starts.
pub async fn carry_raw_data(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/raw?topic=a").await;
    for event in events() {
        served.publish_event("a", event).await;
    }
    for text in ["one line", "", "\"x\"\ny", r#"{"a":[1,null],"b":"c\nd"}"#] {
        peer.expect_text(text).await;
    }
    peer.expect_binary(b"\x00\xff\n").await;
    peer.expect_text("with a key").await;
}

fn events() -> [Event; 6] {
    let named = |name: &str, event: Event| event.named(name).expect("a name");
    [
        Event::text("one line"),
        Event::text(""),
        named("größe µ", Event::text("\"x\"\ny")),
        Event::json(&json!({ "a": [1, null], "b": "c\nd" })).expect("JSON"),
        Event::binary(&b"\x00\xff\n"[..]),
        named("tick", Event::text("with a key").keyed("key").expect("a key")),
    ]
}

const MESSAGES: &str = include_str!("../../golden/messages.jsonl");
