//! A [`Subscription`]: a cursor over its topics, merged in the order of the hub's sequence.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use crate::{
    cursor::{Cursor, Found, Missed, Policy, Prepared},
    fanout::Membership,
    hub::Hub,
    log::{Entry, Log, Mark},
    overflow::{LagLimit, Overflow},
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

use delivery::TakeDeliveries;
pub use delivery::{Delivery, Disconnected, Gap, Reset, ResetReason};
use followed::Followed;
pub(crate) use followed::Following;
pub(crate) use join::Joining;
pub(crate) use permission::{Permission, Permitted};
pub use request::{Start, Subscribe, SubscribeError};

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
    /// What only few need, boxed because there are many.
    extra: Option<Box<Extra>>,
}

/// What a subscription has that follows patterns, may not follow everything, or has ended.
#[derive(Debug, Default)]
struct Extra {
    followed: Option<Followed>,
    permitted: Permitted,
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
    /// The topic's newest sequence at which the cursor had nothing pending.
    quiet_at: u64,
    /// Whether it was added by its name; else by a pattern.
    named: bool,
}

/// Takes what a subscription has; the three calls run under the topic's lock.
pub(crate) trait Take {
    /// Takes some of the run's first entries, at least one, and returns the index after the last.
    fn run(&mut self, log: &mut Log, run: std::ops::Range<u64>) -> u64;
    /// Takes an entry that is no longer in the ring.
    fn kept(&mut self, entry: &Arc<Entry>);
    /// Takes a notice: anything but an event.
    fn notice(&mut self, notice: Delivery);
    /// Whether it wants no more for now.
    fn is_full(&self) -> bool;
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

