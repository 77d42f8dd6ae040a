//! The demo's page with everything on it.

use std::{collections::BTreeSet, env, fs, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use realtime_testkit::wait;

use super::{
    chat::{join_as, say},
    chromium::Browser,
    jobs::{self, some_files},
    server::Server,
};
use crate::Adapter;

/// Names the file for a picture of the page.
const SCREENSHOT: &str = "REALTIME_SCREENSHOT";

pub(crate) async fn all_panels_are_live(adapter: Adapter) {
    let server = Server::demo(adapter).await;
    let browser = Browser::start().await;
    browser.goto(&server.url("/")).await;
    browser.until_text("about", &format!("served by {}", adapter.name())).await;

    for (metric, top) in
        [("cpu", 100.0), ("memory", 100.0), ("network_in", f64::MAX), ("network_out", f64::MAX)]
    {
        let id = format!("metric-{metric}");
        browser.until_figure(&id, "is possible", |value| (0.0..=top).contains(&value)).await;
    }
    let mut readings = BTreeSet::new();
    wait::until_async("the CPU's figure moves", async || {
        readings.insert(browser.figure("metric-cpu").await.to_bits());
        readings.len() >= 3
    })
    .await;

    browser.until_figure("stat-connections_sse", "is two", |count| count == 2.0).await;
    browser.until_figure("stat-connections_websocket", "is one", |count| count == 1.0).await;
    let published = browser.figure("stat-published").await;
    browser.until_figure("stat-published", "grows", |count| count > published).await;

    for (name, text) in [
        ("Ada", "Good morning! Does anybody hear me?"),
        ("Ferris", "Loud and clear."),
        ("Ada", "What if the connection is cut?"),
        ("Ferris", "Then the page comes back and asks for what it has missed."),
    ] {
        join_as(&browser, name).await;
        say(&browser, text).await;
        browser.until_text("chat-log", text).await;
    }

    let (folder, _) = some_files();
    jobs::start(&browser, folder.path().to_str().unwrap()).await;
    browser.until_text("job-status", "done").await;

    browser.click("firehose").await;
    browser.until_figure("firehose-n", "is there", |n| n > 0.0).await;
    browser.until_figure("stat-connections_sse", "is three", |count| count == 3.0).await;

    for panel in ["metrics-state", "chat-status", "stats-state", "firehose-state"] {
        browser.until_text(panel, "live").await;
    }
    take_screenshot(&browser, adapter).await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

async fn take_screenshot(browser: &Browser, adapter: Adapter) {
    let (Some(path), Adapter::Axum) = (env::var_os(SCREENSHOT), adapter) else { return };
    // Until the charts have something to draw.
    tokio::time::sleep(Duration::from_secs(40)).await;
    let picture = BASE64_STANDARD.decode(browser.screenshot().await).unwrap();
    fs::write(path, picture).unwrap();
}
