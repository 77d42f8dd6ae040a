//! Topics that nobody comes back to return their memory.
//!
//! A process of its own: it is its memory that is looked at. `ABANDONED_TOPICS=1000000` looks at more.
#![allow(clippy::disallowed_methods, clippy::expect_used, reason = "a test has a clock, and fails")]

use std::{
    env, fs,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use realtime_core::{Event, Hub};

/// Far more than there is room for in the hub's caches and the allocator's.
const TOPICS: usize = 200_000;

/// Memory of this process that is in use, in MiB.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes.expect("a number of kB").trim().parse::<usize>().expect("a number") / 1024
}

fn publish(hub: &Hub, topic: &str, now: Instant) {
    let publish = pin!(hub.publish_at(topic, Event::text("something that happened once"), now));
    let polled = publish.poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(_))), "{polled:?}");
}

#[test]
fn abandoned_topics_return_their_memory() {
    let topics = env::var("ABANDONED_TOPICS").map_or(TOPICS, |n| n.parse().expect("a number"));
    let hub = Hub::builder()
        .limits(|limits| {
            limits.topics = 2 * topics;
            limits.log_bytes = 1 << 30;
        })
        .build()
        .expect("a valid configuration");
    let age = hub.config().retention.age;
    let mut now = Instant::now();
    let mut most = Vec::new();
    for round in 0..3 {
        for n in 0..topics {
            publish(&hub, &format!("round {round}, topic {n}"), now);
        }
        most.push(resident());
        assert_eq!(hub.stats().topics as usize, topics + usize::from(round > 0));
        now += age;
        let all_are_past = now + Duration::from_secs(120);
        while now < all_are_past {
            now += Duration::from_millis(50);
            publish(&hub, "live", now);
        }
        let stats = hub.stats();
        assert_eq!((stats.topics, stats.retained_bytes), (1, 28 * 1024), "only the live one");
        assert!(stats.log_bytes < 1 << 20, "{stats:?}");
        println!("{} MiB with {topics} topics, {} without", most[round], resident());
    }
    // What the allocator keeps for the next time is there for the next time.
    assert!(most[2] <= most[0] + most[0] / 8, "{most:?} MiB");
}
