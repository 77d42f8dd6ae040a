//! A subscriber that keeps up gets everything, whatever the policy.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn who_keeps_up_sees_every_event_and_no_gap(
        policy in prop_oneof![
            Just(Overflow::Disconnect),
            Just(Overflow::DropOldest),
            Just(Overflow::DropNewest),
            Just(Overflow::Conflate),
        ],
        lag in 1..5u64,
        bytes in 1..60u64,
        events in prop::collection::vec((0..2usize, prop::option::of(0..2u8), 0..20usize), 1..60),
    ) {
        let world = World::new(Retention::default().events(5).bytes(60).keys(1));
        let limit = LagLimit { events: lag, bytes, age: None };
        let request = Subscribe::from(["a", "b"]).overflow(policy).lag(limit);
        let mut subscription = world.subscribe(request);
        for (topic, key, size) in events {
            let event = Event::text("x".repeat(size));
            let event = match key {
                Some(key) => event.keyed(key.to_string()).unwrap(),
                None => event,
            };
            let sequence = world.publish(["a", "b"][topic], event);
            let got = summary(&world.read(&mut subscription, 1));
            prop_assert_eq!(got, [sequence.to_string()]);
            prop_assert_eq!(subscription.last_event_id().sequence, sequence);
        }
    }
}
