//! What `on_close` tells: once, by what the connection has ended, whatever that is.

use std::time::Duration;

use realtime_core::{HubBuilder, Overflow, ws::CloseCause};
use tokio::io::AsyncWriteExt as _;

use super::{Served, Suite, endings::Endings, identity, served, served::unthrottled};
use crate::{
    http::{End, Request},
    net::{self, Dial},
    sse::Client,
    wait,
    ws::Peer,
};

/// By a Close of its own with what it said, by FIN or by RST.
pub async fn tells_how_clients_went(suite: Suite) {
    let served = suite.start();
    let (mut peer, ends) = websocket(&served).await;
    peer.send_close(4000, "enough").await;
    let CloseCause::Peer(Some(frame)) = ends.one().await else { panic!("{:?}", ends.causes()) };
    assert_eq!((frame.code.to_string().as_str(), frame.reason.as_str()), ("4000", "enough"));
    let (mut peer, ends) = websocket(&served).await;
    peer.close_fin().await;
    assert_eq!(ends.one().await, CloseCause::Vanished);
    let (peer, ends) = websocket(&served).await;
    peer.reset();
    assert_eq!(ends.one().await, CloseCause::Vanished);
    let (client, ends) = stream(&served).await;
    client.close().await;
    assert_eq!(ends.one().await, CloseCause::Vanished);
    let (client, ends) = stream(&served).await;
    client.reset();
    assert_eq!(ends.one().await, CloseCause::Vanished);
    served.released().await;
}

/// That it is done, has failed, has panicked, or has chosen a code.
pub async fn tells_what_handlers_did(suite: Suite) {
    let served = suite.start();
    let told = [
        ("done", 1000, "done"),
        ("error", 1011, "handler_failed"),
        ("panic", 1011, "handler_failed"),
        ("close4404", 4404, "handler"),
    ];
    for (command, code, cause) in told {
        let (mut peer, ends) = websocket(&served).await;
        peer.send_text(command).await;
        peer.expect_close(code).await;
        assert_eq!(ends.causes(), [], "{command}: it has not ended");
        peer.send_close(code, "").await;
        assert_eq!(ends.one().await.as_str(), cause, "{command}");
    }
    served.released().await;
}

/// That they lagged, or that they took nothing; a stream's, too, while the framework sits on it.
pub async fn tells_of_slow_clients(suite: Suite) {
    let lags = start(suite, |hub| hub.overflow(Overflow::Disconnect));
    for (route, transport) in [("/ended-ws", Transport::WebSocket), ("/ended", Transport::Stream)] {
        let (stalled, ends) = stalled(&lags, route).await;
        publish_until(&lags, &ends).await;
        assert_eq!(ends.one().await, CloseCause::SlowConsumer, "{transport:?}");
        drop(stalled);
    }
    let stalls = start(suite, |hub| {
        hub.overflow(Overflow::DropOldest).limits(|limits| limits.stall_deadline = SHORT)
    });
    let (client, ends) = stalled(&stalls, "/ended").await;
    publish_until(&stalls, &ends).await;
    assert_eq!(ends.one().await, CloseCause::WriteDeadline);
    drop(client);
    let silent = start(suite, |hub| {
        hub.websocket(|websocket| {
            websocket.ping_interval = SHORT;
            websocket.pong_deadline = SHORT;
        })
    });
    let (_peer, ends) = websocket(&silent).await;
    assert_eq!(ends.one().await, CloseCause::PongDeadline);
}

/// What the application said at that, or that nobody has refreshed it.
pub async fn tells_of_what_was_revoked_or_expired(suite: Suite) {
    let served = identity::served(suite, identity::all_ways());
    let (streams, websockets) = (Endings::new(), Endings::new());
    let mut client = identity::sse_of(&served, "alice", &streams.path("/ended")).await;
    client.read_until(|body| body.ends_with(b"\n\n")).await;
    let mut peer = identity::ws_of(&served, "alice", &websockets.path("/ended-ws")).await;
    served::ready(&mut peer).await;
    assert_eq!(served.hub().disconnect("alice", "signed out"), 2);
    peer.expect_close(4401).await;
    peer.send_close(4401, "").await;
    client.read_to_end().await;
    for ends in [&streams, &websockets] {
        assert_eq!(ends.one().await, CloseCause::Revoked("signed out".into()));
    }
    let (streams, websockets) = (Endings::new(), Endings::new());
    let soon = |request: Request| identity::Way::Bearer.present(request, &identity::soon("bob"));
    let mut client = served.stream(&soon(served.request(&streams.path("/ended")))).await;
    let mut peer = served.open(&soon(served.handshake(&websockets.path("/ended-ws")))).await;
    served::ready(&mut peer).await;
    peer.expect_close(4401).await;
    peer.send_close(4401, "").await;
    client.read_to_end().await;
    for ends in [&streams, &websockets] {
        assert_eq!(ends.one().await, CloseCause::Expired);
    }
    served.released().await;
}

/// That it is too old, or was idle.
pub async fn tells_of_what_lasted_too_long(suite: Suite) {
    let old = start(suite, |hub| hub.limits(|limits| limits.max_age = SHORT));
    let idle = start(suite, |hub| hub.limits(|limits| limits.idle_timeout = SHORT));
    for (served, cause) in [(&old, CloseCause::MaxAge), (&idle, CloseCause::Idle)] {
        let (mut peer, ends) = websocket(served).await;
        peer.expect_close(1001).await;
        peer.send_close(1001, "").await;
        assert_eq!(ends.one().await, cause);
        let (mut client, ends) = stream(served).await;
        client.read_to_end().await;
        assert_eq!(ends.one().await, cause);
        served.released().await;
    }
}

