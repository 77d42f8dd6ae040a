//! Models: publishers, subscribers and what comes between them, under many schedules.

use shuttle::thread;

use super::*;
use crate::{
    LagLimit,
    sync::tests::{block_on, check},
};

mod budget;
mod interest;
mod loss;
mod patterns;
mod relay;
mod streams;

/// Never lags, never is cut for it.
fn patient(request: Subscribe) -> Subscribe {
    request.lag(LagLimit::default().events(u64::MAX).bytes(u64::MAX))
}

/// Takes at least one item and at most `max`, sleeping until there is one.
fn take(subscription: &mut Subscription, max: usize, now: Instant) -> Vec<Delivery> {
    let mut out = Vec::new();
    block_on(|cx| subscription.poll_recv_many(cx, &mut out, max, now));
    out
}

/// Publishes one after the other.
fn publish_all(hub: &Hub, topics: &[&str], now: Instant) {
    for topic in topics {
        publish_at(hub, topic, Event::text("x"), now).unwrap();
    }
}

/// Nobody is subscribed, and nothing holds what is left.
fn assert_left_behind_nothing(hub: &Hub) {
    assert_eq!(hub.stats().subscriptions, 0);
    assert!(hub.has_no_patterns());
    assert_eq!(Arc::strong_count(&hub.inner), 1);
    let topics = hub.inner.table.read(|topics| topics.values().cloned().collect::<Vec<_>>());
    for topic in topics {
        let is_blank = topic.with(|state| state.log.is_blank());
        assert!(!is_blank, "{:?} is blank, and nobody is there", topic.topic());
        assert!(!topic.is_wanted(), "{:?} is wanted, and nobody is there", topic.topic());
        assert_eq!(Arc::strong_count(&topic), 2, "the table's and this one");
    }
}
