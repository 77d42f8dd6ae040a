//! TCP connections, before and beside what they are used for.

use std::{io, net::Ipv4Addr, time::Duration};

use realtime_core::{HubBuilder, Limits, TrustedProxies};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout_at,
};

use super::{Served, Suite, served::unthrottled};
use crate::{
    deadline::deadline,
    net::{Dial, is_reset},
    wait,
    ws::Peer,
};

/// So many silent ones stay, the rest are closed at once and without an answer, and whoever comes
/// from elsewhere gets in. Once they have gone nothing is left of them.
pub async fn of_an_address_are_so_many(suite: Suite) {
    let served = with_sockets(suite, 64, |limits| limits.spare_sockets_per_ip = 236);
    let mut silent = Vec::new();
    for _ in 0..HELD {
        silent.push(connect(served.addr().into()).await);
    }
    let mut too_many = Vec::new();
    for _ in 0..TOO_MANY {
        too_many.push(Dial::to(served.addr()).connect().await);
    }
    for connected in too_many {
        refused(connected).await;
    }
    let stats = served.stats();
    assert_eq!((stats.sockets, stats.sockets_refused), (HELD as u64, TOO_MANY as u64));
    let mut other = Peer::connect(served.from(OTHER), "/echo", &[]).await;
    other.send_text("here").await;
    other.expect_text("here").await;
    // Those that stayed are served, when at last they ask.
    let mut first = silent.swap_remove(0);
    let request = served.request("/events?topic=a").bytes();
    first.write_all(&request).await.expect("sent");
    answered(&mut first).await;
    // A place is free as soon as somebody leaves.
    drop(silent.pop());
    wait::until("a place is free", || served.stats().sockets == HELD as u64 - 1).await;
    let mut again = connect(served.addr().into()).await;
    again.write_all(&request).await.expect("sent");
    answered(&mut again).await;
    drop((silent, first, again, other));
    gone(&served).await;
    drop(served.ws("/ws?topic=a").await);
    gone(&served).await;
}

/// A proxy's connections are its clients', of which its address says nothing: they count in all.
pub async fn of_a_proxy_are_limited_in_all(suite: Suite) {
    let served = suite.start_with(|hub| {
        let proxies = TrustedProxies::new(["127.0.0.1"]).expect("an address");
        sockets(hub, 2, |limits| {
            limits.connections = 50;
            limits.spare_sockets = 50;
            limits.spare_sockets_per_ip = 0;
        })
        .trusted_proxies(proxies)
    });
    let mut held = Vec::new();
    for _ in 0..90 {
        held.push(connect(served.addr().into()).await);
    }
    for address in [OTHER, Ipv4Addr::new(127, 0, 0, 3)] {
        for _ in 0..2 {
            held.push(connect(served.from(address)).await);
        }
        refused(served.from(address).connect().await).await;
    }
    for _ in 0..6 {
        held.push(connect(served.addr().into()).await);
    }
    for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 4)] {
        refused(served.from(address).connect().await).await;
    }
    assert_eq!((served.stats().sockets, served.stats().sockets_refused), (100, 4));
    drop(held);
    gone(&served).await;
}

/// A WebSocket is no longer HTTP: it counts as a connection, and takes no socket's place.
pub async fn that_are_websockets_count_as_such(suite: Suite) {
    let served = with_sockets(suite, 20, |limits| limits.spare_sockets_per_ip = 0);
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(served.ws("/echo").await);
    }
    wait::until("they are upgraded", || served.stats().sockets == 0).await;
    assert_eq!(served.stats().connections_websocket, 20);
    served.refused(429, &served.handshake("/echo")).await;
    let stream = Peer::connect(served.from(OTHER), "/echo", &[]).await;
    drop((peers, stream));
    gone(&served).await;
    let stream = served.sse("/events?topic=a").await;
    assert_eq!((served.stats().sockets, served.stats().connections_sse), (1, 1));
    drop(stream);
    gone(&served).await;
}

/// Another host of the loopback interface.
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// 64 connections and 236 more.
const HELD: usize = 300;
const TOO_MANY: usize = 400;

fn with_sockets(suite: Suite, connections: u32, change: impl FnOnce(&mut Limits)) -> Served {
    suite.start_with(|hub| sockets(hub, connections, change))
}

/// Nobody is cut for being silent.
fn sockets(hub: HubBuilder, connections: u32, change: impl FnOnce(&mut Limits)) -> HubBuilder {
    hub.limits(|limits| {
        unthrottled(limits);
        limits.header_deadline = Duration::from_secs(600);
        limits.connections_per_ip = connections;
        change(limits);
    })
}

async fn connect(dial: Dial) -> TcpStream {
    dial.connect().await.expect("a connection")
}

/// The connection ends without an answer, perhaps before it is noticed that it was there.
async fn refused(connected: io::Result<TcpStream>) {
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error) => return assert!(is_reset(&error), "{error}"),
    };
    let mut seen = Vec::new();
    let ended = timeout_at(deadline(), stream.read_to_end(&mut seen)).await;
    assert!(ended.is_ok(), "one too many is still open");
    assert_eq!(seen, b"");
}

async fn answered(stream: &mut TcpStream) {
    let mut head = [0; 15];
    let read = timeout_at(deadline(), stream.read_exact(&mut head)).await;
    read.expect("an answer in time").expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 200 OK");
}

async fn gone(served: &Served) {
    served.untouched().await;
    wait::until("all sockets are gone", || served.stats().sockets == 0).await;
}
