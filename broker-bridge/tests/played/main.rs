//! What the bridge does with an engine that a test plays, on paused time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod engine;
mod outages;
mod starts;

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use engine::{Server, topic};
use realtime_bridge::{
    At, Bridge, Interest, Options,
    core::{Delivery, Hub, LastEventId, Retention, Start, Subscribe, Subscription, TopicName},
};
use tokio::time::{sleep, timeout};

pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn hub(server: &Server) -> Hub {
    Hub::builder().broker(Bridge::new(server.clone(), Options::default())).build().unwrap()
}

pub(crate) fn hub_with(server: &Server, retention: Retention) -> Hub {
    let bridge = Bridge::new(server.clone(), Options::default());
    Hub::builder().retention(retention).broker(bridge).build().unwrap()
}

pub(crate) async fn ready(subscription: &mut Subscription) {
    timeout(LONG, subscription.ready()).await.expect("it starts");
}

pub(crate) async fn settle() {
    sleep(Duration::from_millis(50)).await;
}

pub(crate) async fn well(hub: &Hub) {
    for _ in 0..10_000 {
        if hub.broker_health().is_well() {
            return settle().await;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", hub.broker_health());
}

pub(crate) async fn next(subscription: &mut Subscription) -> Delivery {
    timeout(LONG, subscription.next()).await.expect("something comes").expect("it goes on")
}

pub(crate) async fn text(subscription: &mut Subscription) -> String {
    match next(subscription).await {
        Delivery::Event(entry) => entry.event().data().as_text().unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn id(at: At) -> LastEventId {
    realtime_position(at).parse().unwrap()
}

pub(crate) fn realtime_position(at: At) -> String {
    realtime_bridge::core::PositionIssuer::new(at.epoch).at(at.sequence).to_string()
}
