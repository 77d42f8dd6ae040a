//! What a subscription gives: [`Delivery`].

use std::sync::Arc;

use super::Take;
use crate::{
    log::{Entry, Log},
    overflow::Lag,
    position::LastEventId,
    topic::TopicName,
};

/// What a subscription gives: events, and word of what it could not give.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "who subscribes must say what loss means to them")]
pub enum Delivery {
    /// An event.
    Event(Arc<Entry>),
    /// Events that were published and are not delivered.
    Gap(Gap),
    /// The subscription could not resume where it was asked to; it goes on from elsewhere.
    Reset(Reset),
    /// The subscription has ended.
    Disconnected(Disconnected),
}

/// Why the hub has ended a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnected {
    /// It lagged past its limit under [`Overflow::Disconnect`](crate::Overflow::Disconnect).
    Lagged(Lag),
    /// Its patterns came to match more topics than
    /// [`Limits::topics_per_subscription`](crate::Limits::topics_per_subscription) allows.
    TooManyTopics {
        /// The limit.
        max: usize,
    },
}

impl Disconnected {
    /// As the peer of a connection is told.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Lagged(_) => "slow consumer",
            Self::TooManyTopics { .. } => "too many topics",
        }
    }
}

/// Events of one topic that a subscription does not get, in place of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// The topic.
    pub topic: TopicName,
    /// The id to resume from for whoever wants to try and get them.
    pub after: LastEventId,
    /// From this sequence on, the subscription is complete again. Under
    /// [`Overflow::Conflate`](crate::Overflow::Conflate) events with a key that lie before it still follow.
    pub resumes_at: LastEventId,
    /// How many events were missed, if it is known.
    pub missed: Option<u64>,
}

/// The subscription starts anew instead of resuming.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reset {
    /// Where it starts: what comes after this id follows.
    pub id: LastEventId,
    /// Why it could not resume.
    pub reason: ResetReason,
}

/// Why a subscription could not resume from a client's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ResetReason {
    /// The id is of another life of the hub.
    #[error("epoch")]
    Epoch,
    /// Events after the id are no longer retained.
    #[error("evicted")]
    Evicted,
    /// The id is ahead of everything published.
    #[error("ahead")]
    Ahead,
    /// The text is not an id.
    #[error("malformed")]
    Malformed,
}

/// Takes deliveries as they are.
pub(super) struct TakeDeliveries<'a> {
    pub(super) out: &'a mut Vec<Delivery>,
    pub(super) room: usize,
}

impl Take for TakeDeliveries<'_> {
    fn run(&mut self, log: &mut Log, run: std::ops::Range<u64>) -> u64 {
        let end = run.end.min(run.start + self.room as u64);
        let entries = (run.start..end).filter_map(|index| log.get(index).cloned());
        self.out.extend(entries.map(Delivery::Event));
        self.room -= (end - run.start) as usize;
        end
    }

    fn kept(&mut self, entry: &Arc<Entry>) {
        self.notice(Delivery::Event(Arc::clone(entry)));
    }

    fn notice(&mut self, notice: Delivery) {
        self.out.push(notice);
        self.room = self.room.saturating_sub(1);
    }

    fn is_full(&self) -> bool {
        self.room == 0
    }
}
