//! Topics that nobody uses any more go by themselves, as long as anything happens on the hub.

use super::*;

const AGE: Duration = Duration::from_secs(300);
/// Longer than it takes to come by all topics.
const ROUND: Duration = Duration::from_secs(61);

fn fill(hub: &Hub, topics: usize, now: Instant) {
    for n in 0..topics {
        publish_at(hub, &format!("old {n}"), Event::text("x"), now).unwrap();
    }
}

fn topics(hub: &Hub) -> usize {
    hub.inner.table.len()
}

#[test]
fn nothing_young_goes_and_everything_old_does() {
    let start = Instant::now();
    let hub = Hub::new();
    let followed = hub.subscribe_at(["old 5", "silent"], start).unwrap();
    fill(&hub, 10_000, start);
    let mut now = start;
    while now < start + AGE {
        publish_at(&hub, "live", Event::text("x"), now).unwrap();
        now += Duration::from_millis(100);
        assert_eq!(topics(&hub), 10_002);
    }
    while now < start + AGE + ROUND {
        publish_at(&hub, "live", Event::text("x"), now).unwrap();
        now += Duration::from_millis(100);
    }
    let stats = hub.stats();
    assert_eq!(stats.topics, 3, "what is published to, and what somebody follows");
    assert!(stats.retained_bytes <= 3600, "also of what is followed: {stats:?}");
    let capacity = hub.inner.table.read(std::collections::HashMap::capacity);
    assert!(capacity <= 4096, "{capacity}");
    drop(followed);
}

/// In the middle of the table, not all at once: a round is short.
#[test]
fn who_pays_pays_little() {
    let start = Instant::now();
    let hub = Hub::new();
    fill(&hub, 20_000, start);
    let mut now = start + AGE * 2;
    let mut before = topics(&hub);
    while before > 1 {
        publish_at(&hub, "live", Event::text("x"), now).unwrap();
        let after = topics(&hub);
        assert!(before.saturating_sub(after) <= 1024, "{before} to {after}");
        before = after;
        now += Duration::from_secs(1);
    }
    assert!(now < start + AGE * 2 + ROUND * 2);
}

#[test]
fn a_pattern_follower_keeps_no_topic_and_misses_nothing() {
    let start = Instant::now();
    let hub = Hub::new();
    let mut follower = hub.subscribe_at(Subscribe::pattern(">"), start).unwrap();
    fill(&hub, 50, start);
    assert_eq!(sequences(&drain(&mut follower, start)).len(), 50);
    let later = start + AGE + ROUND;
    hub.upkeep(later);
    assert_eq!(topics(&hub), 0);
    fill(&hub, 50, later);
    assert_eq!(sequences(&drain(&mut follower, later)).len(), 50);
}

/// What subscribers do is use, too, and so are the heartbeats of those who only wait.
#[test]
fn it_needs_no_publisher() {
    let start = Instant::now();
    let later = start + AGE + ROUND;
    let hub = Hub::new();
    let mut reader = hub.subscribe_at("live", start).unwrap();
    fill(&hub, 60, start);
    drop(hub.subscribe_at("other", later).unwrap());
    assert_eq!(topics(&hub), 1, "a subscription");

    fill(&hub, 60, later);
    publish_at(&hub, "live", Event::text("x"), later).unwrap();
    drain(&mut reader, later + AGE + ROUND);
    assert_eq!(topics(&hub), 1, "a reader");
}

#[test]
fn events_that_nobody_comes_back_for_expire() {
    let start = Instant::now();
    let hub = Hub::new();
    let request = Subscribe::to("old 0").overflow(Overflow::DropOldest);
    let mut reader = hub.subscribe_at(request, start).unwrap();
    fill(&hub, 1, start);
    let later = start + AGE + ROUND;
    hub.upkeep(later);
    assert_eq!(hub.stats().retained_bytes, 0);
    assert!(matches!(read(&mut reader, 1, later)[..], [Delivery::Gap(_)]), "and it is told");
}

/// The last value of each key is what somebody comes for after a quiet night.
#[test]
fn what_is_kept_by_key_stays_until_the_table_is_full() {
    let start = Instant::now();
    let hub = build(|hub| hub.limits(|limits| limits.topics = 2000));
    let keyed = || Event::text("x").keyed("k").unwrap();
    publish_at(&hub, "keyed", keyed(), start).unwrap();
    let later = start + AGE * 10;
    for n in 0..1900 {
        publish_at(&hub, &format!("young {n}"), Event::text("x"), later).unwrap();
    }
    let newest = || {
        let request = Subscribe::to("keyed").start(Start::NewestPerKey);
        drain(&mut hub.subscribe_at(request, later).unwrap(), later).len()
    };
    assert_eq!((newest(), topics(&hub)), (1, 1901), "though the table has doubled on the way");
    for n in 1900..2000 {
        publish_at(&hub, &format!("young {n}"), Event::text("x"), later).unwrap();
    }
    assert_eq!(topics(&hub), 2000);
    assert!(hub.subscribe_at("keyed", later).is_err(), "it has given way");
}
