//! Models: a body that is asked, woken, rung by its timer and dropped on different threads.
//!
//! The timer is tokio's own. Its locks are not the checker's, which therefore switches threads only
//! where `held` locks; that suffices, since no tokio lock is held when a timer rings.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::Waker,
};

use shuttle::{sync::atomic::AtomicBool, thread};

use super::*;
use crate::{
    driver::held::{Held, Holds},
    sync::tests::{block_on, check},
};

const STALL_DEADLINE: Duration = Duration::from_secs(8);

/// Until it is looked whether it is to end, and the millisecond to which a timer rounds up.
const LOOK: Duration = Duration::from_millis(2_001);

/// What happened to a body's inside, and what it is to do.
#[derive(Default)]
struct Log {
    /// Whether it has something to give, once.
    has_some: AtomicBool,
    /// Whether it lags too far, or its hub is drained.
    is_due: AtomicBool,
    waker: std::sync::Mutex<Option<Waker>>,
    polled: AtomicUsize,
    given_up: AtomicUsize,
    dropped: AtomicUsize,
}

/// A body's inside.
struct Source {
    log: Arc<Log>,
    is_given_up: bool,
    /// Never, as it were.
    deadline: Instant,
}

impl Holds for Source {
    fn deadline(&self, _: Instant) -> Instant {
        self.deadline
    }

    fn hold(&mut self, waker: &Waker) {
        *self.log.waker.lock().unwrap() = Some(waker.clone());
    }

    fn is_due(&self, _: Instant) -> bool {
        self.log.is_due.load(SeqCst)
    }

    fn give_up(&mut self, _: Instant) {
        assert!(!self.is_given_up);
        self.is_given_up = true;
        self.log.given_up.fetch_add(1, SeqCst);
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.log.dropped.fetch_add(1, SeqCst);
    }
}

impl Log {
    /// Wakes as a hub does: through the waker that the body was given to hold.
    fn wake(&self) {
        let waker = self.waker.lock().unwrap().clone();
        waker.unwrap().wake();
    }

    /// Nothing of it is left, and it was given up no more than once.
    fn assert_over(&self, is_left: impl Fn() -> bool) {
        drop(self.waker.lock().unwrap().take());
        assert_eq!(self.dropped.load(SeqCst), 1);
        assert!(self.given_up.load(SeqCst) <= 1);
        assert!(!is_left(), "something still holds it");
    }
}

fn held() -> (Arc<Log>, Held<Source>, impl Fn() -> bool) {
    let log = Arc::<Log>::default();
    let deadline = now() + 1_000 * STALL_DEADLINE;
    let source = Source { log: Arc::clone(&log), is_given_up: false, deadline };
    let held = Held::new(source, STALL_DEADLINE);
    let watch = held.watch();
    (log, held, watch)
}

/// Asks as a framework does; whether it was given something, and not the end.
fn ask(held: &mut Held<Source>) -> bool {
    block_on(|cx| {
        held.poll(cx, |source, _, _| {
            assert!(!source.is_given_up);
            source.log.polled.fetch_add(1, SeqCst);
            if source.log.has_some.swap(false, SeqCst) {
                Poll::Ready(Some(()))
            } else {
                Poll::Pending
            }
        })
    })
    .is_some()
}

/// A clock that stands still until it is moved on.
#[derive(Clone)]
struct StoppedClock(Arc<tokio::runtime::Runtime>);

impl StoppedClock {
    fn new() -> Self {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Self(Arc::new(runtime.enable_time().start_paused(true).build().unwrap()))
    }

    /// Lets time pass beyond the stall deadline, and timers ring, on a thread of their own.
    fn ring(&self) -> thread::JoinHandle<()> {
        let clock = self.clone();
        thread::spawn(move || {
            (0..6).for_each(|_| clock.0.block_on(tokio::time::advance(LOOK)));
        })
    }
}

/// Runs `model` with a clock of its own.
fn check_in_time(schedules: usize, model: impl Fn(&StoppedClock) + Send + Sync + 'static) {
    let clock = StoppedClock::new();
    let inner = clock.clone();
    let _entered = inner.0.enter();
    check(schedules, move || model(&clock));
}

/// The wake comes before, while and after it is looked whether there is something.
#[test]
fn a_body_that_waits_is_woken() {
    check_in_time(2_000, |_| {
        let (log, mut held, is_left) = held();
        let waking = [(); 2].map(|()| {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                log.has_some.store(true, SeqCst);
                log.wake();
            })
        });
        assert!(ask(&mut held));
        waking.into_iter().for_each(|thread| thread.join().unwrap());
        drop(held);
        assert_eq!(log.given_up.load(SeqCst), 0);
        log.assert_over(is_left);
    });
}

/// The framework does not come back, or does at the last moment, or drops it.
#[test]
fn a_body_that_is_not_asked_is_given_up_once() {
    for goes_on in [false, true] {
        check_in_time(2_000, move |clock| {
            let (log, mut held, is_left) = held();
            log.has_some.store(true, SeqCst);
            assert!(ask(&mut held));
            let ringing = clock.ring();
            let asking = thread::spawn({
                let log = Arc::clone(&log);
                move || {
                    if goes_on {
                        log.has_some.store(true, SeqCst);
                        let is_given = ask(&mut held);
                        // Given something, it may still be given up after.
                        assert!(is_given || log.given_up.load(SeqCst) == 1);
                        drop(held);
                        return None;
                    }
                    Some(held)
                }
            });
            ringing.join().unwrap();
            let held = asking.join().unwrap();
            if let Some(mut held) = held {
                assert_eq!(log.given_up.load(SeqCst), 1, "nobody has asked for it");
                assert_eq!(log.dropped.load(SeqCst), 1, "what it holds is given back");
                assert!(!ask(&mut held), "it is over");
                drop(held);
            }
            log.assert_over(is_left);
        });
    }
}

/// It is to end, which it is told by a wake: it does, asked or not, and lets go of everything.
#[test]
fn a_body_that_is_due_ends_though_nobody_asks() {
    check_in_time(2_000, |_| {
        let (log, mut held, is_left) = held();
        log.has_some.store(true, SeqCst);
        assert!(ask(&mut held));
        let ending = thread::spawn({
            let log = Arc::clone(&log);
            move || {
                log.is_due.store(true, SeqCst);
                log.wake();
            }
        });
        let waking = thread::spawn({
            let log = Arc::clone(&log);
            move || log.wake()
        });
        ending.join().unwrap();
        waking.join().unwrap();
        assert_eq!(log.given_up.load(SeqCst), 1);
        drop(held);
        log.assert_over(is_left);
    });
}

/// It is dropped while it is woken and its timer rings.
#[test]
fn a_body_that_is_dropped_leaves_nothing() {
    check_in_time(2_000, |clock| {
        let (log, mut held, is_left) = held();
        log.has_some.store(true, SeqCst);
        assert!(ask(&mut held));
        let waking = thread::spawn({
            let log = Arc::clone(&log);
            move || log.wake()
        });
        let ringing = clock.ring();
        drop(held);
        waking.join().unwrap();
        ringing.join().unwrap();
        log.assert_over(is_left);
    });
}
