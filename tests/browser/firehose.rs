//! The demo's firehose, and a tab that stops reading it.

use super::{chromium::Browser, server::Server};
use crate::Adapter;

const SEEN_AND_SKIPPED: &str = "const [n, seen, skipped] = ['n', 'seen', 'skipped']
    .map((id) => Number(document.getElementById(`firehose-${id}`).dataset.value));
    return seen + skipped - n";

pub(crate) async fn a_frozen_tab_stops_and_catches_up(adapter: Adapter) {
    let server = Server::demo(adapter).await;
    let browser = Browser::start().await;
    browser.goto(&server.url("/")).await;
    browser.click("firehose").await;
    let first = browser.until_figure("firehose-n", "is there", |n| n > 0.0).await;
    browser.until_figure("firehose-n", "grows", |n| n > first + 20.0).await;
    assert_eq!(browser.figure("firehose-skipped").await, 0.0);

    browser.click("freeze").await;
    browser.until_text("firehose-state", "frozen").await;
    // A read that was under way at the click still comes.
    publish_some(&browser).await;
    let frozen = browser.figure("firehose-n").await;
    publish_some(&browser).await;
    assert_eq!(browser.figure("firehose-n").await, frozen);
    assert!(browser.figure("firehose-age").await > 1000.0);

    // All buffers up to the server have to fill first.
    browser.until_figure("stat-max_lag", "exceeds the limit", |lag| lag > 20.0).await;

    browser.click("freeze").await;
    browser.until_figure("firehose-skipped", "counts", |skipped| skipped > 0.0).await;
    // Reading on at the pace of the ticks, it would stay as old as it is.
    browser.until_figure("firehose-age", "is that of now", |age| age < 1000.0).await;
    assert_eq!(browser.text("firehose-state").await, "live");
    // What was delivered and what was skipped together is all there was.
    assert_eq!(browser.run(SEEN_AND_SKIPPED).await, 0);
}

/// Waits until the server has published more than the other panels' events, which are 11 a second.
async fn publish_some(browser: &Browser) {
    let before = browser.figure("stat-published").await;
    let more = |published| published >= before + 50.0;
    browser.until_figure("stat-published", "grows by 50", more).await;
}