/// With the time that each client was told, and by the time the drain is over.
pub async fn tells_of_a_drain(suite: Suite) {
    let mut served = suite.start_with(|hub| hub.drain(|drain| drain.deadline = LONG));
    let (mut peer, websockets) = websocket(&served).await;
    let (mut client, streams) = stream(&served).await;
    served.stop();
    let reason = peer.expect_close(1012).await;
    peer.send_close(1012, "").await;
    client.read_to_end().await;
    let report = served.hub().drain().await;
    assert_eq!((report.closed, report.forced), (2, 0));
    let CloseCause::Draining { retry } = websockets.one().await else {
        panic!("{:?}", websockets.causes())
    };
    assert_eq!(reason, format!("retry={}", retry.as_millis()));
    assert!(matches!(streams.one().await, CloseCause::Draining { .. }));
    served.stopped().await;
    drop(served);
    assert_eq!((websockets.causes().len(), streams.causes().len()), (1, 1));
}

/// The same, of those who don't go.
pub async fn tells_of_who_is_cut_by_a_drain(suite: Suite) {
    let mut served = start(suite, |hub| {
        hub.overflow(Overflow::DropOldest).drain(|drain| drain.deadline = SHORT)
    });
    let (_peer, websockets) = websocket(&served).await;
    let (_stalled, streams) = stalled(&served, "/ended").await;
    wait::until_async("the client lags", async || {
        served.publish("a", &"x".repeat(2_000)).await;
        served.stats().max_lag > 64
    })
    .await;
    served.stop();
    assert_eq!(served.hub().drain().await.forced, 2);
    served.stopped().await;
    drop(served);
    for ends in [websockets, streams] {
        assert!(matches!(ends.one().await, CloseCause::Draining { .. }), "{:?}", ends.causes());
    }
}

/// Of a request whose client has gone before it was answered as much as of any other, when there was a
/// connection, and nothing when there was none.
pub async fn tells_of_requests_that_are_aborted(suite: Suite) {
    let served = suite.start_with(|hub| hub.limits(unthrottled));
    let (streams, websockets) = (Endings::new(), Endings::new());
    let requests =
        [served.request(&streams.path("/ended")), served.handshake(&websockets.path("/ended-ws"))];
    for request in requests.iter().cycle().take(200) {
        let mut client = Dial::to(served.addr()).connect().await.expect("a connection");
        client.write_all(&request.bytes()).await.expect("sent");
        net::reset(client);
    }
    // Connections that were gone before they were accepted are taken before this one is.
    websocket(&served).await.0.reset();
    served.released().await;
    for ends in [&streams, &websockets] {
        wait::until("each is told", || ends.causes().len() >= ends.begun()).await;
        let causes = ends.causes();
        assert_eq!(causes.len(), ends.begun());
        assert!(causes.iter().all(|cause| *cause == CloseCause::Vanished), "{causes:?}");
    }
}

/// With its runtime: nothing is left, and nobody was told anything.
pub async fn tells_of_a_server_that_is_dropped(suite: Suite) {
    let mut served = suite.start();
    let (mut peer, websockets) = websocket(&served).await;
    let (mut client, streams) = stream(&served).await;
    served.stop();
    served.stopped().await;
    for ends in [&websockets, &streams] {
        assert_eq!(ends.one().await, CloseCause::Vanished);
    }
    served.released().await;
    assert!(!served.hub().is_draining());
    peer.expect_end().await;
    assert_ne!(client.read_to_end().await, End::Clean);
    drop(served);
    assert_eq!((websockets.causes().len(), streams.causes().len()), (1, 1));
}

#[derive(Debug)]
enum Transport {
    WebSocket,
    Stream,
}

/// A server of which nothing but what `configure` says ends a connection.
fn start(suite: Suite, configure: impl FnOnce(HubBuilder) -> HubBuilder) -> Served {
    suite.start_with(|hub| {
        configure(hub.limits(|limits| {
            limits.stall_deadline = LONG;
            limits.write_deadline = LONG;
        }))
    })
}

async fn websocket(served: &Served) -> (Peer, Endings) {
    let ends = Endings::new();
    let mut peer = served.ws(&ends.path("/ended-ws")).await;
    served::ready(&mut peer).await;
    (peer, ends)
}

async fn stream(served: &Served) -> (Client, Endings) {
    let ends = Endings::new();
    let mut client = served.sse(&ends.path("/ended")).await;
    client.read_until(|body| body.ends_with(b"\n\n")).await;
    (client, ends)
}

/// Asks for a connection, of which nothing more is read than that it is there.
async fn stalled(served: &Served, route: &str) -> (tokio::net::TcpStream, Endings) {
    let ends = Endings::new();
    let path = ends.path(route);
    let request =
        if route == "/ended-ws" { served.handshake(&path) } else { served.request(&path) };
    let dial = Dial::to(served.addr()).recv_buffer(4096);
    let before = served.stats().subscriptions;
    let mut client = dial.connect().await.expect("a connection");
    client.write_all(&request.bytes()).await.expect("sent");
    wait::until("it is there", || served.stats().subscriptions > before).await;
    (client, ends)
}

/// Publishes without end until an end is told.
async fn publish_until(served: &Served, ends: &Endings) {
    wait::until_async("the end is told", async || {
        for _ in 0..20 {
            served.publish("a", &"x".repeat(2_000)).await;
        }
        !ends.causes().is_empty()
    })
    .await;
    served.released().await;
}

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(8);
