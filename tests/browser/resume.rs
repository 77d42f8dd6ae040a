//! `EventSource` over connections that are cut.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use realtime_testkit::{
    proxy::{Cut, Proxy, RequestHead},
    wait,
};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::{
    chromium::Browser,
    server::{Server, call, post},
};
use crate::Adapter;

const FOLLOW: &str = "window.events = [];
    window.source = new EventSource('/events?topic=numbers');
    source.onmessage = ({ data, lastEventId }) => events.push([Number(data), lastEventId]);";

pub(crate) async fn every_event_comes_once_through_cuts(adapter: Adapter) {
    let server = Server::testbed(adapter).await;
    let proxy = Proxy::to(server.addr()).await;
    let browser = Browser::start().await;
    browser.goto(&format!("http://{}/healthz", proxy.addr())).await;
    browser.run(FOLLOW).await;
    wait::until_async("the page is subscribed", async || {
        server.stats().await["subscriptions"] == 1
    })
    .await;

    let publisher = Publisher::start(server.addr());
    for cut in [Cut::Fin, Cut::Reset] {
        let received = received(&browser).await;
        let some_more = |count: usize| count >= received + 10;
        until_received(&browser, &format!("events flow before {cut:?}"), some_more).await;
        let (published, streams) = (publisher.published(), streams(&proxy).len());
        proxy.cut(cut);
        let back = || self::streams(&proxy).len() > streams;
        wait::until(&format!("the page is back after {cut:?}"), back).await;
        assert!(publisher.published() > published, "something was to miss");
    }
    let published = publisher.stop().await;
    let all = |count: usize| count as u64 >= published;
    until_received(&browser, "all events are there", all).await;

    let events = browser.run("return events").await;
    let events: Vec<(u64, String)> = serde_json::from_value(events).unwrap();
    let numbers: Vec<_> = events.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=published).collect::<Vec<_>>());

    let streams = streams(&proxy);
    let resumed_from: Vec<_> = streams.iter().map(|it| it.headers.text("last-event-id")).collect();
    assert_eq!(resumed_from.len(), 3, "{streams:?}");
    assert_eq!(resumed_from[0], None);
    for id in &resumed_from[1..] {
        assert!(events.iter().any(|(_, of_event)| Some(of_event.as_str()) == *id), "{streams:?}");
    }
    let stats = server.stats().await;
    assert_eq!((&stats["resets"], &stats["missed"]), (&0.into(), &0.into()));
}

async fn received(browser: &Browser) -> usize {
    count(&browser.run("return events.length").await)
}

async fn until_received(browser: &Browser, what: &str, enough: impl Fn(usize) -> bool) {
    browser.until(what, "return events.length", |value| enough(count(value))).await;
}

fn count(value: &serde_json::Value) -> usize {
    value.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap()
}

fn streams(proxy: &Proxy) -> Vec<RequestHead> {
    let requests = proxy.requests().into_iter();
    requests.filter(|head| head.target().starts_with("/events")).collect()
}

/// Publishes 1, 2, 3 and so on, past the proxy.
struct Publisher {
    published: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Publisher {
    fn start(server: SocketAddr) -> Self {
        let published = Arc::new(AtomicU64::new(0));
        let stop = Arc::default();
        let task = tokio::spawn(publish(server, Arc::clone(&published), Arc::clone(&stop)));
        Self { published, stop, task }
    }

    fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// How many there were.
    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.published.load(Ordering::Relaxed)
    }
}

/// Slowly enough that the log still has what a page missed which was away for 4.5 s, the longest
/// that the server asks for.
async fn publish(server: SocketAddr, published: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let mut pace = interval(Duration::from_millis(10));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let next = published.load(Ordering::Relaxed) + 1;
        call(server, post("/publish?topic=numbers", &next.to_string())).await;
        published.store(next, Ordering::Relaxed);
    }
}
