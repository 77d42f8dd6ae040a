//! More than a slow client can take, to show what becomes of one.

use std::time::Duration;

use realtime::{Event, EventError, Hub, LagLimit, Overflow, Subscribe, TopicName};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::unix_ms;

pub(crate) const TOPIC: &str = "firehose";
const PAD_BYTES: usize = 16 * 1024;

/// A client that lags by more than 20 ticks gets only the newest.
pub(crate) fn subscribe() -> Subscribe {
    Subscribe::to(TOPIC).overflow(Overflow::Conflate).lag(LagLimit::default().events(20))
}

/// Publishes 100 ticks a second while somebody is subscribed.
pub(crate) async fn publish(hub: Hub, topic: TopicName) {
    let pad = "x".repeat(PAD_BYTES);
    let mut interval = interval(Duration::from_millis(10));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut n = 0_u64;
    loop {
        interval.tick().await;
        if hub.subscribers(&topic) == 0 {
            continue;
        }
        n += 1;
        if let Ok(event) = event(n, &pad) {
            // Refused only by a hub whose limits are below this.
            let _ = hub.publish(&topic, event).await;
        }
    }
}

fn event(n: u64, pad: &str) -> Result<Event, EventError> {
    Event::json(&json!({ "n": n, "time": unix_ms(), "pad": pad }))?.named("tick")?.keyed("tick")
}
