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
    BrokerHealth, DeliverError, EarlierEvent, Event, Inlet, Position, PositionIssuer, TopicName,
    TopicPattern,
};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{
    bridge::Shared,
    feed::Fetched,
    control::{Command, SAYS_SO_EACH, Told},
    known::Known,
    link::{At, Engine, EngineError, Fed, History, Interest, Link, Record},
    wishes::Past,
};

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
    changes: HashMap<Interest, bool>,
    is_changing: bool,
    reads: HashMap<TopicName, Past>,
    finds: HashMap<TopicPattern, Past>,
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
    Read(TopicName, Past, Result<History, EngineError>),
    Found(TopicPattern, Past, Result<Vec<TopicName>, EngineError>),
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
            changes: HashMap::new(),
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
        for (interest, wanted) in std::mem::take(&mut self.changes) {
            if wanted {
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
        self.establish(self.known.interests(false), reached.sequence)?;
        self.shared.counters.connected.add(1);
        self.shared.set_link(Some(Arc::clone(&self.link)));
        self.shared.set_health(BrokerHealth::Well);
        self.tell(Command::Here);
        Ok(())
    }

    /// Has what the others were not told for certain be told them over the next connection.
    pub(crate) fn give_back(&mut self) {
        for (_, command) in std::mem::take(&mut self.telling) {
            if let Command::Disconnect { .. } = command {
                self.shared.wish(|wishes| wishes.tell(command));
            }
        }
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

    /// Does what another instance says.
    fn obey(&mut self, event: &Event, now: Instant) -> Result<(), End> {
        let Some(Told { from, command }) = Told::read(event) else { return Ok(()) };
        if from == self.shared.instance {
            return Ok(());
        }
        let others = &self.shared.others;
        if command == Command::Gone {
            others.gone(&from);
            return Ok(());
        }
        others.heard(&from, now);
        match command {
            Command::Disconnect { subject, reason } => self.inlet.disconnect(&subject, &reason)?,
            Command::Count { topic, number } => {
                let subscribers = match TopicName::new(topic) {
                    Ok(topic) => self.inlet.subscribers(&topic)? as u64,
                    Err(_) => 0,
                };
                self.tell(Command::Counted { to: from, number, subscribers });
            }
            Command::Counted { to, number, subscribers } if to == self.shared.instance => {
                others.answered(number, subscribers);
            }
            Command::Counted { .. } | Command::Here | Command::Gone => {}
        }
        Ok(())
    }

    fn tell(&mut self, command: Command) {
        self.token += 1;
        let number = self.token;
        let told = Told { from: self.shared.instance.clone(), command };
        let event = told.event();
        self.telling.insert(number, told.command);
        let link = Arc::clone(&self.link);
        self.ask(async move {
            Answer::Told(number, link.publish(&TopicName::control(), &event).await)
        });
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

    fn take_wishes(&mut self) {
        let wishes = self.shared.take_wishes();
        self.changes.extend(wishes.interests);
        for (topic, past) in wishes.reads {
            if self.reads.get(&topic).is_none_or(|asked| !asked.has(past)) {
                self.reads.insert(topic.clone(), past);
                let link = Arc::clone(&self.link);
                self.ask(async move {
                    let read = link.read(&topic, past.after, past.limit).await;
                    Answer::Read(topic, past, read)
                });
            }
        }
        for (pattern, past) in wishes.finds {
            if self.finds.get(&pattern).is_none_or(|asked| !asked.has(past)) {
                self.finds.insert(pattern.clone(), past);
                let link = Arc::clone(&self.link);
                self.ask(async move {
                    let found = link.topics(&pattern, past.after, past.limit).await;
                    Answer::Found(pattern, past, found)
                });
            }
        }
        wishes.commands.into_iter().for_each(|command| self.tell(command));
        if wishes.catch_ups > 0 {
            self.mark(Marked::CatchUp);
        }
    }

    /// Asks the server for what the hub wants now, unless it has yet to answer the last time.
    fn change(&mut self) -> Result<(), End> {
        if self.is_changing || self.changes.is_empty() {
            return Ok(());
        }
        let (mut come, mut go, mut still) = (Vec::new(), Vec::new(), Vec::new());
        for (interest, wanted) in std::mem::take(&mut self.changes) {
            if !wanted {
                if self.known.forget(&interest) {
                    go.push(interest);
                }
            } else if let Some(is_established) = self.known.wanted.get(&interest) {
                // It has not stopped to come, whatever the hub has thought meanwhile.
                if *is_established {
                    still.push(interest);
                }
            } else {
                self.known.wanted.insert(interest.clone(), false);
                come.push(interest);
            }
        }
        if !still.is_empty() {
            self.inlet.establish(still.iter().map(borrowed), false)?;
        }
        if come.is_empty() && go.is_empty() {
            return Ok(());
        }
        self.is_changing = true;
        let link = Arc::clone(&self.link);
        self.ask(async move {
            let mut changed = Ok(());
            if !go.is_empty() {
                changed = link.unsubscribe(&go).await;
            }
            if changed.is_ok() && !come.is_empty() {
                changed = link.subscribe(&come).await;
            }
            Answer::Changed(come, changed)
        });
        Ok(())
    }

    fn take_answer(&mut self, answer: Answer) -> Result<(), End> {
        match answer {
            Answer::Marks(marked) => marked?,
            Answer::Told(number, told) => {
                if let Err(error @ EngineError::Unreachable(_)) = told {
                    return Err(error.into());
                }
                self.telling.remove(&number);
            }
            Answer::Changed(come, changed) => {
                changed?;
                self.is_changing = false;
                if !come.is_empty() {
                    self.mark(Marked::Establish(come));
                }
            }
            Answer::Read(topic, past, read) => {
                self.reads.remove(&topic);
                let history = match read {
                    Err(error @ EngineError::Unreachable(_)) => return Err(error.into()),
                    Ok(history) if self.is_of_this_life(At { epoch: history.epoch, sequence: 0 }).is_ok() => {
                        history
                    }
                    // That the numbers have begun anew is found by the next mark at the latest.
                    Ok(_) => return Ok(()),
                    Err(error) => {
                        tracing::warn!(%error, "what was published before can't be read");
                        History { epoch: 0, records: Vec::new(), complete_after: u64::MAX }
                    }
                };
                let now = Instant::now();
                let events = history.records.into_iter().map(|it| earlier(it, now).1).collect();
                self.inlet.earlier(&topic, past.after, history.complete_after, events, now)?;
            }
            Answer::Found(pattern, past, found) => {
                self.finds.remove(&pattern);
                let topics = match found {
                    Err(error @ EngineError::Unreachable(_)) => return Err(error.into()),
                    Err(error) => {
                        tracing::warn!(%error, "a pattern's topics can't be found");
                        None
                    }
                    Ok(topics) => Some(topics),
                };
                self.inlet.found(&pattern, past.after, topics, Instant::now())?;
            }
        }
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

    fn mark(&mut self, marked: Marked) {
        self.token += 1;
        let token = self.token;
        self.marks.insert(token, (marked, Instant::now() + self.shared.options.request_deadline));
        let link = Arc::clone(&self.link);
        self.ask(async move { Answer::Marks(link.mark(token).await) });
    }

    fn ask(&mut self, answer: impl Future<Output = Answer> + Send + 'static) {
        let deadline = self.shared.options.request_deadline;
        self.asked.push(Box::pin(async move {
            let late = || EngineError::Unreachable(format!("no answer in {deadline:?}"));
            timeout(deadline, answer).await.unwrap_or_else(|_| Answer::Marks(Err(late())))
        }));
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

fn tell_lost_commands() {
    tracing::error!("what other instances said was lost: a subject may not have been disconnected");
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
