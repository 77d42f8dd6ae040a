//! A client that asks without end and reads nothing.

use std::time::{Duration, Instant};

use realtime_core::Overflow;
use tokio::time::timeout;

use super::{
    Suite,
    lagging::{Lagging, Slow, Transport},
    served,
};
use crate::{
    net::Dial,
    wait,
    ws::{Flood, Frame, Peer, Received},
};

/// Of the answers that are owed only the latest is kept, and when the client reads, it goes on.
pub async fn keeps_one_pong_for_a_client_that_does_not_read(suite: Suite) {
    let served = suite.start_with(|hub| hub.limits(served::unpaced));
    let mut peer = Peer::connect(Dial::to(served.addr()).recv_buffer(4096), "/echo", &[]).await;
    flood_with_pings(&mut peer).await;
    peer.send_text("still here").await;
    peer.expect_text("still here").await;
    peer.reset();
    served.released().await;
}

/// The same when not even a pong can be written, because more waits than the socket takes.
pub async fn keeps_one_pong_behind_events_that_are_not_read(suite: Suite) {
    let mut lagging = Lagging::start(suite, Transport::WebSocket, "drop_oldest").await;
    lagging.fill().await;
    let Slow::WebSocket(mut peer) = lagging.slow else { unreachable!("asked for a WebSocket") };
    flood_with_pings(&mut peer).await;
    peer.reset();
    drop(lagging.fast);
    lagging.served.released().await;
}

/// The write deadline cuts it, and nothing of it is left.
pub async fn cuts_a_client_that_takes_nothing(suite: Suite) {
    let deadline = Duration::from_millis(150);
    let served = suite.start_with(|hub| hub.limits(|limits| limits.write_deadline = deadline));
    let mut peer = Peer::connect(Dial::to(served.addr()).recv_buffer(4096), "/echo", &[]).await;
    let echoes = Frame::binary(vec![7; 60_000]).to_bytes().repeat(300);
    let came = peer.flood(&echoes, 4 * deadline).await;
    assert!(!matches!(came, Flood::Sent), "{came:?}");
    wait::until("the connection is cut", || served.stats().connections_websocket == 0).await;
    served.released().await;
}

/// A client that reads without pause, but slower than what is published, is not taken for one that
/// reads nothing.
pub async fn leaves_a_slow_but_steady_reader_alone(suite: Suite) {
    let deadline = Duration::from_millis(300);
    let served = suite.start_with(|hub| {
        hub.overflow(Overflow::DropOldest).limits(|limits| limits.write_deadline = deadline)
    });
    let dial = Dial::to(served.addr()).recv_buffer(16 * 1024);
    let mut peer = Peer::connect(dial, "/raw?topic=a", &[]).await;
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    let data = "x".repeat(2000);
    let began = Instant::now();
    while began.elapsed() < 5 * deadline {
        for _ in 0..20 {
            served.publish("a", &data).await;
        }
        pace.tick().await;
        assert!(matches!(peer.recv().await, Received::Text(_)));
    }
    served.publish("a", "the end").await;
    loop {
        match peer.recv().await {
            Received::Text(text) if text == "the end" => break,
            Received::Text(_) => {}
            other => panic!("it was cut: {other}"),
        }
    }
    assert_eq!(served.stats().slow_disconnects, 0);
    peer.reset();
    served.released().await;
}

/// Sends pings without reading, then reads up to the pong to the last.
async fn flood_with_pings(peer: &mut Peer) {
    let ping = |number| Frame::ping(format!("{number:0>125}")).to_bytes();
    let pings: Vec<u8> = (0..PINGS).flat_map(ping).collect();
    let (mut written, mut pongs) = (0, 0);
    loop {
        match peer.flood(&pings[written..], PATIENCE).await {
            Flood::Sent => break,
            // It reads no more before it has written, which bounds it as well.
            Flood::Blocked(more) => written += more,
            Flood::Closed(more) => panic!("closed after {} bytes", written + more),
        }
        for _ in 0..100 {
            // Or it was only slow, and has nothing more to say.
            let Ok(answered) = timeout(PATIENCE, pong(peer)).await else { break };
            pongs += usize::from(answered.is_some());
        }
    }
    loop {
        let answered = pong(peer).await;
        pongs += usize::from(answered.is_some());
        if answered == Some(PINGS - 1) {
            break;
        }
    }
    assert!(pongs < PINGS / 2, "{pongs} pongs to {PINGS} pings were kept");
}

/// The number of the ping that is answered next, `None` for a message.
async fn pong(peer: &mut Peer) -> Option<usize> {
    match peer.recv().await {
        Received::Pong(payload) => {
            Some(str::from_utf8(&payload).expect("text").parse().expect("the number of a ping"))
        }
        Received::Text(_) => None,
        other => panic!("expected a pong, got {other}"),
    }
}

const PINGS: usize = 100_000;
const PATIENCE: Duration = Duration::from_millis(500);
