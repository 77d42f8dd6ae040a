//! The example that everybody writes first.

use super::{Suite, served};

/// What one says, all get: who said it, another WebSocket, and an event stream.
pub async fn reaches_every_member_on_both_transports(suite: Suite) {
    let served = suite.start();
    let mut alice = served.ws("/chat").await;
    let mut bob = served.ws("/chat").await;
    let mut reader = served.sse("/events?topic=chat").await;
    let mut raw = served.ws("/raw?topic=chat").await;
    served::ready(&mut alice).await;
    served::ready(&mut bob).await;

    alice.send_text("hello").await;
    for peer in [&mut alice, &mut bob] {
        served::event(peer, "hello").await;
    }
    bob.send_text("hi, alice").await;
    for peer in [&mut alice, &mut bob] {
        served::event(peer, "hi, alice").await;
    }
    for text in ["hello", "hi, alice"] {
        assert_eq!(reader.expect_event().await.data, text);
        raw.expect_text(text).await;
    }
    served.publish("chat", "from the server").await;
    served::event(&mut alice, "from the server").await;
    served::event(&mut bob, "from the server").await;
    assert_eq!(reader.expect_event().await.data, "from the server");
    raw.expect_text("from the server").await;

    let stats = served.stats();
    assert_eq!((stats.published, stats.messages_received), (3, 2));
    assert_eq!((stats.connections_sse, stats.connections_websocket), (1, 3));
    for peer in [&mut alice, &mut bob, &mut raw] {
        peer.send_close(1000, "bye").await;
        peer.expect_close(1000).await;
    }
    reader.close().await;
    served.released().await;
    assert_eq!(served.stats().delivered, 12, "3 events to 4 members");
}

/// A small write does not wait until the client has acknowledged the one before, which it puts off
/// for 40 ms when it has just sent something itself.
pub async fn is_not_held_back(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/chat").await;
    served::ready(&mut peer).await;
    served::promptly("a dialogue of small messages", async || {
        served::timed(async {
            for _ in 0..20 {
                peer.send_text("question").await;
                served::event(&mut peer, "question").await;
                served.publish("chat", "answer").await;
                served::event(&mut peer, "answer").await;
            }
        })
        .await
    })
    .await;
}
