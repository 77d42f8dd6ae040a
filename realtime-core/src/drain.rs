//! Letting all connections go before a process ends.
//!
//! A drain is a plan that every connection finds by itself: who closes when follows from the order in
//! which they look. Nobody goes through them but to wake them.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use slab::Slab;

use crate::{
    fanout::{keep, lock},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU8, Ordering},
    },
};

/// How many connections are woken under one hold of the lock: some tens of microseconds.
const WAKE_SLICE: usize = 1024;

/// How connections are let go; see [`Hub::drain`](crate::Hub::drain).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drain {
    /// How long it may take; connections that are there after that are cut. Default: 20 s, below the
    /// 30 s that orchestrators wait for a process by default.
    pub deadline: Duration,
    /// How many connections are closed per second, and so how many clients come back per second to
    /// whoever serves them next. Default: 500. Where that would take longer than four fifths of the
    /// deadline, connections are closed as fast as it takes.
    pub reconnects_per_second: u32,
    /// The reconnection time that clients are told; each is told its own, between half of this and
    /// one and a half times as much. Default: 1 s.
    pub retry: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(20),
            reconnects_per_second: 500,
            retry: Duration::from_secs(1),
        }
    }
}

/// What became of the connections that were there when a drain began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// Connections that were told and have ended.
    pub closed: u64,
    /// Connections that were still there at the deadline, and were cut.
    pub forced: u64,
    /// How long it took.
    pub took: Duration,
}

/// A hub's connections, and whether they are to go.
#[derive(Debug, Default)]
pub(crate) struct Draining {
    /// Which [`Phase`] it is, so that it costs one load to see that there is no drain.
    phase: AtomicU8,
    state: Mutex<State>,
}

/// In this order, and never back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    Draining,
    Over,
}

#[derive(Debug, Default)]
struct State {
    connections: Slab<Connection>,
    plan: Option<Plan>,
    report: Option<DrainReport>,
    /// Whether nothing is to be waited for any more, be it a connection or not.
    is_ended: bool,
    /// Who waits for it to begin, or for its end.
    waiting: Slab<Option<Waker>>,
}

#[derive(Debug, Default)]
struct Connection {
    waker: Option<Waker>,
    /// Known once it has looked.
    leaves_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    began: Instant,
    until: Instant,
    interval: Duration,
    connections: u64,
    /// How many connections know when they are to go.
    told: u32,
}

impl Draining {
    /// Registers a connection; `None` once there is a drain.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Guard> {
        let mut state = lock(&self.state);
        if state.plan.is_some() {
            return None;
        }
        let slot = u32::try_from(state.connections.insert(Connection::default())).ok()?;
        Some(Guard { draining: Arc::clone(self), slot, is_held: false, registered: 0 })
    }

    /// Begins a drain, unless there is one; when it is to be over.
    pub(crate) fn begin(&self, drain: &Drain, now: Instant) -> Instant {
        let mut state = lock(&self.state);
        if let Some(plan) = &state.plan {
            return plan.until;
        }
        let connections = state.connections.len() as u64;
        let until = now.checked_add(drain.deadline).unwrap_or(now + NEVER);
        state.plan = Some(Plan {
            began: now,
            until,
            interval: interval(drain, connections),
            connections,
            told: 0,
        });
        self.proceed(state, Phase::Draining);
        until
    }

    /// Cuts who is still there, and ends what else waits for the end. What became of all since the drain
    /// began.
    pub(crate) fn end(&self, now: Instant) -> DrainReport {
        let mut state = lock(&self.state);
        state.is_ended = true;
        self.report(state, now)
    }

    /// Takes word that no connection is left. What became of all since the drain began.
    pub(crate) fn gone(&self, now: Instant) -> DrainReport {
        self.report(lock(&self.state), now)
    }

    fn report(&self, mut state: MutexGuard<'_, State>, now: Instant) -> DrainReport {
        if let Some(report) = state.report {
            self.proceed(state, Phase::Over);
            return report;
        }
        let (forced, plan) = (state.connections.len() as u64, state.plan);
        let (connections, began) = plan.map_or((forced, now), |it| (it.connections, it.began));
        let report = DrainReport {
            closed: connections.saturating_sub(forced),
            forced,
            took: now.saturating_duration_since(began),
        };
        state.report = Some(report);
        state.plan.get_or_insert(Plan {
            began: now,
            until: now,
            interval: Duration::ZERO,
            connections,
            told: 0,
        });
        self.proceed(state, Phase::Over);
        report
    }

    /// A place among those who wait for what becomes of it.
    pub(crate) fn wait(&self) -> Waiter<'_> {
        Waiter { draining: self, slot: lock(&self.state).waiting.insert(None) }
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiters(&self) -> usize {
        lock(&self.state).waiting.len()
    }

    /// Whether there is a drain, or was one.
    pub(crate) fn has_begun(&self) -> bool {
        self.phase() > Phase::Open
    }

    /// Whether the drain is over.
    pub(crate) fn is_over(&self) -> bool {
        self.phase() == Phase::Over
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Draining,
            _ => Phase::Over,
        }
    }

    /// Goes on to `phase` and wakes everybody, no lock being held.
    ///
    /// It is held for some connections at a time: all others ask for their place meanwhile. None is
    /// added any more, and one whose waker is not seen here sees the phase, which it looks at last.
    fn proceed<'a>(&'a self, mut state: MutexGuard<'a, State>, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        let mut wakers = state.awaken();
        let (mut from, end) = (0, state.connections.capacity());
        loop {
            let to = (from + WAKE_SLICE).min(end);
            let slots = (from..to).filter_map(|slot| state.connections.get(slot));
            wakers.extend(slots.filter_map(|it| it.waker.clone()));
            drop(state);
            wakers.drain(..).for_each(Waker::wake);
            if to == end {
                return;
            }
            from = to;
            state = lock(&self.state);
        }
    }

    /// When a connection is to go: in the order in which they ask.
    fn place(&self, slot: u32) -> Option<Instant> {
        let mut state = lock(&self.state);
        let State { connections, plan, .. } = &mut *state;
        let (plan, connection) = (plan.as_mut()?, connections.get_mut(slot as usize)?);
        if connection.leaves_at.is_none() {
            let at = plan.began + plan.interval.saturating_mul(plan.told);
            plan.told += 1;
            connection.leaves_at = Some(at.min(plan.until));
        }
        connection.leaves_at
    }
}

