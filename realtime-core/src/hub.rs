//! The [`Hub`]: table of topics, sequencing, publish and deliver.

use std::{
    collections::HashMap,
    future::Future,
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use bytestring::ByteString;

use crate::{
    auth::{Action, Authorize, Identity},
    broker::{Broker, BrokerError, Deliver, DeliverError, Inlet, LocalBroker, Published},
    client_ip::ClientIp,
    config::Config,
    event::Event,
    fanout::{Fanout, Wakeups, lock},
    limits::Transport,
    permits::{LimitReached, Permit, Permits},
    position::{LastEventId, Position},
    stats::{Counters, HubStats},
    topic::{TopicName, TopicNameError},
};

mod builder;

pub use builder::HubBuilder;

/// The place where events are published and subscribed to.
///
/// A cheap handle: clones are the same hub. Several hubs in one process are independent of each
/// other.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use realtime_core::{Delivery, Event, Hub};
///
/// let hub = Hub::new();
/// let mut prices = hub.subscribe("prices")?;
/// hub.publish("prices", Event::text("1.08")).await?;
/// let Some(Delivery::Event(entry)) = prices.next().await else { panic!() };
/// assert_eq!(entry.event().data().as_text(), Some("1.08"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    broker: Box<dyn Broker>,
    topics: RwLock<Topics>,
    /// The newest position delivered; held while an event is appended, which makes everything up to
    /// `visible` complete.
    head: Mutex<Option<Position>>,
    visible: AtomicU64,
    watermarks: Watermarks,
    counters: Arc<Counters>,
    permits: Arc<Permits>,
}

#[derive(Debug)]
struct Topics {
    by_name: HashMap<TopicName, Arc<Fanout>>,
    /// The size of the table at which topics that nobody uses are looked for.
    sweep_at: usize,
}

/// Below this size the table is not swept.
const SWEEP_FLOOR: usize = 1024;

impl Hub {
    /// A hub with the default configuration and the embedded broker.
    pub fn new() -> Self {
        Self::assemble(Config::default(), Box::new(LocalBroker::new()))
    }

    /// Starts the configuration of a hub.
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    /// The configuration that the hub was built with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Publishes to a topic, at the time `now`; see [`Hub::publish`].
    pub fn publish_at<T>(&self, topic: T, event: Event, now: Instant) -> Publish
    where
        T: TryInto<TopicName>,
        TopicNameError: From<T::Error>,
    {
        let topic = match topic.try_into() {
            Ok(topic) => topic,
            Err(error) => return Publish::refused(TopicNameError::from(error)),
        };
        let (size, max) = (event.size(), self.config().limits.event_bytes);
        if size > max {
            return Publish::refused(PublishError::TooLarge { size, max });
        }
        Publish(Ok(self.inner.broker.publish(&topic, event, now)))
    }

    /// How many subscriptions a topic has on this hub; 0 for a topic that nobody has used.
    ///
    /// Good for producing what costs something only while somebody listens.
    pub fn subscribers(&self, topic: &TopicName) -> usize {
        let topic = self.inner.read_topics(|topics| topics.get(topic).cloned());
        topic.map_or(0, |topic| topic.members())
    }

    /// Ends every connection of a subject on this hub, and those that are being authenticated as it
    /// now; returns how many were open. A WebSocket closes with 4401 and `reason`, an event stream
    /// ends with it in `realtime.bye`.
    ///
    /// It keeps nobody from coming back whose credentials are still valid: revoke these first.
    pub fn disconnect(&self, subject: &str, reason: impl Into<ByteString>) -> usize {
        self.inner.permits.revoke(subject, &reason.into())
    }

    /// Whether [`Config::authorize`] lets `identity` do `action` with `topic`; it does if there is
    /// none.
    pub fn authorizes(
        &self,
        identity: Option<&Identity>,
        action: Action,
        topic: &TopicName,
    ) -> bool {
        let authorize = self.config().authorize.as_ref();
        authorize.is_none_or(|authorize| authorize.authorize(identity, action, topic))
    }

