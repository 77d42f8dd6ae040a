//! The end of a hub into which its broker delivers: [`Inlet`].

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Instant,
};

use super::DeliverError;
use crate::{
    event::Event,
    fanout::Wakeups,
    log::{Earlier, Retention},
    pattern::TopicPattern,
    position::Position,
    topic::TopicName,
};

/// The end of a hub into which its broker delivers.
///
/// All of its calls belong to one task, or one lock: what they tell is in the order in which they are
/// made.
#[derive(Clone, Debug)]
pub struct Inlet(Weak<dyn Deliver>);

/// What this instance gets: everything of it that is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a subscription has these two")]
pub enum Interest<'a> {
    /// The events of one topic.
    Topic(&'a TopicName),
    /// The events of all topics that a pattern matches.
    Pattern(&'a TopicPattern),
}

/// An event that was published before this instance got its topic's events.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "brokers make them")]
pub struct EarlierEvent {
    /// Its position.
    pub position: Position,
    /// The event.
    pub event: Event,
    /// When it was published, as far as that is known.
    pub at: Instant,
}

impl Inlet {
    /// Appends an event that the broker has numbered to its topic's log.
    ///
    /// A shared hub passes over an event of a topic that nobody here wants.
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
        self.hub()?.deliver(topic, position, event, now)
    }

    /// Says that the numbers start, or start anew, after `position`: what the topics have had is of
    /// another life. Whoever is subscribed is told of it, and goes on once its topics have been
    /// [established](Self::establish) again.
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn begin(&self, position: Position) -> Result<(), DeliverError> {
        self.hub()?.begin(position).wake();
        Ok(())
    }

    /// Says that everything that was published up to `position`, and that somebody here wants, has been
    /// delivered or appended.
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn advance(&self, position: Position) -> Result<(), DeliverError> {
        self.hub()?.advance(position).wake();
        Ok(())
    }

    /// Says that everything that is published to these comes from now on. `anew` where something may
    /// have been missed before, so that nothing is known but what comes after the position to which
    /// the hub has [advanced](Self::advance).
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn establish<'a>(
        &self,
        interests: impl IntoIterator<Item = Interest<'a>>,
        anew: bool,
    ) -> Result<(), DeliverError> {
        let hub = self.hub()?;
        let interests: Vec<_> = interests.into_iter().collect();
        hub.establish(&interests, anew).wake();
        Ok(())
    }

    /// Appends an event out of history, of a topic that is established, in the order of this topic, and
    /// not in that of others: nobody sees it before the hub has [advanced](Self::advance) to it.
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn append(&self, topic: &TopicName, event: EarlierEvent) -> Result<(), DeliverError> {
        self.hub()?.append_unseen(topic, event);
        Ok(())
    }

    /// Says that events of a topic were lost, the last one with this sequence at most: whoever is
    /// subscribed is told of a gap once it gets there, which it does when the hub has advanced to it.
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn lose(
        &self,
        topic: &TopicName,
        through: Position,
        now: Instant,
    ) -> Result<(), DeliverError> {
        self.hub()?.lose(topic, through, now).wake();
        Ok(())
    }

    /// Answers [`Broker::read`](super::Broker::read): the events that were found, the oldest first, and
    /// after which sequence none is missing.
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn earlier(
        &self,
        topic: &TopicName,
        read_after: u64,
        complete_after: u64,
        events: Vec<EarlierEvent>,
        now: Instant,
    ) -> Result<(), DeliverError> {
        let earlier = events
            .into_iter()
            .map(|EarlierEvent { position, event, at }| Earlier { position, event, at })
            .collect();
        self.hub()?.earlier(topic, read_after, complete_after, earlier, now).wake();
        Ok(())
    }

    /// Answers [`Broker::find`](super::Broker::find) with what was found, more than `limit` or none if
    /// that can't be told.
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn found(
        &self,
        pattern: &TopicPattern,
        after: u64,
        topics: Option<Vec<TopicName>>,
        now: Instant,
    ) -> Result<(), DeliverError> {
        self.hub()?.found(pattern, after, topics, now).wake();
        Ok(())
    }

    /// Answers [`Broker::catch_up`](super::Broker::catch_up): the hub has advanced to where the sequence
    /// was when it asked.
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn reached(&self) -> Result<(), DeliverError> {
        self.hub()?.reached().wake();
        Ok(())
    }

    /// Ends the connections of a subject here, since another instance was told to; see
    /// [`Hub::disconnect`](crate::Hub::disconnect).
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn disconnect(&self, subject: &str, reason: &str) -> Result<(), DeliverError> {
        self.hub()?.disconnect(subject, reason);
        Ok(())
    }

    /// Whether somebody here wants a topic now, whatever was told last.
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn is_wanted(&self, topic: &TopicName) -> Result<bool, DeliverError> {
        Ok(self.hub()?.is_wanted(topic))
    }

    /// Whether somebody here follows a pattern now, whatever was told last.
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn is_followed(&self, pattern: &TopicPattern) -> Result<bool, DeliverError> {
        Ok(self.hub()?.is_followed(pattern))
    }

    /// How many subscriptions a topic has here.
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn subscribers(&self, topic: &TopicName) -> Result<usize, DeliverError> {
        Ok(self.hub()?.subscribers(topic))
    }

    /// How much of a topic's past the hub keeps, and its broker should.
    ///
    /// # Errors
    /// [`DeliverError::Closed`].
    pub fn retention(&self) -> Result<Retention, DeliverError> {
        Ok(self.hub()?.retention())
    }

    /// Whether the hub is gone.
    pub fn is_closed(&self) -> bool {
        self.0.strong_count() == 0
    }

    pub(crate) fn new(hub: Weak<dyn Deliver>) -> Self {
        Self(hub)
    }

    fn hub(&self) -> Result<Arc<dyn Deliver>, DeliverError> {
        self.0.upgrade().ok_or(DeliverError::Closed)
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

    fn begin(&self, position: Position) -> Wakeups;
    fn advance(&self, position: Position) -> Wakeups;
    fn establish(&self, interests: &[Interest<'_>], anew: bool) -> Wakeups;
    fn append_unseen(self: Arc<Self>, topic: &TopicName, event: EarlierEvent);
    fn lose(self: Arc<Self>, topic: &TopicName, through: Position, now: Instant) -> Wakeups;
    fn earlier(
        &self,
        topic: &TopicName,
        read_after: u64,
        complete_after: u64,
        earlier: Vec<Earlier>,
        now: Instant,
    ) -> Wakeups;
    fn found(
        self: Arc<Self>,
        pattern: &TopicPattern,
        after: u64,
        topics: Option<Vec<TopicName>>,
        now: Instant,
    ) -> Wakeups;
    fn reached(&self) -> Wakeups;
    fn disconnect(&self, subject: &str, reason: &str);
    fn is_wanted(&self, topic: &TopicName) -> bool;
    fn is_followed(&self, pattern: &TopicPattern) -> bool;
    fn subscribers(&self, topic: &TopicName) -> usize;
    fn retention(&self) -> Retention;
}
