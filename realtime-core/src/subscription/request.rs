//! What is asked of a hub: [`Subscribe`].

use super::permission::{Permission, Permitted};
use crate::{
    broker::DeliverError,
    overflow::{LagLimit, Overflow},
    pattern::{TopicPattern, TopicPatternError},
    position::{LastEventId, LastEventIdError},
    topic::{TopicName, TopicNameError},
};

/// A request for a [`Subscription`](super::Subscription): topics, where to start, and what happens
/// when it lags.
///
/// A name, or several, make one by themselves:
///
/// ```
/// # use realtime_core::{Hub, LagLimit, Overflow, Start, Subscribe};
/// let hub = Hub::new();
/// let one = hub.subscribe("prices")?;
/// let two = hub.subscribe(["prices", "news"])?;
/// let more = hub.subscribe(
///     Subscribe::to("prices").start(Start::NewestPerKey).overflow(Overflow::Conflate),
/// )?;
/// # Ok::<(), realtime_core::SubscribeError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Subscribe {
    pub(super) topics: Result<Vec<TopicName>, TopicNameError>,
    pub(super) patterns: Result<Vec<TopicPattern>, TopicPatternError>,
    pub(super) permitted: Permitted,
    pub(super) start: Start,
    pub(super) after: Option<Result<LastEventId, LastEventIdError>>,
    pub(super) overflow: Option<Overflow>,
    pub(super) lag: Option<LagLimit>,
}

/// Where a subscription starts that has nothing to resume from, or can't.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Start {
    /// With what is published from now on.
    #[default]
    Live,
    /// With the last so many events of each topic, as far as they are retained.
    Last(usize),
    /// With the newest event of each key.
    NewestPerKey,
}

impl Subscribe {
    /// A subscription to nothing yet; topics are added here or while it lives.
    pub fn none() -> Self {
        Self {
            topics: Ok(Vec::new()),
            patterns: Ok(Vec::new()),
            permitted: Permitted::default(),
            start: Start::Live,
            after: None,
            overflow: None,
            lag: None,
        }
    }

    /// A subscription to one topic.
    pub fn to<T>(topic: T) -> Self
    where
        T: TryInto<TopicName>,
        TopicNameError: From<T::Error>,
    {
        Self::none().and(topic)
    }

    /// One more topic; one that is named twice is followed once. A name that is not valid is reported
    /// when the request is used.
    pub fn and<T>(mut self, topic: T) -> Self
    where
        T: TryInto<TopicName>,
        TopicNameError: From<T::Error>,
    {
        self.topics = self.topics.and_then(|mut topics| {
            topics.push(topic.try_into()?);
            Ok(topics)
        });
        self
    }

    /// A subscription to all topics that a pattern matches: those that are there, and each one made
    /// later, from its first event on.
    ///
    /// A name never becomes a pattern: `Subscribe::to("rooms.*")` is an error. So what a client
    /// asks for by name stays within what you allow it.
    ///
    /// Topics that a connection's identity may not have are left out, silently; by their name they are
    /// an error. That costs a question to [`Authorize`](crate::Authorize) for each topic that is there
    /// and is matched, until more are permitted than fit: let clients choose among patterns with a
    /// prefix of theirs, not `>`.
    ///
    /// Resuming after an id starts with a [`Reset`](crate::Reset) when any topic of the hub, matching or
    /// not, has been removed with a later event.
    ///
    /// ```
    /// # use realtime_core::{Hub, Subscribe, SubscribeError};
    /// let hub = Hub::new();
    /// let rooms = hub.subscribe(Subscribe::pattern("rooms.*").and("news"))?;
    /// assert!(matches!(hub.subscribe("rooms.*"), Err(SubscribeError::Topic(_))));
    /// # Ok::<(), SubscribeError>(())
    /// ```
    pub fn pattern<P>(pattern: P) -> Self
    where
        P: TryInto<TopicPattern>,
        TopicPatternError: From<P::Error>,
    {
        Self::none().and_pattern(pattern)
    }

