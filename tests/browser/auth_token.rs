//! The example `auth_token`: both ways for a WebSocket to present a token, refreshes, and expiry.

use super::{chromium::Browser, server::Server};

const WAYS: [&str; 2] = ["subprotocol", "message"];

pub(crate) async fn both_ways_connect_and_refreshes_keep_them_open() {
    let server = Server::short_tokens().await;
    let browser = open(&server).await;
    for way in WAYS {
        // A refresh comes at half of a token's life: after three, more than one life is over.
        browser.until_count(&format!("{way}-refreshed"), 4).await;
    }
    for way in WAYS {
        let tick = browser.count(&format!("{way}-tick")).await;
        browser.until_count(&format!("{way}-tick"), tick + 2).await;
        assert_eq!(browser.text(&format!("{way}-state")).await, "live", "{way}");
        assert_eq!(browser.text(&format!("{way}-why")).await, "", "{way}");
    }
}

pub(crate) async fn without_refresh_the_connection_ends_with_the_token() {
    let server = Server::short_tokens().await;
    let browser = open(&server).await;
    for way in WAYS {
        browser.click(&format!("{way}-refresh")).await;
    }
    for way in WAYS {
        browser.until_text(&format!("{way}-why"), "closed with 4401: expired").await;
        browser.until_text(&format!("{way}-state"), "closed").await;
    }
}

pub(crate) async fn a_refresh_as_somebody_else_is_refused() {
    let server = Server::short_tokens().await;
    let browser = open(&server).await;
    browser.click("subprotocol-other").await;
    browser.until_text("subprotocol-why", "closed with 4403: ").await;
    browser.until_text("message-state", "live").await;
    browser.click("message-other").await;
    browser.until_text("message-why", "closed with 4403: ").await;
}

pub(crate) async fn an_event_stream_takes_the_token_in_a_header() {
    let server = Server::short_tokens().await;
    let browser = open(&server).await;
    let read = "const read = async (authorization) => {
            const answer = await fetch('/events', { headers: { authorization } });
            return [answer.status, await answer.text()];
        };
        const { token } = await (await fetch('/token?user=ada', { method: 'POST' })).json();
        done([await read(`Bearer ${token}`), await read(`Bearer ${token}x`)]);";
    // Read to its end, which is there because the token expires.
    let answers = browser.run_async(&format!("(async () => {{ {read} }})()")).await;
    assert_eq!(answers[0][0], 200);
    let stream = answers[0][1].as_str().unwrap();
    assert!(stream.contains("\ndata: "), "{stream}");
    assert!(stream.contains("event: realtime.bye\ndata: {\"reason\":\"expired\"}"), "{stream}");
    assert_eq!(answers[1][0], 401, "{}", answers[1][1]);
}

async fn open(server: &Server) -> Browser {
    let browser = Browser::start().await;
    browser.goto(&server.url("/")).await;
    for way in WAYS {
        browser.until_text(&format!("{way}-who"), "you are ada").await;
        browser.until_text(&format!("{way}-state"), "live").await;
    }
    browser
}