    /// Lets `take` take what is there. Ready when it took something or the subscription has ended.
    pub(crate) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut dyn Take,
        now: Instant,
    ) -> Poll<()> {
        loop {
            if self.take_some(take, now) || self.has_ended() {
                return Poll::Ready(());
            }
            if self.park(cx, |_, cursor| cursor.next()) {
                return Poll::Pending;
            }
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
        let limit = self.policy.limit;
        loop {
            let visible = self.hub.visible();
            self.settle(now);
            if let Some(ending) = self.ending() {
                return Poll::Ready(ending.clone());
            }
            let is_parked = if self.policy.overflow == Overflow::Disconnect {
                let due = self.topics.iter().find_map(|topic| {
                    let policy = &self.policy;
                    topic.member.with(|log, cursor| cursor.overflow(log, visible, policy, now))
                });
                if let Some(lag) = due {
                    return Poll::Ready(Disconnected::Lagged(lag));
                }
                self.park(cx, |log, cursor| cursor.limit_mark(log, &limit))
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
        let visible = self.hub.visible();
        self.policy.overflow == Overflow::Disconnect
            && self.topics.iter().any(|topic| {
                let policy = &self.policy;
                let lag =
                    topic.member.with(|log, cursor| cursor.overflow(log, visible, policy, now));
                lag.is_some()
            })
    }

    /// Takes until `take` is full or nothing is left; tells whether it took anything.
    fn take_some(&mut self, take: &mut dyn Take, now: Instant) -> bool {
        if self.has_ended() {
            return false;
        }
        let before = self.counts;
        let mut took = false;
        if let Some(reset) = self.reset.take() {
            take.notice(Delivery::Reset(reset));
            took = true;
        }
        // What is visible is complete in every topic; what becomes visible on the way waits for the
        // next round, or the order across topics would break.
        let visible = self.hub.visible();
        self.settle(now);
        if !take.is_full()
            && let Some(ending) = self.ending().cloned()
        {
            self.end(ending, take);
        }
        while !take.is_full() && !self.has_ended() {
            match self.earliest(visible, take, now) {
                Step::Told => took = true,
                Step::Nothing => {
                    self.taken = self.taken.max(visible);
                    break;
                }
                Step::Event { topic, until } => {
                    took |= self.take_from(topic, until, take);
                }
            }
        }
        self.counts.report_since(&before, self.hub.counters());
        if took {
            // What was encoded on the way takes memory.
            self.hub.upkeep(now);
        }
        took || self.has_ended()
    }

    /// Finds the topic with the earliest event, and up to where it can be taken before another
    /// topic's turn; tells what the cursors have to tell on the way.
    fn earliest(&mut self, visible: u64, take: &mut dyn Take, now: Instant) -> Step {
        let mut earliest: Option<(usize, u64)> = None;
        let mut until = visible;
        for (at, topic) in self.topics.iter_mut().enumerate() {
            if topic.quiet_at == topic.member.fanout().last_sequence() {
                continue;
            }
            let counts = &mut self.counts;
            let policy = &self.policy;
            let (prepared, last) = topic.member.with(|log, cursor| {
                let prepared = cursor.prepare(log, visible, policy, now, counts);
                (prepared, log.last_sequence())
            });
            match prepared {
                Prepared::Idle if last <= visible => topic.quiet_at = last,
                Prepared::Idle => {}
                Prepared::Gap(missed) => {
                    let topic = topic.member.fanout().topic().clone();
                    let gap = self.gap(topic, missed);
                    take.notice(Delivery::Gap(gap));
                    return Step::Told;
                }
                Prepared::Disconnect(lag) => {
                    self.end(Disconnected::Lagged(lag), take);
                    return Step::Told;
                }
                Prepared::Event(sequence) => match earliest {
                    Some((_, first)) if first <= sequence => until = until.min(sequence - 1),
                    Some((_, first)) => {
                        until = until.min(first - 1);
                        earliest = Some((at, sequence));
                    }
                    None => earliest = Some((at, sequence)),
                },
            }
        }
        earliest.map_or(Step::Nothing, |(topic, _)| Step::Event { topic, until })
    }

    fn end(&mut self, reason: Disconnected, take: &mut dyn Take) {
        if matches!(reason, Disconnected::Lagged(_)) {
            add(&self.hub.counters().slow_disconnects, 1);
        }
        self.ended = true;
        self.extra().ending = Some(reason.clone());
        take.notice(Delivery::Disconnected(reason));
    }

    /// Takes from one topic up to the sequence `until`; nothing when the log has meanwhile let go of
    /// what was to be taken.
    fn take_from(&mut self, topic: usize, until: u64, take: &mut dyn Take) -> bool {
        let counts = &mut self.counts;
        let topic = &mut self.topics[topic];
        let quiet_at = &mut topic.quiet_at;
        let taken = topic.member.with(|log, cursor| {
            let mut taken = None;
            while !take.is_full() {
                match cursor.find(log, until, counts) {
                    Some(Found::Run(run)) => {
                        let to = take.run(log, run);
                        taken = cursor.take_run(log, to, counts);
                    }
                    Some(Found::Kept(entry)) => {
                        take.kept(&entry);
                        taken = Some(cursor.take_kept(&entry, counts));
                    }
                    None => break,
                }
            }
            if cursor.is_at_end(log) {
                *quiet_at = log.last_sequence();
            }
            taken
        });
        self.taken = taken.unwrap_or(self.taken);
        taken.is_some()
    }

    /// Parks on every topic and the inbox; false when a topic has grown past its mark meanwhile, or
    /// has come.
    fn park(&self, cx: &Context<'_>, wake_past: impl Fn(&Log, &Cursor) -> Mark) -> bool {
        self.topics.iter().all(|topic| topic.member.park(cx.waker(), &wake_past))
            && self.park_inbox(cx.waker())
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
        LastEventId { epoch: self.hub.epoch(), sequence }
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

/// What comes next over all topics.
enum Step {
    /// A notice has been taken.
    Told,
    /// Nothing is pending.
    Nothing,
    /// Events of a topic, up to the sequence `until`.
    Event { topic: usize, until: u64 },
}

#[cfg(test)]
mod tests;
