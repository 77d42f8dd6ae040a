//! Between instances: the [`Broker`] trait, and [`LocalBroker`], the embedded default.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use crate::{
    event::Event,
    pattern::TopicPattern,
    position::{LastEventId, Position},
    topic::TopicName,
};

mod inlet;
mod local;

pub(crate) use inlet::Deliver;
pub use inlet::{EarlierEvent, Inlet, Interest};
pub use local::LocalBroker;

/// Numbers events and carries them between the instances of a service.
///
/// A hub has one broker. Publishing goes to the broker; what the broker accepted comes back to every
/// instance through [`Inlet::deliver`], in the order of its sequence, and only that appends to a
/// topic's log.
///
/// # Between instances
/// A broker that [is shared](Self::is_shared) has an instance get only what it is interested in. So a
/// topic's log here is not complete by itself: a subscription starts once the broker has said, for each
/// of its topics, from where on everything comes ([`Inlet::establish`]). What was published before, the
/// hub asks for when somebody wants it ([`read`](Self::read)). None of the calls waits; what they
/// ask for is answered through the inlet, whenever the broker can.
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// The epoch of the sequence that the broker numbers with when the hub starts; of a shared one any
    /// number, as long as [`Inlet::begin`] has not told it.
    fn epoch(&self) -> u64;

    /// Takes the hub's end, into which the broker delivers. Called once, before anything else.
    ///
    /// # Errors
    /// [`BrokerError`] when it can't work where it is, whatever its server does; the hub is not built.
    fn start(&self, inlet: Inlet) -> Result<(), BrokerError>;

    /// Assigns the next position to `event`, stores it, and has it delivered to every instance with
    /// interest in `topic`.
    ///
    /// A broker that can't answer at once returns a future that ends by a deadline of its own with
    /// [`BrokerError::Unavailable`].
    fn publish(&self, topic: &TopicName, event: Event, now: Instant) -> Published;

    /// Tells that this instance has its first subscriber to `topic`, or has lost its last. Who follows
    /// it by a pattern is one from when the topic is made until it turns out that it is not permitted.
    /// Calls may overlap and repeat what was told; the last one tells what is. A shared broker answers
    /// each that tells of interest with [`Inlet::establish`]. Defaults to nothing, for brokers that
    /// deliver everything.
    fn interest(&self, topic: &TopicName, interested: bool) {
        let _ = (topic, interested);
    }

    /// Tells that somebody here has begun to follow `pattern`, or that nobody does any more; as
    /// [`interest`](Self::interest).
    fn pattern_interest(&self, pattern: &TopicPattern, interested: bool) {
        let _ = (pattern, interested);
    }

    /// Whether other instances publish to it as well, so that it has to say from where on a topic's
    /// events come. Defaults to false.
    fn is_shared(&self) -> bool {
        false
    }

    /// Asks for the newest events of a topic with a sequence above `after`, at most `limit`, to be
    /// answered with [`Inlet::earlier`]. The same may be asked again while it is not answered.
    fn read(&self, topic: &TopicName, after: u64, limit: usize) {
        let _ = (topic, after, limit);
    }

    /// Asks which topics that `pattern` matches have events with a sequence above `after`, at most
    /// `limit`, to be answered with [`Inlet::found`]. The same may be asked again while it is not
    /// answered.
    fn find(&self, pattern: &TopicPattern, after: u64, limit: usize) {
        let _ = (pattern, after, limit);
    }

    /// Asks where the sequence is now, to be answered with [`Inlet::advance`] and
    /// [`Inlet::reached`]: a client has an id that this instance has not got to.
    fn catch_up(&self) {}

    /// Has the other instances end the connections of a subject, as soon as they can be told; this one has
    /// done so. Defaults to nothing, for brokers without other instances.
    fn disconnect(&self, subject: &str, reason: &str) {
        let _ = (subject, reason);
    }

    /// Asks the other instances how many subscribers a topic has, which has so many `here`. The future
    /// ends by a deadline of its own, with what is known then. Defaults to those here.
    fn occupancy(&self, topic: &TopicName, here: usize) -> Counting {
        let _ = topic;
        Box::pin(std::future::ready(Occupancy { subscribers: here as u64, instances: 1, silent: 0 }))
    }

    /// How it is. Defaults to [`BrokerHealth::Well`].
    fn health(&self) -> BrokerHealth {
        BrokerHealth::Well
    }

    /// What it has done so far. Defaults to nothing, for brokers that have nobody else to deal with.
    fn stats(&self) -> BrokerStats {
        BrokerStats::default()
    }

    /// Ends its connections; what is published from then on fails. The future ends by a deadline of its
    /// own. Defaults to nothing.
    fn close(&self) -> Closing {
        Box::pin(std::future::ready(()))
    }
}

