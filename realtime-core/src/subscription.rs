//! A [`Subscription`]: a cursor over its topics, merged in the order of the hub's sequence.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;

use crate::{
    cursor::{Cursor, Found, Missed, Policy, Prepared},
    fanout::Membership,
    hub::Hub,
    log::{Entry, Log, WireFormat},
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
    /// Whether it has parked on all its topics when it was last looked at.
    is_parked: bool,
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
    cursor: Cursor,
    /// The topic's newest sequence at which the cursor had nothing pending.
    quiet_at: u64,
    /// Whether it was added by its name; else by a pattern.
    named: bool,
}

/// Takes what a subscription has; `run` and `kept` are called under the topic's lock.
pub(crate) trait Take {
    /// The format in which it takes events, and room for how many bytes it has; nothing if it takes them
    /// as they are.
    fn wire(&self) -> Option<(&'static dyn WireFormat, usize)> {
        None
    }
    /// Takes encoded events of that format, which fit.
    fn encoded(&mut self, _bytes: Bytes) {}
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

    /// Lets `take` take what is there. Ready when it took something or the subscription has ended.
    pub(crate) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut dyn Take,
        now: Instant,
    ) -> Poll<()> {
        self.hub.wake_some();
        loop {
            let took = self.take_some(take, now) || self.has_ended();
            if took && (take.is_full() || self.has_ended()) {
                self.leave_word();
                return Poll::Ready(());
            }
            // Also when it took something, so that nobody has to ask again only for this.
            if self.park(cx) {
                return if took { Poll::Ready(()) } else { Poll::Pending };
            }
            if took {
                self.leave_word();
                return Poll::Ready(());
            }
        }
    }

    /// Whether nothing was left that could be taken when it was last looked at, so that the task has been
    /// or will be woken when there is.
    pub(crate) fn is_parked(&self) -> bool {
        self.is_parked
    }

    /// Takes word that it is not looked at now, though it may be for its sake that the task was woken.
    pub(crate) fn pass_over(&mut self) {
        self.is_parked = false;
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
        let limit = self.policy.limit;
        loop {
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
            match self.step(visible, take, now) {
                Step::Took => took = true,
                Step::Again => {}
                Step::Nothing => {
                    self.taken = self.taken.max(visible);
                    break;
                }
            }
        }
        self.counts.report_since(&before, self.hub.counters());
        if took {
            // What was encoded on the way takes memory.
            self.hub.make_room(now);
        }
        took || self.has_ended()
    }

    /// Takes what is next, of one topic: up to where another has its turn.
    fn step(&mut self, visible: u64, take: &mut dyn Take, now: Instant) -> Step {
        // Each is looked at after `visible` was read: what it has up to there is told by its sequence.
        let mut active = self.topics.iter().enumerate().filter(|(_, topic)| !topic.is_quiet());
        let Some((first, _)) = active.next() else { return Step::Nothing };
        if active.next().is_some() {
            return match self.earliest(visible, now) {
                Ok(Some((topic, until))) => self.take_from(topic, until, take),
                Ok(None) => Step::Nothing,
                Err(trouble) => self.tell(trouble, take),
            };
        }
        if self.take_newest(first, visible, take, now) {
            return Step::Took;
        }
        match self.prepare(first, visible, now) {
            Ok(Some(_)) => self.take_from(first, visible, take),
            Ok(None) => Step::Nothing,
            Err(trouble) => self.tell(trouble, take),
        }
    }

    /// Takes everything that a topic has where it lies encoded for all; the others have nothing.
    fn take_newest(
        &mut self,
        topic: usize,
        visible: u64,
        take: &mut dyn Take,
        now: Instant,
    ) -> bool {
        let Some((format, room)) = take.wire() else { return false };
        let Joined { member, cursor, quiet_at, .. } = &mut self.topics[topic];
        let (policy, counts) = (&self.policy, &mut self.counts);
        let taken = member.with_newest(format, |batch| {
            let last = batch.last_sequence();
            let is_visible = last <= visible;
            let take = || cursor.take_batch(batch, room, policy, now, counts);
            Some((is_visible.then(take)??, last))
        });
        let Some((bytes, last)) = taken else { return false };
        take.encoded(bytes);
        *quiet_at = last;
        self.taken = last;
        true
    }

    /// Finds the topic with the earliest event, and up to where it can be taken before another
    /// topic's turn; or what a cursor has to tell before.
    fn earliest(&mut self, visible: u64, now: Instant) -> Result<Option<(usize, u64)>, Trouble> {
        let mut earliest: Option<(usize, u64)> = None;
        let mut until = visible;
        for at in 0..self.topics.len() {
            if self.topics[at].is_quiet() {
                continue;
            }
            let Some(sequence) = self.prepare(at, visible, now)? else { continue };
            match earliest {
                Some((_, first)) if first <= sequence => until = until.min(sequence - 1),
                Some((_, first)) => {
                    until = until.min(first - 1);
                    earliest = Some((at, sequence));
                }
                None => earliest = Some((at, sequence)),
            }
        }
        Ok(earliest.map(|(topic, _)| (topic, until)))
    }

    /// Applies the policy to a topic, and says which sequence is next in it.
    fn prepare(
        &mut self,
        topic: usize,
        visible: u64,
        now: Instant,
    ) -> Result<Option<u64>, Trouble> {
        let Joined { member, cursor, quiet_at, .. } = &mut self.topics[topic];
        let (policy, counts) = (&self.policy, &mut self.counts);
        let (prepared, last) = member
            .with(|log| (cursor.prepare(log, visible, policy, now, counts), log.last_sequence()));
        match prepared {
            Prepared::Idle if last <= visible => {
                *quiet_at = last;
                Ok(None)
            }
            Prepared::Idle => Ok(None),
            Prepared::Event(sequence) => Ok(Some(sequence)),
            Prepared::Gap(missed) => Err(Trouble::Missed { topic, missed }),
            Prepared::Disconnect(lag) => Err(Trouble::Lagged(lag)),
        }
    }

    fn tell(&mut self, trouble: Trouble, take: &mut dyn Take) -> Step {
        match trouble {
            Trouble::Missed { topic, missed } => {
                let topic = self.topics[topic].member.fanout().topic().clone();
                take.notice(Delivery::Gap(self.gap(topic, missed)));
            }
            Trouble::Lagged(lag) => self.end(Disconnected::Lagged(lag), take),
        }
        Step::Took
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
    fn take_from(&mut self, topic: usize, until: u64, take: &mut dyn Take) -> Step {
        let Joined { member, cursor, quiet_at, .. } = &mut self.topics[topic];
        let counts = &mut self.counts;
        let taken = member.with(|log| {
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
        let Some(taken) = taken else { return Step::Again };
        self.taken = taken;
        Step::Took
    }

    /// Parks on every topic and the inbox; false when a topic has an event meanwhile, or has come.
    fn park(&mut self, cx: &Context<'_>) -> bool {
        let waker = cx.waker();
        let park = |topic: &Joined| topic.member.park(&topic.cursor, waker, topic.quiet_at);
        self.is_parked = self.topics.iter().all(park) && self.park_inbox(waker);
        self.is_parked
    }

    /// Tells the topics where it has got to, though it does not wait for more.
    fn leave_word(&mut self) {
        self.is_parked = false;
        self.topics.iter().for_each(|topic| topic.member.reached(&topic.cursor));
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

/// What a look for what is next has led to.
enum Step {
    /// Something has been taken, or told.
    Took,
    /// It has to be looked again.
    Again,
    /// Nothing is pending.
    Nothing,
}

/// What a cursor has for its subscriber before any event.
enum Trouble {
    Missed { topic: usize, missed: Missed },
    Lagged(Lag),
}

impl Joined {
    /// Whether nothing has come since it had nothing pending.
    fn is_quiet(&self) -> bool {
        self.quiet_at == self.member.fanout().last_sequence()
    }
}

#[cfg(test)]
mod tests;
