//! A subscriber's place in one topic's log, and what its policy does to it.

use std::{ops::Range, sync::Arc, time::Instant};

use bytes::Bytes;

use crate::{
    log::{Batch, Entry, Log, Mark},
    overflow::{Lag, LagLimit, Overflow, Verdict, judge},
    stats::SubscriptionCounts,
};

mod pass;

use pass::Pass;

/// A place in a log. It is moved under the log's lock only.
#[derive(Debug)]
pub(crate) struct Cursor {
    next: Mark,
    /// What lies before this was replayed at the start and is no lag.
    joined: Mark,
    trouble: Option<Box<Trouble>>,
}

/// The state that only a lagging cursor needs, boxed because most never lag.
#[derive(Debug, Default)]
struct Trouble {
    gap: Option<Missed>,
    hold: Option<Hold>,
    pressure: Option<Pressure>,
}

/// Events of a topic that a subscriber does not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    /// The sequence of the last one.
    pub(crate) through: u64,
    /// How many, if it is known.
    pub(crate) count: Option<u64>,
}

/// `DropNewest`: what lies before `until` is still delivered, what lies from there to `resume` is
/// lost. It is counted and told when the cursor gets there.
#[derive(Debug)]
struct Hold {
    until: u64,
    resume: Mark,
    through: u64,
}

/// `Conflate`: up to `until` only the newest of a key counts, and nothing without a key that lies
/// before `unkeyed_from`.
#[derive(Debug)]
struct Pressure {
    until: u64,
    unkeyed_from: Mark,
    /// From this index on, the loss of a key's newest event has not been told.
    lost_from: u64,
    /// Made at the start of the subscription: what is passed over before `joined` was not to be
    /// delivered and counts as nothing.
    snapshot: bool,
}

/// The policy of a subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) overflow: Overflow,
    pub(crate) limit: LagLimit,
}

/// What a cursor has for its subscriber.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// Nothing yet.
    Idle,
    /// A gap to tell, before anything else.
    Gap(Missed),
    /// An event with this sequence comes next.
    Event(u64),
    /// The subscription is to end.
    Disconnect(Lag),
}

/// Events to take next.
#[derive(Debug)]
pub(crate) enum Found {
    /// These, all in the ring.
    Run(Range<u64>),
    /// This one, kept by its key after it left the ring.
    Kept(Arc<Entry>),
}

impl Cursor {
    /// A cursor at `next`, of a subscription made when the log ended at `joined`.
    pub(crate) fn new(next: Mark, joined: Mark) -> Self {
        Self { next, joined, trouble: None }
    }

    /// A cursor that takes the newest event of each key before what comes from `joined` on, and of
    /// earlier events without a key none.
    pub(crate) fn newest_per_key(log: &Log, joined: Mark) -> Self {
        let pressure = Pressure {
            until: joined.index,
            unkeyed_from: joined,
            lost_from: log.lost_keys_until(),
            snapshot: true,
        };
        let trouble = Trouble { pressure: Some(pressure), ..Trouble::default() };
        Self { next: Mark::default(), joined, trouble: Some(Box::new(trouble)) }
    }

    /// Whether it has nothing to give until the log grows.
    pub(crate) fn is_at_end(&self, log: &Log) -> bool {
        self.next.index == log.head().index && self.trouble.is_none()
    }

    /// Whether it lags, or has something to tell.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    /// The index from which on everything is pending.
    pub(crate) fn live_from(&self) -> u64 {
        self.rest_of_snapshot().map_or(self.next.index, |_| self.joined.index)
    }

    /// The index of the first entry that has to be in the ring.
    pub(crate) fn needed_from(&self) -> u64 {
        let unkeyed_from = self.pressure().map_or(0, |pressure| pressure.unkeyed_from.index);
        self.next.index.max(unkeyed_from)
    }

    /// Whether an event that the cursor was to deliver has left the ring.
    pub(crate) fn has_fallen_off(&self, log: &Log) -> bool {
        self.needed_from() < log.first_index()
    }

    /// The totals at which the log has grown past what `limit` lets this cursor lag.
    pub(crate) fn limit_mark(&self, log: &Log, limit: &LagLimit) -> Mark {
        let base = self.lag_base_in(log);
        let by_events = base.index.saturating_add(limit.events);
        let by_bytes = base.bytes.saturating_add(limit.bytes);
        match log.get(base.index).map(|entry| entry.end()) {
            // One event always fits; the next one, whatever its size, is too much then.
            Some(one) if one.bytes > by_bytes => {
                Mark { index: by_events.min(one.index), bytes: one.bytes, ..base }
            }
            _ => Mark { index: by_events, bytes: by_bytes, ..base },
        }
    }