    /// What happened so far.
    pub fn stats(&self) -> HubStats {
        let mut stats = self.inner.counters.snapshot();
        let topics: Vec<_> = self.inner.read_topics(|topics| topics.values().cloned().collect());
        stats.topics = topics.len() as u64;
        stats.identities = self.inner.permits.subjects() as u64;
        for topic in topics {
            let (bytes, lag) = topic.gauge();
            stats.retained_bytes += bytes;
            stats.max_lag = stats.max_lag.max(lag);
        }
        stats
    }

    pub(crate) fn assemble(config: Config, broker: Box<dyn Broker>) -> Self {
        let counters = Arc::<Counters>::default();
        let inner = Arc::new(Inner {
            config,
            broker,
            topics: RwLock::new(Topics { by_name: HashMap::new(), sweep_at: SWEEP_FLOOR }),
            head: Mutex::new(None),
            visible: AtomicU64::new(0),
            watermarks: Watermarks::default(),
            permits: Arc::new(Permits::new(Arc::clone(&counters))),
            counters,
        });
        let weak = Arc::downgrade(&inner);
        inner.broker.start(Inlet::new(weak));
        Self { inner }
    }

    /// The sequence up to which all topics are complete.
    pub(crate) fn visible(&self) -> u64 {
        self.inner.visible.load(Ordering::Acquire)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.inner.broker.epoch()
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.inner.counters
    }

    /// The topic `name`, made if it is not there.
    pub(crate) fn topic(
        &self,
        name: &TopicName,
        now: Instant,
    ) -> Result<Arc<Fanout>, DeliverError> {
        self.inner.topic(name, now)
    }

    /// Tells the broker that a topic has got its first subscriber or lost its last.
    ///
    /// Two of these may overlap, and no lock is held over the broker's code. So whoever has told
    /// looks again: the last to tell told what is.
    pub(crate) fn interest(&self, topic: &Fanout) {
        loop {
            let interested = topic.members() > 0;
            self.inner.broker.interest(topic.topic(), interested);
            if interested == (topic.members() > 0) {
                break;
            }
        }
    }

    /// Forgets a topic that a subscriber has left, if nothing is in it.
    pub(crate) fn left(&self, topic: &Arc<Fanout>) {
        if topic.with(|state| state.log.is_blank()) {
            self.inner.forget_if_blank(topic);
        }
    }

    /// A permit for one more connection of `client`.
    pub(crate) fn admit(
        &self,
        transport: Transport,
        client: Option<ClientIp>,
        now: Instant,
    ) -> Result<Permit, LimitReached> {
        self.inner.permits.admit(transport, client, &self.config().limits, now)
    }

