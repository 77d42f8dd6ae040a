//! Sockets that the framework has made.

use super::{Suite, served};

/// Events like on a connection of ours, and the handler's answers between them.
pub async fn delivers_and_echoes(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/attached?topic=a&topic=b").await;
    served::ready(&mut peer).await;
    let mut ours = served.ws("/ws?topic=a&topic=b").await;
    served::ready(&mut ours).await;
    for number in 0..50 {
        let text = number.to_string();
        served.publish(["a", "b"][number % 2], &text).await;
        let id = served::event(&mut peer, &text).await;
        assert_eq!(served::event(&mut ours, &text).await, id);
    }
    peer.send_text("größe").await;
    peer.expect_text("größe").await;
    peer.send_binary(&[0, 255]).await;
    peer.expect_binary(&[0, 255]).await;
    peer.send_ping(b"payload").await;
    peer.expect_pong(b"payload").await;
}

/// The codes are those of a connection of ours.
pub async fn closes_as_the_handler_ends(suite: Suite) {
    let served = suite.start();
    for (command, code, reason) in [
        ("done", 1000, ""),
        ("error", 1011, "internal error"),
        ("panic", 1011, "internal error"),
        ("close4404", 4404, "no such room"),
    ] {
        let mut peer = served.ws("/attached").await;
        peer.send_text("first").await;
        peer.expect_text("first").await;
        peer.send_text(command).await;
        assert_eq!(peer.expect_close(code).await, reason, "{command}");
        peer.send_close(code, "").await;
        // A framework may have closed TCP without waiting for this answer; then it is reset.
        peer.expect_end().await;
    }
    served.released().await;
}

/// A code comes back, and then FIN.
pub async fn answers_the_clients_close(suite: Suite) {
    let served = suite.start();
    for code in [1000, 3000] {
        let mut peer = served.ws("/attached?topic=a").await;
        served::ready(&mut peer).await;
        peer.send_close(code, "bye").await;
        peer.expect_close(code).await;
        peer.expect_eof().await;
    }
    served.released().await;
}

/// It takes one of the hub's places, and gives it back however it ends.
pub async fn counts_and_releases(suite: Suite) {
    let served = suite.start_with(|hub| hub.limits(|limits| limits.connections = 2));
    for _ in 0..3 {
        let one = served.ws("/attached?topic=a").await;
        let mut two = served.ws("/attached").await;
        two.send_text("here").await;
        two.expect_text("here").await;
        crate::wait::until("both count", || served.stats().connections_websocket == 2).await;
        served.refused(503, &served.handshake("/ws?topic=a")).await;
        one.reset();
        two.close_fin().await;
        served.released().await;
    }
}
