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
    overflow::{Lag, LagLimit, Overflow},
    position::LastEventId,
    stats::{SubscriptionCounts, add},
    topic::TopicName,
};

mod join;
mod request;

pub use request::{Start, Subscribe, SubscribeError};

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
    /// The subscription lagged past its limit under [`Overflow::Disconnect`] and has ended.
    Disconnected(Lag),
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
    /// [`Overflow::Conflate`] events with a key that lie before it still follow.
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
}

/// A topic of a subscription.
#[derive(Debug)]
pub(crate) struct Joined {
    member: Membership,
    /// The topic's newest sequence at which the cursor had nothing pending.
    quiet_at: u64,
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
        }
    }

    /// The hub that it is of.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Its topics, in the order in which they were added.
    pub fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.topics.iter().map(|topic| topic.member.fanout().topic())
    }

    /// The id to resume from: whoever presents it gets what this subscription has yet to take. That
    /// may come with more: of a topic that was added, or started with its last few events, also what
    /// was published between this id and there.
    pub fn last_event_id(&self) -> LastEventId {
        self.id(self.taken)
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
            if self.take_some(take, now) || self.ended {
                return Poll::Ready(());
            }
            if self.park(cx, |_, cursor| cursor.next()) {
                return Poll::Pending;
            }
        }
    }

    /// Arranges to be woken when [`Overflow::Disconnect`] is due, though nothing is taken: for
    /// connections whose peer does not read. Ready when it is due already.
    pub(crate) fn poll_overflow(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Lag> {
        if self.policy.overflow != Overflow::Disconnect {
            return Poll::Pending;
        }
        let limit = self.policy.limit;
        loop {
            let visible = self.hub.visible();
            let due = self.topics.iter().find_map(|topic| {
                let policy = &self.policy;
                topic.member.with(|log, cursor| cursor.overflow(log, visible, policy, now))
            });
            if let Some(lag) = due {
                return Poll::Ready(lag);
            }
            if self.park(cx, |log, cursor| cursor.limit_mark(log, &limit)) {
                return Poll::Pending;
            }
        }
    }

    /// Takes until `take` is full or nothing is left; tells whether it took anything.
    fn take_some(&mut self, take: &mut dyn Take, now: Instant) -> bool {
        if self.ended {
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
        while !take.is_full() && !self.ended {
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
        took || self.ended
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
                    self.ended = true;
                    add(&self.hub.counters().slow_disconnects, 1);
                    take.notice(Delivery::Disconnected(lag));
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

    /// Parks on every topic; false when one has grown past its mark meanwhile.
    fn park(&self, cx: &Context<'_>, wake_past: impl Fn(&Log, &Cursor) -> Mark) -> bool {
        self.topics.iter().all(|topic| topic.member.park(cx.waker(), &wake_past))
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
        while let Some(topic) = self.topics.last().map(|topic| topic.member.fanout().topic()) {
            let topic = topic.clone();
            self.remove(&topic);
        }
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

struct TakeDeliveries<'a> {
    out: &'a mut Vec<Delivery>,
    room: usize,
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

#[cfg(test)]
mod tests;
