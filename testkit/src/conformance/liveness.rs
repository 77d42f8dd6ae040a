//! Pings, pongs and heartbeats.

use std::time::Duration;

use super::Suite;
use crate::ws::Received;

/// Whatever it holds, up to the longest.
pub async fn answers_pings_with_their_payload(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/ws?topic=a").await;
    super::served::ready(&mut peer).await;
    for payload in [&b""[..], b"x", &[0xff; 125]] {
        peer.send_ping(payload).await;
        peer.expect_pong(payload).await;
    }
}

/// RFC 6455 §5.5.3 calls it a heartbeat of the client's own.
pub async fn takes_a_pong_that_nobody_asked_for(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/echo").await;
    peer.send_pong(b"").await;
    peer.send_pong(b"unasked").await;
    peer.send_text("still here").await;
    peer.expect_text("still here").await;
}

/// Again and again while it answers, whatever it answers with.
pub async fn pings_a_silent_client(suite: Suite) {
    let served = suite.start_with(|hub| {
        hub.websocket(|ws| {
            ws.ping_interval = SHORT;
            ws.pong_deadline = Duration::from_secs(5);
        })
    });
    let mut peer = served.ws("/echo").await;
    for _ in 0..3 {
        let payload = peer.expect_ping().await;
        peer.send_pong(&payload).await;
    }
    peer.expect_ping().await;
    peer.send_text("any frame is life").await;
    peer.expect_text("any frame is life").await;
    peer.expect_ping().await;
}

/// The peer has vanished without a FIN, as far as anybody can tell.
pub async fn ends_a_connection_without_a_pong(suite: Suite) {
    let served = suite.start_with(|hub| {
        hub.websocket(|ws| {
            ws.ping_interval = SHORT;
            ws.pong_deadline = SHORT;
        })
    });
    let mut peer = served.ws("/ws?topic=a").await;
    super::served::ready(&mut peer).await;
    peer.expect_ping().await;
    let end = peer.expect_end().await;
    assert!(matches!(end, Received::Eof | Received::Reset), "{end}");
    served.released().await;
}

/// A comment, which no client shows and every proxy counts.
pub async fn sends_heartbeats_on_a_silent_stream(suite: Suite) {
    let served = suite.start_with(|hub| hub.sse(|sse| sse.heartbeat = SHORT));
    let mut client = served.sse("/events?topic=a").await;
    client.read_until(|body| body.ends_with(b"\n\n:\n\n:\n\n:\n\n")).await;
    assert_eq!(client.take_events(), []);
    served.publish("a", "after them").await;
    assert_eq!(client.expect_event().await.data, "after them");
}

const SHORT: Duration = Duration::from_millis(30);
