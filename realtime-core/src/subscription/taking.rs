//! How a subscription takes what is there, in order, and parks.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;

use super::{Delivery, Disconnected, Joined, Subscription};
use crate::{
    cursor::{Found, Missed, Prepared},
    log::{Entry, Log, WireFormat},
    overflow::Lag,
};

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
    /// Lets `take` take what is there. Ready when it took something or the subscription has ended.
    pub(crate) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut dyn Take,
        now: Instant,
    ) -> Poll<()> {
        self.hub.wake_some();
        loop {
            if self.poll_ready(cx, now).is_pending() {
                // It is woken once there is anything to look for.
                self.is_parked = true;
                return Poll::Pending;
            }
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
        if !self.has_started() {
            // The numbers have begun anew, or a topic has come that others publish to.
            return took;
        }
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
        // As the topic says, which may have later ones that nobody is to see yet; under its lock.
        let (prepared, last) = member.with(|log| {
            let last = member.fanout().last_sequence();
            (cursor.prepare(log, visible, policy, now, counts), last)
        });
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
