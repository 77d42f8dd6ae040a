//! Models: a drain that begins and ends while connections come, look and go.

use std::sync::Arc;

use shuttle::thread;

use super::*;
use crate::sync::tests::{Alarm, block_on, check};

/// Looks whenever it is woken until it is told; `None` when it was not let in.
fn until_told(draining: &Arc<Draining>, is_enough: fn(Leave) -> bool) -> Option<()> {
    let mut guard = draining.enter()?;
    block_on(|cx| match guard.poll(cx) {
        Some(leave) if is_enough(leave) => Poll::Ready(()),
        _ => Poll::Pending,
    });
    Some(())
}

/// Is woken in place of the task, which does not look any more.
fn until_rung(draining: &Arc<Draining>) -> Option<()> {
    let mut guard = draining.enter()?;
    let (alarm, waker) = Alarm::new();
    guard.hold(&waker);
    while !guard.is_cut() {
        alarm.wait();
    }
    Some(())
}

/// Runs them beside each other; how many were let in.
fn connect(
    draining: &Arc<Draining>,
    connections: [fn(&Arc<Draining>) -> Option<()>; 3],
) -> impl FnOnce() -> u64 + use<> {
    let threads = connections.map(|connection| {
        let draining = Arc::clone(draining);
        thread::spawn(move || connection(&draining))
    });
    move || threads.into_iter().filter_map(|thread| thread.join().unwrap()).count() as u64
}

#[allow(clippy::disallowed_methods, reason = "a test has a clock")]
fn now() -> Instant {
    Instant::now()
}

/// All go when they are told to, and whoever waits for that is woken.
#[test]
fn connections_that_go_end_a_drain() {
    check(2_000, || {
        let (draining, now) = (Arc::new(Draining::default()), now());
        let goes = |draining: &Arc<Draining>| until_told(draining, |_| true);
        let let_in = connect(
            &draining,
            [goes, goes, |draining| {
                // Goes at any time, told or not.
                drop(draining.enter()?);
                None
            }],
        );
        let waiting = thread::spawn({
            let draining = Arc::clone(&draining);
            move || {
                draining.begin(&Drain::default(), now);
                let waiter = draining.wait();
                block_on(|cx| waiter.poll_gone(cx));
            }
        });
        draining.begin(&Drain::default(), now);
        let waiter = draining.wait();
        block_on(|cx| waiter.poll_gone(cx));
        waiting.join().unwrap();
        drop(waiter);
        let let_in = let_in();
        let report = draining.end(now);
        assert_eq!(report.forced, 0);
        // The one that goes at any time may have gone before.
        assert!((let_in..=let_in + 1).contains(&report.closed), "{report:?}, {let_in} let in");
        assert!(draining.enter().is_none());
    });
}

/// Some do not go until they are cut, or are not asked any more: these learn of the end.
#[test]
fn who_stays_learns_of_the_end_and_is_counted() {
    check(2_000, || {
        let (draining, now) = (Arc::new(Draining::default()), now());
        let let_in = connect(
            &draining,
            [
                |draining| until_told(draining, |_| true),
                |draining| until_told(draining, |leave| leave == Leave::Now),
                until_rung,
            ],
        );
        let waiting = thread::spawn({
            let draining = Arc::clone(&draining);
            move || {
                draining.begin(&Drain::default(), now);
                let waiter = draining.wait();
                block_on(|cx| waiter.poll_gone(cx));
                draining.end(now)
            }
        });
        let report = draining.end(now);
        assert_eq!(waiting.join().unwrap(), report, "there is one report");
        assert_eq!(report.closed + report.forced, let_in());
        assert!(lock(&draining.state).connections.is_empty());
    });
}
