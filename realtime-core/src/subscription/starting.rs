//! How a subscription starts on a hub that others share: once the broker has said, for each of its
//! topics, from where on everything comes.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use super::{Followed, Joined, Reset, ResetReason, Start, Subscription, join::live_cursor};
use crate::{
    hub::{Found, Hub, Waiter},
    position::{LastEventId, LastEventIdError},
    stats::add,
};

/// What a subscription has that is on a hub which other instances share.
#[derive(Debug)]
pub(super) struct Starting {
    waiter: Waiter,
    stage: Stage,
    /// The life of the numbers that its cursors are of; 0 before it has started.
    life: u64,
    epoch: u64,
    start: Start,
    /// Whether somebody is to be told where it starts.
    is_to_be_told: bool,
}

#[derive(Debug)]
enum Stage {
    /// Nothing has been taken yet.
    Begins(Begins),
    /// It goes on once all topics are established: some have been added.
    Adds,
    /// It goes on.
    Runs,
}

/// Where a subscription wants to start.
#[derive(Debug, Default)]
struct Begins {
    after: Option<Result<LastEventId, LastEventIdError>>,
    /// Why it does not go on where it was.
    because: Option<ResetReason>,
    /// How often the broker had said where the sequence is when it was first asked for that, and when it
    /// was last.
    asked_to_catch_up: Option<u64>,
    seen_reached: u64,
    /// The life in which its cursors were placed.
    life: u64,
}

/// What has to be said before a subscription can start.
enum WaitsFor {
    /// Something of the topic with this index, after what had been said.
    Topic { index: usize, said: u64 },
    /// Something else.
    Hub,
}

impl Starting {
    pub(super) fn new(
        hub: &Hub,
        after: Option<Result<LastEventId, LastEventIdError>>,
        start: Start,
    ) -> Self {
        let begins = Begins { after, life: hub.life(), ..Begins::default() };
        Self {
            waiter: Waiter::new(hub),
            stage: Stage::Begins(begins),
            life: 0,
            epoch: 0,
            start,
            is_to_be_told: false,
        }
    }

    /// The epoch of what it has taken, once it has started.
    pub(super) fn epoch(&self) -> Option<u64> {
        (self.life > 0).then_some(self.epoch)
    }
}

