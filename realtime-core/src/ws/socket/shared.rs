//! What a session and its socket share.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Waker},
    time::Instant,
};

use bytes::Bytes;

use super::Socket;
use crate::{
    admission::Established,
    auth::Identity,
    client_ip::ClientIp,
    close::CloseCause,
    fanout::{keep, lock},
    hub::Hub,
    limits::Limits,
    pattern::TopicPattern,
    permits::Principal,
    rate::{Bucket, Rate},
    subscription::{Following, Joining, Permission, Permitted, SubscribeError, Subscription},
    sync::Mutex,
    topic::TopicName,
    ws::message::Message,
};

/// What a session and its socket share.
#[derive(Debug)]
pub(in crate::ws) struct Shared {
    pub(super) mail: Mutex<Mail>,
}

/// Bounds: the inbox and the outbox by bytes, one message over; the topics and patterns among the
/// changes by the limits of a subscription, the other changes by what the handler does in one poll.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) inbox: VecDeque<Message>,
    pub(super) inbox_bytes: usize,
    pub(super) max_inbox_bytes: usize,
    pub(super) outbox: VecDeque<Bytes>,
    pub(super) outbox_bytes: usize,
    pub(super) max_outbox_bytes: usize,
    pub(super) changes: VecDeque<Change>,
    /// What the subscription has, as far as is known here.
    pub(super) counts: Counts,
    pub(super) identity: Option<Identity>,
    pub(super) permitted: Permitted,
    /// How often the identity may be refreshed.
    pub(super) refreshes: Option<Box<Bucket>>,
    /// What the handler wants to close with.
    pub(super) close: Option<CloseCause>,
    /// Why the connection is closing: nothing more comes in.
    pub(super) closing: Option<CloseCause>,
    /// Nothing more goes out.
    pub(super) sealed: bool,
    /// The socket is dropped.
    pub(super) abandoned: bool,
    /// It was looked whether the handler takes what is there, and it has taken nothing since.
    pub(super) untouched: bool,
    pub(super) receiver: Option<Waker>,
    pub(super) sender: Option<Waker>,
    pub(super) driver: Option<Waker>,
}

impl Mail {
    fn has_room(&self) -> bool {
        self.inbox_bytes < self.max_inbox_bytes && self.inbox.len() < MAX_INBOX_MESSAGES
    }

    /// Whether nothing more is to be sent: after a Close of ours, wanted or on its way. After the
    /// peer's, or its failure, answers still may.
    pub(super) fn takes_no_more(&self) -> bool {
        let is_closing = self.closing.as_ref().is_some_and(|cause| !cause.is_of_peer());
        self.sealed || self.close.is_some() || is_closing
    }
}

/// How much a subscription has, or gets by a change.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::ws) struct Counts {
    /// Topics and patterns.
    pub(in crate::ws) topics: usize,
    pub(in crate::ws) patterns: usize,
}

impl Counts {
    pub(in crate::ws) fn of(subscription: &Subscription) -> Self {
        Self { topics: subscription.count(), patterns: subscription.patterns().count() }
    }

    pub(super) fn add(&mut self, change: &Change) {
        match change {
            Change::Join(_) => self.topics += 1,
            Change::Follow(following) => {
                self.topics += 1 + following.topics();
                self.patterns += 1;
            }
            Change::Leave(_) | Change::Unfollow(_) | Change::Establish(_) | Change::Refresh(_) => {}
        }
    }
}

/// A change of the subscription that the handler made.
#[derive(Debug)]
pub(in crate::ws) enum Change {
    Join(Joining),
    Leave(TopicName),
    Follow(Following),
    Unfollow(TopicPattern),
    /// The first identity, with its place.
    Establish(Box<Principal>),
    /// Another proof of the one that is there.
    Refresh(Box<Established>),
}

/// The most messages in an inbox, whatever their size: an empty one has its cost too.
const MAX_INBOX_MESSAGES: usize = 256;

impl Shared {
    pub(in crate::ws) fn pair(
        hub: Hub,
        client_ip: Option<ClientIp>,
        limits: &Limits,
        counts: Counts,
        permitted: Permitted,
    ) -> (Socket, Arc<Self>) {
        let mail = Mail {
            max_inbox_bytes: limits.inbox_bytes,
            max_outbox_bytes: limits.outbox_bytes,
            counts,
            permitted,
            ..Mail::default()
        };
        let shared = Arc::new(Self { mail: Mutex::new(mail) });
        (Socket { hub, client_ip, shared: Arc::clone(&shared) }, shared)
    }