/// What a broker between instances has done so far; counts never go down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct BrokerStats {
    /// Events that this instance published and the server accepted.
    pub published: u64,
    /// Publishes that failed because the server was not there or did not answer in time.
    pub publishes_failed: u64,
    /// Events that came from the server, whoever published them.
    pub received: u64,
    /// Events that were missed and got out of history.
    pub repaired: u64,
    /// How often events of a topic were missed that are no longer to be had, which is told as a
    /// [`Gap`](crate::Gap).
    pub lost: u64,
    /// How often it has connected.
    pub connected: u64,
    /// How often the server's numbers began anew, which is told as a [`Reset`](crate::Reset); the first
    /// time is not counted.
    pub resets: u64,
}

/// The end of a broker, to be awaited; see [`Broker::close`].
pub type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The answer of the instances to how many subscribers a topic has, to be awaited; see
/// [`Broker::occupancy`].
pub type Counting = Pin<Box<dyn Future<Output = Occupancy> + Send>>;

/// How many subscribers a topic has, over all instances of a service.
///
/// Each instance counts when it is asked, so the parts are of slightly different times, and no older
/// than the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Occupancy {
    /// Subscriptions to the topic, by its name or by a pattern that has brought it.
    pub subscribers: u64,
    /// The instances whose subscribers these are.
    pub instances: u64,
    /// Instances that were there lately and have not answered: theirs are missing.
    pub silent: u64,
}

impl Occupancy {
    /// What so many instances have together, of which some have not answered.
    pub fn new(subscribers: u64, instances: u64, silent: u64) -> Self {
        Self { subscribers, instances, silent }
    }
}

/// How a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BrokerHealth {
    /// It takes and brings events.
    Well,
    /// It is connected and catches up with what was published meanwhile.
    CatchingUp,
    /// It is not connected, since when and for the last reason that was found.
    Unavailable {
        /// Since when.
        since: Instant,
        /// Why, without credentials.
        reason: String,
    },
}

impl BrokerHealth {
    /// Whether it takes and brings events.
    pub fn is_well(&self) -> bool {
        *self == Self::Well
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
    /// It does not take the event, and would not if it were published again.
    #[error("the broker refuses the event: {0}")]
    Refused(String),
    /// It was made or used where it can't work.
    #[error("the broker can't start: {0}")]
    Start(String),
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

/// A shared broker is a broker.
impl<B: Broker + ?Sized> Broker for Arc<B> {
    fn epoch(&self) -> u64 {
        (**self).epoch()
    }

    fn start(&self, inlet: Inlet) -> Result<(), BrokerError> {
        (**self).start(inlet)
    }

    fn publish(&self, topic: &TopicName, event: Event, now: Instant) -> Published {
        (**self).publish(topic, event, now)
    }

    fn interest(&self, topic: &TopicName, interested: bool) {
        (**self).interest(topic, interested);
    }

    fn pattern_interest(&self, pattern: &TopicPattern, interested: bool) {
        (**self).pattern_interest(pattern, interested);
    }

    fn is_shared(&self) -> bool {
        (**self).is_shared()
    }

    fn read(&self, topic: &TopicName, after: u64, limit: usize) {
        (**self).read(topic, after, limit);
    }

    fn find(&self, pattern: &TopicPattern, after: u64, limit: usize) {
        (**self).find(pattern, after, limit);
    }

    fn catch_up(&self) {
        (**self).catch_up();
    }

    fn disconnect(&self, subject: &str, reason: &str) {
        (**self).disconnect(subject, reason);
    }

    fn occupancy(&self, topic: &TopicName, here: usize) -> Counting {
        (**self).occupancy(topic, here)
    }

    fn health(&self) -> BrokerHealth {
        (**self).health()
    }

    fn stats(&self) -> BrokerStats {
        (**self).stats()
    }

    fn close(&self) -> Closing {
        (**self).close()
    }
}
