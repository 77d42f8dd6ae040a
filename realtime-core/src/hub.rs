//! The [`Hub`]: table of topics, sequencing, publish and deliver.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use bytestring::ByteString;

use crate::{
    auth::{Action, Authorize, Identity},
    broker::{Broker, BrokerError, BrokerHealth, BrokerStats, Counting, DeliverError, Inlet, LocalBroker},
    client_ip::ClientIp,
    config::Config,
    event::Event,
    fanout::{Fanout, Relay, Wakeups},
    limits::Transport,
    log::LogMemory,
    pattern::{Place, TopicPattern},
    permits::{LimitReached, Permit, Permits, SocketPermit},
    position::Position,
    stats::{Counters, HubStats},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    topic::{TopicName, TopicNameError},
};

mod budget;
mod builder;
mod follower;
mod matching;
mod publish;
mod reaper;
mod sharing;
mod table;

use budget::Budget;
pub use builder::HubBuilder;
pub(crate) use follower::{Arrived, Follower};
use matching::Matching;
pub use publish::{Publish, PublishError};
use reaper::Reaper;
use sharing::Sharing;
pub(crate) use sharing::{Found, Waiter};
use table::Table;

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
    table: Table,
    budget: Budget,
    reaper: Reaper,
    relay: Relay,
    sharing: Sharing,
    /// The epoch of the broker's sequence, as far as it has told.
    epoch: AtomicU64,
    /// The newest position delivered; held while an event is appended, which makes everything up to
    /// `visible` complete.
    head: Mutex<Option<Position>>,
    visible: AtomicU64,
    counters: Arc<Counters>,
    permits: Arc<Permits>,
}

impl Hub {
    /// A hub with the default configuration and the embedded broker.
    pub fn new() -> Self {
        let hub = Self::assemble(Config::default(), Box::new(LocalBroker::new()));
        // The embedded broker starts anywhere.
        hub.unwrap_or_else(|error| unreachable!("{error}"))
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
        if self.permits().draining().is_over() {
            return Publish::refused(PublishError::Drained);
        }
        self.wake_some();
        let (size, max) = (event.size(), self.config().limits.event_bytes);
        if size > max {
            return Publish::refused(PublishError::TooLarge { size, max });
        }
        Publish(Ok(self.inner.broker.publish(&topic, event, now)))
    }

    /// How many subscriptions a topic has on this hub; 0 for a topic that nobody has used. Who follows
    /// it by a pattern counts once its subscription has taken it in, which asks whether it may.
    ///
    /// Good for producing what costs something only while somebody listens.
    pub fn subscribers(&self, topic: &TopicName) -> usize {
        self.inner.subscribers(topic)
    }

    /// Ends every connection of a subject, and those that are being authenticated as it
    /// now, by the application too if it took a [`RevocationWatch`](crate::RevocationWatch); returns
    /// how many were open on this hub. A WebSocket closes with 4401 and `reason`, an event stream ends with it in
    /// `realtime.bye`.
    ///
    /// Other instances that share the broker are told as soon as they can be, also after an outage of it
    /// that lasts no longer than it keeps events.
    ///
    /// It keeps nobody from coming back whose credentials are still valid: revoke these first.
    pub fn disconnect(&self, subject: &str, reason: impl Into<ByteString>) -> usize {
        let reason = reason.into();
        let here = self.inner.permits.revoke(subject, &reason);
        self.inner.broker.disconnect(subject, &reason);
        here
    }

