//! What an engine has to do for the bridge: [`Engine`] and [`Link`].

use std::{fmt, future::Future, time::Duration};

use realtime_core::{Event, Retention, TopicName, TopicPattern};

use crate::feed::Feed;

/// A place in an engine's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "there is no third part")]
pub struct At {
    /// The life of the sequence.
    pub epoch: u64,
    /// The number in it; 0 stands before the first event.
    pub sequence: u64,
}

/// What an instance says of itself when it connects.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Hello {
    /// Its name, of letters and digits; another one in each life.
    pub instance: String,
    /// The newest position that it knows to have been stored. An engine whose server has lost it must
    /// answer with another epoch.
    pub seen: Option<At>,
    /// How much of each topic's past the engine keeps, at least.
    pub retention: Retention,
}

impl Hello {
    /// What an instance says that knows of no position.
    pub fn new(instance: impl Into<String>, retention: Retention) -> Self {
        Self { instance: instance.into(), seen: None, retention }
    }
}

/// A system that numbers, stores and carries events, and how to reach it.
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// A connection to it.
    type Link: Link;

    /// Connects, says `hello`, and tells where the sequence is now. From then on what is subscribed
    /// to comes into `feed`.
    ///
    /// The bridge bounds how long that may take, by dropping the future.
    ///
    /// # Errors
    /// [`EngineError`]; the bridge tries again, later each time.
    fn connect(
        &self,
        hello: &Hello,
        feed: Feed,
    ) -> impl Future<Output = Result<(Self::Link, At), EngineError>> + Send;
}

/// A connection to an engine. Its methods are called concurrently, and each is bounded in time by
/// dropping its future; dropping the link closes the connection.
///
/// What comes into the feed comes in the order of the sequence, across topics. When the connection is
/// lost, [`Fed::Lost`] comes last.
pub trait Link: Send + Sync + 'static {
    /// Stores an event and tells its position, after which it comes to every instance with interest
    /// in its topic. It must not be sent again when it is not known whether it was stored.
    fn publish(
        &self,
        topic: &TopicName,
        event: &Event,
    ) -> impl Future<Output = Result<At, EngineError>> + Send;

    /// Has what is published to these come into the feed. When it returns, everything that is
    /// published later does.
    fn subscribe(
        &self,
        interests: &[Interest],
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Takes that back.
    fn unsubscribe(
        &self,
        interests: &[Interest],
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Has a [`Fed::Mark`] with `token` come into the feed, in the order of the sequence: after all
    /// events up to the position that it tells and before all later ones.
    fn mark(&self, token: u64) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Reads the newest events of a topic with a sequence above `after`, at most `limit`.
    fn read(
        &self,
        topic: &TopicName,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<History, EngineError>> + Send;

    /// The topics that `pattern` matches and that have events with a sequence above `after`, at most
    /// `limit` and then one more, in no order. It may tell more than match.
    fn topics(
        &self,
        pattern: &TopicPattern,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<TopicName>, EngineError>> + Send;
}

/// What an instance wants to get.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a subscription has these two")]
pub enum Interest {
    /// The events of one topic.
    Topic(TopicName),
    /// The events of all topics that a pattern matches; more may come, and is passed over.
    Pattern(TopicPattern),
}

/// What comes from an engine.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the bridge handles each")]
pub enum Fed {
    /// An event. One that comes twice, for its topic and for a pattern, is passed over the second time.
    Event(Record),
    /// What [`Link::mark`] asked for.
    Mark {
        /// The token that it was asked with.
        token: u64,
        /// Everything up to here has come.
        at: At,
    },
    /// The connection is lost.
    Lost(EngineError),
}

/// An event as an engine has it.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "every engine makes them")]
pub struct Record {
    /// Where it was published.
    pub topic: TopicName,
    /// Its position.
    pub at: At,
    /// The topic has no event between this sequence and its own: a live one that was lost shows.
    pub previous: u64,
    /// The event.
    pub event: Event,
    /// How long ago it was published.
    pub age: Duration,
}

/// What [`Link::read`] has found.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "every engine makes them")]
pub struct History {
    /// The epoch that it is of.
    pub epoch: u64,
    /// The events, the oldest first.
    pub records: Vec<Record>,
    /// Nothing that was published to the topic after this sequence, and up to the last record or the
    /// time of reading, is missing. Not below the `after` that was asked for.
    pub complete_after: u64,
}

/// Why an engine did not do what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The server can't be reached, or the connection is lost. What was asked for may have been done.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The server refuses what was asked for: credentials, a version, an event that is too large.
    /// Nothing was done.
    #[error("refused: {0}")]
    Refused(String),
    /// The server answered what it must not.
    #[error("not understood: {0}")]
    Protocol(String),
}
