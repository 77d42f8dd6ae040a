//! A [`Subscription`]: a cursor over its topics, merged in the order of the hub's sequence.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use crate::{
    cursor::{Cursor, Missed, Policy},
    fanout::Membership,
    hub::Hub,
    log::Log,
    overflow::{Lag, LagLimit, Overflow},
    position::LastEventId,
    stats::{SubscriptionCounts, add},
    topic::TopicName,
};

mod delivery;
mod followed;
mod join;
mod patterns;
mod permission;
mod request;
mod starting;
mod taking;

use delivery::TakeDeliveries;
pub use delivery::{Delivery, Disconnected, Gap, Reset, ResetReason};
use followed::Followed;
pub(crate) use followed::Following;
pub(crate) use join::Joining;
pub(crate) use permission::{Permission, Permitted};
pub use request::{Start, Subscribe, SubscribeError};
use starting::Starting;
pub(crate) use taking::Take;

/// A place in the streams of some topics.
///
/// Events come in the order in which they were published, across topics. What comes while nobody
/// takes it waits in the topics' logs, not here: a subscription that stalls costs a few hundred
/// bytes. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    hub: Hub,
    topics: Vec<Joined>,
    policy: Policy,
    /// Everything up to this sequence has been taken or told, in all topics.
    taken: u64,
    counts: SubscriptionCounts,
    reset: Option<Reset>,
    ended: bool,
    /// Whether the hub counts it.
    is_counted: bool,
    /// Whether it has parked on all its topics when it was last looked at.
    is_parked: bool,
    /// What only few need, boxed because there are many.
    extra: Option<Box<Extra>>,
}

/// What a subscription has that follows patterns, may not follow everything, is on a hub that others
/// share, or has ended.
#[derive(Debug, Default)]
struct Extra {
    followed: Option<Followed>,
    permitted: Permitted,
    starting: Option<Starting>,
    /// What [`Hub::retired`] said when topics that have left the table were last looked for.
    retired_seen: u64,
    /// When it was last used.
    seen_at: Option<Instant>,
    /// Why it has ended, or is to end once that can be told.
    ending: Option<Disconnected>,
}

/// A topic of a subscription.
#[derive(Debug)]
pub(crate) struct Joined {
    member: Membership,
    cursor: Cursor,
    /// The topic's newest sequence at which the cursor had nothing pending.
    quiet_at: u64,
    /// Whether it was added by its name; else by a pattern.
    named: bool,
}

impl Subscription {
    /// The one of a connection that may not subscribe yet; it counts for nothing.
    pub(crate) fn to_nothing(hub: &Hub) -> Self {
        let policy = Policy { overflow: hub.config().overflow, limit: hub.config().lag };
        Self {
            hub: hub.clone(),
            topics: Vec::new(),
            policy,
            taken: hub.visible(),
            counts: SubscriptionCounts::default(),
            reset: None,
            ended: false,
            is_counted: false,
            is_parked: false,
            extra: None,
        }
    }

