//! What a framework is given as a body, so that it can be taken back.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use super::{Timer, now};
use crate::{
    fanout::{keep, lock},
    lifetime::later,
    sync::Mutex,
};

/// What is behind a body.
pub(super) trait Holds: Send + 'static {
    /// When it wants to be polled though nothing wakes it. At a time that has passed it does
    /// something when it is polled, or it would be polled for ever.
    fn deadline(&self, now: Instant) -> Instant;

    /// Sees to it that `waker` is woken when it is to end.
    fn hold(&mut self, waker: &Waker);

    /// Whether it is to end though nobody asks it: for its lag, or since the hub is drained.
    fn is_due(&self, now: Instant) -> bool;

    /// It is given up, because nobody asks it.
    fn give_up(&mut self, now: Instant);
}

/// The one handle on a body's inside, which it gives up when the framework does not ask for long.
///
/// While a client's socket takes nothing, no framework polls the response's body: nothing in it would
/// ever run, and what it holds, a subscription and permits, would be held until TCP gives up. So the
/// timer's waker is the inside itself: when it rings and the framework has not come back for more, it
/// looks whether to end.
pub(super) struct Held<T: Holds>(Arc<Inside<T>>);

struct Inside<T> {
    state: Mutex<State<T>>,
    stall_deadline: Duration,
}

struct State<T> {
    /// Not there while it is polled, and once it is over.
    it: Option<Box<T>>,
    /// Not there while it is set, and once the handle is dropped: setting a timer may ring it at once,
    /// so that no lock may be held meanwhile.
    timer: Option<Timer>,
    /// Whether the timer is set to when it is looked what the framework does.
    is_look: bool,
    asking: Asking,
    /// It has been woken while it was polled, or while its timer was set.
    is_woken: bool,
    /// The handle is dropped.
    is_dropped: bool,
    /// The task that waits for bytes.
    task: Option<Waker>,
}

#[derive(Clone, Copy)]
enum Asking {
    /// It is being polled.
    Now,
    /// The framework waits for bytes.
    Waits,
    /// The framework has been given bytes, or was woken to come for some, and has to by then.
    Due { by: Instant },
}

/// When the timer is to ring.
#[derive(Clone, Copy)]
enum Ring {
    At(Instant),
    /// Or earlier, if it is set so.
    By(Instant),
}

impl Ring {
    fn time(self) -> Instant {
        let (Self::At(time) | Self::By(time)) = self;
        time
    }
}

impl<T> State<T> {
    /// Whether the timer is set so that nothing is to be done. What is to happen at a time is put off by
    /// each event that is given: where it is set to an earlier one, it rings once too often in its time,
    /// instead of being moved by all of them. But a look, which may be much earlier, is moved.
    fn is_set(&self, timer: &Timer, ring: Ring) -> bool {
        match ring {
            Ring::By(by) => timer.is_set_before(by),
            Ring::At(at) if self.is_look => timer.is_set_to(at),
            Ring::At(at) => timer.is_set_before(at),
        }
    }
}

impl<T: Holds> Held<T> {
    /// # Panics
    /// Outside of a Tokio runtime with time.
    pub(super) fn new(mut it: T, stall_deadline: Duration) -> Self {
        let now = now();
        let by = later(now, stall_deadline);
        let inside = Arc::new(Inside {
            state: Mutex::new(State {
                it: None,
                timer: Some(Timer::default()),
                is_look: false,
                asking: Asking::Due { by },
                is_woken: false,
                is_dropped: false,
                task: None,
            }),
            stall_deadline,
        });
        it.hold(&Waker::from(Arc::clone(&inside)));
        lock(&inside.state).it = Some(Box::new(it));
        // From now on, or one that is never polled would be held for ever.
        inside.look_again(inside.first_look(), by, now);
        Self(inside)
    }

