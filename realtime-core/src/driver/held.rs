//! What a framework is given as a body, so that it can be taken back.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use super::{Timer, now};
use crate::{fanout::lock, lifetime::later, sync::Mutex};

/// What is behind a body.
pub(super) trait Holds: Send + 'static {
    /// When it wants to be polled though nothing wakes it.
    fn deadline(&self) -> Instant;

    /// Sees to it that `waker` is woken when it is to end.
    fn hold(&mut self, waker: &Waker);

    /// Whether it is to end though nobody asks it: for its lag, or since the hub is drained.
    fn is_due(&self, now: Instant) -> bool;

    /// It is given up, because nobody asks it.
    fn give_up(&mut self);
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
    timer: Timer,
    asking: Asking,
    /// It has been woken while it was polled.
    is_woken: bool,
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

impl<T: Holds> Held<T> {
    pub(super) fn new(it: T, stall_deadline: Duration) -> Self {
        let state = State {
            it: Some(Box::new(it)),
            timer: Timer::default(),
            asking: Asking::Due { by: later(now(), stall_deadline) },
            is_woken: false,
            task: None,
        };
        let inside = Arc::new(Inside { state: Mutex::new(state), stall_deadline });
        if let Some(it) = &mut lock(&inside.state).it {
            it.hold(&Waker::from(Arc::clone(&inside)));
        }
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
        let mut state = lock(&self.state);
        state.it = Some(it);
        state.asking = Asking::Due { by };
        self.look_again(&mut state.timer, by, now);
    }

    /// Ready when it wants to be polled at once.
    fn wait(self: &Arc<Self>, it: Box<T>, cx: &Context<'_>, now: Instant) -> Poll<()> {
        let deadline = it.deadline();
        let mut state = lock(&self.state);
        state.it = Some(it);
        state.asking = Asking::Waits;
        if state.is_woken {
            return Poll::Ready(());
        }
        if !state.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            state.task = Some(cx.waker().clone());
        }
        self.set(&mut state.timer, deadline, now)
    }

    /// Sees to it that it is looked at what is due by then, some times before and then.
    fn look_again(self: &Arc<Self>, timer: &mut Timer, by: Instant, mut now: Instant) {
        while self.set(timer, later(now, self.stall_deadline / LOOKS).min(by), now).is_ready() {
            now = super::now();
            if by <= now {
                // So little time that it has passed already.
                let _ = self.set(timer, later(now, self.stall_deadline), now);
                return;
            }
        }
    }

    /// Sets the timer, whose ring comes here.
    fn set(self: &Arc<Self>, timer: &mut Timer, deadline: Instant, now: Instant) -> Poll<()> {
        if timer.is_set_before(deadline) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(self));
        timer.poll(&mut Context::from_waker(&waker), deadline, now)
    }
}

impl<T: Holds> Wake for Inside<T> {
    fn wake(self: Arc<Self>) {
        let mut state = lock(&self.state);
        let now = now();
        let State { it, timer, asking, is_woken, task } = &mut *state;
        match *asking {
            Asking::Now => {
                *is_woken = true;
                return;
            }
            Asking::Waits => {
                let by = later(now, self.stall_deadline);
                *asking = Asking::Due { by };
                self.look_again(timer, by, now);
                let task = task.take();
                drop(state);
                return task.into_iter().for_each(Waker::wake);
            }
            Asking::Due { by } => {
                if now < by && !it.as_ref().is_some_and(|it| it.is_due(now)) {
                    return self.look_again(timer, by, now);
                }
            }
        }
        let it = state.it.take();
        let timer = std::mem::take(&mut state.timer);
        drop(state);
        drop(timer);
        if let Some(mut it) = it {
            it.give_up();
        }
    }
}

impl<T: Holds> Drop for Held<T> {
    fn drop(&mut self) {
        let it = self.0.take();
        // The timer's waker is what the timer lies in.
        let timer = std::mem::take(&mut lock(&self.0.state).timer);
        drop((it, timer));
    }
}

impl<T: Holds> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

/// How often in the time that a framework may keep a body unasked it is looked whether it lags.
const LOOKS: u32 = 4;

#[cfg(test)]
impl<T: Holds> Held<T> {
    /// Tells whether anything of it is left.
    pub(super) fn watch(&self) -> impl Fn() -> bool + use<T> {
        let inside = Arc::downgrade(&self.0);
        move || inside.strong_count() > 0
    }
}