    pub(crate) fn permits(&self) -> &Arc<Permits> {
        &self.inner.permits
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl Inner {
    fn read_topics<R>(&self, read: impl FnOnce(&HashMap<TopicName, Arc<Fanout>>) -> R) -> R {
        read(&self.topics.read().unwrap_or_else(PoisonError::into_inner).by_name)
    }

    fn topic(&self, name: &TopicName, now: Instant) -> Result<Arc<Fanout>, DeliverError> {
        if let Some(topic) = self.read_topics(|topics| topics.get(name).cloned()) {
            return Ok(topic);
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.by_name.get(name) {
            return Ok(Arc::clone(topic));
        }
        let max = self.config.limits.topics;
        if topics.by_name.len() >= topics.sweep_at.min(max) {
            self.sweep(&mut topics, now);
        }
        if topics.by_name.len() >= max {
            return Err(DeliverError::TooManyTopics { max });
        }
        let evicted_through = self.watermarks.get(name);
        let topic = Arc::new(Fanout::new(name.clone(), self.config.retention, evicted_through));
        topics.by_name.insert(name.clone(), Arc::clone(&topic));
        Ok(topic)
    }

    /// Removes a topic that has lost its last subscriber and holds no event, so that names which were
    /// only ever subscribed to leave nothing behind.
    fn forget_if_blank(&self, topic: &Arc<Fanout>) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let is_ours = topics.by_name.get(topic.topic()).is_some_and(|it| Arc::ptr_eq(it, topic));
        // The table holds one reference, the caller another; a third is a subscriber or a publisher.
        let unused =
            is_ours && Arc::strong_count(topic) == 2 && topic.with(|state| state.log.is_blank());
        if unused {
            self.watermarks.raise(topic.topic(), topic.last_sequence());
            topics.by_name.remove(topic.topic());
        }
    }

    /// Removes topics that nobody holds and whose events are past their age. The next sweep is due
    /// when the table has doubled, so that sweeping costs a constant per topic made.
    fn sweep(&self, topics: &mut Topics, now: Instant) {
        topics.by_name.retain(|name, topic| {
            // The table holds one reference; a subscriber or a publisher at work another.
            let unused =
                Arc::strong_count(topic) == 1 && topic.with(|state| state.log.is_expired(now));
            if unused {
                self.watermarks.raise(name, topic.last_sequence());
            }
            !unused
        });
        topics.sweep_at = (topics.by_name.len() * 2).max(SWEEP_FLOOR);
    }
}

impl Deliver for Inner {
    fn deliver(
        &self,
        topic: &TopicName,
        position: Position,
        event: Event,
        now: Instant,
    ) -> Result<Wakeups, DeliverError> {
        let topic = self.topic(topic, now)?;
        let mut head = lock(&self.head);
        let before = LastEventId {
            epoch: head.map_or(position.epoch(), Position::epoch),
            sequence: head.map_or(0, Position::sequence),
        };
        if position.epoch() != before.epoch || position.sequence() <= before.sequence {
            return Err(DeliverError::OutOfOrder { head: before, position });
        }
        let wakeups = topic.append(position, event, &self.visible, now);
        *head = Some(position);
        drop(head);
        self.counters.published.fetch_add(1, Ordering::Relaxed);
        Ok(wakeups)
    }
}

/// What the topics that were removed have had: for each hash of a name the highest sequence.
///
/// Names that share a bucket share the mark, which can only make a resume start anew that could
/// have been complete, never the reverse.
#[derive(Debug)]
struct Watermarks {
    hasher: RandomState,
    buckets: Box<[AtomicU64]>,
}

impl Default for Watermarks {
    fn default() -> Self {
        let buckets = (0..Self::BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { hasher: RandomState::new(), buckets }
    }
}

impl Watermarks {
    /// 32 KiB; with a thousand removed topics a name has a bucket of its own more often than not.
    const BUCKETS: usize = 4096;

    fn bucket(&self, name: &TopicName) -> Option<&AtomicU64> {
        let hash = self.hasher.hash_one(name.as_str());
        self.buckets.get(hash as usize % Self::BUCKETS)
    }

    fn get(&self, name: &TopicName) -> u64 {
        self.bucket(name).map_or(0, |mark| mark.load(Ordering::Acquire))
    }

    fn raise(&self, name: &TopicName, sequence: u64) {
        if let Some(mark) = self.bucket(name) {
            mark.fetch_max(sequence, Ordering::AcqRel);
        }
    }
}

/// The outcome of a publish: the position that the event got.
///
/// The embedded broker has stored the event when [`Hub::publish`] returns, and this is ready at
/// once. A broker between instances may start only when it is polled, so await it.
///
/// # Cancel safety
/// Dropping it does not take back an event; with a broker between instances the event may or may
/// not be published then.
#[derive(Debug)]
#[must_use = "whether the event was published is known only when this is awaited"]
pub struct Publish(Result<Published, Option<PublishError>>);

impl Publish {
    /// The outcome of a publish that was refused.
    pub(crate) fn refused(error: impl Into<PublishError>) -> Self {
        Self(Err(Some(error.into())))
    }
}

impl Future for Publish {
    type Output = Result<Position, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(published) => Pin::new(published).poll(cx).map_err(PublishError::Broker),
            Err(error) => {
                let polled_again = BrokerError::Unavailable("polled after it ended".into());
                Poll::Ready(Err(error.take().unwrap_or(PublishError::Broker(polled_again))))
            }
        }
    }
}

/// Why an event was not published. Nothing was stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The topic's name is not valid.
    #[error(transparent)]
    Topic(#[from] TopicNameError),
    /// [`Config::authorize`](crate::Config::authorize) does not let the connection's identity
    /// publish to the topic.
    #[error("publishing to {topic:?} is not permitted")]
    Forbidden {
        /// The topic.
        topic: TopicName,
    },
    /// The event is larger than [`Limits::event_bytes`](crate::Limits::event_bytes).
    #[error("the event has {size} bytes (data, name and key), and {max} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The broker did not take it.
    #[error(transparent)]
    Broker(BrokerError),
}

#[cfg(test)]
mod tests;
