//! A broker over an engine: [`Bridge`].

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use realtime_core::{
    Broker, BrokerError, BrokerHealth, BrokerStats, Closing, Counting, Event, Inlet, PositionIssuer, Published, TopicName,
    TopicPattern,
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::timeout,
};

use crate::{
    control::{Command, Others},
    link::{At, Engine, EngineError, Interest, Link},
    options::Options,
    run::run,
    stats::Counters,
    wishes::{Past, Wishes},
};

/// How long the others are given to count their subscribers.
const COUNT_DEADLINE: Duration = Duration::from_secs(1);

/// A broker over an engine.
///
/// It has one task, from when a hub is built with it until the hub is dropped or the broker
/// [closed](Broker::close), and one connection.
pub struct Bridge<E: Engine> {
    shared: Arc<Shared<E>>,
}

/// What the bridge, its publishes and its task share.
pub(crate) struct Shared<E: Engine> {
    pub(crate) engine: E,
    pub(crate) options: Options,
    /// The name of this instance, another one in each life.
    pub(crate) instance: String,
    pub(crate) others: Others,
    pub(crate) counters: Counters,
    /// Says that there are wishes.
    pub(crate) wished: Notify,
    wishes: Mutex<Wishes>,
    /// The connection, while there is one.
    link: watch::Sender<Option<Arc<E::Link>>>,
    publishes: Semaphore,
    health: Mutex<BrokerHealth>,
    /// The newest position that is known to have been stored.
    seen: Mutex<Option<At>>,
    /// Whether it is to end.
    closing: watch::Sender<bool>,
    /// Whether the task has ended, or never began.
    ended: watch::Sender<bool>,
}

impl<E: Engine> Bridge<E> {
    /// A bridge over `engine`, which connects once a hub is built with it.
    pub fn new(engine: E, options: Options) -> Self {
        let since = Instant::now();
        let health = BrokerHealth::Unavailable { since, reason: "not connected yet".into() };
        let shared = Shared {
            engine,
            options,
            instance: format!("{:016x}", fastrand::u64(..)),
            others: Others::default(),
            counters: Counters::default(),
            wished: Notify::new(),
            wishes: Mutex::default(),
            link: watch::Sender::new(None),
            publishes: Semaphore::new(options.publishes_in_flight),
            health: Mutex::new(health),
            seen: Mutex::default(),
            closing: watch::Sender::new(false),
            ended: watch::Sender::new(true),
        };
        Self { shared: Arc::new(shared) }
    }

    fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        self.shared.wish(change);
    }
}

impl<E: Engine> fmt::Debug for Bridge<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("engine", &self.shared.engine)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

impl<E: Engine> Drop for Bridge<E> {
    fn drop(&mut self) {
        self.shared.closing.send_replace(true);
    }
}

impl<E: Engine> Broker for Bridge<E> {
    fn epoch(&self) -> u64 {
        0
    }