impl State {
    /// Who is to be woken.
    fn awaken(&mut self) -> Vec<Waker> {
        self.waiting.iter_mut().filter_map(|(_, waker)| waker.take()).collect()
    }
}

/// Who waits for what becomes of a drain, until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    draining: &'a Draining,
    slot: usize,
}

impl Waiter<'_> {
    /// Ready when no connection is left, or the drain is over.
    pub(crate) fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        let is_gone = |state: &State| state.report.is_some() || state.connections.is_empty();
        self.poll(cx, |state| is_gone(state).then_some(()))
    }

    /// Ready when a drain has begun; when it is to be over.
    pub(crate) fn poll_begun(&self, cx: &Context<'_>) -> Poll<Instant> {
        self.poll(cx, |state| state.plan.map(|plan| plan.until))
    }

    /// Ready when the drain was ended, by its deadline or by somebody.
    pub(crate) fn poll_ended(&self, cx: &Context<'_>) -> Poll<()> {
        self.poll(cx, |state| state.is_ended.then_some(()))
    }

    /// Looks at the state, and has the task told when it changes: also when no connection is left, for who
    /// waits for more than that is to know when it is ended.
    fn poll<R>(&self, cx: &Context<'_>, look: impl FnOnce(&State) -> Option<R>) -> Poll<R> {
        let mut state = lock(&self.draining.state);
        let before = state.waiting.get_mut(self.slot).and_then(|slot| keep(slot, cx.waker()));
        let seen = look(&state);
        drop(state);
        drop(before);
        seen.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let waker = lock(&self.draining.state).waiting.try_remove(self.slot);
        drop(waker);
    }
}

/// How far apart connections are closed.
fn interval(drain: &Drain, connections: u64) -> Duration {
    let wanted = Duration::from_secs(1) / drain.reconnects_per_second.max(1);
    let available = drain.deadline.min(NEVER).mul_f64(0.8).as_secs_f64();
    let share = Duration::try_from_secs_f64(available / (connections.max(1) as f64));
    wanted.min(share.unwrap_or(wanted))
}

/// A connection's part in a drain: counts as there until it is dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    draining: Arc<Draining>,
    slot: u32,
    /// Somebody is woken who is not the task that polls.
    is_held: bool,
    /// Which waker is woken when a drain begins or is over, by its address; it lies with the others, and
    /// as long as it does the address is nobody else's.
    registered: usize,
}

/// A connection is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// From then on, having told the peer.
    At(Instant),
    /// At once.
    Now,
}