    /// The lag among the events up to the sequence `visible`, if `policy` ends the subscription for
    /// it.
    pub(crate) fn overflow(
        &self,
        log: &Log,
        visible: u64,
        policy: &Policy,
        now: Instant,
    ) -> Option<Lag> {
        let lag = self.lag(log, log.index_after(visible), now);
        (judge(policy.overflow, &lag, &policy.limit) == Verdict::Disconnect).then_some(lag)
    }

    /// Applies `policy` and says what comes next among the events up to the sequence `visible`.
    pub(crate) fn prepare(
        &mut self,
        log: &Log,
        visible: u64,
        policy: &Policy,
        now: Instant,
        counts: &mut SubscriptionCounts,
    ) -> Prepared {
        let end = log.index_after(visible);
        loop {
            self.end_hold(policy, counts);
            self.tell_loss(log, visible);
            if !self.is_held(log) {
                let lag = self.lag(log, end, now);
                match judge(policy.overflow, &lag, &policy.limit) {
                    Verdict::Deliver => {}
                    Verdict::Disconnect => return Prepared::Disconnect(lag),
                    Verdict::SkipToNewest => {
                        let to = self.newest_within(log, end, policy, now);
                        self.skip(log, to, counts);
                    }
                    Verdict::KeepOldest => self.hold(log, end, policy, counts),
                    Verdict::NewestPerKey => self.press(log, end, policy, now, counts),
                }
            }
            self.tell_lost_keys(log);
            if let Some(missed) = self.trouble.as_mut().and_then(|trouble| trouble.gap.take()) {
                return Prepared::Gap(missed);
            }
            let sequence = match self.find(log, visible, counts) {
                Some(Found::Kept(entry)) => Some(entry.position().sequence()),
                Some(Found::Run(run)) => {
                    log.get(run.start).map(|entry| entry.position().sequence())
                }
                // A pass over the newest of each key may have led to the end of a hold, or to a loss.
                None if self.is_hold_over() || self.loss(log, visible).is_some() => continue,
                None => None,
            };
            return sequence.map_or(Prepared::Idle, Prepared::Event);
        }
    }

    /// The events to take next among those up to the sequence `until`; none when some have left the
    /// ring since `prepare`, which then decides anew.
    pub(crate) fn find(
        &mut self,
        log: &Log,
        until: u64,
        counts: &mut SubscriptionCounts,
    ) -> Option<Found> {
        if self.has_fallen_off(log) {
            return None;
        }
        // What stands for lost events is told, not taken.
        let before_loss = |from: u64| log.loss_from(from).map_or(u64::MAX, |it| it.mark().index);
        let end = log.index_after(until);
        let run = |from: u64, end: u64| {
            let end = end.min(before_loss(from));
            (from < end).then_some(Found::Run(from..end))
        };
        let Some(trouble) = &mut self.trouble else { return run(self.next.index, end) };
        if let Some(pressure) = &trouble.pressure {
            // What comes before is passed over as what has no key.
            let end = end.min(before_loss(self.next.index.max(pressure.unkeyed_from.index)));
            let pass = Pass { pressure, joined: self.joined, log, until, end };
            let found = pass.find(&mut self.next, counts);
            if found.is_some() || self.next.index < pressure.until {
                return found;
            }
            trouble.pressure = None;
        }
        let end = trouble.hold.as_ref().map_or(end, |hold| hold.until.min(end));
        if trouble.hold.is_none() && trouble.gap.is_none() {
            self.trouble = None;
        }
        run(self.next.index, end)
    }

    /// The entries before the index `to` have been taken. Returns the sequence of the last one.
    pub(crate) fn take_run(
        &mut self,
        log: &Log,
        to: u64,
        counts: &mut SubscriptionCounts,
    ) -> Option<u64> {
        counts.delivered += to - self.next.index;
        self.next = log.mark_at(to)?;
        Some(log.get(to.checked_sub(1)?)?.position().sequence())
    }

    /// Takes what is pending out of a batch that ends where the log does, if it is there, no more than
    /// `max` bytes, and nothing that `policy` has to do with.
    pub(crate) fn take_batch(
        &mut self,
        batch: &Batch,
        max: usize,
        policy: &Policy,
        now: Instant,
        counts: &mut SubscriptionCounts,
    ) -> Option<Bytes> {
        if self.trouble.is_some() {
            return None;
        }
        let bytes = batch.rest(self.next.index).filter(|bytes| bytes.len() <= max)?;
        let (base, end) = (self.lag_base(), batch.end_mark());
        let lag = Lag {
            events: end.index.saturating_sub(base.index),
            bytes: end.bytes.saturating_sub(base.bytes),
            // Of the batch's first, so at least that of the first which is pending.
            age: now.saturating_duration_since(batch.since()),
            evicted: false,
        };
        if judge(policy.overflow, &lag, &policy.limit) != Verdict::Deliver {
            return None;
        }
        counts.delivered += end.index - self.next.index;
        self.next = end;
        Some(bytes)
    }

