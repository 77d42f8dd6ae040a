//! Who may come in: tokens that come with the request, and identities that the handler finds out.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    Served, Suite,
    identity::{
        self, BAD, CAUSE, PANICS, PANICS_AT_ONCE, SLOW, UNAVAILABLE, Way, all_ways, authentication,
        expired, good, handshake,
    },
};
use crate::{
    http::{End, Request, Response},
    net::Dial,
    wait,
};

/// The handler sees whose it is, on both transports.
pub async fn takes_a_bearer_token(suite: Suite) {
    lets_in(suite, Way::Bearer).await;
}

/// The same with a cookie among others, from the page's own origin.
pub async fn takes_a_cookie(suite: Suite) {
    lets_in(suite, Way::Cookie).await;
}

/// The same with a parameter of the query.
pub async fn takes_a_query_parameter_when_told_to(suite: Suite) {
    lets_in(suite, Way::Query).await;
}

/// As it is when it has dots like a JSON Web Token, and any in base64url.
pub async fn takes_a_token_as_subprotocol(suite: Suite) {
    let served = identity::served(suite, authentication());
    for way in [Way::Subprotocol, Way::Encoded] {
        let request = way.present(served.handshake("/whoami"), &good("alice"));
        served.open(&request).await.expect_text("alice").await;
        // An event stream has none.
        refused_as_missing(&served, &way.present(served.request("/mine"), &good("alice"))).await;
    }
    served.untouched().await;
}

/// What was not asked for is not looked at.
pub async fn ignores_cookie_and_query_when_not_told_to(suite: Suite) {
    let served = identity::served(suite, authentication());
    for way in [Way::Cookie, Way::Query] {
        for request in [handshake(&served, "/whoami"), served.request("/mine")] {
            refused_as_missing(&served, &way.present(request, &good("alice"))).await;
        }
    }
    served.untouched().await;
}

/// The answer names the application's protocol, or ours where there is none, or nothing.
pub async fn never_echoes_the_token(suite: Suite) {
    let served = identity::served(suite, authentication());
    let token = format!("base64url.bearer.{}", good("alice"));
    for (path, offered, agreed) in [
        ("/echo", format!("echo.example, {token}"), Some("echo.example")),
        ("/echo", format!("{token}, other, echo.example"), Some("echo.example")),
        ("/echo", token.clone(), None),
        ("/whoami", format!("realtime, {token}"), Some("realtime")),
        ("/whoami", format!("{token}, realtime"), Some("realtime")),
        ("/whoami", format!("other, {token}"), None),
        ("/whoami", token.clone(), None),
    ] {
        let request = served.handshake(path).header("Sec-WebSocket-Protocol", &offered);
        let peer = served.open(&request).await;
        let response = peer.response();
        assert_eq!(response.header("sec-websocket-protocol"), agreed, "{path} {offered}");
        assert!(!format!("{response:?}").contains("alice"), "{response:?}");
    }
    // Without a token nobody has asked for ours.
    let ours = served.handshake("/echo").header("Sec-WebSocket-Protocol", "realtime");
    let peer = served.open(&Way::Bearer.present(ours, &good("alice"))).await;
    assert_eq!(peer.response().header("sec-websocket-protocol"), None);
    drop(peer);
    served.untouched().await;
}

/// The header before the subprotocol before the query before the cookie; one that is wrong is not
/// passed over for a later one.
pub async fn takes_the_first_of_several(suite: Suite) {
    let served = identity::served(suite, all_ways());
    let ways = [Way::Bearer, Way::Subprotocol, Way::Query, Way::Cookie];
    for from in 0..ways.len() {
        let all = |first: &str| {
            let later = ways[from + 1..].iter().rev();
            let request = later.fold(handshake(&served, "/whoami"), |request, way| {
                way.present(request, &good(&format!("{way:?}")))
            });
            ways[from].present(request, first)
        };
        let mut peer = served.open(&all(&good("first"))).await;
        peer.expect_text("first").await;
        refused_as_invalid(&served, &all(BAD), "no such token").await;
    }
    served.untouched().await;
}

