//! What becomes of an event that is published: [`Publish`].

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    broker::{BrokerError, Published},
    position::Position,
    topic::{TopicName, TopicNameError},
};

/// The outcome of a publish: the position that the event got.
///
/// The embedded broker has stored the event when [`Hub::publish`](crate::Hub::publish) returns, and this
/// is ready at once. A broker between instances may start only when it is polled, so await it.
///
/// # Cancel safety
/// Dropping it does not take back an event; with a broker between instances the event may or may
/// not be published then.
#[derive(Debug)]
#[must_use = "whether the event was published is known only when this is awaited"]
pub struct Publish(pub(super) Result<Published, Option<PublishError>>);

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
    /// The hub has been drained; see [`Hub::drain`](crate::Hub::drain).
    #[error("the hub has been drained: nobody is there to get events, and nothing keeps them")]
    Drained,
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