    /// One more pattern, of at most
    /// [`Limits::patterns_per_subscription`](crate::Limits::patterns_per_subscription); a topic that
    /// several match, or that is also named, is followed once. The pattern and each topic that it
    /// matches count towards
    /// [`Limits::topics_per_subscription`](crate::Limits::topics_per_subscription). A pattern that
    /// is not valid is reported when the request is used.
    pub fn and_pattern<P>(mut self, pattern: P) -> Self
    where
        P: TryInto<TopicPattern>,
        TopicPatternError: From<P::Error>,
    {
        self.patterns = self.patterns.and_then(|mut patterns| {
            patterns.push(pattern.try_into()?);
            Ok(patterns)
        });
        self
    }

    /// Follows only what the permission allows: a topic that is named is refused, one that a pattern
    /// matches is left out. Default: everything is allowed.
    pub(crate) fn permitted(mut self, permission: Option<Permission>) -> Self {
        self.permitted = Permitted::by(permission);
        self
    }

    /// Where to start without an id to resume from, or when resuming is not possible. Default:
    /// [`Start::Live`]. Topics that a pattern comes to match later start with their first event.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Resumes after `id`.
    pub fn after(mut self, id: impl Into<LastEventId>) -> Self {
        self.after = Some(Ok(id.into()));
        self
    }

    /// Resumes after the id that a client sent, unless an id is set already.
    pub(crate) fn or_after(mut self, id: Option<Result<LastEventId, LastEventIdError>>) -> Self {
        self.after = self.after.or(id);
        self
    }

    /// The policy for when it lags. Default: the hub's.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }

    /// How far it may lag. Default: the hub's.
    pub fn lag(mut self, limit: LagLimit) -> Self {
        self.lag = Some(limit);
        self
    }
}

macro_rules! subscribe_from_name {
    ($($name:ty),*) => {$(
        impl From<$name> for Subscribe {
            fn from(topic: $name) -> Self {
                Self::to(topic)
            }
        }
    )*};
}
subscribe_from_name!(&str, String, &String, TopicName, &TopicName);

impl<T> FromIterator<T> for Subscribe
where
    T: TryInto<TopicName>,
    TopicNameError: From<T::Error>,
{
    fn from_iter<I: IntoIterator<Item = T>>(topics: I) -> Self {
        topics.into_iter().fold(Self::none(), Self::and)
    }
}

impl<T, const N: usize> From<[T; N]> for Subscribe
where
    T: TryInto<TopicName>,
    TopicNameError: From<T::Error>,
{
    fn from(topics: [T; N]) -> Self {
        topics.into_iter().collect()
    }
}

impl<T> From<Vec<T>> for Subscribe
where
    T: TryInto<TopicName>,
    TopicNameError: From<T::Error>,
{
    fn from(topics: Vec<T>) -> Self {
        topics.into_iter().collect()
    }
}

/// Why a subscription could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// A topic's name is not valid.
    #[error(transparent)]
    Topic(#[from] TopicNameError),
    /// A pattern is not valid.
    #[error(transparent)]
    Pattern(#[from] TopicPatternError),
    /// The topic may not be followed by whoever asked.
    #[error("the topic {:?} is not permitted: ask for topics that are", topic.as_str())]
    Forbidden {
        /// The topic.
        topic: TopicName,
    },
    /// It would have more topics, patterns included, than
    /// [`Limits::topics_per_subscription`](crate::Limits::topics_per_subscription).
    #[error("{count} topics and patterns or more in one subscription, and {max} are allowed")]
    TooManyTopics {
        /// Topics asked for; of those that patterns match, none is counted after the first one that
        /// is too many.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// It would have more patterns than
    /// [`Limits::patterns_per_subscription`](crate::Limits::patterns_per_subscription).
    #[error(
        "{count} patterns in one subscription, and {max} are allowed: ask for fewer, wider ones"
    )]
    TooManyPatterns {
        /// Patterns asked for.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// The hub's table of topics is full.
    #[error(transparent)]
    Table(#[from] DeliverError),
}
