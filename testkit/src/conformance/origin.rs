//! Which pages may open a WebSocket.

use realtime_core::OriginPolicy;

use super::{
    Served, Suite,
    identity::{self, Way, all_ways, good},
};
use crate::{
    http::{Headers, Request},
    ws::Peer,
};

/// 403 with what was refused, before anything is opened.
pub async fn refuses_other_origins(suite: Suite) {
    let served = suite.start();
    for origin in [
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost",
        "file://",
    ] {
        let request = served.handshake("/echo").header("Origin", origin);
        let response = served.refused(403, &request).await;
        assert!(response.text().contains(origin), "{response:?}");
    }
    assert_eq!(served.stats().rejected, 6);
    assert_eq!(served.stats().connections_websocket, 0);
}

/// The page's scheme, host and port are those of the request; no header is no browser.
pub async fn lets_in_the_same_origin(suite: Suite) {
    let served = suite.start();
    lets_in(&served, &format!("http://{}", served.addr())).await;
    let mut peer = served.ws("/echo").await;
    peer.send_text("no browser").await;
    peer.expect_text("no browser").await;
    let named = [("Host", "example.com"), ("Origin", "http://example.com")];
    Peer::connect(served.addr(), "/echo", &named).await;
}

/// Those of the list, the same origin, and no other.
pub async fn lets_in_the_origins_of_the_list(suite: Suite) {
    let policy = OriginPolicy::allow(["https://app.example.com"]).expect("an origin");
    let served = suite.start_with(|hub| hub.origin(policy));
    lets_in(&served, "https://app.example.com").await;
    lets_in(&served, &format!("http://{}", served.addr())).await;
    for origin in ["http://app.example.com", "https://app.example.com.evil", "https://example.com"]
    {
        served.refused(403, &served.handshake("/echo").header("Origin", origin)).await;
    }
}

/// Every one, once that is asked for by name.
pub async fn lets_in_any_origin_when_told_so(suite: Suite) {
    let served = suite.start_with(|hub| hub.origin(OriginPolicy::dangerously_allow_any_origin()));
    lets_in(&served, "http://evil.example").await;
    lets_in(&served, "null").await;
}

/// What looks like an allowed origin and is none: 403, on both transports where a cookie says who it
/// is, and the connection is counted nowhere.
pub async fn refuses_spoofed_origins(suite: Suite) {
    let policy = OriginPolicy::allow([
        "https://app.example.com",
        "https://*.wild.example.com",
        "http://localhost:3000",
    ]);
    let policy = policy.expect("origins");
    let served = identity::served_with(suite, all_ways(), |hub| hub.origin(policy));
    for origin in SPOOFED {
        for request in by_cookie(&served) {
            served.refused(403, &request.header("Origin", origin)).await;
        }
    }
    let several: [&[&str]; 3] = [
        &["https://app.example.com", "https://app.example.com"],
        &["https://app.example.com", "https://evil.example"],
        &["https://evil.example", "https://app.example.com"],
    ];
    for origins in several {
        for request in by_cookie(&served) {
            let add = |request: Request, origin: &&str| request.header("Origin", origin);
            served.refused(403, &origins.iter().fold(request, add)).await;
        }
    }
    served.untouched().await;
    for origin in [
        "https://app.example.com",
        "https://app.example.com:443",
        "HTTPS://APP.Example.COM",
        "https://a.wild.example.com",
        "https://a.b.wild.example.com",
        "http://localhost:3000",
    ] {
        let [handshake, stream] = by_cookie(&served).map(|it| it.header("Origin", origin));
        served.open(&handshake).await.expect_text("alice").await;
        drop(served.stream(&stream).await);
    }
    served.untouched().await;
}

/// Browsers leave the header out of a stream's request to the same origin; of other sites they say
/// so in `Sec-Fetch-Site`. Of a WebSocket's handshake they never leave it out.
pub async fn wants_to_know_where_a_cookie_comes_from(suite: Suite) {
    let served = identity::served(suite, all_ways());
    let [handshake, stream] = by_cookie(&served);
    let refused = served.refused(403, &handshake).await;
    assert!(refused.text().contains("expected an Origin header"), "{refused:?}");
    for site in ["cross-site", "same-site", "", "same-origin, same-origin", "Same-Origin"] {
        served.refused(403, &stream.clone().header("Sec-Fetch-Site", site)).await;
    }
    let twice = stream.clone().header("Sec-Fetch-Site", "none").header("Sec-Fetch-Site", "none");
    served.refused(403, &twice).await;
    for site in ["same-origin", "none"] {
        drop(served.stream(&stream.clone().header("Sec-Fetch-Site", site)).await);
    }
    drop(served.stream(&stream).await);
    served.untouched().await;
}

/// A token is what no page has that was not given it: it may come without `Origin`, and a stream
/// from any; a WebSocket's origin counts all the same.
pub async fn lets_tokens_in_without_an_origin(suite: Suite) {
    let served = identity::served(suite, all_ways());
    let evil = |request: Request| request.header("Origin", "http://evil.example");
    for way in [Way::Bearer, Way::Query] {
        let handshake = way.present(served.handshake("/whoami"), &good("alice"));
        served.open(&handshake).await.expect_text("alice").await;
        served.refused(403, &evil(handshake)).await;
        let stream = way.present(served.request("/events?topic=a"), &good("alice"));
        let cross_site = stream.clone().header("Sec-Fetch-Site", "cross-site");
        drop(served.stream(&cross_site).await);
        drop(served.stream(&evil(stream)).await);
    }
    served.untouched().await;
    // Without any identity there is nothing to protect.
    let served = suite.start();
    drop(served.stream(&evil(served.request("/events?topic=a"))).await);
    served.refused(403, &evil(served.handshake("/ws?topic=a"))).await;
    served.untouched().await;
}

