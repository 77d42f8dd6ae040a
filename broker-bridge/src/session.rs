//! One connection of a bridge, while it lasts: [`Session`].

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Instant,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use realtime_core::{
    BrokerHealth, DeliverError, EarlierEvent, Inlet, Position, PositionIssuer, TopicName,
    TopicPattern,
};
use tokio::time::{MissedTickBehavior, interval, timeout};

use others::tell_lost_commands;

use crate::{
    bridge::Shared,
    control::{Command, SAYS_SO_EACH},
    feed::Fetched,
    known::Known,
    link::{At, Engine, EngineError, Fed, History, Interest, Link, Record},
    wishes::Past,
};

mod asked;
mod others;
mod repair;

/// Events that are delivered before anything else is looked at.
const DELIVERED_AT_ONCE: usize = 256;

/// Why a connection is over.
#[derive(Debug)]
pub(crate) enum End {
    /// It is lost, or of no use.
    Lost(EngineError),
    /// The hub is gone.
    Gone,
}

impl From<DeliverError> for End {
    fn from(_: DeliverError) -> Self {
        Self::Gone
    }
}

impl From<EngineError> for End {
    fn from(error: EngineError) -> Self {
        Self::Lost(error)
    }
}

/// One connection, while it lasts.
pub(crate) struct Session<'a, E: Engine> {
    shared: &'a Shared<E>,
    inlet: &'a Inlet,
    known: &'a mut Known,
    link: Arc<E::Link>,
    feed: Fetched,
    /// Events of a topic that are read at most.
    retained: usize,
    token: u64,
    /// What is to be done when a mark comes, and by when it has to.
    marks: BTreeMap<u64, (Marked, Instant)>,
    /// What the server has been asked.
    asked: FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    /// What the hub wants or does not want any more; looked at when the server has answered the last of
    /// these.
    is_changing: bool,
    reads: HashMap<TopicName, (Past, u64)>,
    finds: HashMap<TopicPattern, (Past, u64)>,
    /// What the others are being told.
    telling: BTreeMap<u64, Command>,
    said_so: Instant,
}

/// What is to be done when a mark comes.
#[derive(Debug)]
enum Marked {
    /// These come from there on.
    Establish(Vec<Interest>),
    /// The hub wanted to know how far the sequence has got.
    CatchUp,
    /// Nothing: it shows that the connection lives.
    Heartbeat,
}

/// What the server has answered.
enum Answer {
    Changed(Vec<Interest>, Result<(), EngineError>),
    Marks(Result<(), EngineError>),
    Read(TopicName, Past, u64, Result<History, EngineError>),
    Found(TopicPattern, Past, u64, Result<Vec<TopicName>, EngineError>),
    Told(u64, Result<At, EngineError>),
}

impl<'a, E: Engine> Session<'a, E> {
    pub(crate) fn new(
        shared: &'a Shared<E>,
        inlet: &'a Inlet,
        known: &'a mut Known,
        link: E::Link,
        feed: Fetched,
        retained: usize,
    ) -> Self {
        Self {
            shared,
            inlet,
            known,
            link: Arc::new(link),
            feed,
            retained,
            token: 0,
            marks: BTreeMap::new(),
            asked: FuturesUnordered::new(),
            is_changing: false,
            reads: HashMap::new(),
            finds: HashMap::new(),
            telling: BTreeMap::new(),
            said_so: Instant::now(),
        }
    }

    /// Gets the hub to where the sequence is, and has what it wants come.
    pub(crate) async fn begin(&mut self, at: At) -> Result<(), End> {
        let before = self.known.head;
        let begins =
            before.is_none_or(|head| head.epoch != at.epoch || at.sequence < head.sequence);
        self.take_wishes();
        for (interest, wanted) in std::mem::take(&mut self.known.changes) {
            if wanted || self.is_wanted(&interest)? {
                self.known.wanted.entry(interest).or_insert(false);
            } else {
                self.known.forget(&interest);
            }
        }
        if begins {
            self.inlet.begin(position(at))?;
            self.known.begin(at);
            self.shared.counters.resets.add(u64::from(before.is_some()));
        }
        self.shared.has_seen(at);
        self.shared.set_health(BrokerHealth::CatchingUp);
        let interests: Vec<_> = self.known.wanted.keys().cloned().collect();
        within(self.shared, self.link.subscribe(&interests)).await?;
        let reached = self.pass_over_until_mark().await?;
        self.is_of_this_life(reached)?;
        self.repair(reached).await?;
        self.inlet.advance(position(reached))?;
        self.known.head = Some(reached);
        for topic in self.known.last.values_mut() {
            *topic = reached.sequence;
        }
        self.establish(self.known.wanted.keys().cloned().collect(), reached.sequence)?;
        // What was asked for on the way is asked for from now on.
        let by = Instant::now() + self.shared.options.request_deadline;
        self.marks.values_mut().for_each(|(_, it)| *it = by);
        self.shared.counters.connected.add(1);
        self.shared.set_link(Some(Arc::clone(&self.link)));
        self.shared.set_health(BrokerHealth::Well);
        self.tell(Command::Here);
        Ok(())
    }

