//! An event stream as a body.

use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::{LagLimit, Subscribe, sse};

fn body(hub: &Hub, subscribe: impl Into<Subscribe>) -> Body {
    Body::open(sse::Request::let_in(hub, &Head::get()).unwrap(), subscribe).unwrap().1
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_after_silence_only() {
    let hub = Hub::new();
    let mut body = body(&hub, "a");
    let start = Clock::now();
    let mut next = async || {
        let bytes = body.next().await.unwrap();
        (start.elapsed().as_secs(), bytes == ":\n\n")
    };
    assert_eq!(next().await, (0, false), "the preamble");
    assert_eq!(next().await, (15, true));
    assert_eq!(next().await, (30, true));
    tokio::time::sleep(Duration::from_secs(10)).await;
    publish(&hub, "x").await;
    assert_eq!(next().await, (40, false));
    assert_eq!(next().await, (55, true), "fifteen seconds after the event");
}

#[tokio::test(start_paused = true)]
async fn an_event_wakes_a_body_that_waits_for_its_heartbeat() {
    let hub = Hub::new();
    let mut body = body(&hub, "a");
    body.next().await;
    let start = Clock::now();
    let reader = tokio::spawn(async move { body.next().await.unwrap() });
    tokio::time::sleep(Duration::from_secs(1)).await;
    publish(&hub, "x").await;
    assert!(reader.await.unwrap().ends_with(b"data: x\n\n"));
    assert_eq!(start.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_ends_with_its_subscription() {
    let hub = Hub::new();
    let mut body = body(&hub, Subscribe::to("a").lag(LagLimit::default().events(1)));
    body.next().await;
    publish(&hub, "x").await;
    publish(&hub, "y").await;
    assert!(body.next().await.unwrap().starts_with(b"event: realtime.bye\n"));
    assert_eq!(body.next().await, None);
    assert_eq!(held(&hub), (0, 0), "though the framework still has it");
}

/// Connections and subscriptions.
fn held(hub: &Hub) -> (u64, u64) {
    (hub.stats().connections_sse, hub.stats().subscriptions)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_asked_for_more_is_given_up() {
    let hub = Hub::new();
    let mut body = body(&hub, "a");
    body.next().await;
    sleep(59).await;
    assert_eq!(held(&hub), (1, 1));
    sleep(2).await;
    assert_eq!(held(&hub), (0, 0));
    assert_eq!(hub.stats().slow_disconnects, 0);
    assert_eq!(body.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_asked_now_and_then_is_not() {
    let hub = Hub::new();
    let mut body = body(&hub, "a");
    for _ in 0..10 {
        publish(&hub, "x").await;
        assert!(body.next().await.is_some());
        sleep(59).await;
    }
    assert_eq!(held(&hub), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_task_does_not_come_when_it_is_woken_is_given_up() {
    let hub = Hub::new();
    let mut body = body(&hub, "a");
    body.next().await;
    assert!(body.next().now_or_never().is_none(), "it waits for its heartbeat");
    sleep(74).await;
    assert_eq!(held(&hub), (1, 1));
    sleep(2).await;
    assert_eq!(held(&hub), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_asked_is_cut_for_its_lag_too() {
    let hub = Hub::new();
    let mut body = body(&hub, Subscribe::to("a").lag(LagLimit::default().events(1)));
    body.next().await;
    publish(&hub, "x").await;
    sleep(16).await;
    assert_eq!(held(&hub), (1, 1));
    publish(&hub, "y").await;
    sleep(16).await;
    assert_eq!(held(&hub), (0, 0));
    assert_eq!(hub.stats().slow_disconnects, 1);
    assert_eq!(body.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dropped_leaves_nothing() {
    let hub = Hub::new();
    let mut body = body(&hub, "a");
    body.next().await;
    assert!(body.next().now_or_never().is_none());
    let is_left = body.watch();
    drop(body);
    assert!(!is_left());
    assert_eq!(held(&hub), (0, 0));
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
