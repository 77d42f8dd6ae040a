//! More than a slow client can take, to show what becomes of one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use realtime::{
    Broker, Event, EventError, Hub, Inlet, LagLimit, LocalBroker, Overflow, Published, Subscribe,
    TopicName, TopicNameError,
};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::app::unix_ms;

const TOPIC: &str = "firehose";
const PAD_BYTES: usize = 16 * 1024;

/// A client that lags by more than 20 ticks gets only the newest.
pub(crate) fn subscribe() -> Subscribe {
    Subscribe::to(TOPIC).overflow(Overflow::Conflate).lag(LagLimit::default().events(20))
}

/// Publishes 100 ticks a second while somebody is subscribed.
pub(crate) async fn publish(hub: Hub, audience: Arc<Audience>) {
    let pad = "x".repeat(PAD_BYTES);
    let mut interval = interval(Duration::from_millis(10));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 1_u64.. {
        audience.wait().await;
        interval.tick().await;
        if let Ok(event) = event(n, &pad) {
            // Refused only by a hub whose limits are below this.
            let _ = hub.publish(TOPIC, event).await;
        }
    }
}

fn event(n: u64, pad: &str) -> Result<Event, EventError> {
    Event::json(&json!({ "n": n, "time": unix_ms(), "pad": pad }))?.named("tick")?.keyed("tick")
}

/// The embedded broker, with an eye on whether anybody is subscribed to one topic.
#[derive(Debug)]
pub(crate) struct Audience {
    broker: LocalBroker,
    topic: TopicName,
    there: watch::Sender<bool>,
}

impl Audience {
    pub(crate) fn new(topic: &str) -> Result<Self, TopicNameError> {
        let (broker, topic) = (LocalBroker::new(), TopicName::new(topic)?);
        Ok(Self { broker, topic, there: watch::Sender::new(false) })
    }

    /// Waits until somebody is subscribed.
    async fn wait(&self) {
        // The sender lives as long as `self`.
        let _ = self.there.subscribe().wait_for(|there| *there).await;
    }
}

impl Broker for Audience {
    fn epoch(&self) -> u64 {
        self.broker.epoch()
    }

    fn start(&self, inlet: Inlet) {
        self.broker.start(inlet);
    }

    fn publish(&self, topic: &TopicName, event: Event, now: Instant) -> Published {
        self.broker.publish(topic, event, now)
    }

    fn interest(&self, topic: &TopicName, interested: bool) {
        if *topic == self.topic {
            self.there.send_replace(interested);
        }
    }
}
