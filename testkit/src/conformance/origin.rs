//! Which pages may open a WebSocket.

use realtime_core::OriginPolicy;

use super::{Served, Suite};
use crate::ws::Peer;

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

async fn lets_in(served: &Served, origin: &str) {
    let mut peer = Peer::connect(served.addr(), "/echo", &[("Origin", origin)]).await;
    peer.send_text(origin).await;
    peer.expect_text(origin).await;
}
