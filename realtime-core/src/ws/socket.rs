//! The handler's end of a WebSocket connection.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;

use super::{
    close::{CloseCause, CloseCode, CloseFrame, CloseReason},
    frames,
    message::Message,
};
use crate::{
    admission::Established,
    auth::{AuthenticateError, Identity},
    fanout::lock,
    hub::Hub,
    limits::Limits,
    pattern::{TopicPattern, TopicPatternError},
    subscription::{Following, Joined, Permission, Permitted, SubscribeError},
    topic::{TopicName, TopicNameError},
};

/// A WebSocket connection, as its handler sees it.
///
/// The handler runs as part of the connection: it needs no task of its own, and it is dropped when
/// the connection ends, at whatever await it stands then. To do something in any case, let it
/// outlive the connection in a task of yours.
#[derive(Debug)]
pub struct Socket {
    hub: Hub,
    shared: Arc<Shared>,
}

impl Socket {
    /// The hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
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
    /// Waits while [`Limits::outbox_bytes`] are waiting for the socket; it returns once the message
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
                let before = keep(&mut mail.sender, cx);
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

    /// Puts `established` in place of the connection's identity, of the same subject.
    pub(crate) fn establish(&mut self, established: Established) -> Result<Identity, RefreshError> {
        let identity = established.identity.clone();
        let is_other = |before: Identity| before.subject() != identity.subject();
        if self.identity().is_some_and(is_other) {
            return Err(RefreshError::OtherSubject);
        }
        self.change(Change::Identity(Box::new(established)));
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
        let permitted = self.shared.room(&self.hub)?;
        let room = self.hub.config().limits.topics_per_subscription.saturating_sub(1);
        let following = self.hub.follow_live(pattern, &permitted, room, now)?;
        self.change(Change::Follow(following));
        Ok(())
    }

    fn change(&mut self, change: Change) {
        let mut mail = lock(&self.shared.mail);
        if mail.closing.is_some() {
            drop(mail);
            drop(change);
            return;
        }
        match &change {
            Change::Join(_) => mail.topics += 1,
            Change::Follow(following) => mail.topics += 1 + following.topics(),
            Change::Leave(_) | Change::Unfollow(_) | Change::Identity(_) => {}
        }
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
            let before = keep(&mut mail.receiver, cx);
            drop(mail);
            drop(before);
            return Poll::Pending;
        };
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
}

/// A message that was not sent, because the connection has ended or is closing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed")]
pub struct SendError(pub Message);

/// What a session and its socket share.
#[derive(Debug)]
pub(super) struct Shared {
    mail: Mutex<Mail>,
}

/// Bounds: the inbox and the outbox by bytes, one message over; the changes by what the handler does
/// in one poll.
#[derive(Debug, Default)]
struct Mail {
    inbox: VecDeque<Message>,
    inbox_bytes: usize,
    max_inbox_bytes: usize,
    outbox: VecDeque<Bytes>,
    outbox_bytes: usize,
    max_outbox_bytes: usize,
    changes: VecDeque<Change>,
    /// Topics and patterns of the subscription, as far as is known here.
    topics: usize,
    identity: Option<Identity>,
    permitted: Permitted,
    /// What the handler wants to close with.
    close: Option<CloseCause>,
    /// Why the connection is closing: nothing more comes in.
    closing: Option<CloseCause>,
    /// Nothing more goes out.
    sealed: bool,
    /// The socket is dropped.
    abandoned: bool,
    receiver: Option<Waker>,
    sender: Option<Waker>,
    driver: Option<Waker>,
}

impl Mail {
    /// Whether nothing more is to be sent: after a Close of ours, wanted or on its way. After the
    /// peer's, or its failure, answers still may.
    fn takes_no_more(&self) -> bool {
        let is_closing = self.closing.as_ref().is_some_and(|cause| !cause.is_of_peer());
        self.sealed || self.close.is_some() || is_closing
    }
}

/// A change of the subscription that the handler made.
#[derive(Debug)]
pub(super) enum Change {
    Join(Joined),
    Leave(TopicName),
    Follow(Following),
    Unfollow(TopicPattern),
    Identity(Box<Established>),
}

/// The most messages in an inbox, whatever their size: an empty one has its cost too.
const MAX_INBOX_MESSAGES: usize = 256;

