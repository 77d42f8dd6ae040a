//! The hub: resuming, publishing, the table of topics, threads.
#![allow(clippy::disallowed_methods, reason = "a test has a clock and tasks")]

use std::{
    future::Future,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::*;
use crate::{
    Delivery, LastEventId, Overflow, Retention, Start, Subscribe, SubscribeError, Subscription,
    broker::{BrokerError, Published},
};

mod budget;
mod matching;
#[cfg(shuttle)]
mod models;
mod patterns;
mod publish;
mod reaper;
mod reentrancy;
mod resume;
mod sequencing;
mod sharing;
mod table;
mod threads;

const EPOCH: u64 = 7;

fn build(change: impl FnOnce(HubBuilder) -> HubBuilder) -> Hub {
    change(Hub::builder().broker(LocalBroker::with_epoch(EPOCH))).build().unwrap()
}

fn publish_at(hub: &Hub, topic: &str, event: Event, now: Instant) -> Result<u64, PublishError> {
    let publish = std::pin::pin!(hub.publish_at(topic, event, now));
    match publish.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.map(Position::sequence),
        Poll::Pending => panic!("the embedded broker answers at once"),
    }
}

/// Takes at most `max` items, nothing when nothing is there.
fn read(subscription: &mut Subscription, max: usize, now: Instant) -> Vec<Delivery> {
    let mut out = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    let _ = subscription.poll_recv_many(&mut cx, &mut out, max, now);
    out
}

fn drain(subscription: &mut Subscription, now: Instant) -> Vec<Delivery> {
    let mut all = Vec::new();
    loop {
        let some = read(subscription, 5, now);
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

/// The sequences of what must be events only.
fn sequences(deliveries: &[Delivery]) -> Vec<u64> {
    let sequence = |delivery: &Delivery| match delivery {
        Delivery::Event(entry) => entry.position().sequence(),
        other => panic!("{other:?}"),
    };
    deliveries.iter().map(sequence).collect()
}

fn id(epoch: u64, sequence: u64) -> LastEventId {
    LastEventId { epoch, sequence }
}