/// 401 that asks for a token (RFC 6750 §3); other schemes are none.
pub async fn refuses_who_presents_nothing(suite: Suite) {
    let served = identity::served(suite, all_ways());
    for request in [handshake(&served, "/ws?topic=a"), served.request("/events?topic=a")] {
        refused_as_missing(&served, &request).await;
        let basic = request.clone().header("Authorization", "Basic YWxpY2U6c2VjcmV0");
        refused_as_missing(&served, &basic).await;
        let deleted = request.clone().header("Cookie", "session=; other=good.alice.signature");
        refused_as_missing(&served, &deleted).await;
    }
    assert_eq!(served.stats().rejected, 6);
    served.untouched().await;
}

/// 401 that says what is wrong.
pub async fn refuses_malformed_credentials(suite: Suite) {
    let served = identity::served(suite, all_ways());
    let (alice, bob) = (good("alice"), good("bob"));
    for request in [handshake(&served, "/ws?topic=a"), served.request("/events?topic=a")] {
        for value in [&b"Bearer"[..], b"Bearer ", b"bearer    ", b"Bearer \xff"] {
            let malformed = request.clone().header("Authorization", value);
            refused_as_invalid(&served, &malformed, "Authorization").await;
        }
        let twice = Way::Bearer.present(Way::Bearer.present(request.clone(), &alice), &alice);
        refused_as_invalid(&served, &twice, "more than one").await;
        let twice = Way::Query.present(Way::Query.present(request.clone(), &alice), &alice);
        refused_as_invalid(&served, &twice, "more than one").await;
        refused_as_invalid(&served, &request.clone().query("token="), "empty").await;
        let cookies = format!("session={alice}; session={bob}");
        refused_as_invalid(&served, &request.header("Cookie", cookies), "two cookies").await;
    }
    for protocol in ["", "=", "a", "aGVsbG8=", "_w", "aGVsbG8, base64url.bearer.aGVsbG8"] {
        let protocol = format!("base64url.bearer.{protocol}");
        let request = served.handshake("/ws").header("Sec-WebSocket-Protocol", protocol);
        refused_as_invalid(&served, &request, "subprotocol").await;
    }
    served.untouched().await;
}

/// 401, whichever way they come.
pub async fn refuses_tokens_that_are_not_good(suite: Suite) {
    let served = identity::served(suite, all_ways());
    let expired = expired("alice");
    for (token, reason) in [(BAD, "no such token"), (&*expired, "expired")] {
        for way in Way::WEBSOCKET {
            let request = handshake(&served, "/ws?topic=a");
            refused_as_invalid(&served, &way.present(request, token), reason).await;
        }
        for way in Way::BOTH {
            let request = served.request("/events?topic=a");
            refused_as_invalid(&served, &way.present(request, token), reason).await;
        }
    }
    served.untouched().await;
}

