//! A subscriber's place in one topic's log, and what its policy does to it.

use std::{ops::Range, sync::Arc, time::Instant};

use crate::{
    log::{Entry, Log, Mark},
    overflow::{Lag, LagLimit, Overflow, Verdict, judge},
    stats::SubscriptionCounts,
};

/// A place in a log. It is moved under the log's lock only.
#[derive(Debug)]
pub(crate) struct Cursor {
    next: Mark,
    /// What lies before this was replayed at the start and is no lag.
    joined: Mark,
    /// The sequence of the last event taken or told missed.
    taken: u64,
    trouble: Option<Box<Trouble>>,
}

/// The state that only a lagging cursor needs, boxed because most never lag.
#[derive(Debug, Default)]
struct Trouble {
    gap: Option<Missed>,
    hold: Option<Hold>,
    pressure: Option<Pressure>,
}

/// Events of a topic that a subscriber does not get, by sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    /// The last one taken before.
    pub(crate) after: u64,
    /// The last one missed.
    pub(crate) through: u64,
    /// How many, if it is known.
    pub(crate) count: Option<u64>,
}

/// `DropNewest`: what lies before `until` is still delivered, what lies from there to `resume` is
/// lost.
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
    told_lost: bool,
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
    pub(crate) fn new(next: Mark, joined: Mark, taken: u64) -> Self {
        Self { next, joined, taken, trouble: None }
    }

    /// A cursor that takes the newest event of each key before what comes, and of events without a
    /// key none.
    pub(crate) fn newest_per_key(log: &Log, taken: u64) -> Self {
        let head = log.head();
        let pressure = Pressure { until: head.index, unkeyed_from: head, told_lost: true };
        let trouble = Trouble { pressure: Some(pressure), ..Trouble::default() };
        let next = Mark::default();
        Self { next, joined: head, taken, trouble: Some(Box::new(trouble)) }
    }

    /// Events between the cursor and the end of the log.
    pub(crate) fn pending(&self, log: &Log) -> u64 {
        log.head().index - self.next.index
    }

    /// The sequence of the last event taken or told missed.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The totals at which the log has grown past what `limit` lets this cursor lag.
    pub(crate) fn limit_mark(&self, limit: &LagLimit) -> Mark {
        let base = self.lag_base();
        Mark {
            index: base.index.saturating_add(limit.events),
            bytes: base.bytes.saturating_add(limit.bytes),
            ..base
        }
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
        self.end_hold(counts);
        if !self.is_held(log) {
            let lag = self.lag(log, end, policy, now);
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
        if let Some(missed) = self.trouble.as_mut().and_then(|trouble| trouble.gap.take()) {
            return Prepared::Gap(missed);
        }
        match self.find(log, end, counts) {
            Some(Found::Kept(entry)) => Prepared::Event(entry.position().sequence()),
            Some(Found::Run(run)) => {
                let entry = log.get(run.start);
                entry.map_or(Prepared::Idle, |entry| Prepared::Event(entry.position().sequence()))
            }
            None => Prepared::Idle,
        }
    }

    /// The events to take next among those up to the index `end`.
    pub(crate) fn find(
        &mut self,
        log: &Log,
        end: u64,
        counts: &mut SubscriptionCounts,
    ) -> Option<Found> {
        let Some(trouble) = &mut self.trouble else {
            return (self.next.index < end).then(|| Found::Run(self.next.index..end));
        };
        if let Some(pressure) = &trouble.pressure {
            let found = find_newest(pressure, &mut self.next, self.joined, log, end, counts);
            if let Some(found) = found {
                return Some(found);
            }
            if self.next.index < pressure.until {
                return None;
            }
            trouble.pressure = None;
        }
        let end = trouble.hold.as_ref().map_or(end, |hold| hold.until.min(end));
        if trouble.hold.is_none() && trouble.gap.is_none() {
            self.trouble = None;
        }
        (self.next.index < end).then(|| Found::Run(self.next.index..end))
    }

    /// The entries before the index `to` have been taken.
    pub(crate) fn take_run(&mut self, log: &Log, to: u64, counts: &mut SubscriptionCounts) {
        if let Some(mark) = log.mark_at(to) {
            counts.delivered += to - self.next.index;
            self.next = mark;
        }
        if let Some(last) = to.checked_sub(1).and_then(|last| log.get(last)) {
            self.taken = last.position().sequence();
        }
    }

    /// `entry`, which was kept by its key, has been taken.
    pub(crate) fn take_kept(&mut self, entry: &Entry, counts: &mut SubscriptionCounts) {
        counts.delivered += 1;
        self.next = entry.end();
        self.taken = entry.position().sequence();
    }

    fn lag_base(&self) -> Mark {
        if self.next.index < self.joined.index { self.joined } else { self.next }
    }

    fn lag(&self, log: &Log, end: u64, policy: &Policy, now: Instant) -> Lag {
        let base = self.lag_base();
        let first = log.first_index();
        let end_bytes = log.mark_at(end).map_or(base.bytes, |mark| mark.bytes);
        let age = policy.limit.age.and_then(|_| {
            let oldest = log.get(base.index.max(first)).filter(|_| base.index < end)?;
            Some(now.saturating_duration_since(oldest.at()))
        });
        let replaying = self.trouble.as_ref().is_some_and(|t| t.pressure.is_some());
        Lag {
            events: end.saturating_sub(base.index),
            bytes: end_bytes.saturating_sub(base.bytes),
            age: age.unwrap_or_default(),
            // A pass over the newest of each key starts before the ring on purpose; what it must
            // not lose is what was published since.
            evicted: if replaying { base.index < first } else { self.next.index < first },
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
        by_events.max(by_bytes).max(by_age).clamp(from, end.max(from))
    }

    /// Moves to the index `to`, which is in the ring or its end, and tells a gap.
    fn skip(&mut self, log: &Log, to: u64, counts: &mut SubscriptionCounts) {
        let Some(mark) = log.mark_at(to) else { return };
        let through = if to == log.first_index() {
            log.evicted_through()
        } else {
            to.checked_sub(1)
                .and_then(|last| log.get(last))
                .map_or(self.taken, |entry| entry.position().sequence())
        };
        self.skip_to(mark, through, counts);
    }

    fn skip_to(&mut self, mark: Mark, through: u64, counts: &mut SubscriptionCounts) {
        if mark.index == self.next.index {
            return;
        }
        let snapshot = self.trouble.as_mut().and_then(|trouble| trouble.pressure.take()).is_some();
        let from = if snapshot { self.lag_base().index } else { self.next.index };
        let missed = mark.index.saturating_sub(from);
        counts.missed += missed;
        // How many keys the rest of a snapshot had is not known.
        self.tell(Missed { after: self.taken, through, count: (!snapshot).then_some(missed) });
        self.next = mark;
        self.taken = through;
    }

    /// Tells a gap, as one with an untold one.
    fn tell(&mut self, missed: Missed) {
        let gap = &mut self.trouble.get_or_insert_default().gap;
        *gap = Some(match *gap {
            None => missed,
            Some(untold) => Missed {
                after: untold.after,
                through: missed.through.max(untold.through),
                count: untold.count.zip(missed.count).map(|(a, b)| a + b),
            },
        });
    }

    /// Whether a `DropNewest` hold is in force whose events are all still in the ring.
    fn is_held(&self, log: &Log) -> bool {
        let held = self.trouble.as_ref().is_some_and(|trouble| trouble.hold.is_some());
        held && self.next.index >= log.first_index()
    }

    fn hold(&mut self, log: &Log, end: u64, policy: &Policy, counts: &mut SubscriptionCounts) {
        let first = log.first_index();
        if self.next.index < first {
            let hold = self.trouble.as_mut().and_then(|trouble| trouble.hold.take());
            match hold {
                Some(hold) if hold.until <= first && hold.resume.index >= first => {
                    self.skip_to(hold.resume, hold.through, counts);
                }
                Some(hold) if hold.until > first => {
                    self.skip(log, first, counts);
                    self.trouble.get_or_insert_default().hold = Some(hold);
                    return;
                }
                _ => self.skip(log, first, counts),
            }
        }
        let base = self.lag_base();
        let limit = &policy.limit;
        let by_bytes = log.index_where(|entry| {
            entry.mark().index < base.index || entry.end().bytes - base.bytes <= limit.bytes
        });
        let until = base.index.saturating_add(limit.events).min(by_bytes);
        if until >= end {
            return;
        }
        let last = end.checked_sub(1).and_then(|last| log.get(last));
        if let (Some(resume), Some(last)) = (log.mark_at(end), last) {
            let through = last.position().sequence();
            self.trouble.get_or_insert_default().hold = Some(Hold { until, resume, through });
        }
        self.end_hold(counts);
    }

    /// Tells the gap of a hold whose events have been taken.
    fn end_hold(&mut self, counts: &mut SubscriptionCounts) {
        let Some(trouble) = &mut self.trouble else { return };
        let next = self.next.index;
        if let Some(hold) = trouble.hold.take_if(|hold| next >= hold.until) {
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
        let Some(unkeyed_from) = log.mark_at(to) else { return };
        let before = self.trouble.as_mut().and_then(|trouble| trouble.pressure.take());
        let told_from = before.as_ref().map_or(self.next, |pressure| {
            if pressure.unkeyed_from.index > self.next.index {
                pressure.unkeyed_from
            } else {
                self.next
            }
        });
        let missed = if unkeyed_from.index > told_from.index {
            told_from.unkeyed_until(&unkeyed_from)
        } else {
            0
        };
        let told_lost = before.is_some_and(|pressure| pressure.told_lost);
        let lost = !told_lost && log.lost_keys_from(self.next.index);
        counts.missed += missed;
        if missed > 0 || lost {
            let through = to
                .checked_sub(1)
                .and_then(|last| log.get(last))
                .map_or(log.evicted_through(), |entry| entry.position().sequence());
            let count = (!lost).then_some(missed);
            self.tell(Missed { after: self.taken, through, count });
        }
        let unkeyed_from =
            if unkeyed_from.index > told_from.index { unkeyed_from } else { told_from };
        self.trouble.get_or_insert_default().pressure =
            Some(Pressure { until: end, unkeyed_from, told_lost: told_lost || lost });
    }
}

/// The next events under pressure, from `next` on; what is skipped with a key counts as conflated,
/// what is skipped without has been told.
fn find_newest(
    pressure: &Pressure,
    next: &mut Mark,
    joined: Mark,
    log: &Log,
    end: u64,
    counts: &mut SubscriptionCounts,
) -> Option<Found> {
    let mut skip_to = |next: &mut Mark, to: Mark| {
        if to.index > joined.index {
            counts.conflated += to.keyed - next.keyed.max(joined.keyed);
        }
        *next = to;
    };
    let first = log.first_index();
    if next.index < first {
        let kept = log.kept_from(next.index).filter(|entry| entry.mark().index < first);
        if let Some(entry) = kept {
            skip_to(next, entry.mark());
            return Some(Found::Kept(Arc::clone(entry)));
        }
        skip_to(next, log.mark_at(first)?);
    }
    let wanted = |entry: &Entry| match entry.event().key() {
        Some(_) => log.is_newest_of_key(entry),
        None => entry.mark().index >= pressure.unkeyed_from.index,
    };
    let until = pressure.until.min(end);
    while next.index < until {
        let entry = log.get(next.index)?;
        if wanted(entry) {
            let rest = next.index + 1..until;
            let run = rest.take_while(|&index| log.get(index).is_some_and(|entry| wanted(entry)));
            return Some(Found::Run(next.index..next.index + 1 + run.count() as u64));
        }
        skip_to(next, entry.end());
    }
    None
}

#[cfg(test)]
mod tests;
