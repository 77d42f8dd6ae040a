//! How many may come from one place or one identity, how often, and how much they may send.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use realtime_core::Rate;

use super::{
    Served, Suite,
    identity::{self, authentication, good, message},
    served::unthrottled,
};
use crate::{
    http::{End, KeepAlive, Response},
    sse::Client,
    wait,
    ws::{Frame, Peer, Received},
};

/// 429 and when to try again, for whoever comes from an address that has as many as it may.
pub async fn hold_connections_of_an_address(suite: Suite) {
    let served = suite.start_with(|hub| hub.limits(|limits| limits.connections_per_ip = 2));
    let one = served.sse("/events?topic=a").await;
    let two = served.ws("/ws?topic=a").await;
    for request in [served.handshake("/ws?topic=b"), served.request("/events?topic=b")] {
        come_back(&served.refused(429, &request).await);
    }
    browser_is_told(&served, "/events?topic=b").await;
    let stats = served.stats();
    assert_eq!((stats.connections_sse, stats.connections_websocket), (1, 1));
    assert_eq!((stats.subscriptions, stats.topics, stats.rejected), (2, 1, 3));
    let elsewhere = Peer::connect(served.from(OTHER), "/ws?topic=a", &[]).await;
    drop(one);
    wait::until("a place is free", || served.stats().connections_sse == 0).await;
    let again = served.ws("/ws?topic=a").await;
    drop((two, elsewhere, again));
    served.untouched().await;
}

/// No limit per address where no address is known: not every adapter's case, but of servers that
/// tell none. The limits of all connections and of an identity are there still.
pub async fn hold_not_what_has_no_address(suite: Suite) {
    let served = identity::served_with(suite, authentication().optional(), |hub| {
        hub.limits(|limits| {
            limits.connections_per_ip = 1;
            limits.connections_per_subject = 1;
            limits.handshakes_per_ip = Rate::per_second(1);
            limits.connections = 4;
        })
    });
    let mut inside = Vec::new();
    for _ in 0..3 {
        inside.push(served.sse("/events?topic=a").await);
    }
    inside.push(identity::sse_of(&served, "alice", "/events?topic=a").await);
    served.refused(503, &served.request("/events?topic=a")).await;
    drop(inside.swap_remove(0));
    wait::until("a place is free", || served.stats().connections_sse == 3).await;
    let alice = identity::Way::Bearer.present(served.request("/mine"), &good("alice"));
    come_back(&served.refused(429, &alice).await);
    drop(inside);
    served.untouched().await;
}

/// 429, and 4429 for who says by a message who it is; another identity still gets in.
pub async fn hold_connections_of_an_identity(suite: Suite) {
    let served = identity::served_with(suite, authentication().first_message(), |hub| {
        hub.limits(|limits| limits.connections_per_subject = 2)
    });
    let one = identity::sse_of(&served, "alice", "/events?topic=a").await;
    let mut two = served.ws("/whoami").await;
    two.send_text(&message(&good("alice"))).await;
    two.expect_text("alice").await;
    for request in [served.handshake("/ws?topic=b"), served.request("/events?topic=b")] {
        let request = identity::Way::Bearer.present(request, &good("alice"));
        for dial in [Ipv4Addr::LOCALHOST, OTHER] {
            come_back(&served.refused_from(dial, 429, &request).await);
        }
    }
    let mut third = served.ws("/ws?topic=b").await;
    third.send_text(&message(&good("alice"))).await;
    assert_eq!(third.expect_close(4429).await, "too many connections");
    drop(third);
    let stats = served.stats();
    assert_eq!((stats.identities, stats.rejected, stats.topics), (1, 5, 1));
    // A refresh takes no second place.
    two.send_text(&message(&good("alice"))).await;
    two.send_text("still here").await;
    two.expect_text("still here").await;
    identity::ws_of(&served, "bob", "/whoami").await.expect_text("bob").await;
    drop(one);
    wait::until("a place is free", || served.stats().connections_sse == 0).await;
    identity::ws_of(&served, "alice", "/whoami").await.expect_text("alice").await;
    drop(two);
    served.untouched().await;
}