impl Shared {
    pub(super) fn pair(
        hub: Hub,
        limits: &Limits,
        topics: usize,
        permitted: Permitted,
    ) -> (Socket, Arc<Self>) {
        let mail = Mail {
            max_inbox_bytes: limits.inbox_bytes,
            max_outbox_bytes: limits.outbox_bytes,
            topics,
            permitted,
            ..Mail::default()
        };
        let shared = Arc::new(Self { mail: Mutex::new(mail) });
        (Socket { hub, shared: Arc::clone(&shared) }, shared)
    }

    /// Gives a message to the handler.
    pub(super) fn receive(&self, message: Message) {
        let mut mail = lock(&self.mail);
        if mail.abandoned {
            return;
        }
        mail.inbox_bytes += message.len();
        mail.inbox.push_back(message);
        let receiver = mail.receiver.take();
        drop(mail);
        wake(receiver);
    }

    /// Whether the handler has room for another message.
    pub(super) fn has_room(&self) -> bool {
        let mail = lock(&self.mail);
        mail.inbox_bytes < mail.max_inbox_bytes && mail.inbox.len() < MAX_INBOX_MESSAGES
    }

    /// Seals it when all that the handler sent is taken and, where it may still answer, all that it
    /// was sent; tells whether that is so.
    pub(super) fn seal_if_done(&self, may_answer: bool) -> bool {
        let mut mail = lock(&self.mail);
        if !mail.outbox.is_empty() || (may_answer && !mail.inbox.is_empty()) {
            return false;
        }
        mail.sealed = true;
        true
    }

    /// The next change of the subscription.
    pub(super) fn change(&self) -> Option<Change> {
        lock(&self.mail).changes.pop_front()
    }

    /// What may be followed. Fails when nothing more may.
    fn room(&self, hub: &Hub) -> Result<Permitted, SubscribeError> {
        let mail = lock(&self.mail);
        let (count, max) = (mail.topics + 1, hub.config().limits.topics_per_subscription);
        if count > max {
            return Err(SubscribeError::TooManyTopics { count, max });
        }
        Ok(mail.permitted.clone())
    }

    /// Decides from now on which topics the handler may follow.
    pub(super) fn set_permission(&self, permission: Option<Permission>) {
        let permitted = Permitted::by(permission);
        let before = std::mem::replace(&mut lock(&self.mail).permitted, permitted);
        // It may run anything when dropped.
        drop(before);
    }

    pub(super) fn set_topics(&self, topics: usize) {
        lock(&self.mail).topics = topics;
    }

    pub(super) fn set_identity(&self, identity: Option<Identity>) {
        let before = std::mem::replace(&mut lock(&self.mail).identity, identity);
        // It may hold anything of the application's.
        drop(before);
    }

    /// The next direct message as a frame, and room for another.
    pub(super) fn outgoing(&self) -> Option<Bytes> {
        let mut mail = lock(&self.mail);
        let frame = mail.outbox.pop_front()?;
        mail.outbox_bytes -= frame.len();
        let sender = mail.sender.take();
        drop(mail);
        wake(sender);
        Some(frame)
    }

    /// What the handler wants to close with, once all that it sent before is written.
    pub(super) fn close_wanted(&self) -> Option<CloseCause> {
        lock(&self.mail).close.clone()
    }

    /// Keeps the connection's waker for what the handler does outside of its poll.
    pub(super) fn register(&self, cx: &Context<'_>) {
        let mut mail = lock(&self.mail);
        let before = keep(&mut mail.driver, cx);
        drop(mail);
        drop(before);
    }

    /// Tells the handler that nothing more comes in.
    pub(super) fn closing(&self, cause: &CloseCause) {
        let mut mail = lock(&self.mail);
        mail.closing.get_or_insert_with(|| cause.clone());
        let (receiver, sender) = (mail.receiver.take(), mail.sender.take());
        let changes = std::mem::take(&mut mail.changes);
        drop(mail);
        drop(changes);
        wake(receiver);
        wake(sender);
    }

    /// Tells the handler that nothing more goes out.
    pub(super) fn seal(&self) {
        let mut mail = lock(&self.mail);
        mail.sealed = true;
        let sender = mail.sender.take();
        let outbox = std::mem::take(&mut mail.outbox);
        drop(mail);
        drop(outbox);
        wake(sender);
    }
}

/// Keeps the task's waker in `slot` and returns the one before, to be dropped without the lock: a
/// waker may run anything when dropped.
#[must_use]
fn keep(slot: &mut Option<Waker>, cx: &Context<'_>) -> Option<Waker> {
    if slot.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        return None;
    }
    slot.replace(cx.waker().clone())
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