/// A listed origin is named to its browser, with leave to send cookies; in refusals too, which its
/// page may read. Others are named nowhere.
pub async fn tells_browsers_who_may_read(suite: Suite) {
    let app = "https://app.example.com";
    let policy = OriginPolicy::allow([app]).expect("an origin");
    let served = identity::served_with(suite, all_ways(), |hub| hub.origin(policy));
    let stream = Way::Bearer.present(served.request("/events?topic=a"), &good("alice"));
    let missing = served.request("/events?topic=a");
    let post = stream.clone().method("POST");
    let bad = Way::Bearer.present(served.request("/events?topic=*"), &good("alice"));

    let from = |request: &Request, origin: &str| request.clone().header("Origin", origin);
    for (status, request) in [(401, &missing), (405, &post), (400, &bad)] {
        let response = served.refused(status, &from(request, app)).await;
        assert_cors(&response.headers, Some(app));
        let response = served.refused(status, &from(request, "https://evil.example")).await;
        assert_cors(&response.headers, None);
    }
    for (request, named) in [
        (from(&stream, app), Some(app)),
        (from(&stream, "https://evil.example"), None),
        (from(&stream, "null"), None),
        (stream, None),
    ] {
        assert_cors(&served.stream(&request).await.headers, named);
    }
    served.untouched().await;
}

/// 204 to a browser that asks whether it may send a token, and what it may, without the token.
pub async fn answers_preflights(suite: Suite) {
    let app = "https://app.example.com";
    let policy = OriginPolicy::allow([app]).expect("an origin");
    let served = identity::served_with(suite, all_ways(), |hub| hub.origin(policy));
    let preflight = Request::get("/events?topic=a")
        .method("OPTIONS")
        .header("Host", "localhost")
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "authorization,last-event-id");
    let allowed = served.exchange(&preflight.clone().header("Origin", app)).await;
    assert_eq!((allowed.status, allowed.body.len()), (204, 0), "{allowed:?}");
    assert_cors(&allowed.headers, Some(app));
    for (name, value) in [
        ("access-control-allow-methods", "GET"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-allow-headers", "last-event-id"),
    ] {
        assert!(allowed.headers.lists(name, value), "{name}: {allowed:?}");
    }
    let other = served.exchange(&preflight.clone().header("Origin", "https://evil.example")).await;
    assert_eq!((other.status, other.body.len()), (204, 0), "{other:?}");
    assert_cors(&other.headers, None);
    for name in ["access-control-allow-methods", "access-control-allow-headers"] {
        assert_eq!(other.header(name), None, "{other:?}");
    }
    served.refused(405, &preflight).await;
    assert_eq!(served.stats().rejected, 1, "a preflight is no refusal");
    served.untouched().await;
}

fn assert_cors(headers: &Headers, origin: Option<&str>) {
    assert_eq!(headers.text("access-control-allow-origin"), origin, "{headers:?}");
    let credentials = headers.text("access-control-allow-credentials");
    assert_eq!(credentials, origin.map(|_| "true"), "{headers:?}");
    assert!(headers.lists("vary", "origin"), "{headers:?}");
    assert!(headers.all("access-control-allow-origin").count() <= 1, "{headers:?}");
}

/// A handshake and a request for a stream of somebody whom a cookie names, without `Origin`.
fn by_cookie(served: &Served) -> [Request; 2] {
    let present = |request| Way::Cookie.present(request, &good("alice"));
    [present(served.handshake("/whoami")), present(served.request("/mine"))]
}

const SPOOFED: &[&str] = &[
    "https://app.example.com:8443",
    "https://app.example.com:80",
    "http://app.example.com",
    "http://app.example.com:443",
    "wss://app.example.com",
    "https://app.example.com.",
    "https://app.example.com.evil.example",
    "https://evil.example/https://app.example.com",
    "https://evilapp.example.com",
    "https://xapp.example.com",
    "https://example.com",
    "https://app.example.com@evil.example",
    "https://alice:secret@app.example.com",
    "https://@app.example.com",
    "https://app.example.com/",
    "https://app.example.com?",
    "https://app.example.com#",
    "https://app.example.com\\",
    "https://app.example.com:",
    "https://app.example.com:443x",
    "https://app.example.com:0443443",
    "https://\u{430}pp.example.com",
    "https://xn--pp-6kc.example.com",
    "https://app\u{3002}example\u{3002}com",
    "https://app.example.com, https://evil.example",
    "https://app.example.com,https://app.example.com",
    "https://app.example.com https://evil.example",
    "https://wild.example.com",
    "https://.wild.example.com",
    "https://evilwild.example.com",
    "https://a.wild.example.com.",
    "https://a.wild.example.com:8443",
    "http://a.wild.example.com",
    "https://a.wild.example.com.evil.example",
    "https://*.wild.example.com",
    "http://localhost",
    "http://localhost:3001",
    "https://localhost:3000",
    "http://[::1]:3000",
    "http://127.0.0.1:3000",
    "null",
    "NULL",
    "file://",
    "*",
    "",
    "app.example.com",
    "//app.example.com",
];

async fn lets_in(served: &Served, origin: &str) {
    let mut peer = Peer::connect(served.addr(), "/echo", &[("Origin", origin)]).await;
    peer.send_text(origin).await;
    peer.expect_text(origin).await;
}
