//! Many clients that come and go in every way.

use std::{fs, time::Duration};

use super::{Served, Suite};
use crate::{
    http::{self, Request},
    net::Dial,
    sse::Client,
    wait,
    ws::{Frame, LengthForm, Peer},
};

/// Connections, subscriptions, topics' members and the process's descriptors are what they were
/// before.
pub async fn leaves_nothing_behind(suite: Suite) {
    let served = suite.start_with(|hub| {
        hub.websocket(|ws| ws.close_deadline = Duration::from_millis(200)).limits(|limits| {
            limits.message_bytes = 1024;
            limits.header_deadline = Duration::from_secs(1);
        })
    });
    // What runtimes open once is open after this.
    for kind in 0..KINDS {
        one(&served, kind).await;
    }
    served.released().await;
    settled().await;
    let before = descriptors();

    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..CLIENTS / AT_ONCE {
        let kinds: Vec<_> = (0..AT_ONCE).map(|_| random.u32(0..KINDS)).collect();
        let mut running: Vec<_> = kinds.iter().map(|kind| Box::pin(one(&served, *kind))).collect();
        for number in 0..20 {
            served.publish("a", &format!("{number}")).await;
            tokio::task::yield_now().await;
        }
        join(&mut running).await;
    }
    served.released().await;
    wait::until(&format!("{before} descriptors are open again, seed {seed}"), || {
        descriptors() <= before
    })
    .await;
    let stats = served.stats();
    assert_eq!(stats.max_lag, 0, "nobody is behind who is not there");
    let mut peer = served.ws("/echo").await;
    peer.send_text("still here").await;
    peer.expect_text("still here").await;
}

/// One client, in one of the ways to come and go.
async fn one(served: &Served, kind: u32) {
    let addr = served.addr();
    let slow = Dial::to(addr).recv_buffer(4096);
    match kind {
        0 => served.sse("/events?topic=a").await.close().await,
        1 => served.sse("/events?topic=a").await.reset(),
        2 => drop(Client::connect(slow, "/events?topic=a&topic=b", &[]).await),
        3 => {
            let mut peer = served.ws("/ws?topic=a").await;
            peer.send_close(1000, "").await;
        }
        4 => served.ws("/ws?topic=a").await.reset(),
        5 => served.ws("/raw?topic=a").await.close_fin().await,
        6 => {
            let mut peer = served.ws("/echo").await;
            peer.send_text("hello").await;
            peer.expect_text("hello").await;
        }
        7 => {
            let mut peer = served.ws("/echo").await;
            peer.send_frame(Frame::text("bad").unmasked()).await;
            peer.expect_close(1002).await;
        }
        8 => {
            let mut peer = served.ws("/echo").await;
            let claim = Frame::binary("").length_form(LengthForm::Claim(1 << 40));
            peer.send_frame(claim).await;
        }
        9 => drop(served.ws("/done").await),
        10 => {
            let mut peer = served.ws("/panic").await;
            peer.send_text("now").await;
            peer.expect_close(1011).await;
        }
        11 => {
            let mut peer = served.ws("/topics").await;
            peer.send_text("+a").await;
            peer.expect_text("+a").await;
        }
        12 => drop(served.ws("/attached?topic=a").await),
        13 => served.ws("/attached").await.reset(),
        14 => {
            served.refused(400, &served.handshake("/ws?topic=*")).await;
        }
        15 => {
            served.refused(403, &served.handshake("/ws").header("Origin", "null")).await;
        }
        16 => {
            let half = Request::get("/events?topic=a").bytes();
            let stream = tokio::net::TcpStream::connect(addr).await.expect("a connection");
            let _ = stream.try_write(&half[..half.len() / 2]);
        }
        17 => {
            // The handshake is answered to nobody.
            let stream = tokio::net::TcpStream::connect(addr).await.expect("a connection");
            let _ = stream.try_write(&served.handshake("/ws?topic=a").bytes());
            let _ = stream.set_zero_linger();
        }
        18 => {
            let early = Frame::text("early").to_bytes();
            let peer = Peer::handshake_with_trailing(addr, "/echo", &[], &early).await;
            peer.expect("an accepted handshake").expect_text("early").await;
        }
        _ => {
            let _ = http::try_exchange(addr, b"nonsense\r\n\r\n").await;
        }
    }
}

const KINDS: u32 = 20;
const CLIENTS: usize = 300;
const AT_ONCE: usize = 15;

/// Waits until all have run to their ends.
pub(super) async fn join(running: &mut Vec<std::pin::Pin<Box<impl Future<Output = ()>>>>) {
    std::future::poll_fn(|cx| {
        running.retain_mut(|client| client.as_mut().poll(cx).is_pending());
        if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Waits until the number of descriptors stays the same for a while.
pub(super) async fn settled() {
    let mut last = (descriptors(), 0);
    wait::until("the descriptors settle", || {
        let now = descriptors();
        last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        last.1 > 50
    })
    .await;
}

/// How many descriptors this process has open.
pub(super) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("a list of descriptors").count()
}