impl Guard {
    /// Whether the connection is to go; if not, the task is woken when it is.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Option<Leave> {
        if !self.is_held {
            self.register(cx.waker());
        }
        match self.draining.phase() {
            Phase::Open => None,
            Phase::Draining => self.draining.place(self.slot).map(Leave::At),
            Phase::Over => Some(Leave::Now),
        }
    }

    /// From now on, and only, `waker` is woken when a drain begins or is over.
    pub(crate) fn hold(&mut self, waker: &Waker) {
        self.is_held = true;
        self.register(waker);
    }

    /// When it is to go, if it is.
    pub(crate) fn leaves_at(&self) -> Option<Instant> {
        if self.draining.has_begun() { self.draining.place(self.slot) } else { None }
    }

    /// Whether it is to go at once.
    pub(crate) fn is_cut(&self) -> bool {
        self.draining.is_over()
    }

    fn register(&mut self, waker: &Waker) {
        let address = waker.data().addr();
        if self.registered == address && address != 0 {
            return;
        }
        self.registered = address;
        let waker = waker.clone();
        let mut state = lock(&self.draining.state);
        let Some(connection) = state.connections.get_mut(self.slot as usize) else { return };
        let before = connection.waker.replace(waker);
        drop(state);
        drop(before);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = lock(&self.draining.state);
        let connection = state.connections.try_remove(self.slot as usize);
        let is_last = state.connections.is_empty();
        let waiting = if is_last { state.awaken() } else { Vec::new() };
        if is_last {
            state.connections = Slab::new();
        }
        drop(state);
        drop(connection);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// A reconnection time of its own for each client: between a half and one and a half of `retry`, so
/// that clients cut together don't come back together.
pub(crate) fn jittered(retry: Duration) -> Duration {
    let retry = retry.as_secs_f64() * (0.5 + fastrand::f64());
    Duration::try_from_secs_f64(retry).unwrap_or(Duration::MAX)
}

const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        task::Wake,
    };

    use super::*;

    #[cfg(shuttle)]
    mod models;

    #[test]
    fn connections_close_at_the_rate_unless_the_deadline_is_near() {
        let drain = Drain { reconnects_per_second: 10, ..Drain::default() };
        assert_eq!(interval(&drain, 0), Duration::from_millis(100));
        assert_eq!(interval(&drain, 160), Duration::from_millis(100));
        assert_eq!(interval(&drain, 320), Duration::from_millis(50));
        let never = Drain { deadline: Duration::MAX, ..drain };
        assert_eq!(interval(&never, 1_000_000), Duration::from_millis(100));
        let at_once = Drain { deadline: Duration::ZERO, ..drain };
        assert_eq!(interval(&at_once, 1), Duration::ZERO);
    }

    #[derive(Default)]
    struct Wakes {
        count: AtomicUsize,
        most_held: AtomicUsize,
    }

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.count.fetch_add(1, Relaxed);
            self.most_held.fetch_max(Arc::strong_count(&self), Relaxed);
        }
    }

    #[test]
    fn all_are_woken_and_few_of_them_under_one_lock() {
        let connections = 10 * WAKE_SLICE + 1;
        let draining = Arc::<Draining>::default();
        let wakes = Arc::<Wakes>::default();
        let waker = Waker::from(Arc::clone(&wakes));
        let cx = Context::from_waker(&waker);
        let mut guards: Vec<_> = (0..connections).map(|_| draining.enter().unwrap()).collect();
        for guard in &mut guards {
            assert_eq!(guard.poll(&cx), None);
        }
        #[expect(clippy::disallowed_methods, reason = "a test has a clock")]
        let now = Instant::now();
        draining.begin(&Drain::default(), now);
        assert_eq!(wakes.count.load(Relaxed), connections);
        // Each connection has one, and so have those that are about to be woken.
        let held = wakes.most_held.load(Relaxed) - connections;
        assert!(held <= WAKE_SLICE + 2, "{held}");
        draining.end(now);
        assert_eq!(wakes.count.load(Relaxed), 2 * connections);
    }

    #[test]
    fn reconnection_times_are_spread() {
        let retry = Duration::from_secs(2);
        let times: Vec<_> = (0..1000).map(|_| jittered(retry)).collect();
        assert!(times.iter().all(|it| (1.0..=3.0).contains(&it.as_secs_f64())));
        assert!(times.iter().any(|it| it.as_secs_f64() < 1.2));
        assert!(times.iter().any(|it| it.as_secs_f64() > 2.8));
        assert_eq!(jittered(Duration::MAX).min(NEVER), NEVER);
    }
}
