//! Subscriptions: the laws under random use, the policies by example, and who is woken when.
#![allow(clippy::disallowed_methods, reason = "a test has a clock and tasks")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use super::*;
use bytes::Bytes;

use crate::{
    Event, Hub, Lag, LocalBroker, Retention, TopicPattern,
    log::{Entry, WireFormat},
};

mod encoded;
mod inbox;
mod keep_up;
mod law;
mod model;
mod patterns;
mod permission;
mod policies;
mod relay;
mod snapshot;
mod wakes;

/// A hub, and the time that it is told.
struct World {
    hub: Hub,
    now: Instant,
}

impl World {
    fn new(retention: Retention) -> Self {
        let hub = Hub::builder()
            .retention(retention)
            .limits(|limits| limits.event_bytes = limits.event_bytes.min(retention.bytes as usize))
            .broker(LocalBroker::with_epoch(7))
            .build()
            .unwrap();
        Self { hub, now: Instant::now() }
    }

    /// Publishes and returns the sequence.
    fn publish(&self, topic: &str, event: Event) -> u64 {
        let publish = std::pin::pin!(self.hub.publish_at(topic, event, self.now));
        match publish.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(position)) => position.sequence(),
            other => panic!("{other:?}"),
        }
    }

    fn subscribe(&self, request: impl Into<Subscribe>) -> Subscription {
        self.hub.subscribe_at(request, self.now).unwrap()
    }

    /// Takes at most `max` items, nothing when nothing is there.
    fn read(&self, subscription: &mut Subscription, max: usize) -> Vec<Delivery> {
        let mut out = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        let polled = subscription.poll_recv_many(&mut cx, &mut out, max, self.now);
        assert!(out.len() <= max);
        assert_eq!(polled.is_pending(), out.is_empty() && !subscription.has_ended());
        out
    }

    /// Takes everything.
    fn drain(&self, subscription: &mut Subscription) -> Vec<Delivery> {
        let mut all = Vec::new();
        loop {
            let some = self.read(subscription, 3);
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }
}

/// What was delivered, for comparison: sequences as they are, `-n` for a gap of `n`, text for the
/// rest.
fn summary(deliveries: &[Delivery]) -> Vec<String> {
    let one = |delivery: &Delivery| match delivery {
        Delivery::Event(entry) => entry.position().sequence().to_string(),
        Delivery::Gap(gap) => {
            let missed = gap.missed.map_or("?".into(), |n| n.to_string());
            format!("-{missed}..{}", gap.resumes_at.sequence)
        }
        Delivery::Reset(reset) => format!("reset {}", reset.reason),
        Delivery::Disconnected(_) => "disconnected".into(),
    };
    deliveries.iter().map(one).collect()
}

/// A waker that counts.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn new() -> (Arc<Self>, Waker) {
        let wakes = Arc::new(Self::default());
        (Arc::clone(&wakes), Waker::from(wakes))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
