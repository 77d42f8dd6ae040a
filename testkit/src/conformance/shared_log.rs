//! A log that outlives the hubs on it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

// tidy: allow(position-issuer): this is a broker
use realtime_core::PositionIssuer;
use realtime_core::{Broker, BrokerError, Event, Inlet, Position, Published, TopicName};

/// What a broker between instances is to the hubs on it, in one process: each gets what was published
/// before it came, and then what any of them publishes. It lets go of nothing.
#[derive(Debug)]
pub(super) struct SharedLog {
    // tidy: allow(position-issuer): this is a broker
    issuer: PositionIssuer,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<(TopicName, Position, Event)>,
    hubs: Vec<Inlet>,
}

impl SharedLog {
    pub(super) fn new() -> Self {
        // tidy: allow(position-issuer): this is a broker
        Self { issuer: PositionIssuer::new(1), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker for SharedLog {
    fn epoch(&self) -> u64 {
        self.issuer.epoch()
    }

    fn start(&self, inlet: Inlet) -> Result<(), BrokerError> {
        let mut state = self.state();
        for (topic, position, event) in &state.events {
            let delivered = inlet.deliver(topic, *position, event.clone(), Instant::now());
            delivered.expect("a new hub takes what was published in its order").wake();
        }
        state.hubs.push(inlet);
        Ok(())
    }

    fn publish(&self, topic: &TopicName, event: Event, now: Instant) -> Published {
        let mut state = self.state();
        let position = self.issuer.at(state.events.len() as u64 + 1);
        let mut wakeups = Vec::new();
        state.hubs.retain(|hub| {
            // It fails only where the hub is gone.
            let delivered = hub.deliver(topic, position, event.clone(), now);
            delivered.map(|it| wakeups.push(it)).is_ok()
        });
        state.events.push((topic.clone(), position, event));
        // Subscribers are woken when no lock is held.
        drop(state);
        drop(wakeups);
        Published::Now(Ok(position))
    }
}
