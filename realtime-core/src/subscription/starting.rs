//! How a subscription starts on a hub that others share: once the broker has said, for each of its
//! topics, from where on everything comes.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use super::{Followed, Joined, Reset, ResetReason, Start, Subscription};
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
}

impl Starting {
    pub(super) fn new(
        hub: &Hub,
        after: Option<Result<LastEventId, LastEventIdError>>,
        start: Start,
    ) -> Self {
        let begins = Begins { after, ..Begins::default() };
        Self {
            waiter: Waiter::new(hub),
            stage: Stage::Begins(begins),
            life: 0,
            epoch: 0,
            start,
            is_to_be_told: false,
        }
    }

    /// The epoch of what it has taken.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl Subscription {
    /// Ready once it has started; see [`Subscription::ready`]. `now` is the time.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        loop {
            let said = self.hub.said();
            if self.has_started() || self.try_start(now) {
                return Poll::Ready(());
            }
            let starting = self.extra.as_mut().and_then(|extra| extra.starting.as_mut());
            if starting.is_none_or(|starting| starting.waiter.park(cx.waker(), said)) {
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

    /// Starts, or goes on, if it can.
    fn try_start(&mut self, now: Instant) -> bool {
        let Some(mut starting) = self.extra.as_mut().and_then(|extra| extra.starting.take()) else {
            return true;
        };
        let life = self.hub.life();
        if starting.life != life && !matches!(starting.stage, Stage::Begins(_)) {
            // Its numbers are of a life that is over.
            let because = Some(ResetReason::Epoch);
            starting.stage = Stage::Begins(Begins { because, ..Begins::default() });
        }
        self.drain_inbox();
        let is_established = life > 0
            && self.patterns().all(|pattern| self.hub.is_pattern_established(pattern))
            && self.topics.iter().all(|topic| topic.member.fanout().is_established());
        let goes_on = is_established
            && match &mut starting.stage {
                Stage::Begins(begins) => self.try_begin(begins, starting.start, now),
                Stage::Adds | Stage::Runs => true,
            };
        if goes_on && self.hub.life() == life {
            starting.stage = Stage::Runs;
            (starting.life, starting.epoch) = (life, self.hub.epoch());
        }
        let has_started = matches!(starting.stage, Stage::Runs);
        self.extra().starting = Some(starting);
        has_started
    }

    /// Places the cursors, if what was published before is there or can't be had.
    fn try_begin(&mut self, begins: &mut Begins, start: Start, now: Instant) -> bool {
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
                    return false;
                };
                // What was asked for before this subscription has not been answered for it.
                if reached < asked + 2 {
                    if reached > begins.seen_reached {
                        begins.seen_reached = reached;
                        self.hub.ask_to_catch_up();
                    }
                    return false;
                }
                reason = Some(ResetReason::Ahead);
            }
            Some(Ok(id)) => {
                let Some(is_known) = self.past(id.sequence, usize::MAX) else { return false };
                let evicted = Err(ResetReason::Evicted);
                match if is_known { self.hub.resume(&fanouts, id, now) } else { evicted } {
                    Ok((topics, taken)) => {
                        self.begin_with(topics, taken);
                        return true;
                    }
                    Err(evicted) => reason = Some(evicted),
                }
            }
        }
        let is_there = match start {
            Start::Live => true,
            Start::Last(count) => self.past(0, count).is_some(),
            Start::NewestPerKey => self.past(0, usize::MAX).is_some(),
        };
        if !is_there {
            return false;
        }
        if start == Start::Live && reason.is_none() {
            // Its cursors have stood where they are to since it was made.
            self.taken = self.first_pending(visible);
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
        true
    }

    fn begin_with(&mut self, topics: Vec<Joined>, taken: u64) {
        // The new ones are there already, so that no topic is left in between.
        let before = std::mem::replace(&mut self.topics, topics);
        before.into_iter().for_each(|topic| self.hub.leave(topic.member));
        self.taken = taken;
    }

    /// The sequence before the first event that is pending; `visible` if none is.
    fn first_pending(&self, visible: u64) -> u64 {
        let first = self.topics.iter().filter_map(Joined::first_pending);
        first.fold(visible, |least, first| least.min(first.saturating_sub(1)))
    }

    /// Whether all is known that was published after the sequence `after`, as far as the broker has it,
    /// or each topic has so many `events`; nothing as long as the broker has been asked for it.
    fn past(&self, after: u64, events: usize) -> Option<bool> {
        let (mut is_known, mut is_answered) = (true, true);
        for pattern in self.followed().into_iter().flat_map(Followed::patterns) {
            match self.hub.found(pattern, after) {
                Found::All => {}
                Found::Unknown => is_known = false,
                Found::NotYet => {
                    self.hub.ask_for_topics(pattern, after);
                    is_answered = false;
                }
            }
        }
        for topic in &self.topics {
            let fanout = topic.member.fanout();
            let past = fanout.known_past();
            let is_there = past.complete_after <= after || past.events >= events;
            if !is_there && past.read_after.is_none_or(|read| read > after) {
                self.hub.ask_for_past(fanout.topic(), after);
                is_answered = false;
            }
        }
        is_answered.then_some(is_known)
    }
}

impl Joined {
    /// The sequence of the first event that it has not taken.
    fn first_pending(&self) -> Option<u64> {
        self.member.with(|log| {
            let next = self.cursor.live_from().max(log.first_index());
            log.get(next).map(|entry| entry.position().sequence())
        })
    }
}
