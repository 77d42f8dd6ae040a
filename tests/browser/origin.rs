//! Who may open a WebSocket.

use realtime_testkit::proxy::Proxy;
use serde_json::{Value, json};

use super::{chromium::Browser, server::Server};
use crate::Adapter;

pub(crate) async fn only_its_own_origin_opens_a_websocket(adapter: Adapter) {
    let server = Server::testbed(adapter).await;
    let proxy = Proxy::to(server.addr()).await;
    let browser = Browser::start().await;
    let ws = |addr| format!("ws://{addr}/ws");

    // The same machine by another name, and by another port.
    for page in [format!("localhost:{}", server.addr().port()), proxy.addr().to_string()] {
        browser.goto(&format!("http://{page}/healthz")).await;
        browser.complaints().await;
        let outcome = converse(&browser, &ws(server.addr())).await;
        assert_eq!(outcome, json!("closed with 1006"), "from {page}");
        let complaints = browser.complaints().await.join("\n");
        assert!(complaints.contains("Unexpected response code: 403"), "from {page}: {complaints}");
    }
    assert_eq!(server.stats().await["published"], 0);

    for own in [proxy.addr(), server.addr()] {
        browser.goto(&format!("http://{own}/healthz")).await;
        let outcome = converse(&browser, &ws(own)).await;
        assert_eq!(outcome, json!("received hello"), "from {own}");
    }
}

/// Says hello, which the server publishes to the same socket; tells what comes first.
async fn converse(browser: &Browser, url: &str) -> Value {
    let script = format!(
        "const socket = new WebSocket('{url}');
        socket.onopen = () => socket.send('hello');
        socket.onmessage = ({{ data }}) => done(`received ${{data}}`);
        socket.onclose = ({{ code }}) => done(`closed with ${{code}}`);"
    );
    browser.run_async(&script).await
}
