//! One suite that every broker passes.
//!
//! A test crate names what it takes to start a [`Cluster`]: a server, and hubs on it that behave as the
//! instances of one service. [`broker_suite!`](crate::broker_suite) makes a test of each case.
//!
//! ```ignore
//! realtime_testkit::broker_suite!(start: common::cluster);
//! ```

use std::time::Duration;

use realtime_core::{Delivery, Event, Hub, LastEventId, Position, Retention, Subscription};
use tokio::time::timeout;

use crate::DEADLINE;

pub mod cases;
pub mod embedded;
pub mod faults;

/// A server, and how to make instances on it.
pub trait Cluster: Send + Sync {
    /// The hub of a new instance, among others under the same prefix. It keeps as much as `retention`
    /// says and is not waited for.
    fn hub(&self, prefix: &str, retention: Retention) -> Hub;

    /// Whether several instances are several hubs.
    fn is_shared(&self) -> bool {
        true
    }

    /// Whether an instance gets nothing from the server that it has no subscribers for.
    fn filters(&self) -> bool {
        true
    }
}

/// The events of [`Retention`] in the suite: small, so that it is reached.
pub const RETAINED: usize = 50;

/// The retention of the suite.
pub fn retention() -> Retention {
    Retention::default().events(RETAINED).bytes(8 * 1024 * 1024)
}

/// What a subscription gives next.
///
/// # Panics
/// When nothing comes, or it has ended.
pub async fn next(subscription: &mut Subscription) -> Delivery {
    let next = timeout(DEADLINE, subscription.next()).await;
    next.expect("something to come").expect("it has not ended")
}

/// The text and position of the next delivery, which has to be an event.
///
/// # Panics
/// When it is none.
pub async fn event(subscription: &mut Subscription) -> (String, Position) {
    match next(subscription).await {
        Delivery::Event(entry) => {
            let text = entry.event().data().as_text().expect("text").to_owned();
            (text, entry.position())
        }
        other => panic!("expected an event, got {other:?}"),
    }
}

/// The texts of the next `count` events.
///
/// # Panics
/// When something else comes.
pub async fn texts(subscription: &mut Subscription, count: usize) -> Vec<String> {
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        texts.push(event(subscription).await.0);
    }
    texts
}

/// Publishes a text, which has to succeed.
///
/// # Panics
/// When it does not.
pub async fn publish(hub: &Hub, topic: &str, text: impl Into<String>) -> Position {
    let published = timeout(DEADLINE, hub.publish(topic, Event::text(text))).await;
    published.expect("an answer to the publish").expect("a broker that takes it")
}

/// A subscription that has started.
///
/// # Panics
/// When it does not.
pub async fn subscribed(hub: &Hub, request: impl Into<realtime_core::Subscribe>) -> Subscription {
    let mut subscription = hub.subscribe(request).expect("a valid request");
    timeout(DEADLINE, subscription.ready()).await.expect("the subscription to start");
    subscription
}

/// Sees that nothing comes after what has come: one more event does, and it is the next.
///
/// # Panics
/// When something else is.
pub async fn is_at_end(subscription: &mut Subscription, hub: &Hub, topic: &str) {
    let last = format!("the end of {topic}");
    publish(hub, topic, &last).await;
    assert_eq!(event(subscription).await.0, last, "something came in between");
}

/// An id of the same life as `position`.
///
/// # Panics
/// Never: it is well formed.
pub fn id(position: Position, sequence: u64) -> LastEventId {
    format!("{:x}-{sequence}", position.epoch()).parse().expect("an id")
}

/// How long a case that waits for nothing in particular takes at most.
pub const SHORT: Duration = Duration::from_millis(300);

/// Makes a test of each case of the suite.
#[macro_export]
macro_rules! broker_suite {
    (start: $start:path) => {
        $crate::broker_suite! { @cases $start;
            order_across_publishers
            several_topics_are_merged_in_order
            an_instance_gets_its_own_events_once
            a_publisher_without_subscribers_reaches_others
            resume_on_another_instance
            resume_where_nobody_was_subscribed
            an_id_ahead_of_an_instance_is_waited_for
            an_id_ahead_of_everything_is_a_reset
            an_id_of_another_life_is_a_reset
            what_is_no_longer_kept_is_a_reset
            the_last_few_and_the_newest_of_each_key
            topics_are_added_while_it_goes_on
            patterns_bring_topics_of_other_instances
            patterns_resume
            nothing_comes_that_nobody_wants
            who_leaves_and_comes_back_misses_nothing
            large_and_binary_events
            many_topics
            prefixes_are_apart
            many_publishers_and_subscribers
            a_hub_that_is_dropped_leaves_nothing
        }
    };
    (@cases $start:path; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::brokers::cases::$case(&$start().await).await;
            }
        )*
    };
}
