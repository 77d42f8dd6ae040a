//! The handler's end of a WebSocket connection.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use super::{frames, message::Message};
use crate::{
    admission::{Established, NotAuthenticated, permission},
    auth::{AuthenticateError, Identity},
    client_ip::ClientIp,
    close::{CloseCause, CloseCode, CloseFrame, CloseReason},
    fanout::{keep, lock},
    hub::Hub,
    pattern::{TopicPattern, TopicPatternError},
    permits::{LimitReached, NotEstablished},
    subscription::SubscribeError,
    topic::{TopicName, TopicNameError},
};

mod shared;

use shared::wake;
pub(super) use shared::{Change, Counts, Shared};

/// A WebSocket connection, as its handler sees it.
///
/// The handler runs as part of the connection: it needs no task of its own, and it is dropped when
/// the connection ends, at whatever await it stands then. To do something in any case, let it
/// outlive the connection in a task of yours.
#[derive(Debug)]
pub struct Socket {
    hub: Hub,
    client_ip: Option<ClientIp>,
    shared: Arc<Shared>,
}

impl Socket {
    /// The hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The client's address, as far as it is known.
    pub fn client_ip(&self) -> Option<ClientIp> {
        self.client_ip
    }

    /// Whose connection it is, if that is known.
    pub fn identity(&self) -> Option<Identity> {
        lock(&self.shared.mail).identity.clone()
    }

