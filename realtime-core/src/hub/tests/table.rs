//! The table of topics: what nobody uses goes, and what it had is not forgotten.

use super::*;
use crate::{ResetReason, hub::table::SWEEP_FLOOR};

const AGE: Duration = Duration::from_millis(10);

#[test]
fn abandoned_topics_go_and_their_ids_do_not_resume() {
    let start = Instant::now();
    let hub = build(|hub| hub.retention(Retention::default().age(AGE)));
    let followed = hub.subscribe_at("followed", start).unwrap();
    for n in 0..SWEEP_FLOOR - 1 {
        publish_at(&hub, &format!("old {n}"), Event::text("x"), start).unwrap();
    }
    assert_eq!(hub.stats().topics as usize, SWEEP_FLOOR);
    let later = start + AGE * 2;
    let last = publish_at(&hub, "new", Event::text("x"), later).unwrap();
    assert_eq!(hub.stats().topics, 2, "the followed one and the new one");
    assert_eq!(drop(followed), ());

    let reset_after = |topic: &str, sequence: u64| {
        let request = Subscribe::to(topic).after(id(EPOCH, sequence));
        let mut subscription = hub.subscribe_at(request, later).unwrap();
        let Some(Delivery::Reset(reset)) = read(&mut subscription, 1, later).pop() else {
            return false;
        };
        assert_eq!(reset.reason, ResetReason::Evicted);
        assert_eq!(reset.id.sequence, last);
        true
    };
    for n in 0..SWEEP_FLOOR as u64 - 1 {
        assert!(reset_after(&format!("old {n}"), n), "{n}: its event {} is gone", n + 1);
    }
    assert!(!reset_after("old 7", last), "nothing after the head");
    assert!(!reset_after("new", last - 1));
}

#[test]
fn the_table_stays_within_twice_what_is_in_use() {
    let start = Instant::now();
    let hub = build(|hub| hub.retention(Retention::default().age(AGE)));
    for n in 0..20_000 {
        let now = start + AGE * (n / 500);
        publish_at(&hub, &format!("topic {n}"), Event::text("x"), now).unwrap();
        let topics = hub.inner.table.read(std::collections::HashMap::len);
        // 500 or 1000 are young enough to be in use.
        assert!(topics <= 2 * SWEEP_FLOOR, "{topics} after {n}");
    }
}

#[test]
fn a_full_table_refuses_until_something_can_go() {
    let start = Instant::now();
    let hub = build(|hub| {
        hub.limits(|limits| limits.topics = 3).retention(Retention::default().age(AGE))
    });
    let followed = hub.subscribe_at(["a", "b"], start).unwrap();
    publish_at(&hub, "c", Event::text("x"), start).unwrap();
    assert!(publish_at(&hub, "d", Event::text("x"), start + AGE).is_err(), "all in use");
    let later = start + AGE + Duration::from_millis(1);
    publish_at(&hub, "d", Event::text("x"), later).unwrap();
    assert!(publish_at(&hub, "e", Event::text("x"), later).is_err(), "all in use");
    drop(followed);
    publish_at(&hub, "e", Event::text("x"), later).unwrap();
    assert_eq!(hub.stats().topics, 2, "both that were left went");
}

#[test]
fn names_that_were_only_subscribed_to_leave_nothing() {
    let now = Instant::now();
    let hub = build(|hub| hub);
    let used = publish_at(&hub, "used", Event::text("x"), now).unwrap();
    for n in 0..100 {
        let stranger = hub.subscribe_at(format!("stranger {n}"), now).unwrap();
        let second = hub.subscribe_at([format!("stranger {n}"), "used".into()], now).unwrap();
        drop(stranger);
        assert_eq!(hub.stats().topics, 2, "somebody is left");
        drop(second);
        assert_eq!(hub.stats().topics, 1, "the used one keeps its event");
    }
    let request = Subscribe::to("used").after(id(EPOCH, used - 1));
    let mut resumed = hub.subscribe_at(request, now).unwrap();
    assert!(matches!(read(&mut resumed, 1, now)[..], [Delivery::Event(_)]));
}

#[test]
fn an_id_is_nothing_to_a_subscription_without_topics() {
    let now = Instant::now();
    let hub = build(|hub| hub);
    let request = Subscribe::none().after(id(EPOCH + 1, 7));
    let mut subscription = hub.subscribe_at(request, now).unwrap();
    assert!(read(&mut subscription, 1, now).is_empty(), "no reset");
    assert_eq!(hub.stats().resets, 0);
}

#[test]
fn a_subscription_that_does_not_fit_leaves_none_of_its_topics() {
    let now = Instant::now();
    let hub = build(|hub| hub.limits(|limits| limits.topics = 2));
    assert!(hub.subscribe_at(["a", "b", "c"], now).is_err());
    assert_eq!(hub.stats().topics, 0);
}

/// However many leave at once, and whoever looks meanwhile, the last one takes the name away.
#[test]
fn a_name_that_all_leave_at_once_is_forgotten() {
    let hub = Hub::new();
    let start = Instant::now();
    for round in 0..300 {
        let subscriptions: Vec<_> =
            (0..4).map(|_| hub.subscribe_at("only subscribed to", start).unwrap()).collect();
        let barrier = std::sync::Barrier::new(subscriptions.len() + 1);
        std::thread::scope(|scope| {
            for subscription in subscriptions {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    drop(subscription);
                });
            }
            barrier.wait();
            assert!((0..20).all(|_| hub.stats().topics <= 1));
        });
        assert_eq!(hub.stats().topics, 0, "{round}");
    }
}

/// A client that makes up names must not have the whole table looked through for each.
#[test]
fn a_full_table_is_not_looked_through_for_every_name() {
    const TOPICS: usize = 6400;
    let start = Instant::now();
    let hub = build(|hub| {
        hub.limits(|limits| limits.topics = TOPICS).retention(Retention::default().age(AGE))
    });
    for n in 0..TOPICS {
        publish_at(&hub, &format!("old {n}"), Event::text("x"), start).unwrap();
    }
    assert!(publish_at(&hub, "new", Event::text("x"), start).is_err(), "it has looked now");
    // Not by the reaper, which goes by a clock.
    let later = start + AGE * 2;
    let refused = (0..TOPICS)
        .take_while(|_| publish_at(&hub, "new", Event::text("x"), later).is_err())
        .count();
    assert_eq!(refused, TOPICS / 64, "64 topics for each");
    assert_eq!(hub.stats().topics, 1);
}