    /// The hub that it is of.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Its topics, in the order in which they were added or a pattern came to match them.
    pub fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.topics.iter().map(|topic| topic.member.fanout().topic())
    }

    /// The id to resume from: whoever presents it gets what this subscription has yet to take. That
    /// may come with more: of a topic that was added, or started with its last few events, also what
    /// was published between this id and there.
    pub fn last_event_id(&self) -> LastEventId {
        self.id(self.taken)
    }

    /// Whether the first that it has is a reset, which has yet to be taken.
    pub(crate) fn is_to_tell_reset(&self) -> bool {
        self.reset.is_some()
    }

    /// Takes that reset, before anything else is taken.
    pub(crate) fn take_reset(&mut self) -> Option<Reset> {
        self.reset.take()
    }

    /// What became of its events.
    pub fn counts(&self) -> SubscriptionCounts {
        self.counts
    }

    /// The policy for when it lags.
    pub fn overflow(&self) -> Overflow {
        self.policy.overflow
    }

    /// Changes the policy for when it lags, from the next event on.
    pub fn set_overflow(&mut self, overflow: Overflow) {
        self.policy.overflow = overflow;
    }

    /// Changes how far it may lag, from the next event on.
    pub fn set_lag(&mut self, limit: LagLimit) {
        self.policy.limit = limit;
    }

    /// Whether it has ended: nothing more will come.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Why the hub has ended it.
    pub(crate) fn ended_by(&self) -> Option<&Disconnected> {
        self.ending().filter(|_| self.ended)
    }

    /// Topics and patterns.
    pub(crate) fn count(&self) -> usize {
        self.topics.len() + self.patterns().count()
    }

    /// Takes what is there at the time `now` into `out`, at most `max` items, in order.
    ///
    /// Ready with 0 when the subscription has ended or `max` is 0; pending, with the waker kept, when
    /// nothing is there. See [`Subscription::recv_many`] for the async form.
    pub fn poll_recv_many(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<Delivery>,
        max: usize,
        now: Instant,
    ) -> Poll<usize> {
        if max == 0 {
            return Poll::Ready(0);
        }
        let before = out.len();
        let mut take = TakeDeliveries { out, room: max };
        match self.poll_take(cx, &mut take, now) {
            Poll::Ready(()) => Poll::Ready(out.len() - before),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Arranges to be woken when the subscription is to end, by [`Overflow::Disconnect`] or by its
    /// patterns, though nothing is taken: for connections whose peer does not read. Ready when that
    /// is due already.
    pub(crate) fn poll_overflow(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Disconnected> {
        self.hub.wake_some();
        // It waits for something else from here on.
        self.is_parked = false;
        let limit = self.policy.limit;
        loop {
            if self.poll_ready(cx, now).is_pending() {
                return Poll::Pending;
            }
            let visible = self.hub.visible();
            self.settle(now);
            if let Some(ending) = self.ending() {
                return Poll::Ready(ending.clone());
            }
            let is_parked = if self.policy.overflow == Overflow::Disconnect {
                if let Some(lag) = self.overdue(visible, now) {
                    return Poll::Ready(Disconnected::Lagged(lag));
                }
                let past = |log: &Log, cursor: &Cursor| cursor.limit_mark(log, &limit);
                let parks = |topic: &Joined| topic.member.park_far(&topic.cursor, cx.waker(), past);
                self.topics.iter().all(parks) && self.park_inbox(cx.waker())
            } else {
                self.park_inbox(cx.waker())
            };
            if is_parked {
                return Poll::Pending;
            }
        }
    }

    /// Whether it is to be cut for its lag, by [`Overflow::Disconnect`].
    pub(crate) fn is_lagging(&self, now: Instant) -> bool {
        self.policy.overflow == Overflow::Disconnect
            && self.has_started()
            && self.overdue(self.hub.visible(), now).is_some()
    }

    /// How a topic lags for which it is to be cut.
    fn overdue(&self, visible: u64, now: Instant) -> Option<Lag> {
        let lag = |topic: &Joined| {
            let fanout = topic.member.fanout();
            fanout.with(|state| topic.cursor.overflow(&state.log, visible, &self.policy, now))
        };
        self.topics.iter().find_map(lag)
    }

    fn end(&mut self, reason: Disconnected, take: &mut dyn Take) {
        if matches!(reason, Disconnected::Lagged(_)) {
            add(&self.hub.counters().slow_disconnects, 1);
        }
        self.ended = true;
        self.extra().ending = Some(reason.clone());
        take.notice(Delivery::Disconnected(reason));
    }

    fn gap(&self, topic: TopicName, missed: Missed) -> Gap {
        Gap {
            topic,
            after: self.last_event_id(),
            resumes_at: self.id(missed.through + 1),
            missed: missed.count,
        }
    }

    fn id(&self, sequence: u64) -> LastEventId {
        let epoch = self.starting().map_or_else(|| self.hub.epoch(), Starting::epoch);
        LastEventId { epoch, sequence }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // Before the topics: nothing is to arrive any more.
        self.extra = None;
        self.leave_if(|_| true);
        if self.is_counted {
            let open = &self.hub.counters().subscriptions;
            open.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
