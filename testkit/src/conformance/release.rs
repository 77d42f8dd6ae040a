//! A client that is gone holds nothing, however it went.

use std::time::Duration;

use super::{
    Served, Suite,
    lagging::{Lagging, Slow, Transport},
    served,
};
use crate::{
    sse::Client,
    wait,
    ws::{Frame, Peer},
};

/// Noticed though nothing is sent.
pub async fn after_fin_of_an_idle_client(suite: Suite) {
    let served = suite.start();
    for _ in 0..3 {
        let client = open_stream(&served).await;
        let mut peer = served.ws("/ws?topic=a").await;
        client.close().await;
        peer.close_fin().await;
        let after = served::timed(served.released()).await;
        assert!(after < Duration::from_secs(2), "took {after:?}");
    }
}

/// Noticed though nothing is sent.
pub async fn after_reset_of_an_idle_client(suite: Suite) {
    let served = suite.start();
    for _ in 0..3 {
        open_stream(&served).await.reset();
        served.ws("/ws?topic=a").await.reset();
        let after = served::timed(served.released()).await;
        assert!(after < Duration::from_secs(2), "took {after:?}");
    }
}

/// With events under way.
pub async fn after_fin_in_the_middle_of_a_stream(suite: Suite) {
    vanish_while_publishing(suite, async |client, mut peer| {
        client.close().await;
        peer.close_fin().await;
    })
    .await;
}

/// With events under way.
pub async fn after_reset_in_the_middle_of_a_stream(suite: Suite) {
    vanish_while_publishing(suite, async |client, peer| {
        client.reset();
        peer.reset();
    })
    .await;
}

/// With more waiting than the sockets hold.
pub async fn after_reset_of_a_client_that_did_not_read(suite: Suite) {
    vanish_while_blocked(suite, true).await;
}

/// With more waiting than the sockets hold.
pub async fn after_fin_of_a_client_that_did_not_read(suite: Suite) {
    vanish_while_blocked(suite, false).await;
}

/// Its handler stands in the middle of a message, of a send, of nothing.
pub async fn after_a_handler_was_cut(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/echo").await;
    peer.send_frame(Frame::text("half a mess").fin(false)).await;
    peer.close_fin().await;
    let mut peer = served.ws("/topics").await;
    peer.send_text("+a").await;
    peer.expect_text("+a").await;
    peer.reset();
    let mut peer = served.ws("/chat").await;
    peer.send_text("to whom?").await;
    drop(peer);
    let mut peer = served.ws("/echo").await;
    let echoes = Frame::binary(vec![7; 60_000]).to_bytes().repeat(300);
    peer.flood(&echoes, Duration::from_millis(100)).await;
    peer.reset();
    served.released().await;
}

async fn vanish_while_publishing(suite: Suite, vanish: impl AsyncFnOnce(Client, Peer)) {
    let served = suite.start();
    let mut client = open_stream(&served).await;
    let mut peer = served.ws("/raw?topic=a").await;
    let publishing = async {
        loop {
            served.publish("a", "on and on").await;
            tokio::time::sleep(BETWEEN_EVENTS).await;
        }
    };
    let vanishing = async {
        assert_eq!(client.expect_event().await.data, "on and on");
        peer.expect_text("on and on").await;
        vanish(client, peer).await;
        served.released().await;
    };
    tokio::select! {
        () = publishing => {}
        () = vanishing => {}
    }
}

async fn vanish_while_blocked(suite: Suite, reset: bool) {
    for transport in [Transport::Sse, Transport::WebSocket] {
        let mut lagging = Lagging::start(suite, transport, "drop_oldest").await;
        lagging.fill().await;
        match lagging.slow {
            Slow::Sse(client) if reset => client.reset(),
            Slow::Sse(client) => client.close().await,
            Slow::WebSocket(peer) if reset => peer.reset(),
            Slow::WebSocket(mut peer) => peer.close_fin().await,
        }
        wait::until("only the client that reads is left", || {
            let stats = lagging.served.stats();
            (stats.connections_sse, stats.connections_websocket, stats.subscriptions) == (0, 1, 1)
        })
        .await;
        drop(lagging.fast);
        lagging.served.released().await;
    }
}

async fn open_stream(served: &Served) -> Client {
    let mut client = served.sse("/events?topic=a").await;
    client.read_until(|body| body.ends_with(b"\n\n")).await;
    client
}

const BETWEEN_EVENTS: Duration = Duration::from_millis(1);