/// 429 and when, for whoever comes too often; trying on does not put it off, nor harm others.
pub async fn hold_handshakes_of_an_address(suite: Suite) {
    // Two come back in each second.
    let served = suite.start_with(|hub| {
        hub.limits(|limits| limits.handshakes_per_ip = Rate::per_second(2).burst(20))
    });
    let began = Instant::now();
    let (mut passed, mut refused) = (0, 0);
    let mut connection = KeepAlive::new(served.addr());
    for _ in 0..200 {
        let response = connection.exchange(&served.handshake("/ws?topic=*")).await;
        match response.status {
            // Refused for its topic, after it was counted.
            400 => passed += 1,
            _ => {
                come_back(&response);
                assert_eq!(response.status, 429, "{response:?}");
                refused += 1;
            }
        }
    }
    assert!(passed >= 20, "{passed} of a burst of 20");
    let locked_at = Instant::now();
    for _ in 0..STORM {
        let response = connection.exchange(&served.handshake("/ws?topic=*")).await;
        match response.status {
            400 => passed += 1,
            429 => refused += 1,
            other => panic!("{other}: {response:?}"),
        }
    }
    assert!(refused > STORM / 2, "{refused} were refused");
    // What the rate allows passed meanwhile, though the storm never paused.
    let allowed = 20 + 2 * usize::try_from(began.elapsed().as_secs()).expect("few");
    assert!((allowed - 2..=allowed + 2).contains(&passed), "{passed} of {allowed}");
    Peer::connect(served.from(OTHER), "/ws?topic=a", &[]).await.reset();
    wait::until_async("the lockout is over", async || {
        Peer::handshake(served.addr(), "/ws?topic=a", &[]).await.is_ok()
    })
    .await;
    assert!(locked_at.elapsed() < Duration::from_secs(60));
    served.untouched().await;
}

/// Ten thousand attempts from one address while its fifty are open: fifty are in, and no more.
pub async fn hold_against_a_flood_of_connections(suite: Suite) {
    let served = suite.start_with(|hub| {
        hub.limits(|limits| {
            unthrottled(limits);
            limits.connections_per_ip = 50;
        })
    });
    let (mut inside, mut refused) = (Vec::new(), 0);
    let mut connections: Vec<_> = (0..4).map(|_| KeepAlive::new(served.addr())).collect();
    for attempt in 0..ATTEMPTS {
        if attempt % 100 == 0 {
            // On a connection of its own, as most floods are.
            match Peer::handshake(served.addr(), "/ws?topic=a", &[]).await {
                Ok(peer) => inside.push(peer),
                Err(response) => {
                    assert_eq!(response.status, 429, "{response:?}");
                    refused += 1;
                }
            }
        } else if inside.len() < 50 {
            inside.push(served.ws("/ws?topic=a").await);
        } else {
            let response =
                connections[attempt % 4].exchange(&served.request("/events?topic=a")).await;
            assert_eq!(response.status, 429, "{response:?}");
            refused += 1;
        }
    }
    assert_eq!((inside.len(), refused), (50, ATTEMPTS - 50));
    let stats = served.stats();
    assert_eq!((stats.connections_websocket, stats.connections_sse), (50, 0));
    assert_eq!(stats.rejected, refused as u64);
    let other = Client::connect(served.from(OTHER), "/events?topic=a", &[]).await;
    assert_eq!(other.expect("a response").status, 200);
    drop((inside, connections));
    served.untouched().await;
}

/// 4429 for whoever sends too many messages, be they as small as they like: text, empty or not,
/// and control frames.
pub async fn hold_messages(suite: Suite) {
    let served = suite
        .start_with(|hub| hub.limits(|limits| limits.messages = Rate::per_second(10).burst(100)));
    for frame in [
        Frame::text(""),
        Frame::text("x"),
        Frame::binary("x"),
        Frame::ping(""),
        Frame::ping("x"),
        Frame::pong(""),
    ] {
        for path in ["/echo", "/ws?topic=a"] {
            let mut peer = served.ws(path).await;
            let flood: Vec<u8> = (0..5_000).flat_map(|_| frame.to_bytes()).collect();
            peer.send_raw(&flood).await;
            assert_eq!(close_of(&mut peer).await, (4429, "too fast".to_owned()), "{frame} {path}");
            drop(peer);
            served.untouched().await;
        }
    }
    // The burst is free.
    let mut peer = served.ws("/echo").await;
    for number in 0..100 {
        peer.send_text(&format!("{number}")).await;
    }
    for number in 0..100 {
        peer.expect_text(&format!("{number}")).await;
    }
}