    /// Lets `poll` look for what to give, no lock being held. It is over, `None`, when `poll` says so
    /// or it has been given up. Whoever is given something has to come back for more.
    pub(super) fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut T, &mut Context<'_>, Instant) -> Poll<Option<R>>,
    ) -> Poll<Option<R>> {
        loop {
            let Some(mut it) = self.0.take() else { return Poll::Ready(None) };
            let now = now();
            match poll(&mut it, cx, now) {
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(given) => {
                    self.0.gave(it, now);
                    return Poll::Ready(given);
                }
                Poll::Pending if self.0.wait(it, cx, now).is_pending() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }
}

impl<T: Holds> Inside<T> {
    fn take(&self) -> Option<Box<T>> {
        let mut state = lock(&self.state);
        state.asking = Asking::Now;
        state.is_woken = false;
        state.it.take()
    }

    fn gave(self: &Arc<Self>, it: Box<T>, now: Instant) {
        let by = later(now, self.stall_deadline);
        let soon = later(now, self.first_look());
        if self.rest(it, Asking::Due { by }, None, Ring::By(soon), now).is_ready() {
            self.look_again(self.first_look(), by, now);
        }
    }

    /// Ready when it wants to be polled at once.
    fn wait(self: &Arc<Self>, it: Box<T>, cx: &Context<'_>, now: Instant) -> Poll<()> {
        let deadline = it.deadline(now);
        self.rest(it, Asking::Waits, Some(cx.waker()), Ring::At(deadline), now)
    }

    /// Puts it back and sets the timer. Ready when it has to be looked at.
    fn rest(
        self: &Arc<Self>,
        it: Box<T>,
        asking: Asking,
        task: Option<&Waker>,
        ring: Ring,
        now: Instant,
    ) -> Poll<()> {
        let mut state = lock(&self.state);
        state.it = Some(it);
        state.asking = asking;
        let before = task.and_then(|waker| keep(&mut state.task, waker));
        let is_set = state.timer.as_ref().is_some_and(|timer| state.is_set(timer, ring));
        let is_woken = is_set && std::mem::take(&mut state.is_woken);
        drop(state);
        drop(before);
        match is_set {
            true if is_woken => Poll::Ready(()),
            true => Poll::Pending,
            false => self.set(ring, now),
        }
    }

    /// When it is looked for the first time whether what has been given is taken. So late that a timer
    /// which is set to the next heartbeat, up to half a minute by default, is not set to an earlier time
    /// with each event: that costs more than to move it on.
    fn first_look(&self) -> Duration {
        self.stall_deadline / 2
    }

    /// When it is looked again.
    fn next_look(&self) -> Duration {
        self.stall_deadline / 4
    }

    /// Sees to it that it is looked at what is due by then, `soon`, and then.
    fn look_again(self: &Arc<Self>, soon: Duration, by: Instant, mut now: Instant) {
        while self.set(Ring::By(later(now, soon).min(by)), now).is_ready() {
            now = super::now();
            if by <= now {
                // So little time that it has passed already.
                let _ = self.set(Ring::By(later(now, self.stall_deadline)), now);
                return;
            }
        }
    }

    /// Sets the timer, whose ring comes here. Ready when that has to be looked at: it has rung, or it
    /// was woken meanwhile.
    fn set(self: &Arc<Self>, ring: Ring, now: Instant) -> Poll<()> {
        let mut state = lock(&self.state);
        // Who sets it at this moment looks again, since it was woken.
        let Some(mut timer) = state.timer.take() else {
            state.is_woken = true;
            return Poll::Pending;
        };
        let is_set = state.is_set(&timer, ring);
        drop(state);
        let polled = if is_set {
            Poll::Pending
        } else {
            let waker = Waker::from(Arc::clone(self));
            timer.poll(&mut Context::from_waker(&waker), ring.time(), now)
        };
        let mut state = lock(&self.state);
        if !is_set {
            state.is_look = matches!(ring, Ring::By(_));
        }
        if state.is_dropped {
            drop(state);
            drop(timer);
            return Poll::Pending;
        }
        state.timer = Some(timer);
        if std::mem::take(&mut state.is_woken) { Poll::Ready(()) } else { polled }
    }
}

impl<T: Holds> Wake for Inside<T> {
    fn wake(self: Arc<Self>) {
        loop {
            let mut state = lock(&self.state);
            let now = now();
            let State { it, timer, asking, is_woken, task, .. } = &mut *state;
            let is_idle = timer.is_some();
            match *asking {
                Asking::Waits if is_idle => {
                    let by = later(now, self.stall_deadline);
                    *asking = Asking::Due { by };
                    let task = task.take();
                    drop(state);
                    self.look_again(self.next_look(), by, now);
                    return task.into_iter().for_each(Waker::wake);
                }
                Asking::Due { by } if is_idle => {
                    if now < by && !it.as_ref().is_some_and(|it| it.is_due(now)) {
                        let soon = later(now, self.next_look()).min(by);
                        drop(state);
                        if self.set(Ring::By(soon), now).is_pending() {
                            return;
                        }
                        continue;
                    }
                }
                // Who sets the timer, or polls, looks again.
                _ => {
                    *is_woken = true;
                    return;
                }
            }
            let it = it.take();
            drop(state);
            // It may run anything when dropped.
            if let Some(mut it) = it {
                it.give_up(now);
            }
            return;
        }
    }
}

impl<T: Holds> Drop for Held<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.is_dropped = true;
        // The timer's waker is what the timer lies in.
        let (it, timer, task) = (state.it.take(), state.timer.take(), state.task.take());
        drop(state);
        drop((it, timer, task));
    }
}

impl<T: Holds> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

#[cfg(test)]
impl<T: Holds> Held<T> {
    /// Tells whether anything of it is left.
    pub(super) fn watch(&self) -> impl Fn() -> bool + use<T> {
        let inside = Arc::downgrade(&self.0);
        move || inside.strong_count() > 0
    }
}