impl Subscription {
    /// Ready once it has started; see [`Subscription::ready`]. `now` is the time.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        // What all who are given something come by, mostly with nothing to wait for.
        if self.has_started() {
            return Poll::Ready(());
        }
        loop {
            let said = self.hub.said();
            let is_parked = match self.try_start(now) {
                Ok(()) => return Poll::Ready(()),
                Err(WaitsFor::Topic { index, said }) => {
                    let Some(Joined { member, cursor, .. }) = self.topics.get(index) else {
                        continue;
                    };
                    member.park_until_told(cursor, cx.waker(), said) && self.park_inbox(cx.waker())
                }
                Err(WaitsFor::Hub) => {
                    let starting = self.extra.as_mut().and_then(|extra| extra.starting.as_mut());
                    starting.is_none_or(|starting| starting.waiter.park(cx.waker(), said))
                        && self.park_inbox(cx.waker())
                }
            };
            if is_parked {
                return Poll::Pending;
            }
        }
    }

    /// Whether nothing more has to be said before something can be taken.
    pub(crate) fn has_started(&self) -> bool {
        let Some(starting) = self.starting() else { return true };
        matches!(starting.stage, Stage::Runs) && starting.life == self.hub.life()
    }

    /// Has [`poll_start`](Self::poll_start) tell where it starts; it has not yet.
    pub(crate) fn tell_start(&mut self) {
        if let Some(starting) = self.extra().starting.as_mut() {
            starting.is_to_be_told = true;
        }
    }

    /// Whether it has started and that has yet to be told; true once.
    pub(crate) fn poll_start(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let is_to_be_told = self.starting().is_some_and(|starting| starting.is_to_be_told);
        if !is_to_be_told || self.poll_ready(cx, now).is_pending() {
            return false;
        }
        if let Some(starting) = self.extra().starting.as_mut() {
            starting.is_to_be_told = false;
        }
        true
    }

    /// Has it wait until a topic that was added is established.
    pub(super) fn wait_for_added(&mut self) {
        if let Some(starting) = self.extra.as_mut().and_then(|extra| extra.starting.as_mut())
            && let Stage::Runs = starting.stage
        {
            starting.stage = Stage::Adds;
        }
    }

    pub(super) fn starting(&self) -> Option<&Starting> {
        self.extra.as_ref()?.starting.as_ref()
    }

    /// Starts, or goes on, if it can; else tells what it waits for.
    fn try_start(&mut self, now: Instant) -> Result<(), WaitsFor> {
        let Some(mut starting) = self.extra.as_mut().and_then(|extra| extra.starting.take()) else {
            return Ok(());
        };
        let started = self.try_stage(&mut starting, now);
        self.extra().starting = Some(starting);
        started
    }

    fn try_stage(&mut self, starting: &mut Starting, now: Instant) -> Result<(), WaitsFor> {
        let life = self.hub.life();
        if starting.life != life && !matches!(starting.stage, Stage::Begins(_)) {
            // Its numbers are of a life that is over.
            let because = Some(ResetReason::Epoch);
            starting.stage = Stage::Begins(Begins { because, ..Begins::default() });
        }
        self.drain_inbox();
        self.drop_retired();
        let is_known = |pattern| self.hub.is_pattern_established(pattern);
        if life == 0 || !self.patterns().all(is_known) {
            return Err(WaitsFor::Hub);
        }
        for (index, topic) in self.topics.iter().enumerate() {
            let fanout = topic.member.fanout();
            let said = fanout.said();
            if !fanout.is_established() {
                return Err(WaitsFor::Topic { index, said });
            }
        }
        if let Stage::Begins(begins) = &mut starting.stage {
            self.try_begin(begins, starting.start, now)?;
        }
        if self.hub.life() != life {
            return Err(WaitsFor::Hub);
        }
        starting.stage = Stage::Runs;
        (starting.life, starting.epoch) = (life, self.hub.epoch());
        Ok(())
    }

    /// Places the cursors, if what was published before is there or can't be had.
    fn try_begin(
        &mut self,
        begins: &mut Begins,
        start: Start,
        now: Instant,
    ) -> Result<(), WaitsFor> {
        // Before anything of the topics is looked at: what is visible later comes later.
        let visible = self.hub.visible();
        let is_empty = self.topics.is_empty() && self.followed().is_none();
        let after = begins.after.filter(|_| begins.because.is_none() && !is_empty);
        let fanouts: Vec<_> = self
            .topics
            .iter()
            .map(|topic| (Arc::clone(topic.member.fanout()), topic.named))
            .collect();
        let mut reason = begins.because;
        match after {
            None => {}
            Some(Err(_)) => reason = Some(ResetReason::Malformed),
            Some(Ok(id)) if id.epoch != self.hub.epoch() => reason = Some(ResetReason::Epoch),
            Some(Ok(id)) if id.sequence > visible => {
                let reached = self.hub.reached();
                let Some(asked) = begins.asked_to_catch_up else {
                    begins.asked_to_catch_up = Some(reached);
                    begins.seen_reached = reached;
                    self.hub.ask_to_catch_up();
                    return Err(WaitsFor::Hub);
                };
                // What was asked for before this subscription has not been answered for it.
                if reached < asked + 2 {
                    if reached > begins.seen_reached {
                        begins.seen_reached = reached;
                        self.hub.ask_to_catch_up();
                    }
                    return Err(WaitsFor::Hub);
                }
                reason = Some(ResetReason::Ahead);
            }
            Some(Ok(id)) => {
                let is_known = self.past(id.sequence, usize::MAX)?;
                let evicted = Err(ResetReason::Evicted);
                match if is_known { self.hub.resume(&fanouts, id, now) } else { evicted } {
                    Ok((topics, taken)) => {
                        self.begin_with(topics, taken);
                        return Ok(());
                    }
                    Err(evicted) => reason = Some(evicted),
                }
            }
        }
        match start {
            Start::Live => true,
            Start::Last(count) => self.past(0, count)?,
            Start::NewestPerKey => self.past(0, usize::MAX)?,
        };
        if start == Start::Live && reason.is_none() {
            if begins.life.max(1) != self.hub.life() {
                // It was made in another life, and has been given nothing of that.
                self.taken = if self.topics.is_empty() { visible } else { 0 };
            }
            self.begin_live();
        } else {
            // Where the numbers have begun anew, nothing that came since is to be missing.
            let is_anew = start == Start::Live && begins.because.is_some();
            let start = if is_anew { Start::Last(usize::MAX) } else { start };
            let (topics, taken, _) = self.hub.start(&fanouts, start, visible, now);
            self.begin_with(topics, taken);
        }
        if let Some(reason) = reason {
            add(&self.hub.counters().resets, 1);
            let id = LastEventId { epoch: self.hub.epoch(), sequence: self.taken };
            self.reset = Some(Reset { id, reason });
        }
        Ok(())
    }

    fn begin_with(&mut self, topics: Vec<Joined>, taken: u64) {
        // The new ones are there already, so that no topic is left in between.
        let before = std::mem::replace(&mut self.topics, topics);
        before.into_iter().for_each(|topic| self.hub.leave(topic.member));
        self.taken = taken;
    }

    /// Goes on from where it was made, or from where the last of its topics has everything: from one place
    /// in all of them, so that its id says what it is to get.
    fn begin_live(&mut self) {
        let complete_after = |topic: &Joined| topic.member.fanout().known_past().complete_after;
        let from = self.topics.iter().map(complete_after).fold(self.taken, u64::max);
        for topic in &mut self.topics {
            topic.cursor = topic.member.with(|log| live_cursor(log, from));
            topic.quiet_at = u64::MAX;
            topic.member.reached(&topic.cursor);
        }
        self.taken = from;
    }

    /// Whether all is known that was published after the sequence `after`, as far as the broker has it,
    /// or each topic has so many `events`; if not, the broker has been asked.
    fn past(&self, after: u64, events: usize) -> Result<bool, WaitsFor> {
        let (mut is_known, mut waits_for) = (true, None);
        for pattern in self.followed().into_iter().flat_map(Followed::patterns) {
            match self.hub.found(pattern, after) {
                Found::All => {}
                Found::Unknown => is_known = false,
                Found::NotYet => {
                    self.hub.ask_for_topics(pattern, after);
                    waits_for = Some(WaitsFor::Hub);
                }
            }
        }
        for (index, topic) in self.topics.iter().enumerate() {
            let fanout = topic.member.fanout();
            let said = fanout.said();
            let past = fanout.known_past();
            let is_there = past.complete_after <= after || past.events >= events;
            if !is_there && past.read_after.is_none_or(|read| read > after) {
                self.hub.ask_for_past(fanout.topic(), after);
                waits_for.get_or_insert(WaitsFor::Topic { index, said });
            }
        }
        waits_for.map_or(Ok(is_known), Err)
    }
}