    /// `entry`, which was kept by its key, has been taken. Returns its sequence.
    pub(crate) fn take_kept(&mut self, entry: &Entry, counts: &mut SubscriptionCounts) -> u64 {
        counts.delivered += 1;
        self.next = entry.end();
        entry.position().sequence()
    }

    /// What stands for lost events and comes next.
    fn loss<'a>(&self, log: &'a Log, visible: u64) -> Option<&'a Entry> {
        log.loss_from(self.next.index).filter(|loss| {
            loss.mark().index == self.next.index && loss.position().sequence() <= visible
        })
    }

    /// Tells that events were lost, if that comes next. How many is not known.
    fn tell_loss(&mut self, log: &Log, visible: u64) {
        while let Some(loss) = self.loss(log, visible) {
            self.next = loss.end();
            self.tell(Missed { through: loss.position().sequence(), count: None });
        }
    }

    fn pressure(&self) -> Option<&Pressure> {
        self.trouble.as_ref().and_then(|trouble| trouble.pressure.as_ref())
    }

    /// The pass over the newest of each key that the subscription started with, while it lasts.
    fn rest_of_snapshot(&self) -> Option<&Pressure> {
        self.pressure().filter(|p| p.snapshot && self.next.index < self.joined.index)
    }

    fn lag_base(&self) -> Mark {
        later(self.next, self.joined)
    }

    /// The same, where what came late since the broker could not be reached is no lag either.
    fn lag_base_in(&self, log: &Log) -> Mark {
        later(self.lag_base(), log.repaired())
    }

    fn lag(&self, log: &Log, end: u64, now: Instant) -> Lag {
        let base = self.lag_base_in(log);
        let end_bytes = log.mark_at(end).map_or(base.bytes, |mark| mark.bytes);
        let oldest = log.get(base.index.max(log.first_index())).filter(|_| base.index < end);
        Lag {
            events: end.saturating_sub(base.index),
            bytes: end_bytes.saturating_sub(base.bytes),
            age: oldest.map_or_else(Default::default, |e| now.saturating_duration_since(e.at())),
            evicted: self.has_fallen_off(log),
        }
    }

    /// The index from which on the pending events are within the limit.
    fn newest_within(&self, log: &Log, end: u64, policy: &Policy, now: Instant) -> u64 {
        let limit = &policy.limit;
        let end_bytes = log.mark_at(end).map_or(0, |mark| mark.bytes);
        let by_bytes =
            log.index_where(|entry| end_bytes.saturating_sub(entry.mark().bytes) > limit.bytes);
        let by_age = limit.age.map_or(0, |age| {
            log.index_where(|entry| now.saturating_duration_since(entry.at()) > age)
        });
        let by_events = end.saturating_sub(limit.events);
        let from = self.next.index.max(log.first_index());
        // One event always fits.
        let by_bytes = by_bytes.min(end.saturating_sub(1));
        by_events.max(by_bytes).max(by_age).clamp(from, end.max(from))
    }

    /// Moves to the index `to`, which is in the ring or its end, and tells a gap.
    fn skip(&mut self, log: &Log, to: u64, counts: &mut SubscriptionCounts) {
        if let Some(mark) = log.mark_at(to) {
            let loss = log.loss_from(self.next.index).filter(|loss| loss.mark().index < to);
            if let Some(loss) = loss {
                self.tell(Missed { through: loss.position().sequence(), count: None });
            }
            self.skip_to(mark, log.sequence_before(to), counts);
        }
    }

    fn skip_to(&mut self, mark: Mark, through: u64, counts: &mut SubscriptionCounts) {
        if mark.index <= self.next.index {
            return;
        }
        let in_snapshot = self.rest_of_snapshot().is_some();
        let base = if in_snapshot { self.lag_base() } else { self.next };
        let pressure = self.trouble.as_mut().and_then(|trouble| trouble.pressure.take());
        // What has no key and lies before `unkeyed_from` has been told already.
        let untold = pressure.as_ref().map_or(base, |p| later(base, p.unkeyed_from));
        if untold.index > mark.index {
            self.trouble.get_or_insert_default().pressure = pressure;
        }
        let keyed = mark.keyed.saturating_sub(base.keyed);
        let missed = keyed + untold.unkeyed_until(&mark);
        counts.missed += missed;
        if in_snapshot || missed > 0 {
            // How many keys the rest of a snapshot had is not known.
            self.tell(Missed { through, count: (!in_snapshot).then_some(missed) });
        }
        self.next = mark;
    }

    /// Tells a gap, as one with an untold one.
    fn tell(&mut self, missed: Missed) {
        let gap = &mut self.trouble.get_or_insert_default().gap;
        *gap = Some(match *gap {
            None => missed,
            Some(untold) => Missed {
                through: missed.through.max(untold.through),
                count: untold.count.zip(missed.count).map(|(a, b)| a + b),
            },
        });
    }

    /// Whether a `DropNewest` hold is in force whose events are all still in the ring.
    fn is_held(&self, log: &Log) -> bool {
        let held = self.trouble.as_ref().is_some_and(|trouble| trouble.hold.is_some());
        held && !self.has_fallen_off(log)
    }

    fn is_hold_over(&self) -> bool {
        let hold = self.trouble.as_ref().and_then(|trouble| trouble.hold.as_ref());
        hold.is_some_and(|hold| self.next.index >= hold.until)
    }

    fn hold(&mut self, log: &Log, end: u64, policy: &Policy, counts: &mut SubscriptionCounts) {
        let first = log.first_index();
        if self.has_fallen_off(log) {
            let hold = self.trouble.as_mut().and_then(|trouble| trouble.hold.take());
            match hold {
                Some(hold) if hold.until > first => {
                    self.skip(log, first, counts);
                    self.trouble.get_or_insert_default().hold = Some(hold);
                    return;
                }
                Some(hold) if hold.resume.index >= first => {
                    self.skip_to(hold.resume, hold.through, counts);
                }
                _ => self.skip(log, first, counts),
            }
        }
        let until = self.oldest_within(log, policy);
        if until >= end {
            return;
        }
        if let Some(resume) = log.mark_at(end) {
            let through = log.sequence_before(end);
            self.trouble.get_or_insert_default().hold = Some(Hold { until, resume, through });
        }
        self.end_hold(policy, counts);
    }

    /// The index up to which the pending events were within the limit when they came.
    fn oldest_within(&self, log: &Log, policy: &Policy) -> u64 {
        let base = self.lag_base_in(log);
        let limit = &policy.limit;
        let by_bytes = log.index_where(|entry| {
            // One event always fits.
            entry.mark().index <= base.index || entry.end().bytes - base.bytes <= limit.bytes
        });
        let oldest = log.get(base.index).map(|entry| entry.at());
        let by_age = limit.age.zip(oldest).map_or(u64::MAX, |(age, oldest)| {
            log.index_where(|entry| entry.at().saturating_duration_since(oldest) <= age)
        });
        base.index.saturating_add(limit.events).min(by_bytes).min(by_age)
    }

    /// Tells the gap of a hold whose events have been taken; another policy lets go of the hold, and
    /// what it was to lose is pending again.
    fn end_hold(&mut self, policy: &Policy, counts: &mut SubscriptionCounts) {
        let Some(trouble) = &mut self.trouble else { return };
        let next = self.next.index;
        if policy.overflow != Overflow::DropNewest {
            trouble.hold = None;
        } else if let Some(hold) = trouble.hold.take_if(|hold| next >= hold.until) {
            self.skip_to(hold.resume, hold.through, counts);
        }
    }

    fn press(
        &mut self,
        log: &Log,
        end: u64,
        policy: &Policy,
        now: Instant,
        counts: &mut SubscriptionCounts,
    ) {
        let to = self.newest_within(log, end, policy, now);
        let Some(mark) = log.mark_at(to) else { return };
        let snapshot = self.rest_of_snapshot().is_some();
        let before = self.trouble.as_mut().and_then(|trouble| trouble.pressure.take());
        let (told, lost_from) = before.map_or((self.next, 0), |pressure| {
            (later(self.next, pressure.unkeyed_from), pressure.lost_from)
        });
        let missed = told.unkeyed_until(&mark);
        if missed > 0 {
            counts.missed += missed;
            self.tell(Missed { through: log.sequence_before(to), count: Some(missed) });
        }
        let unkeyed_from = later(told, mark);
        self.trouble.get_or_insert_default().pressure =
            Some(Pressure { until: end, unkeyed_from, lost_from, snapshot });
    }

    /// Tells that the newest events of some keys had to be let go before this cursor took them. How
    /// many were not replaced by newer ones is not known.
    fn tell_lost_keys(&mut self, log: &Log) {
        let next = self.next.index;
        let trouble = self.trouble.as_mut();
        let Some(pressure) = trouble.and_then(|trouble| trouble.pressure.as_mut()) else { return };
        if log.lost_keys_until() > pressure.lost_from.max(next) {
            pressure.lost_from = log.lost_keys_until();
            self.tell(Missed { through: log.evicted_through(), count: None });
        }
    }
}

fn later(a: Mark, b: Mark) -> Mark {
    if a.index < b.index { b } else { a }
}

#[cfg(test)]
mod tests;