    /// The next message, or `None` when the peer has closed or the connection is lost.
    ///
    /// # Cancel safety
    /// No message is lost when this is dropped.
    pub async fn recv(&mut self) -> Option<Message> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Sends a message to this client only. It goes ahead of events that are pending.
    ///
    /// Waits while [`Limits::outbox_bytes`](crate::Limits::outbox_bytes) are waiting for the socket; it returns once the message
    /// is queued, not when it is written.
    ///
    /// # Errors
    /// [`SendError`] gives the message back when the connection has ended or is closing.
    ///
    /// # Cancel safety
    /// When this is dropped before it is ready, the message has not been queued.
    pub async fn send(&mut self, message: Message) -> Result<(), SendError> {
        let mut message = Some(message);
        poll_fn(|cx| {
            let mut mail = lock(&self.shared.mail);
            let Some(taken) = message.take() else { return Poll::Ready(Ok(())) };
            if mail.takes_no_more() {
                return Poll::Ready(Err(SendError(taken)));
            }
            if mail.outbox_bytes > 0 && mail.outbox_bytes + taken.len() > mail.max_outbox_bytes {
                message = Some(taken);
                let before = keep(&mut mail.sender, cx.waker());
                drop(mail);
                drop(before);
                return Poll::Pending;
            }
            let frame = frames::message(&taken);
            mail.outbox_bytes += frame.len();
            mail.outbox.push_back(frame);
            let driver = mail.driver.take();
            drop(mail);
            wake(driver);
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Removes a topic from the connection's subscription; what it has pending is not delivered.
    ///
    /// # Errors
    /// [`TopicNameError`] when the name is not valid.
    pub fn unsubscribe<T>(&mut self, topic: T) -> Result<(), TopicNameError>
    where
        T: TryInto<TopicName>,
        TopicNameError: From<T::Error>,
    {
        let topic = topic.try_into().map_err(TopicNameError::from)?;
        self.change(Change::Leave(topic));
        Ok(())
    }

    /// Removes a pattern from the connection's subscription, and the topics that only it brought;
    /// what they have pending is not delivered.
    ///
    /// # Errors
    /// [`TopicPatternError`] when the pattern is not valid.
    pub fn unsubscribe_pattern<P>(&mut self, pattern: P) -> Result<(), TopicPatternError>
    where
        P: TryInto<TopicPattern>,
        TopicPatternError: From<P::Error>,
    {
        let pattern = pattern.try_into().map_err(TopicPatternError::from)?;
        self.change(Change::Unfollow(pattern));
        Ok(())
    }

    /// Puts `established` in place of the connection's identity, of the same subject, or where there is
    /// none.
    pub(crate) fn establish(&mut self, established: Established) -> Result<Identity, RefreshError> {
        let identity = established.identity.clone();
        let change = match self.identity() {
            Some(before) if before.subject() != identity.subject() => {
                return Err(RefreshError::OtherSubject);
            }
            Some(_) => Change::Refresh(Box::new(established)),
            // Limits count it from here on, and a revocation finds it.
            None => Change::Establish(Box::new(established.principal(&self.hub)?)),
        };
        // From here on the handler is the new one, however long the session takes to see it.
        self.shared.set_permission(permission(&self.hub, Some(&identity)));
        self.shared.set_identity(Some(identity.clone()));
        self.change(change);
        Ok(identity)
    }

    /// Closes the connection with a code and a reason once what was sent before is written.
    pub fn close(&mut self, code: CloseCode, reason: CloseReason) {
        let mut mail = lock(&self.shared.mail);
        mail.close.get_or_insert(CloseCause::Handler(CloseFrame::new(code, reason)));
        let (driver, sender) = (mail.driver.take(), mail.sender.take());
        drop(mail);
        wake(driver);
        wake(sender);
    }

    /// Why the connection is closing or has ended, `None` while it is open.
    pub fn close_cause(&self) -> Option<CloseCause> {
        lock(&self.shared.mail).closing.clone()
    }

    /// Adds a topic to the connection's subscription at the time `now`; see
    /// [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    /// See [`subscribe`](Self::subscribe).
    pub fn subscribe_at<T>(&mut self, topic: T, now: Instant) -> Result<(), SubscribeError>
    where
        T: TryInto<TopicName>,
        TopicNameError: From<T::Error>,
    {
        let topic = topic.try_into().map_err(TopicNameError::from)?;
        let permitted = self.shared.room(&self.hub)?;
        permitted.check(&topic)?;
        let joined = self.hub.join_live(&topic, now)?;
        self.change(Change::Join(joined));
        Ok(())
    }

    /// Adds a pattern to the connection's subscription at the time `now`; see
    /// [`subscribe_pattern`](Self::subscribe_pattern).
    ///
    /// # Errors
    /// See [`subscribe_pattern`](Self::subscribe_pattern).
    pub fn subscribe_pattern_at<P>(
        &mut self,
        pattern: P,
        now: Instant,
    ) -> Result<(), SubscribeError>
    where
        P: TryInto<TopicPattern>,
        TopicPatternError: From<P::Error>,
    {
        let pattern = pattern.try_into().map_err(TopicPatternError::from)?;
        // Topics that are there already for another reason are not known here: the subscription
        // looks at its limit again when it gets these.
        let permitted = self.shared.room_for_pattern(&self.hub)?;
        let room = self.hub.config().limits.topics_per_subscription.saturating_sub(1);
        let following = self.hub.follow_live(pattern, &permitted, room, now)?;
        self.change(Change::Follow(following));
        Ok(())
    }

    /// Counts a refresh, before anybody is asked.
    pub(crate) fn may_refresh(&self, now: Instant) -> Result<(), RefreshError> {
        let rate = self.hub.config().limits.refreshes;
        if self.shared.may_refresh(rate, now) { Ok(()) } else { Err(RefreshError::TooFast) }
    }

    fn change(&mut self, change: Change) {
        let mut mail = lock(&self.shared.mail);
        if mail.closing.is_some() {
            drop(mail);
            drop(change);
            return;
        }
        mail.counts.add(&change);
        mail.changes.push_back(change);
        let driver = mail.driver.take();
        drop(mail);
        wake(driver);
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut mail = lock(&self.shared.mail);
        let Some(message) = mail.inbox.pop_front() else {
            if mail.closing.is_some() {
                return Poll::Ready(None);
            }
            let before = keep(&mut mail.receiver, cx.waker());
            drop(mail);
            drop(before);
            return Poll::Pending;
        };
        mail.untouched = false;
        mail.inbox_bytes -= message.len();
        let driver = mail.driver.take();
        drop(mail);
        wake(driver);
        Poll::Ready(Some(message))
    }
}

/// Without a socket nobody reads: what the peer sends is discarded from then on.
impl Drop for Socket {
    fn drop(&mut self) {
        let mut mail = lock(&self.shared.mail);
        mail.abandoned = true;
        mail.inbox_bytes = 0;
        let inbox = std::mem::take(&mut mail.inbox);
        let driver = mail.driver.take();
        drop(mail);
        drop(inbox);
        wake(driver);
    }
}

/// What a handler's future ends with: `()`, or a `Result` whose error closes with 1011 and is
/// logged.
pub trait Outcome {
    /// The cause with which the connection is to be closed.
    fn into_cause(self) -> CloseCause;
}

impl Outcome for () {
    fn into_cause(self) -> CloseCause {
        CloseCause::Done
    }
}

impl<E: fmt::Display> Outcome for Result<(), E> {
    fn into_cause(self) -> CloseCause {
        match self {
            Ok(()) => CloseCause::Done,
            Err(error) => {
                tracing::warn!(%error, "a WebSocket handler failed");
                CloseCause::HandlerFailed
            }
        }
    }
}

/// Why a connection keeps the identity that it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The token proves no identity.
    #[error(transparent)]
    Authenticate(#[from] AuthenticateError),
    /// The token proves another identity than the connection's.
    #[error("the subject must stay the same")]
    OtherSubject,
    /// More often than [`Limits::refreshes`](crate::Limits::refreshes): the connection closes.
    #[error("the identity is refreshed too often: the connection closes")]
    TooFast,
    /// The connection had no identity, and the one that the token proves has as many connections as it
    /// may; or so much of the client's network is being checked that its turn did not come.
    #[error(transparent)]
    Limit(#[from] LimitReached),
}

impl From<NotEstablished> for RefreshError {
    fn from(error: NotEstablished) -> Self {
        match error {
            NotEstablished::Limit(limit) => limit.into(),
            NotEstablished::Revoked => AuthenticateError::invalid(error.to_string()).into(),
            NotEstablished::TooOld => AuthenticateError::unavailable(error).into(),
        }
    }
}

impl From<NotAuthenticated> for RefreshError {
    fn from(error: NotAuthenticated) -> Self {
        match error {
            NotAuthenticated::Authenticate(error) => error.into(),
            NotAuthenticated::Limit(limit) => limit.into(),
        }
    }
}

/// A message that was not sent, because the connection has ended or is closing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed")]
pub struct SendError(pub Message);
