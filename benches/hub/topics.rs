//! One of many topics is published to, each of which has one subscriber.

use std::{collections::HashMap, hint::black_box, sync::RwLock};

use realtime::{Event, Hub};
use tokio::sync::broadcast;

use crate::{
    cases::{Case, Cases},
    ours::{Subscriptions, TEXT, publish, waker},
    receivers::Receivers,
    side_by_side::whole,
};

const COUNTS: [usize; 3] = [1, 1_000, 100_000];

/// Fewer messages than our topics retain: a channel takes the memory for them all at once.
const CAPACITY: usize = 16;

/// Has no factor in common with a number of topics, so that all of them come in turn and few caches help.
const STRIDE: usize = 7_919;

pub(crate) fn measure(cases: &mut Cases) {
    for count in COUNTS {
        cases.measure(&format!("one of {count} topics, publish and take"), || topics(count));
    }
}

fn topics(count: usize) -> Case {
    let names: Vec<_> = (0..count).map(|number| format!("orders.{number}")).collect();
    let hub = Hub::builder().limits(|limits| limits.topics = COUNTS[2] + 1).build();
    let hub = hub.expect("valid");
    let mut subscriptions = Subscriptions::of(&hub, names.iter().map(String::as_str));
    let (our_names, mut nth) = (names.clone(), 0);
    let ours = whole(move |times| {
        for _ in 0..times {
            nth = (nth + STRIDE) % count;
            publish(&hub, &our_names[nth], Event::text(TEXT));
            assert_eq!(subscriptions.take_one(nth), 1);
        }
    });
    // What one writes: a table of channels.
    let (mut table, mut receivers) = (HashMap::new(), Vec::new());
    for name in &names {
        let (sender, _) = broadcast::channel(CAPACITY);
        table.insert(name.clone(), sender.clone());
        receivers.push(Receivers::new(sender, 1, waker, || |event| drop(black_box(event))));
    }
    let table = RwLock::new(table);
    let mut nth = 0;
    let theirs = whole(move |times| {
        for _ in 0..times {
            nth = (nth + STRIDE) % count;
            let table = table.read().expect("nobody panics");
            let sender = table.get(&names[nth]).expect("it is there");
            sender.send(Event::text(TEXT)).expect("there is a receiver");
            drop(table);
            receivers[nth].take();
        }
    });
    Case::new(1, ours).beside("table of broadcasts", theirs)
}