    /// Delivers what comes and asks for what the hub wants, until the connection is lost.
    pub(crate) async fn go_on(&mut self) -> End {
        let mut heartbeat = interval(self.shared.options.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                fed = self.feed.next() => self.take_all(fed).await,
                Some(answer) = self.asked.next(), if !self.asked.is_empty() => self.take_answer(answer),
                () = self.shared.wished.notified() => {
                    self.take_wishes();
                    Ok(())
                }
                _ = heartbeat.tick() => self.beat(),
            };
            if let Err(end) = done.and_then(|()| self.change()) {
                return end;
            }
        }
    }

    /// Takes what has come, and some of what has come since.
    async fn take_all(&mut self, first: Option<Fed>) -> Result<(), End> {
        let mut fed = first;
        for _ in 0..DELIVERED_AT_ONCE {
            match fed {
                Some(Fed::Event(record)) => self.take_event(record).await?,
                Some(Fed::Mark { token, at }) => self.take_mark(token, at)?,
                Some(Fed::Lost(error)) => return Err(error.into()),
                None => {
                    let error = "more came than could be taken, or the connection was closed";
                    return Err(EngineError::Unreachable(error.into()).into());
                }
            }
            let Some(next) = self.feed.try_next() else { break };
            fed = Some(next);
        }
        Ok(())
    }

    async fn take_event(&mut self, record: Record) -> Result<(), End> {
        self.is_of_this_life(record.at)?;
        let last = self.known.last.get(&record.topic).copied();
        if last.is_some_and(|last| last < record.previous && last < record.at.sequence) {
            self.repair_before(&record).await?;
        }
        let now = Instant::now();
        if self.known.head.is_some_and(|head| record.at.sequence <= head.sequence) {
            // It has come for a pattern as well, or too late to be given in its place.
            if last.is_some_and(|last| last < record.at.sequence) {
                self.lose(&record.topic, record.at.sequence)?;
            }
            return Ok(());
        }
        self.deliver(record, now)
    }

    fn deliver(&mut self, record: Record, now: Instant) -> Result<(), End> {
        let Record { topic, at, event, .. } = record;
        if topic == TopicName::control() {
            self.known.head = Some(at);
            self.known.last.insert(topic, at.sequence);
            self.inlet.advance(position(at))?;
            return self.obey(&event, now);
        }
        // Before anybody is woken who might look.
        self.shared.counters.received.add(1);
        match self.inlet.deliver(&topic, position(at), event, now) {
            Ok(wakeups) => wakeups.wake(),
            Err(DeliverError::Closed) => return Err(End::Gone),
            // Somebody follows more topics by pattern than this hub may have.
            Err(error) => tracing::warn!(%error, "an event that came could not be delivered"),
        }
        self.known.head = Some(at);
        if let Some(last) = self.known.last.get_mut(&topic) {
            *last = at.sequence;
        }
        Ok(())
    }

    fn take_mark(&mut self, token: u64, at: At) -> Result<(), End> {
        let Some((marked, _)) = self.marks.remove(&token) else { return Ok(()) };
        self.is_of_this_life(at)?;
        self.shared.has_seen(at);
        if self.known.head.is_some_and(|head| head.sequence < at.sequence) {
            self.known.head = Some(at);
            self.inlet.advance(position(at))?;
        }
        match marked {
            Marked::Establish(interests) => self.establish(interests, at.sequence)?,
            Marked::CatchUp => self.inlet.reached()?,
            Marked::Heartbeat => {}
        }
        Ok(())
    }

    /// Tells the hub that these come, from where it has got to.
    fn establish(&mut self, interests: Vec<Interest>, after: u64) -> Result<(), End> {
        interests.iter().for_each(|interest| self.known.establish(interest, after));
        self.inlet.establish(interests.iter().map(borrowed), true)?;
        Ok(())
    }

    /// Looks whether the server answers at all.
    fn beat(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.marks.values().any(|(_, by)| *by < now) {
            let deadline = self.shared.options.request_deadline;
            let error = format!("no answer in {deadline:?}");
            return Err(EngineError::Unreachable(error).into());
        }
        if self.inlet.is_closed() {
            return Err(End::Gone);
        }
        if self.marks.is_empty() {
            self.mark(Marked::Heartbeat);
        }
        if now.saturating_duration_since(self.said_so) >= SAYS_SO_EACH {
            self.said_so = now;
            self.tell(Command::Here);
        }
        Ok(())
    }

    /// Tells whoever follows `topic` that events were lost, up to `through`.
    fn lose(&mut self, topic: &TopicName, through: u64) -> Result<(), End> {
        let Some(head) = self.known.head else { return Ok(()) };
        if *topic == TopicName::control() {
            tell_lost_commands();
            return Ok(());
        }
        self.shared.counters.lost.add(1);
        let through = position(At { epoch: head.epoch, sequence: through });
        self.inlet.lose(topic, through, Instant::now())?;
        Ok(())
    }

    fn is_of_this_life(&self, at: At) -> Result<(), End> {
        if self.known.head.is_some_and(|head| head.epoch == at.epoch) {
            return Ok(());
        }
        let error = "the server's numbers have begun anew";
        Err(EngineError::Unreachable(error.into()).into())
    }
}

/// Bounds what the server is asked outside of the loop.
async fn within<E: Engine, T>(
    shared: &Shared<E>,
    asked: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, End> {
    let deadline = shared.options.request_deadline;
    match timeout(deadline, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(EngineError::Unreachable(format!("no answer in {deadline:?}")).into()),
    }
}

fn borrowed(interest: &Interest) -> realtime_core::Interest<'_> {
    match interest {
        Interest::Topic(topic) => realtime_core::Interest::Topic(topic),
        Interest::Pattern(pattern) => realtime_core::Interest::Pattern(pattern),
    }
}

fn earlier(record: Record, now: Instant) -> (TopicName, EarlierEvent) {
    let at = now.checked_sub(record.age).unwrap_or(now);
    (record.topic, EarlierEvent { position: position(record.at), event: record.event, at })
}

fn position(at: At) -> Position {
    PositionIssuer::new(at.epoch).at(at.sequence)
}
