//! The log against simple oracles.
#![allow(clippy::disallowed_methods, reason = "a test has a clock and tasks")]

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::position::PositionIssuer;

mod memory;
mod ring;
mod wire;

/// An event to append: its topic's other events may have taken sequences in between.
#[derive(Clone, Debug)]
struct Step {
    key: Option<u8>,
    size: usize,
    /// How far the sequence moves.
    stride: u64,
    wait: Duration,
}

fn step() -> impl Strategy<Value = Step> {
    (prop::option::of(0..6u8), 0..40usize, 1..4u64, 0..50u64).prop_map(
        |(key, size, stride, wait)| Step { key, size, stride, wait: Duration::from_millis(wait) },
    )
}

fn retention() -> impl Strategy<Value = Retention> {
    (1..12usize, 40..200u64, 1..300u64, 0..5usize).prop_map(|(events, bytes, age, keys)| {
        Retention { events, bytes, age: Duration::from_millis(age), keys }
    })
}

/// A log and, entry by entry, all that was ever appended.
struct Filled {
    log: Log,
    all: Vec<Appended>,
    now: Instant,
}

#[derive(Clone, Debug)]
struct Appended {
    sequence: u64,
    key: Option<u8>,
    size: u64,
    at: Instant,
}

impl Filled {
    fn new(retention: Retention) -> Self {
        Self::in_memory(retention, &LogMemory::default())
    }

    fn in_memory(retention: Retention, memory: &LogMemory) -> Self {
        let topic = TopicName::new("t").unwrap();
        Self { log: Log::new(topic, retention, 0, memory), all: Vec::new(), now: Instant::now() }
    }

    fn append(&mut self, step: &Step) {
        self.now += step.wait;
        let sequence = self.all.last().map_or(0, |last| last.sequence) + step.stride;
        let mut event = Event::text("x".repeat(step.size));
        if let Some(key) = step.key {
            event = event.keyed(key.to_string()).unwrap();
        }
        let size = event.size() as u64;
        self.log.append(PositionIssuer::new(1).at(sequence), event, self.now);
        self.all.push(Appended { sequence, key: step.key, size, at: self.now });
    }
}
