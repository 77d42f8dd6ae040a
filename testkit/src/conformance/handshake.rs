//! The opening handshake (RFC 6455 §4).

use super::Suite;
use crate::ws::Peer;

/// 101 with the accept value of the key; the client checks all of it.
pub async fn accepts_with_the_right_key(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/echo").await;
    assert_eq!(peer.response().header("sec-websocket-protocol"), None);
    peer.send_text("hello").await;
    peer.expect_text("hello").await;
    // As Firefox does.
    let tokens = [("Connection", "keep-alive, Upgrade")];
    let mut peer = Peer::connect(served.addr(), "/echo", &tokens).await;
    peer.send_text("hello").await;
    peer.expect_text("hello").await;
    let letters = [("Connection", "upgrade"), ("Upgrade", "WebSocket")];
    let mut peer = Peer::connect(served.addr(), "/echo", &letters).await;
    peer.send_text("hello").await;
    peer.expect_text("hello").await;
}

/// An upgrade to one of several protocols works, or it is refused: a framework may know only the
/// plain form.
pub async fn takes_or_refuses_a_choice_of_protocols(suite: Suite) {
    let served = suite.start();
    let choice = [("Upgrade", "h2c, websocket")];
    match Peer::handshake(served.addr(), "/echo", &choice).await {
        Ok(mut peer) => {
            peer.send_text("hello").await;
            peer.expect_text("hello").await;
        }
        Err(response) => assert_eq!(response.status, 400, "{response:?}"),
    }
    served.released().await;
}

/// The first that the client offers and the endpoint speaks, or none.
pub async fn agrees_on_a_subprotocol(suite: Suite) {
    let served = suite.start();
    for (offered, agreed) in [
        ("other, echo.example", Some("echo.example")),
        ("echo.example", Some("echo.example")),
        ("other", None),
    ] {
        let offer = [("Sec-WebSocket-Protocol", offered)];
        let peer = Peer::connect(served.addr(), "/echo", &offer).await;
        assert_eq!(peer.response().header("sec-websocket-protocol"), agreed, "{offered}");
    }
}

/// 405, and which one is allowed.
pub async fn refuses_every_method_but_get(suite: Suite) {
    let served = suite.start();
    for method in ["POST", "HEAD", "DELETE"] {
        let response = served.refused(405, &served.handshake("/echo").method(method)).await;
        assert_eq!(response.header("allow"), Some("GET"), "{method}: {response:?}");
    }
}

/// There is no upgrade in HTTP/1.0.
pub async fn refuses_http_1_0(suite: Suite) {
    let served = suite.start();
    served.refused(400, &served.handshake("/echo").version("HTTP/1.0")).await;
}

/// One is due (RFC 9112 §3.2).
pub async fn refuses_no_host_and_two(suite: Suite) {
    let served = suite.start();
    served.refused(400, &served.handshake("/echo").without("Host")).await;
    served.refused(400, &served.handshake("/echo").header("Host", "example.com")).await;
}

/// 426 with what to send, for a request that is no upgrade or to something else.
pub async fn asks_for_an_upgrade(suite: Suite) {
    let served = suite.start();
    let right = served.handshake("/echo");
    for wrong in [
        right.clone().without("Upgrade"),
        right.clone().without("Connection"),
        right.clone().set(&[("Connection", "keep-alive")]),
        right.clone().set(&[("Upgrade", "h2c")]),
        right.clone().without("Upgrade").without("Connection"),
    ] {
        let response = served.refused(426, &wrong).await;
        assert!(response.headers.lists("upgrade", "websocket"), "{response:?}");
        assert!(response.headers.lists("connection", "upgrade"), "{response:?}");
    }
}

/// 426 and 13, for another version and for none.
pub async fn names_its_version(suite: Suite) {
    let served = suite.start();
    let right = served.handshake("/echo");
    for wrong in [
        right.clone().without("Sec-WebSocket-Version"),
        right.clone().set(&[("Sec-WebSocket-Version", "12")]),
        right.clone().set(&[("Sec-WebSocket-Version", "")]),
        right.clone().header("Sec-WebSocket-Version", "12"),
    ] {
        let response = served.refused(426, &wrong).await;
        assert_eq!(response.header("sec-websocket-version"), Some("13"), "{response:?}");
    }
}

/// Sixteen bytes in base64, once.
pub async fn refuses_bad_keys(suite: Suite) {
    let served = suite.start();
    let right = served.handshake("/echo");
    served.refused(400, &right.clone().without("Sec-WebSocket-Key")).await;
    for key in [
        "",
        "c2hvcnQ=",
        "dGhlIHNhbXBsZSBub25jZSE0",
        "not base64, but 24 long!",
        "dGhlIHNhbXBsZSBub25jZQ",
    ] {
        served.refused(400, &right.clone().set(&[("Sec-WebSocket-Key", key)])).await;
    }
    let second = right.clone().header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    served.refused(400, &second).await;
    assert_eq!(served.stats().connections_websocket, 0);
}

/// Its bytes would else be taken for frames, or swallowed.
pub async fn refuses_a_body(suite: Suite) {
    let served = suite.start();
    let right = served.handshake("/echo");
    served.refused(400, &right.clone().header("Content-Length", "5").body("hello")).await;
    let chunked = right.clone().header("Transfer-Encoding", "chunked");
    served.refused(400, &chunked.body("5\r\nhello\r\n0\r\n\r\n")).await;
    let empty = right.header("Content-Length", "0");
    let mut peer = Peer::open(served.addr(), &empty).await.expect("no body is fine");
    peer.send_text("hello").await;
    peer.expect_text("hello").await;
}
