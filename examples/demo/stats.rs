//! The hub's own counters.

use std::time::Duration;

use realtime::{Event, EventError, Hub, HubStats, Overflow, Start, Subscribe};
use tokio::time::{MissedTickBehavior, interval};

const TOPIC: &str = "stats";

/// The newest figures at once, and a slow client skips to them.
pub(crate) fn subscribe() -> Subscribe {
    Subscribe::to(TOPIC).start(Start::NewestPerKey).overflow(Overflow::Conflate)
}

/// Publishes the hub's counters every second for as long as the runtime lives.
pub(crate) async fn publish(hub: Hub) {
    let mut interval = interval(Duration::from_secs(1));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if let Ok(event) = event(&hub.stats()) {
            // Refused only by a hub whose limits are below this.
            let _ = hub.publish(TOPIC, event).await;
        }
    }
}

fn event(stats: &HubStats) -> Result<Event, EventError> {
    Event::json(stats)?.named("stats")?.keyed("stats")
}
