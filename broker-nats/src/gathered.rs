//! Many subscriptions read as one, in the order of the stream: [`Gathered`].
//!
//! The client puts what it reads into a channel per subscription, on one task and in the order in which it
//! comes, which is that of the stream. So whoever has taken a message knows that all earlier ones already
//! lie in their channels, and that those channels have rung. A round empties all channels that have rung;
//! what it takes may be passed on once the next round is over.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_core::Stream;

use crate::loss::lock;

/// Subscriptions by their subject.
#[derive(Debug)]
pub(crate) struct Gathered<S> {
    members: HashMap<u64, Member<S>>,
    ids: HashMap<String, u64>,
    next_id: u64,
    rung: Arc<Rung>,
    /// How many messages a channel has room for.
    capacity: usize,
}

#[derive(Debug)]
struct Member<S> {
    messages: S,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Which have rung, and who is to hear it.
#[derive(Debug, Default)]
struct Rung {
    ids: Mutex<Vec<u64>>,
    listener: Mutex<Option<Waker>>,
}

#[derive(Debug)]
struct Bell {
    id: u64,
    is_rung: AtomicBool,
    rung: Arc<Rung>,
}

/// Why no more can be read in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A channel was full: the client may have dropped what came then.
    Overflow,
    /// The client has ended.
    Ended,
}

impl<S: Stream + Unpin> Gathered<S> {
    /// Of channels with room for `capacity` messages each.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            members: HashMap::new(),
            ids: HashMap::new(),
            next_id: 0,
            rung: Arc::default(),
            capacity,
        }
    }

    pub(crate) fn contains(&self, subject: &str) -> bool {
        self.ids.contains_key(subject)
    }

    /// Adds a subscription that was made after the last round.
    pub(crate) fn insert(&mut self, subject: String, messages: S) {
        let id = self.next_id;
        self.next_id += 1;
        let bell =
            Arc::new(Bell { id, is_rung: AtomicBool::new(false), rung: Arc::clone(&self.rung) });
        // Something may have come already.
        bell.wake_by_ref();
        let waker = Waker::from(Arc::clone(&bell));
        self.members.insert(id, Member { messages, bell, waker });
        self.ids.insert(subject, id);
    }

    /// Takes a subscription out; what it has brought is not wanted any more.
    pub(crate) fn remove(&mut self, subject: &str) -> Option<S> {
        let id = self.ids.remove(subject)?;
        Some(self.members.remove(&id)?.messages)
    }

    /// Whether a channel has rung since the last round began.
    pub(crate) fn poll_rung(&self, cx: &Context<'_>) -> Poll<()> {
        // Before the look, so that what rings between is heard.
        *lock(&self.rung.listener) = Some(cx.waker().clone());
        if lock(&self.rung.ids).is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// One round: empties all channels that have rung into `taken`.
    ///
    /// To be called where no task's budget ends a poll early (`tokio::task::unconstrained`).
    pub(crate) fn round(&mut self, taken: &mut Vec<S::Item>) -> Result<(), Broken> {
        let ids = std::mem::take(&mut *lock(&self.rung.ids));
        for id in ids {
            let Some(member) = self.members.get_mut(&id) else { continue };
            // Before the channel is emptied, so that what comes later rings again.
            member.bell.is_rung.swap(false, AcqRel);
            let mut cx = Context::from_waker(&member.waker);
            let mut room = self.capacity;
            while let Poll::Ready(message) = Pin::new(&mut member.messages).poll_next(&mut cx) {
                taken.push(message.ok_or(Broken::Ended)?);
                // As many in one go may have been all that there was room for.
                room = room.checked_sub(1).filter(|room| *room > 0).ok_or(Broken::Overflow)?;
            }
        }
        Ok(())
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_rung.swap(true, AcqRel) {
            return;
        }
        lock(&self.rung.ids).push(self.id);
        let listener = lock(&self.rung.listener).take();
        if let Some(listener) = listener {
            listener.wake();
        }
    }
}

#[cfg(test)]
mod tests;
