//! Between instances: the [`Broker`] trait, and [`LocalBroker`], the embedded default.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Instant,
};

use crate::{
    event::Event,
    fanout::{Wakeups, lock},
    position::{LastEventId, Position, PositionIssuer},
    sync::Mutex,
    topic::TopicName,
};

/// Numbers events and carries them between the instances of a service.
///
/// A hub has one broker. Publishing goes to the broker; what the broker accepted comes back to every
/// instance through [`Inlet::deliver`], in the order of its sequence, and only that appends to a
/// topic's log.
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// The epoch of the sequence that the broker numbers with now.
    fn epoch(&self) -> u64;

    /// Takes the hub's end, into which the broker delivers. Called once, before anything else.
    fn start(&self, inlet: Inlet);

    /// Assigns the next position to `event`, stores it, and has it delivered to every instance with
    /// interest in `topic`.
    ///
    /// A broker that can't answer at once returns a future that ends by a deadline of its own with
    /// [`BrokerError::Unavailable`].
    fn publish(&self, topic: &TopicName, event: Event, now: Instant) -> Published;

    /// Tells that this instance has its first subscriber to `topic`, or has lost its last. Who follows
    /// it by a pattern is one from when the topic is made until it turns out that it is not permitted.
    /// Calls may overlap and repeat what was told; the last one tells what is. Defaults to nothing,
    /// for brokers that deliver everything.
    fn interest(&self, topic: &TopicName, interested: bool) {
        let _ = (topic, interested);
    }
}

/// The outcome of [`Broker::publish`]: known at once, or later.
///
/// # Cancel safety
/// Dropping it takes nothing back: the broker may have stored the event, or may yet.
#[non_exhaustive]
pub enum Published {
    /// Known.
    Now(Result<Position, BrokerError>),
    /// To be awaited. The broker may have stored the event even if this is dropped.
    Later(Pin<Box<dyn Future<Output = Result<Position, BrokerError>> + Send>>),
}

impl Future for Published {
    type Output = Result<Position, BrokerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Now(outcome) => {
                let polled_again = Err(BrokerError::Unavailable("polled after it ended".into()));
                Poll::Ready(std::mem::replace(outcome, polled_again))
            }
            Self::Later(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(outcome) => f.debug_tuple("Now").field(outcome).finish(),
            Self::Later(_) => f.debug_tuple("Later").finish(),
        }
    }
}

/// Why a broker did not take an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// It can't be reached or did not answer in time. The event may or may not have been stored.
    #[error("the broker is not available: {0}; publish again when it is")]
    Unavailable(String),
    /// The hub did not take the event that the broker delivered.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
}

/// Why a hub did not take an event from its broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// The hub is gone.
    #[error("the hub has been dropped")]
    Closed,
    /// The position is not above all that have been delivered.
    #[error("expected a position after {head}, got {position}")]
    OutOfOrder {
        /// The newest position delivered; its sequence is 0 when none has been.
        head: LastEventId,
        /// The one refused.
        position: Position,
    },
    /// The table of topics is full, and every topic in it is in use.
    #[error("the hub has {max} topics, all in use: raise `limits.topics` or use fewer names")]
    TooManyTopics {
        /// The limit.
        max: usize,
    },
}

/// The end of a hub into which its broker delivers.
#[derive(Clone, Debug)]
pub struct Inlet(Weak<dyn Deliver>);

impl Inlet {
    /// Appends an event that the broker has numbered to its topic's log.
    ///
    /// # Errors
    /// [`DeliverError`]; nothing is appended.
    pub fn deliver(
        &self,
        topic: &TopicName,
        position: Position,
        event: Event,
        now: Instant,
    ) -> Result<Wakeups, DeliverError> {
        let hub = self.0.upgrade().ok_or(DeliverError::Closed)?;
        hub.deliver(topic, position, event, now)
    }

    pub(crate) fn new(hub: Weak<dyn Deliver>) -> Self {
        Self(hub)
    }
}

/// The hub, as its broker sees it.
pub(crate) trait Deliver: fmt::Debug + Send + Sync {
    fn deliver(
        self: Arc<Self>,
        topic: &TopicName,
        position: Position,
        event: Event,
        now: Instant,
    ) -> Result<Wakeups, DeliverError>;
}

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

    fn start(&self, inlet: Inlet) {
        lock(&self.state).inlet = Some(inlet);
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

/// A shared broker is a broker.
impl<B: Broker + ?Sized> Broker for Arc<B> {
    fn epoch(&self) -> u64 {
        (**self).epoch()
    }

    fn start(&self, inlet: Inlet) {
        (**self).start(inlet);
    }

    fn publish(&self, topic: &TopicName, event: Event, now: Instant) -> Published {
        (**self).publish(topic, event, now)
    }

    fn interest(&self, topic: &TopicName, interested: bool) {
        (**self).interest(topic, interested);
    }
}
