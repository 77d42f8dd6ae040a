//! A client that stops reading, while the framework sits on what it was given to write.

use std::time::{Duration, Instant};

use realtime_core::{HubBuilder, HubStats, Limits, Overflow};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Served, Suite, served};
use crate::{
    http::{End, Request},
    net::Dial,
    sse::Client,
    wait,
    ws::Peer,
};

/// What an event stream holds is given back though its body still lies with the framework.
pub async fn gives_back_what_a_stream_holds(suite: Suite) {
    let served = start(suite, |limits| limits.stall_deadline = SHORT);
    let client = stream(&served).await;
    fill(&served, || served.stats().connections_sse == 0).await;
    served.released().await;
    client.reset();
}

/// What a WebSocket holds is given back, by one deadline or the other.
pub async fn gives_back_what_a_websocket_holds(suite: Suite) {
    let served = start(suite, |limits| {
        limits.stall_deadline = SHORT;
        limits.write_deadline = SHORT;
    });
    let mut peer = Peer::connect(small(&served), "/ws?topic=a", &[]).await;
    served::ready(&mut peer).await;
    fill(&served, || served.stats().connections_websocket == 0).await;
    served.released().await;
    peer.reset();
}

/// The connection of a client that takes no byte is cut, TCP included.
pub async fn cuts_a_stream_that_takes_nothing(suite: Suite) {
    let served = start(suite, |limits| limits.write_deadline = SHORT);
    let mut client = stream(&served).await;
    fill(&served, || served.stats().connections_sse == 0).await;
    served.released().await;
    assert_ne!(client.read_to_end().await, End::Clean, "it has not had everything");
}

/// A byte a second moves no window: that client takes nothing as far as its system tells ours.
pub async fn cuts_a_stream_read_a_byte_a_second(suite: Suite) {
    let served = start(suite, |limits| limits.write_deadline = READS);
    is_let_go_of(&served, served.request("/events?topic=a")).await;
    wait::until("its socket is closed", || served.stats().sockets == 0).await;
}

/// The same over WebSocket.
pub async fn cuts_a_websocket_read_a_byte_a_second(suite: Suite) {
    let served = start(suite, |limits| limits.write_deadline = READS);
    is_let_go_of(&served, served.handshake("/ws?topic=a")).await;
}

/// Where no write has a deadline, what the hub holds is given back.
pub async fn gives_back_a_stream_read_a_byte_a_second(suite: Suite) {
    let served = start(suite, |limits| limits.stall_deadline = READS);
    is_let_go_of(&served, served.request("/events?topic=a")).await;
}

/// A client that reads without pause, but slower than what is published, is left alone.
pub async fn leaves_a_slow_but_steady_stream_alone(suite: Suite) {
    // What a framework buffers takes longer than what a socket does.
    let deadline = 8 * SHORT;
    let served = start(suite, |limits| {
        limits.stall_deadline = deadline;
        limits.write_deadline = 2 * SHORT;
    });
    let dial = Dial::to(served.addr()).recv_buffer(16 * 1024);
    let mut client = Client::connect(dial, "/events?topic=a", &[]).await.expect("a response");
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    let data = "x".repeat(SIZE);
    let began = Instant::now();
    while began.elapsed() < 2 * deadline {
        for _ in 0..20 {
            served.publish("a", &data).await;
        }
        pace.tick().await;
        client.expect_event().await;
    }
    served.publish("a", "the end").await;
    while client.expect_event().await.data != "the end" {}
    assert_eq!(served.stats().slow_disconnects, 0);
    client.reset();
    served.released().await;
}

/// A server of which nothing but what `limits` says cuts a client.
fn start(suite: Suite, limits: impl FnOnce(&mut Limits)) -> Served {
    let never = |all: &mut Limits| {
        all.stall_deadline = NEVER;
        all.write_deadline = NEVER;
    };
    suite.start_with(|hub: HubBuilder| {
        hub.overflow(Overflow::DropOldest).limits(never).limits(limits)
    })
}

fn small(served: &Served) -> Dial {
    Dial::to(served.addr()).recv_buffer(4096)
}

async fn stream(served: &Served) -> Client {
    let client = Client::connect(small(served), "/events?topic=a", &[]).await;
    let mut client = client.expect("a response");
    client.read_until(|body| body.ends_with(b"\n\n")).await;
    client
}

/// Publishes, without end, until the client is given up.
async fn fill(served: &Served, is_given_up: impl Fn() -> bool) {
    let data = "x".repeat(SIZE);
    wait::until_async("the client is given up", async || {
        for _ in 0..20 {
            served.publish("a", &data).await;
        }
        is_given_up()
    })
    .await;
}

/// The client of this request is, though it reads a byte each second.
async fn is_let_go_of(served: &Served, request: Request) {
    let mut client = small(served).connect().await.expect("a connection");
    client.write_all(&request.bytes()).await.expect("sent");
    wait::until("it is there", || served.stats().subscriptions == 1).await;
    let reading = async {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        loop {
            seconds.tick().await;
            // Fails once it is cut.
            let _ = client.read_u8().await;
        }
    };
    let open = |stats: HubStats| stats.connections_sse + stats.connections_websocket;
    tokio::select! {
        () = reading => {}
        () = fill(served, || open(served.stats()) == 0) => {}
    }
    served.released().await;
}

const SIZE: usize = 2000;
/// Two bytes' time and more.
const READS: Duration = Duration::from_millis(2_500);
const SHORT: Duration = Duration::from_millis(200);
const NEVER: Duration = Duration::from_secs(3600);
