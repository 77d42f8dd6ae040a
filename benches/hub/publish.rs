//! What publishing costs: who publishes, and all together.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use realtime::{Event, Hub};
use tokio::sync::broadcast;

use crate::{
    cases::{Case, Cases, Options},
    figures::{
        chart::{Bar, Kind},
        table::{Table, ratio},
    },
    ours::{Subscriptions, TEXT, TOPIC, publish, waker},
    receivers::Receivers,
    side_by_side::whole,
};

pub(crate) const BROADCAST: &str = "broadcast";

/// As many messages as our topic retains.
pub(crate) const CAPACITY: usize = 1024;

const MANY: usize = 100_000;

pub(crate) fn measure(cases: &mut Cases) {
    cases.measure("append (publish to 0)", append);
    for count in [1, 1_000, MANY] {
        cases.measure(&format!("publish to {count} parked"), || publish_to_parked(count));
    }
    for count in [1, 1_000, MANY] {
        let name = format!("publish to {count} and take, per delivery");
        cases.measure(&name, || publish_and_take(count));
    }
}

/// How late the publisher goes on, at worst and mostly.
pub(crate) fn percentiles(cases: &mut Cases) {
    let name = format!("publish to {MANY} parked, percentiles");
    let Options { is_quick, .. } = *cases.options();
    if !cases.options().wants(&name) {
        return;
    }
    let samples = if is_quick { 20 } else { 2_500 };
    let (mut ours, mut theirs) = (Subscriptions::new(MANY), receivers(MANY));
    // What is woken for the first time takes memory for it.
    let (mut our_calls, mut their_calls) = (Vec::new(), Vec::new());
    for _ in 0..samples + samples / 10 {
        our_calls.push(timed(|| ours.publish()));
        ours.take();
        their_calls.push(timed(|| theirs.send(Event::text(TEXT))));
        theirs.take();
    }
    let part = |calls: &[Duration], part: f64| {
        let mut calls = calls[samples / 10..].to_vec();
        calls.sort_unstable();
        calls[((calls.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6
    };
    let mut table = Table::new(&["publish call", "realtime", BROADCAST, "ours : theirs"]);
    let mut bars = Vec::new();
    for (at, label) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")] {
        let (ours, theirs) = (part(&our_calls, at), part(&their_calls, at));
        let text = |figure: f64| format!("{figure:.1} µs");
        table.row(vec![
            label.to_owned(),
            text(ours),
            text(theirs),
            ratio(ours * 1e4, Some(theirs * 1e4)),
        ]);
        for (name, kind, figure) in
            [("realtime", Kind::Ours, ours), (BROADCAST, Kind::Rival, theirs)]
        {
            bars.push(Bar { name: format!("{label}, {name}"), kind, figure, text: text(figure) });
        }
    }
    println!("\n{name}, {samples} calls of each, in turn:");
    table.print();
    cases.panel(&name, bars);
}

/// Nobody subscribes. A broadcast keeps nothing that nobody is to get: it has a receiver that doesn't
/// wait.
fn append() -> Case {
    let hub = Hub::new();
    let ours = whole(move |times| {
        for _ in 0..times {
            black_box(publish(&hub, TOPIC, Event::text(TEXT)));
        }
    });
    let (sender, receiver) = broadcast::channel(CAPACITY);
    let theirs = whole(move |times| {
        for _ in 0..times {
            black_box(sender.send(Event::text(TEXT))).expect("there is a receiver");
        }
        black_box(&receiver);
    });
    Case::new(1, ours).beside(BROADCAST, theirs)
}

/// Only the call that publishes counts.
fn publish_to_parked(count: usize) -> Case {
    let (mut ours, mut theirs) = (Subscriptions::new(count), receivers(count));
    let ours = move |times| {
        let mut spent = Duration::ZERO;
        for _ in 0..times {
            spent += timed(|| ours.publish());
            ours.take();
        }
        spent
    };
    let theirs = move |times| {
        let mut spent = Duration::ZERO;
        for _ in 0..times {
            spent += timed(|| theirs.send(Event::text(TEXT)));
            theirs.take();
        }
        spent
    };
    Case::new(1, ours).beside(BROADCAST, theirs)
}

fn publish_and_take(count: usize) -> Case {
    let (mut ours, mut theirs) = (Subscriptions::new(count), receivers(count));
    let ours = whole(move |times| {
        for _ in 0..times {
            ours.publish();
            assert_eq!(ours.take(), count);
        }
    });
    let theirs = whole(move |times| {
        for _ in 0..times {
            theirs.send(Event::text(TEXT));
            theirs.take();
        }
    });
    Case::new(count as u64, ours).beside(BROADCAST, theirs)
}

/// Tasks that take events and do nothing with them.
pub(crate) fn receivers(count: usize) -> Receivers<Event> {
    let (sender, _) = broadcast::channel(CAPACITY);
    Receivers::new(sender, count, waker, || |event| drop(black_box(event)))
}

pub(crate) fn timed<R>(work: impl FnOnce() -> R) -> Duration {
    let started = Instant::now();
    black_box(work());
    started.elapsed()
}