    fn start(&self, inlet: Inlet) -> Result<(), BrokerError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|error| {
            BrokerError::Start(format!("build the hub in a tokio runtime ({error})"))
        })?;
        self.shared.ended.send_replace(false);
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            let _ended = Ended(&shared.ended);
            run(&shared, &inlet).await;
        });
        Ok(())
    }

    fn publish(&self, topic: &TopicName, event: Event, _now: Instant) -> Published {
        let (shared, topic) = (Arc::clone(&self.shared), topic.clone());
        Published::Later(Box::pin(async move {
            let deadline = shared.options.publish_deadline;
            let stored = timeout(deadline, shared.publish(&topic, &event)).await;
            let at = match stored {
                Ok(Ok(at)) => at,
                Ok(Err(EngineError::Refused(why))) => return Err(BrokerError::Refused(why)),
                Ok(Err(error)) => return Err(shared.unavailable(&error.to_string())),
                Err(_) => return Err(shared.unavailable(&format!("no answer in {deadline:?}"))),
            };
            shared.has_seen(at);
            shared.counters.published.add(1);
            Ok(PositionIssuer::new(at.epoch).at(at.sequence))
        }))
    }

    fn interest(&self, topic: &TopicName, interested: bool) {
        self.wish(|wishes| {
            wishes.interests.insert(Interest::Topic(topic.clone()), interested);
        });
    }

    fn pattern_interest(&self, pattern: &TopicPattern, interested: bool) {
        self.wish(|wishes| {
            wishes.interests.insert(Interest::Pattern(pattern.clone()), interested);
        });
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn read(&self, topic: &TopicName, after: u64, limit: usize) {
        self.wish(|wishes| wishes.read(topic, Past { after, limit }));
    }

    fn find(&self, pattern: &TopicPattern, after: u64, limit: usize) {
        self.wish(|wishes| wishes.find(pattern, Past { after, limit }));
    }

    fn catch_up(&self) {
        self.wish(|wishes| wishes.catch_ups += 1);
    }

    fn disconnect(&self, subject: &str, reason: &str) {
        let command = Command::Disconnect { subject: subject.into(), reason: reason.into() };
        self.wish(|wishes| wishes.tell(command));
    }

    fn occupancy(&self, topic: &TopicName, here: usize) -> Counting {
        let (shared, topic, here) = (Arc::clone(&self.shared), topic.to_string(), here as u64);
        Box::pin(async move {
            let asking = shared.others.ask();
            let number = asking.number;
            shared.wish(|wishes| wishes.tell(Command::Count { topic, number }));
            let all = async {
                while !asking.so_far(here, Instant::now()).1 {
                    asking.another().await;
                }
            };
            // With some silent, what the others have said is the answer.
            let _ = timeout(COUNT_DEADLINE, all).await;
            asking.so_far(here, Instant::now()).0
        })
    }

    fn health(&self) -> BrokerHealth {
        lock(&self.shared.health).clone()
    }

    fn stats(&self) -> BrokerStats {
        self.shared.counters.snapshot()
    }

    fn close(&self) -> Closing {
        self.shared.closing.send_replace(true);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let mut ended = shared.ended.subscribe();
            let patience = shared.options.request_deadline;
            // Its task looks at nothing but what has a deadline; whoever closes does not wait longer.
            if timeout(patience, ended.wait_for(|ended| *ended)).await.is_err() {
                tracing::warn!("the broker's task did not end in {patience:?}");
            }
        })
    }
}

impl<E: Engine> Shared<E> {
    /// Leaves word for the task.
    pub(crate) fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut lock(&self.wishes));
        self.wished.notify_one();
    }

    /// What the hub has asked for since.
    pub(crate) fn take_wishes(&self) -> Wishes {
        std::mem::take(&mut *lock(&self.wishes))
    }

    /// Sets the connection, and returns the one before.
    pub(crate) fn set_link(&self, link: Option<Arc<E::Link>>) -> Option<Arc<E::Link>> {
        self.link.send_replace(link)
    }

    pub(crate) fn set_health(&self, health: BrokerHealth) {
        *lock(&self.health) = health;
    }

    /// Notes that it is not connected; since when, if it has not been before.
    pub(crate) fn set_unavailable(&self, reason: String) {
        let mut health = lock(&self.health);
        let since = match &*health {
            BrokerHealth::Unavailable { since, .. } => *since,
            _ => Instant::now(),
        };
        *health = BrokerHealth::Unavailable { since, reason };
    }

    pub(crate) fn seen(&self) -> Option<At> {
        *lock(&self.seen)
    }

    /// Notes a position that is known to have been stored.
    pub(crate) fn has_seen(&self, at: At) {
        let mut seen = lock(&self.seen);
        let is_newer = seen.is_none_or(|seen| seen.epoch != at.epoch || seen.sequence < at.sequence);
        if is_newer {
            *seen = Some(at);
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits until it is to end.
    ///
    /// Cancel safe.
    pub(crate) async fn closing(&self) {
        // The sender is here, so this can't fail.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// Publishes once there is room and a connection. Bounded in time by the caller.
    async fn publish(&self, topic: &TopicName, event: &Event) -> Result<At, EngineError> {
        let closed = || EngineError::Unreachable("the broker has been closed".into());
        let _permit = self.publishes.acquire().await.map_err(|_| closed())?;
        let mut link = self.link.subscribe();
        let link = tokio::select! {
            link = link.wait_for(Option::is_some) => link.map_err(|_| closed())?.clone(),
            () = self.closing() => None,
        };
        link.ok_or_else(closed)?.publish(topic, event).await
    }

    fn unavailable(&self, why: &str) -> BrokerError {
        self.counters.publishes_failed.add(1);
        match &*lock(&self.health) {
            BrokerHealth::Unavailable { reason, .. } => {
                BrokerError::Unavailable(format!("{why}; last: {reason}"))
            }
            _ => BrokerError::Unavailable(why.into()),
        }
    }
}

/// Says at its end that the task is over, however it ends.
struct Ended<'a>(&'a watch::Sender<bool>);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