/// 4429 for whoever says again and again who it is, each of which would be looked into.
pub async fn hold_refreshes(suite: Suite) {
    let served = identity::served_with(suite, authentication().first_message(), |hub| {
        hub.limits(|limits| limits.refreshes = Rate::per_second(1).burst(3))
    });
    for path in ["/whoami", "/ws?pattern=%3E"] {
        let mut peer = served.ws(path).await;
        for _ in 0..50 {
            peer.send_text(&message(&good("alice"))).await;
        }
        assert_eq!(close_of(&mut peer).await, (4429, "too fast".to_owned()), "{path}");
        drop(peer);
        served.untouched().await;
    }
    // The burst is free, and does not count the first message.
    let mut peer = served.ws("/whoami").await;
    for _ in 0..4 {
        peer.send_text(&message(&good("alice"))).await;
    }
    peer.send_text("still here").await;
    peer.expect_text("alice").await;
    peer.expect_text("still here").await;
    drop(peer);
    served.untouched().await;
}

/// 4429 for whoever sends too many bytes, in large messages or in fragments without end.
pub async fn hold_bytes(suite: Suite) {
    let served = suite.start_with(|hub| {
        hub.limits(|limits| limits.inbound_bytes = Rate::per_second(10_000).burst(200_000))
    });
    let message = Frame::text("x".repeat(60_000)).to_bytes();
    let empty = Frame::continuation("").fin(false).to_bytes();
    let drops = Frame::binary("x".repeat(1_000)).to_bytes();
    for (path, flood) in [
        ("/echo", message.repeat(10)),
        ("/ws?topic=a", message.repeat(10)),
        ("/ws", drops.repeat(500)),
    ] {
        let mut peer = served.ws(path).await;
        peer.send_raw(&flood).await;
        assert_eq!(close_of(&mut peer).await, (4429, "too fast".to_owned()), "{path}");
        drop(peer);
        served.untouched().await;
    }
    let mut peer = served.ws("/echo").await;
    peer.send_frame(Frame::text("").fin(false)).await;
    peer.send_raw(&empty.repeat(50_000)).await;
    let (code, _) = close_of(&mut peer).await;
    assert!(matches!(code, 1008 | 4429), "{code}");
    drop(peer);
    served.untouched().await;
}

/// 431 for a head that is larger than ours may be, in one header, in many, or in the query, though
/// the framework would take it.
pub async fn hold_bytes_of_a_head(suite: Suite) {
    let served = suite.start_with(|hub| hub.limits(|limits| limits.header_bytes = 2_048));
    let long = "x".repeat(2_048);
    for request in [served.handshake("/ws?topic=a"), served.request("/events?topic=a")] {
        let one = request.clone().header("Cookie", &long);
        let many = (0..40).fold(request.clone(), |request, number| {
            request.header(&format!("Padding-{number}"), "x".repeat(50))
        });
        let query = request.query(&format!("token={long}"));
        for request in [one, many, query] {
            let response = served.refused(431, &request).await;
            assert!(response.text().contains("2048"), "{response:?}");
        }
    }
    assert_eq!(served.stats().rejected, 6);
    served.untouched().await;
    let fits = served.request("/events?topic=a").header("Cookie", "x".repeat(1_500));
    drop(served.stream(&fits).await);
}

/// Another host of the loopback interface.
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const STORM: usize = 2_000;
const ATTEMPTS: usize = 10_000;

/// A browser is let in to a stream that tells it to come back, since it gives up at any other
/// answer.
async fn browser_is_told(served: &Served, path: &str) {
    let request = served.request(path).header("Sec-Fetch-Mode", "cors");
    let mut client = served.stream(&request).await;
    let event = client.expect_event().await;
    assert_eq!((&*event.event, &*event.data), ("realtime.bye", r#"{"reason":"overloaded"}"#));
    assert_eq!(client.expect_end().await, End::Clean);
    assert!(client.retry().is_some_and(|retry| retry > 0));
}

fn come_back(response: &Response) {
    let after = response.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(after.is_some_and(|seconds| (1..60).contains(&seconds)), "{response:?}");
}

/// The code and the reason of the Close that comes sometime.
async fn close_of(peer: &mut Peer) -> (u16, String) {
    loop {
        match peer.recv().await {
            Received::Close(Some(close)) => return close,
            Received::Text(_) | Received::Binary(_) | Received::Pong(_) => {}
            other => panic!("expected a close, got {other}"),
        }
    }
}
