//! The embedded broker: [`LocalBroker`].

use std::time::Instant;

use super::{Broker, BrokerError, DeliverError, Inlet, Published};
use crate::{event::Event, fanout::lock, position::PositionIssuer, sync::Mutex, topic::TopicName};

/// The embedded broker: one instance, nothing else needed.
///
/// Its sequence lives as long as the hub; a restart is a new epoch.
#[derive(Debug)]
pub struct LocalBroker {
    issuer: PositionIssuer,
    state: Mutex<LocalState>,
}

#[derive(Debug, Default)]
struct LocalState {
    last: u64,
    inlet: Option<Inlet>,
}

impl LocalBroker {
    /// A broker with a fresh random epoch.
    pub fn new() -> Self {
        // 32 bits: short on the wire, and two lives in a row that draw the same are less likely
        // than a disk that loses the log.
        Self::with_epoch(u64::from(fastrand::u32(1..)))
    }

    /// A broker with the given epoch, which must differ from that of every earlier life whose ids
    /// clients may still hold.
    pub fn with_epoch(epoch: u64) -> Self {
        Self { issuer: PositionIssuer::new(epoch), state: Mutex::default() }
    }
}

impl Default for LocalBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl Broker for LocalBroker {
    fn epoch(&self) -> u64 {
        self.issuer.epoch()
    }

    fn start(&self, inlet: Inlet) -> Result<(), BrokerError> {
        lock(&self.state).inlet = Some(inlet);
        Ok(())
    }

    fn publish(&self, topic: &TopicName, event: Event, now: Instant) -> Published {
        let mut state = lock(&self.state);
        let position = self.issuer.at(state.last + 1);
        let delivered = match &state.inlet {
            Some(inlet) => inlet.deliver(topic, position, event, now),
            None => Err(DeliverError::Closed),
        };
        if delivered.is_ok() {
            state.last += 1;
        }
        drop(state);
        Published::Now(match delivered {
            Ok(wakeups) => {
                wakeups.wake();
                Ok(position)
            }
            Err(error) => Err(error.into()),
        })
    }
}