    /// How many subscriptions a topic has, over all instances that share the broker. Approximate:
    /// each counts when it is asked, and one that does not answer within a second is left out, and
    /// [said to be](Occupancy::silent).
    pub fn occupancy(&self, topic: &TopicName) -> Counting {
        self.inner.broker.occupancy(topic, self.subscribers(topic))
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

    /// How the broker is; always well with the embedded one.
    ///
    /// While it is not, connections stay open and are given what is there; see [`Broker`].
    pub fn broker_health(&self) -> BrokerHealth {
        self.inner.broker.health()
    }

    /// What the broker has done so far; all nothing with the embedded one.
    pub fn broker_stats(&self) -> BrokerStats {
        self.inner.broker.stats()
    }

    /// What happened so far.
    pub fn stats(&self) -> HubStats {
        let mut stats = self.inner.counters.snapshot();
        stats.sockets = self.inner.permits.sockets();
        stats.identities = self.inner.permits.subjects() as u64;
        stats.log_bytes = self.inner.budget.used();
        // Nobody may hold a topic for this: it would stay if its last subscriber left just then.
        self.inner.table.read(|topics| {
            stats.topics = topics.len() as u64;
            for topic in topics.values() {
                let (bytes, lag) = topic.gauge();
                stats.retained_bytes += bytes;
                stats.max_lag = stats.max_lag.max(lag);
            }
        });
        stats
    }

    /// A permit for one more TCP connection from `peer`, to be held for as long as that serves HTTP:
    /// what our `serve` helpers ask for each connection that they accept, and another server may, too.
    /// It counts from then on, whether or not a request comes.
    ///
    /// # Errors
    /// [`LimitReached`] when there are too many, in all or of the peer's network, see
    /// [`Limits::spare_sockets`](crate::Limits::spare_sockets); to be closed without an answer.
    pub fn take_socket(&self, peer: SocketAddr) -> Result<SocketPermit, LimitReached> {
        let peer = ClientIp::new(peer.ip());
        // Whose connections a proxy's are is said in their requests.
        let client = Some(peer).filter(|peer| !self.config().trusted_proxies.lists(*peer));
        self.inner.permits.take_socket(client, &self.config().limits)
    }

    pub(crate) fn assemble(config: Config, broker: Box<dyn Broker>) -> Result<Self, BrokerError> {
        let counters = Arc::<Counters>::default();
        let (memory, relay) = (LogMemory::default(), Relay::default());
        let inner = Arc::new(Inner {
            table: Table::new(
                config.limits.topics,
                config.retention,
                memory.clone(),
                relay.clone(),
                broker.is_shared(),
            ),
            relay,
            budget: Budget::new(memory, config.limits.log_bytes),
            reaper: Reaper::new(config.retention.age),
            config,
            sharing: Sharing::default(),
            epoch: AtomicU64::new(broker.epoch()),
            broker,
            head: Mutex::new(None),
            visible: AtomicU64::new(0),
            permits: Arc::new(Permits::new(Arc::clone(&counters))),
            counters,
        });
        let weak = Arc::downgrade(&inner);
        inner.broker.start(Inlet::new(weak))?;
        Ok(Self { inner })
    }

    /// The sequence up to which all topics are complete.
    pub(crate) fn visible(&self) -> u64 {
        self.inner.visible.load(Ordering::Acquire)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.inner.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.inner.counters
    }

    /// Wakes some of those whom publishers have left to be woken; see [`Relay`].
    ///
    /// To be called where no lock of the hub's is held, by all who use it: the hub has no task.
    pub(crate) fn wake_some(&self) {
        self.inner.relay.wake_some();
    }

    /// Wakes some who are left to be woken, reaps topics that nobody uses any more and keeps the logs
    /// within their memory, as far as that is due.
    ///
    /// To be called where no lock of the hub's is held, by all who use it: the hub has no task.
    pub(crate) fn upkeep(&self, now: Instant) {
        self.wake_some();
        self.make_room(now);
    }

    /// Reaps topics and keeps the logs within their memory, as far as that is due; as `upkeep`.
    pub(crate) fn make_room(&self, now: Instant) {
        if self.inner.wants_upkeep(now) {
            self.inner.upkeep(now);
        }
    }

    /// The topic `name`, made if it is not there.
    pub(crate) fn topic(
        &self,
        name: &TopicName,
        now: Instant,
    ) -> Result<Arc<Fanout>, DeliverError> {
        let (topic, wakeups) = self.inner.topic(name, now)?;
        wakeups.wake();
        Ok(topic)
    }

    /// The topics that are there and that one of `patterns` matches, each once, in the order of their
    /// names. No lock is held between two of them.
    pub(crate) fn matching<'a>(
        &'a self,
        patterns: impl Iterator<Item = &'a TopicPattern>,
    ) -> Matching<'a> {
        self.inner.table.matching(patterns)
    }

    /// The topics that are there and that `pattern` matches.
    #[cfg(test)]
    pub(crate) fn matched(&self, pattern: &TopicPattern) -> Vec<Arc<Fanout>> {
        self.matching(std::iter::once(pattern)).collect()
    }

    /// Has every topic that is made from now on and that `pattern` matches put into the follower's
    /// inbox.
    pub(crate) fn follow(&self, pattern: &TopicPattern, follower: Arc<Follower>) -> Place {
        let place = self.inner.table.follow(pattern, follower);
        self.follows(pattern);
        place
    }

    /// Takes back a `follow`; nothing arrives any more once this returns.
    pub(crate) fn unfollow(&self, pattern: &TopicPattern, place: &Place) {
        self.inner.table.unfollow(place);
        self.unfollows(pattern);
    }

    /// Removes those out of `topics` whose events are past their age, that nobody but the caller
    /// holds, and whose subscribers have taken everything and did not ask for this one topic.
    pub(crate) fn retire<'a>(
        &self,
        topics: impl Iterator<Item = &'a Arc<Fanout>>,
        held: usize,
        now: Instant,
    ) {
        let wakers = self.inner.table.retire(topics, held, |log| log.is_expired(now));
        Wakeups::new(wakers).wake();
    }

    /// Whether nobody follows a pattern, and nothing is kept for any.
    #[cfg(test)]
    pub(crate) fn has_no_patterns(&self) -> bool {
        self.inner.table.has_no_patterns()
    }

    /// Changes whenever a topic goes that a subscriber may still be joined to.
    pub(crate) fn retired(&self) -> u64 {
        self.inner.table.retired()
    }

    /// The highest sequence of all topics that have gone.
    pub(crate) fn removed_through(&self) -> u64 {
        self.inner.table.removed_through()
    }

    /// Whether a topic has subscribers, or waits for some to take it in.
    pub(crate) fn is_wanted(&self, topic: &TopicName) -> bool {
        self.inner.is_wanted(topic)
    }

    /// Tells the broker that a topic has got its first subscriber or lost its last.
    pub(crate) fn interest(&self, topic: &TopicName) {
        self.inner.interest(topic);
    }

    /// Forgets a topic that a subscriber has left, if nothing is in it and nobody asked for it: names
    /// that were only ever subscribed to leave nothing behind.
    ///
    /// The caller holds it no longer: of several that leave at once, the last one finds it free.
    pub(crate) fn left(&self, topic: &TopicName) {
        let wakers = self.inner.table.forget_blank(topic);
        Wakeups::new(wakers).wake();
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
    /// The topic `name`, made if it is not there, and what is to be done once no lock is held: not
    /// even the broker's own.
    fn topic(
        self: &Arc<Self>,
        name: &TopicName,
        now: Instant,
    ) -> Result<(Arc<Fanout>, Wakeups), DeliverError> {
        let made = self.table.get_or_make(name, now, &self.visible)?;
        let mut wakeups = Wakeups::new(made.wakers);
        if made.is_followed {
            let (inner, name) = (Arc::clone(self), name.clone());
            wakeups.before(move || inner.interest(&name));
        }
        Ok((made.topic, wakeups))
    }

    fn wants_upkeep(&self, now: Instant) -> bool {
        self.budget.is_tight() || self.reaper.is_due(now)
    }

    /// Reaps what is due and makes room if there is little. The caller holds no lock.
    fn upkeep(&self, now: Instant) {
        Wakeups::new(self.reaper.reap(&self.table, now)).wake();
        self.budget.make_room(&self.table, &self.counters);
    }

    fn subscribers(&self, topic: &TopicName) -> usize {
        self.table.read(|topics| topics.get(topic).map_or(0, |topic| topic.members()))
    }

    /// Two of these may overlap, and no lock is held over the broker's code. So whoever has told
    /// looks again: the last to tell told what is.
    fn interest(&self, topic: &TopicName) {
        loop {
            let interested = self.is_wanted(topic);
            self.broker.interest(topic, interested);
            if interested == self.is_wanted(topic) {
                break;
            }
        }
    }

    /// What waits in somebody's inbox is wanted too: nothing that is published to it may be missed,
    /// should it be permitted.
    fn is_wanted(&self, topic: &TopicName) -> bool {
        self.table.read(|topics| topics.get(topic).is_some_and(|topic| topic.is_wanted()))
    }
}

#[cfg(test)]
mod tests;
