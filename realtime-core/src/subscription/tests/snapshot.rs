//! A subscriber that keeps a value per key: it ends with what is true, or it was told.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Published = (usize, Option<u8>, usize);

fn published() -> impl Strategy<Value = Published> {
    (0..2usize, prop::option::weighted(0.8, 0..5u8), 0..10usize)
}

fn event((_, key, size): Published) -> Event {
    let event = Event::text("x".repeat(size));
    match key {
        Some(key) => event.keyed(key.to_string()).unwrap(),
        None => event,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn state_by_key_ends_true_or_the_loss_is_told(
        events in 1..12usize,
        keys in prop_oneof![0..5usize, Just(100)],
        limit in (1..10u64, 1..60u64),
        conflate in prop::bool::weighted(0.7),
        before in prop::collection::vec(published(), 0..40),
        after in prop::collection::vec((published(), 0..4usize), 0..60),
    ) {
        let world = World::new(Retention::default().events(events).keys(keys));
        let mut newest = BTreeMap::new();
        let mut publish = |what: Published| {
            let topic = ["a", "b"][what.0];
            let sequence = world.publish(topic, event(what));
            newest.extend(what.1.map(|key| ((topic, key.to_string()), sequence)));
            sequence
        };
        let joined = before.into_iter().map(&mut publish).last().unwrap_or(0);
        let policy = if conflate { Overflow::Conflate } else { Overflow::DropNewest };
        let request = Subscribe::from(["a", "b"]).start(Start::NewestPerKey).overflow(policy);
        let lag = LagLimit::default().events(limit.0).bytes(limit.1);
        let mut subscription = world.subscribe(request.lag(lag));

        let mut got = Vec::new();
        for (what, max) in &after {
            publish(*what);
            if *max > 0 {
                got.extend(world.read(&mut subscription, *max));
            }
        }
        got.extend(world.drain(&mut subscription));

        let (mut state, mut told, mut last, mut live) = (BTreeMap::new(), false, 0, 0);
        for delivery in &got {
            match delivery {
                Delivery::Event(entry) => {
                    let sequence = entry.position().sequence();
                    prop_assert!(sequence > last, "{} after {}", sequence, last);
                    last = sequence;
                    live += u64::from(sequence > joined);
                    let key = entry.event().key().map(|key| key.as_str().to_owned());
                    prop_assert!(sequence > joined || key.is_some());
                    state.extend(key.map(|key| ((entry.topic().as_str(), key), sequence)));
                }
                // Under `Conflate` a known number is one of events without a key.
                Delivery::Gap(gap) => told |= gap.missed.is_none() || !conflate,
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(!told || keys < 100 || !conflate);
        if !told && keys == 100 {
            let got: Vec<_> = state.into_iter().map(|((t, k), n)| (t.to_owned(), k, n)).collect();
            let all = newest.into_iter().map(|((t, k), n)| (t.to_owned(), k, n));
            prop_assert_eq!(got, all.collect::<Vec<_>>());
        } else if !told {
            // What was let go before the subscription is not its loss.
            for ((topic, key), sequence) in newest.into_iter().filter(|(_, n)| *n > joined) {
                prop_assert_eq!(state.get(&(topic, key)), Some(&sequence));
            }
        }
        let counts = subscription.counts();
        let accounted = live + counts.missed + counts.conflated;
        prop_assert_eq!(accounted, after.len() as u64, "{:?}", counts);
    }
}
