//! Who closes with which code, and that TCP is closed after it.

use std::time::{Duration, Instant};

use super::{Suite, served};
use crate::ws::{Peer, Received};

/// The code comes back, and then FIN at once: a second of delay is a second for each reload of each
/// page.
pub async fn echoes_the_clients_code_and_closes_tcp(suite: Suite) {
    let served = suite.start();
    for code in [Some(1000), Some(3000), Some(4999), None] {
        served::promptly("FIN after the client's close", async || {
            let mut peer = served.ws("/echo").await;
            peer.send_text("before").await;
            peer.expect_text("before").await;
            match code {
                Some(code) => peer.send_close(code, "bye").await,
                None => peer.send_empty_close().await,
            }
            let answer = served::timed(async {
                let answer = peer.recv().await;
                let answered = match &answer {
                    Received::Close(frame) => frame.as_ref().map(|(code, _)| *code),
                    other => panic!("expected a close, got {other}"),
                };
                assert_eq!(answered, code);
                peer.expect_eof().await;
            });
            answer.await
        })
        .await;
    }
    served.released().await;
}

/// 1000 when it returns.
pub async fn closes_when_the_handler_is_done(suite: Suite) {
    let served = suite.start();
    served::promptly("FIN after the handler's end", async || {
        let mut peer = served.ws("/done").await;
        let began = Instant::now();
        peer.expect_close(1000).await;
        ends_after_our_answer(&mut peer, 1000).await;
        began.elapsed()
    })
    .await;
    served.released().await;
}

/// 4404 and its reason.
pub async fn closes_with_the_handlers_code(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/close4404").await;
    peer.send_text("now").await;
    assert_eq!(peer.expect_close(4404).await, "no such room");
    ends_after_our_answer(&mut peer, 4404).await;
}

/// 1011, and nothing of the error's text.
pub async fn tells_a_failed_handler(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/error").await;
    peer.send_text("now").await;
    let reason = peer.expect_close(1011).await;
    assert!(!reason.contains("asked"), "the client is told {reason:?}");
    ends_after_our_answer(&mut peer, 1011).await;
}

/// 1011 for the one, nothing for the others.
pub async fn outlives_a_panicking_handler(suite: Suite) {
    let served = suite.start();
    let mut other = served.ws("/echo").await;
    let mut stream = served.sse("/events?topic=a").await;
    for _ in 0..3 {
        let mut peer = served.ws("/panic").await;
        peer.send_text("now").await;
        peer.expect_close(1011).await;
        ends_after_our_answer(&mut peer, 1011).await;
    }
    other.send_text("still here").await;
    other.expect_text("still here").await;
    served.publish("a", "still here").await;
    assert_eq!(stream.expect_event().await.data, "still here");
    drop((other, stream));
    served.released().await;
}

/// After the deadline the connection ends without the client.
pub async fn gives_up_on_a_close_without_an_answer(suite: Suite) {
    let deadline = Duration::from_millis(100);
    let served = suite.start_with(|hub| hub.websocket(|ws| ws.close_deadline = deadline));
    let mut peer = served.ws("/done").await;
    let began = Instant::now();
    peer.expect_close(1000).await;
    peer.expect_end().await;
    assert!(began.elapsed() < 20 * deadline, "took {:?}", began.elapsed());
    served.released().await;
}

async fn ends_after_our_answer(peer: &mut Peer, code: u16) {
    peer.send_close(code, "").await;
    peer.expect_eof().await;
}