    /// Gives a message to the handler.
    pub(in crate::ws) fn receive(&self, message: Message) {
        let mut mail = lock(&self.mail);
        if mail.abandoned {
            return;
        }
        // What has just begun to wait has not waited yet.
        mail.untouched &= !mail.inbox.is_empty();
        mail.inbox_bytes += message.len();
        mail.inbox.push_back(message);
        let receiver = mail.receiver.take();
        drop(mail);
        wake(receiver);
    }

    /// Whether the handler has room for another message.
    pub(in crate::ws) fn has_room(&self) -> bool {
        lock(&self.mail).has_room()
    }

    /// Counts a refresh that the handler asks for; the connection closes when that is too fast.
    pub(in crate::ws) fn may_refresh(&self, rate: Rate, now: Instant) -> bool {
        let mut mail = lock(&self.mail);
        let bucket = mail.refreshes.get_or_insert_with(|| Box::new(Bucket::new(rate, now)));
        if bucket.take(1, now).is_ok() {
            return true;
        }
        mail.close.get_or_insert(CloseCause::TooFast);
        let driver = mail.driver.take();
        drop(mail);
        wake(driver);
        false
    }

    /// Whether the inbox is full and the handler has taken nothing since this was asked before.
    pub(in crate::ws) fn is_stalled(&self) -> bool {
        let mut mail = lock(&self.mail);
        !mail.has_room() && std::mem::replace(&mut mail.untouched, true)
    }

    /// Seals it when all that the handler sent is taken and, where it may still answer, all that it
    /// was sent; tells whether that is so.
    pub(in crate::ws) fn seal_if_done(&self, may_answer: bool) -> bool {
        let mut mail = lock(&self.mail);
        if !mail.outbox.is_empty() || (may_answer && !mail.inbox.is_empty()) {
            return false;
        }
        mail.sealed = true;
        true
    }

    /// The next change of the subscription.
    pub(in crate::ws) fn change(&self) -> Option<Change> {
        lock(&self.mail).changes.pop_front()
    }

    /// What may be followed. Fails when nothing more may.
    pub(super) fn room(&self, hub: &Hub) -> Result<Permitted, SubscribeError> {
        let mail = lock(&self.mail);
        let (count, max) = (mail.counts.topics + 1, hub.config().limits.topics_per_subscription);
        if count > max {
            return Err(SubscribeError::TooManyTopics { count, max });
        }
        Ok(mail.permitted.clone())
    }

    /// What may be followed. Fails when no more patterns may.
    pub(super) fn room_for_pattern(&self, hub: &Hub) -> Result<Permitted, SubscribeError> {
        let count = lock(&self.mail).counts.patterns + 1;
        let max = hub.config().limits.patterns_per_subscription;
        if count > max {
            return Err(SubscribeError::TooManyPatterns { count, max });
        }
        self.room(hub)
    }

    /// Decides from now on which topics the handler may follow.
    pub(in crate::ws) fn set_permission(&self, permission: Option<Permission>) {
        let permitted = Permitted::by(permission);
        let before = std::mem::replace(&mut lock(&self.mail).permitted, permitted);
        // It may run anything when dropped.
        drop(before);
    }

    /// Takes what the subscription has now, beside what waits to be added to it.
    pub(in crate::ws) fn set_counts(&self, mut counts: Counts) {
        let mut mail = lock(&self.mail);
        mail.changes.iter().for_each(|change| counts.add(change));
        mail.counts = counts;
    }

    pub(in crate::ws) fn set_identity(&self, identity: Option<Identity>) {
        let before = std::mem::replace(&mut lock(&self.mail).identity, identity);
        // It may hold anything of the application's.
        drop(before);
    }

    /// The next direct message as a frame, and room for another.
    pub(in crate::ws) fn outgoing(&self) -> Option<Bytes> {
        let mut mail = lock(&self.mail);
        let frame = mail.outbox.pop_front()?;
        mail.outbox_bytes -= frame.len();
        let sender = mail.sender.take();
        drop(mail);
        wake(sender);
        Some(frame)
    }

    /// What the handler wants to close with, once all that it sent before is written.
    pub(in crate::ws) fn close_wanted(&self) -> Option<CloseCause> {
        lock(&self.mail).close.clone()
    }

    /// Keeps the connection's waker for what the handler does outside of its poll.
    pub(in crate::ws) fn register(&self, cx: &Context<'_>) {
        let mut mail = lock(&self.mail);
        let before = keep(&mut mail.driver, cx.waker());
        drop(mail);
        drop(before);
    }

    /// Tells the handler that nothing more comes in.
    pub(in crate::ws) fn closing(&self, cause: &CloseCause) {
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
    pub(in crate::ws) fn seal(&self) {
        let mut mail = lock(&self.mail);
        mail.sealed = true;
        let sender = mail.sender.take();
        let outbox = std::mem::take(&mut mail.outbox);
        drop(mail);
        drop(outbox);
        wake(sender);
    }
}

pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
