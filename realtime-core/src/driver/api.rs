//! The methods of hub, subscription and socket that read the clock themselves.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use super::{admit::authenticate, now};
use crate::{
    auth::{Action, CredentialSource, Credentials, Identity, Token},
    event::Event,
    hub::{Hub, Publish, PublishError},
    pattern::{TopicPattern, TopicPatternError},
    subscription::{Delivery, Subscribe, SubscribeError, Subscription},
    topic::{TopicName, TopicNameError},
    ws::{RefreshError, Socket},
};

impl Hub {
    /// Publishes an event to a topic; never waits for a subscriber.
    ///
    /// With the embedded broker the event is stored when this returns, and the returned future is
    /// ready at once. Subscribers of the topic get it in the order of the hub's sequence.
    ///
    /// # Errors
    /// The future gives [`PublishError`](crate::PublishError): a topic name that is not valid, an
    /// event that is too large, a broker that did not take it. Nothing is stored then.
    pub fn publish<T>(&self, topic: T, event: Event) -> Publish
    where
        T: TryInto<TopicName>,
        TopicNameError: From<T::Error>,
    {
        self.publish_at(topic, event, now())
    }

    /// Subscribes to a topic, to several, or as a [`Subscribe`] says. It is the server's own: nobody is
    /// asked whether it is permitted.
    ///
    /// # Errors
    /// [`SubscribeError`]: a topic name or a pattern that is not valid, more topics or patterns than are
    /// allowed.
    pub fn subscribe(&self, request: impl Into<Subscribe>) -> Result<Subscription, SubscribeError> {
        self.subscribe_at(request, now())
    }
}

impl Subscription {
    /// The next item; `None` when the subscription has ended.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub async fn next(&mut self) -> Option<Delivery> {
        let mut out = Vec::with_capacity(1);
        poll_fn(|cx| self.poll_recv_many(cx, &mut out, 1, now())).await;
        out.pop()
    }

    /// Waits until it has started: from then on everything that is published to its topics comes, or has
    /// been told to be missing. So what is loaded after that from elsewhere, a database say, has no hole
    /// between it and what this gives.
    ///
    /// That is at once where the hub's broker is the embedded one. One between instances has to be heard
    /// first, which takes as long as it is not available; nothing is given before.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub async fn ready(&mut self) {
        poll_fn(|cx| self.poll_ready(cx, now())).await;
    }

    /// Waits for items and appends those that are there to `out`, at most `max`. Returns how many;
    /// 0 when the subscription has ended or `max` is 0.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped: what is in `out` was taken, and only once it is ready.
    pub async fn recv_many(&mut self, out: &mut Vec<Delivery>, max: usize) -> usize {
        if max == 0 {
            return 0;
        }
        poll_fn(|cx| self.poll_recv_many(cx, out, max, now())).await
    }

    /// Adds a topic from its next event on. Nothing changes when it is there already.
    ///
    /// # Errors
    /// [`SubscribeError`]: a topic name that is not valid or not permitted, more topics than are
    /// allowed, a full table.
    pub fn add<T>(&mut self, topic: T) -> Result<(), SubscribeError>
    where
        T: TryInto<TopicName>,
        TopicNameError: From<T::Error>,
    {
        self.add_at(topic, now())
    }

    /// Adds a pattern: topics that are there from their next event on, and each one made later from
    /// its first. Nothing changes when it is there already.
    ///
    /// # Errors
    /// [`SubscribeError`]: a pattern that is not valid, more topics or patterns than are allowed.
    pub fn add_pattern<P>(&mut self, pattern: P) -> Result<(), SubscribeError>
    where
        P: TryInto<TopicPattern>,
        TopicPatternError: From<P::Error>,
    {
        self.add_pattern_at(pattern, now())
    }
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut out = Vec::with_capacity(1);
        self.get_mut().poll_recv_many(cx, &mut out, 1, now()).map(|_| out.pop())
    }
}

impl Socket {
    /// Publishes an event to a topic, if the connection's identity may; see [`Hub::publish`], which
    /// asks nobody.
    ///
    /// # Errors
    /// The future gives [`PublishError::Forbidden`], or what [`Hub::publish`] gives.
    pub fn publish<T>(&self, topic: T, event: Event) -> Publish
    where
        T: TryInto<TopicName>,
        TopicNameError: From<T::Error>,
    {
        let topic = match topic.try_into() {
            Ok(topic) => topic,
            Err(error) => return Publish::refused(TopicNameError::from(error)),
        };
        if !self.hub().authorizes(self.identity().as_ref(), Action::Publish, &topic) {
            return Publish::refused(PublishError::Forbidden { topic });
        }
        self.hub().publish::<TopicName>(topic, event)
    }

    /// Refreshes the connection's identity with a token that came by a message of the application's
    /// own; see [`Authentication::first_message`](crate::Authentication::first_message) for one of
    /// ours. A connection without an identity gets one, which then counts for limits and
    /// [`Hub::disconnect`] before this comes back. What the connection may do is decided anew: a topic
    /// that was subscribed by its name and is no longer permitted closes it with 4403. More often than
    /// [`Limits::refreshes`](crate::Limits::refreshes) closes it with 4429, as messages of ours would.
    ///
    /// # Errors
    /// [`RefreshError`]: the token proves no identity, or another than the connection's, or the
    /// connection had none and this one has as many connections as it may. The connection goes on as
    /// it was.
    ///
    /// # Cancel safety
    /// When this is dropped before it is ready, nothing has changed.
    pub async fn refresh(&mut self, token: Token) -> Result<Identity, RefreshError> {
        self.may_refresh(now())?;
        let credentials = Credentials::new(token, CredentialSource::Message);
        let established = authenticate(self.hub(), self.client_ip(), credentials).await?;
        self.establish(established)
    }

    /// Adds a topic to the connection's subscription, from its next event on: what the handler
    /// publishes to it after this call comes back.
    ///
    /// # Errors
    /// [`SubscribeError`]: a topic name that is not valid or not permitted, more topics than are
    /// allowed, a full table.
    pub fn subscribe<T>(&mut self, topic: T) -> Result<(), SubscribeError>
    where
        T: TryInto<TopicName>,
        TopicNameError: From<T::Error>,
    {
        self.subscribe_at(topic, now())
    }

    /// Adds a pattern to the connection's subscription: topics that are there from their next event
    /// on, and each one made later from its first.
    ///
    /// # Errors
    /// [`SubscribeError`]: a pattern that is not valid, more topics or patterns than are allowed.
    pub fn subscribe_pattern<P>(&mut self, pattern: P) -> Result<(), SubscribeError>
    where
        P: TryInto<TopicPattern>,
        TopicPatternError: From<P::Error>,
    {
        self.subscribe_pattern_at(pattern, now())
    }
}