/// 503 and when to try again, for a check that fails, panics or takes too long; why is for the log.
/// The server goes on.
pub async fn tells_to_come_back_when_it_cannot_check(suite: Suite) {
    let quick = authentication().timeout(Duration::from_millis(100));
    let served = identity::served(suite, quick);
    for token in [UNAVAILABLE, PANICS, PANICS_AT_ONCE, SLOW] {
        for request in [served.handshake("/ws?topic=a"), served.request("/events?topic=a")] {
            let response = served.refused(503, &Way::Bearer.present(request, token)).await;
            assert_eq!(response.header("retry-after"), Some("5"), "{response:?}");
            assert!(!response.text().contains(CAUSE), "{response:?}");
        }
        let browser = served.request("/events?topic=a").header("Sec-Fetch-Mode", "cors");
        let mut client = served.stream(&Way::Bearer.present(browser, token)).await;
        let event = client.expect_event().await;
        assert_eq!((&*event.event, &*event.data), ("realtime.bye", r#"{"reason":"overloaded"}"#));
        assert_eq!(client.expect_end().await, End::Clean);
    }
    assert_eq!(served.stats().rejected, 12);
    served.untouched().await;
    identity::ws_of(&served, "alice", "/whoami").await.expect_text("alice").await;
}

/// A place that somebody has while the check goes on is free once they are gone.
pub async fn lets_go_of_who_leaves_during_the_check(suite: Suite) {
    let patient = authentication().timeout(Duration::from_secs(600));
    let served = identity::served(suite, patient);
    for request in [served.handshake("/ws?topic=a"), served.request("/events?topic=a")] {
        let request = Way::Bearer.present(request, SLOW).bytes();
        for is_reset in [true, false] {
            let mut stream = TcpStream::connect(served.addr()).await.expect("a connection");
            stream.write_all(&request).await.expect("sent");
            wait::until("the check goes on", || identity::open(served.hub()) == 1).await;
            assert_eq!(served.stats().subscriptions, 0, "nothing is subscribed meanwhile");
            if is_reset {
                stream.set_zero_linger().expect("SO_LINGER");
            }
            drop(stream);
            served.untouched().await;
        }
    }
}

/// A check under way holds a place, and no more are checked at once than is said.
pub async fn checks_so_many_at_once(suite: Suite) {
    let one = authentication().timeout(Duration::from_secs(600)).concurrency(1);
    let served = identity::served(suite, one);
    let slow = Way::Bearer.present(served.handshake("/ws"), SLOW).bytes();
    let mut stream = TcpStream::connect(served.addr()).await.expect("a connection");
    stream.write_all(&slow).await.expect("sent");
    wait::until("the check goes on", || identity::open(served.hub()) == 1).await;
    let later = Way::Bearer.present(served.handshake("/whoami"), &good("alice"));
    let mut second = TcpStream::connect(served.addr()).await.expect("a connection");
    second.write_all(&later.bytes()).await.expect("sent");
    wait::until("the second waits", || identity::open(served.hub()) == 2).await;
    assert_eq!(served.stats().identities, 0);
    // It has its turn when the first is gone.
    drop(stream);
    wait::until("it is known", || served.stats().identities == 1).await;
    drop(second);
    served.untouched().await;
}

/// However much of one address is to be checked, slowly, another's is checked at once, and what waits
/// for too long is told to come back.
pub async fn checks_others_while_one_address_keeps_it_busy(suite: Suite) {
    let patient = authentication().timeout(Duration::from_secs(600)).concurrency(8);
    let served = identity::served(suite, patient);
    let slow = Way::Bearer.present(served.handshake("/ws"), SLOW).bytes();
    let mut flood = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(served.addr()).await.expect("a connection");
        stream.write_all(&slow).await.expect("sent");
        flood.push(stream);
    }
    wait::until("they are checked", || identity::open(served.hub()) == 100).await;
    let other = Dial::to(served.addr()).from_ip(Ipv4Addr::new(127, 0, 0, 2).into());
    for _ in 0..20 {
        let request = Way::Bearer.present(served.handshake("/whoami"), &good("alice"));
        let mut peer = crate::ws::Peer::open(other, &request).await.expect("let in");
        peer.expect_text("alice").await;
    }
    drop(flood);
    served.untouched().await;

    let quick = authentication().timeout(Duration::from_secs(4)).concurrency(4);
    let served = identity::served(suite, quick);
    let mut first = TcpStream::connect(served.addr()).await.expect("a connection");
    first.write_all(&slow).await.expect("sent");
    wait::until("it is checked", || identity::open(served.hub()) == 1).await;
    let request = Way::Bearer.present(served.request("/events?topic=a"), &good("alice"));
    let response = served.refused(429, &request).await;
    assert_eq!(response.header("retry-after"), Some("5"), "{response:?}");
    assert!(response.text().contains("1 at once"), "{response:?}");
    drop(first);
    served.untouched().await;
}

/// Who presents nothing is let in as nobody; what is presented must still be good.
pub async fn lets_in_nobody_where_it_is_optional(suite: Suite) {
    let served = identity::served(suite, all_ways().optional());
    served.ws("/whoami").await.expect_text("anonymous").await;
    identity::ws_of(&served, "alice", "/whoami").await.expect_text("alice").await;
    drop(served.sse("/events?topic=a").await);
    let refused = served.refused(403, &served.request("/mine")).await;
    assert_eq!(refused.text().trim(), "who are you?");
    for request in [served.handshake("/whoami"), served.request("/events?topic=a")] {
        refused_as_invalid(&served, &Way::Bearer.present(request, BAD), "no such token").await;
    }
    served.untouched().await;
}

/// The handler's word for it counts as a token does: identity, limits and revocation.
pub async fn believes_the_handler(suite: Suite) {
    let served = suite.start_with(|hub| hub.limits(|limits| limits.connections_per_subject = 2));
    let mut peer = served.ws("/identified?subject=alice").await;
    peer.expect_text("alice").await;
    let mut client = served.sse("/mine-identified?subject=alice").await;
    assert_eq!(served.stats().identities, 1);
    served.publish("user.alice", "yours").await;
    assert_eq!(client.expect_event().await.data, "yours");
    for path in ["/identified?subject=alice", "/identified?subject=expired"] {
        let status = if path.ends_with("expired") { 401 } else { 429 };
        served.refused(status, &served.handshake(path)).await;
    }
    served.refused(429, &served.request("/mine-identified?subject=alice")).await;
    served.refused(401, &served.request("/mine-identified?subject=expired")).await;
    assert_eq!(served.hub().disconnect("alice", "blocked"), 2);
    assert_eq!(peer.expect_close(4401).await, "blocked");
    assert_eq!(client.expect_event().await.data, r#"{"reason":"blocked"}"#);
    drop((peer, client));
    served.released().await;
}

/// Another address of the loopback interface is a client like any other.
pub async fn knows_one_identity_from_two_addresses(suite: Suite) {
    let served = identity::served(suite, authentication());
    let request = Way::Bearer.present(served.handshake("/whoami"), &good("alice"));
    let mut peers = Vec::new();
    for last in [1, 2] {
        let dial = served.from(Ipv4Addr::new(127, 0, 0, last));
        let mut peer = crate::ws::Peer::open(dial, &request).await.expect("let in");
        peer.expect_text("alice").await;
        peers.push(peer);
    }
    let stats = served.stats();
    assert_eq!((stats.identities, stats.connections_websocket), (1, 2));
    drop(peers);
    served.untouched().await;
}

async fn lets_in(suite: Suite, way: Way) {
    let served = identity::served(suite, all_ways());
    let mut peer = served.open(&way.present(handshake(&served, "/whoami"), &good("alice"))).await;
    peer.expect_text("alice").await;
    let request = way.present(served.request("/mine"), &good("bob"));
    let mut client = served.stream(&request).await;
    let stats = served.stats();
    assert_eq!((stats.connections_websocket, stats.connections_sse, stats.identities), (1, 1, 2));
    served.publish("user.alice", "another's").await;
    served.publish("user.bob", "yours").await;
    assert_eq!(client.expect_event().await.data, "yours");
    drop((peer, client));
    served.released().await;
}

async fn refused_as_missing(served: &Served, request: &Request) -> Response {
    let response = served.refused(401, request).await;
    assert_eq!(response.header("www-authenticate"), Some("Bearer"), "{response:?}");
    assert_eq!(response.text(), "credentials are missing\n");
    response
}

async fn refused_as_invalid(served: &Served, request: &Request, reason: &str) {
    let response = served.refused(401, request).await;
    let challenge = response.header("www-authenticate");
    assert_eq!(challenge, Some("Bearer error=\"invalid_token\""), "{response:?}");
    assert!(response.text().contains(reason), "{reason}: {response:?}");
}
