//! What a subscription of one thread can't be made to show: the log moves between a cursor's looks.
#![allow(clippy::disallowed_methods, reason = "a test has a clock and tasks")]

use std::time::Duration;

use super::*;
use crate::{Event, Retention, TopicName, log::LogMemory, position::PositionIssuer};

struct Rig {
    log: Log,
    counts: SubscriptionCounts,
    now: Instant,
}

impl Rig {
    fn new(events: usize) -> Self {
        let retention = Retention::default().events(events);
        let log = Log::new(TopicName::new("t").unwrap(), retention, 0, &LogMemory::default());
        Self { log, counts: SubscriptionCounts::default(), now: Instant::now() }
    }

    /// Appends events with these keys; no key for an empty one.
    fn append(&mut self, keys: &[&str]) {
        for key in keys {
            let event = match *key {
                "" => Event::text("x"),
                key => Event::text("x").keyed(key).unwrap(),
            };
            let position = PositionIssuer::new(1).at(self.log.last_sequence() + 1);
            self.log.append(position, event, self.now);
        }
    }

    fn prepare(&mut self, cursor: &mut Cursor, overflow: Overflow, visible: u64) -> Prepared {
        let limit = LagLimit { events: 100, bytes: 1000, age: None };
        let policy = Policy { overflow, limit };
        cursor.prepare(&self.log, visible, &policy, self.now, &mut self.counts)
    }

    fn find(&mut self, cursor: &mut Cursor, until: u64) -> Option<Found> {
        cursor.find(&self.log, until, &mut self.counts)
    }
}

fn cursor() -> Cursor {
    Cursor::new(Mark::default(), Mark::default())
}

const POLICIES: [Overflow; 4] =
    [Overflow::Disconnect, Overflow::DropOldest, Overflow::DropNewest, Overflow::Conflate];

#[test]
fn what_left_the_ring_since_it_was_prepared_is_not_taken() {
    for overflow in POLICIES {
        let mut rig = Rig::new(4);
        let mut cursor = cursor();
        rig.append(&["", "", ""]);
        assert_eq!(rig.prepare(&mut cursor, overflow, 3), Prepared::Event(1));
        rig.append(&["", ""]);
        assert!(rig.find(&mut cursor, 5).is_none(), "the first is gone");
        let missed = Missed { through: 1, count: Some(1) };
        match rig.prepare(&mut cursor, overflow, 5) {
            Prepared::Disconnect(lag) if overflow == Overflow::Disconnect => assert!(lag.evicted),
            other => assert_eq!(other, Prepared::Gap(missed)),
        }
    }
}

/// The same under pressure, where events without a key could be passed over with the others.
#[test]
fn under_pressure_too() {
    let mut rig = Rig::new(4);
    let mut cursor = cursor();
    rig.append(&["k", "l", "m", "", "", ""]);
    assert_eq!(rig.prepare(&mut cursor, Overflow::Conflate, 6), Prepared::Event(1));
    rig.append(&["n", "o"]);
    assert!(rig.find(&mut cursor, 8).is_none(), "the 4th, which has no key, is gone");
    let missed = Missed { through: 4, count: Some(1) };
    assert_eq!(rig.prepare(&mut cursor, Overflow::Conflate, 8), Prepared::Gap(missed));
    assert_eq!(rig.prepare(&mut cursor, Overflow::Conflate, 8), Prepared::Event(1));
}

#[test]
fn nothing_beyond_what_is_visible_is_given() {
    for overflow in POLICIES {
        let mut rig = Rig::new(2);
        let mut cursor = cursor();
        rig.append(&["k", "l", "m", "n"]);
        for visible in 0..5 {
            match rig.prepare(&mut cursor, overflow, visible) {
                Prepared::Event(sequence) => {
                    assert!(sequence <= visible, "{overflow:?}: {sequence} of {visible}");
                    let found = rig.find(&mut cursor, visible);
                    assert!(found.is_some(), "what is prepared is found");
                }
                Prepared::Idle | Prepared::Gap(_) | Prepared::Disconnect(_) => {}
            }
        }
    }
}

/// Whatever is not visible yet is neither skipped nor counted.
#[test]
fn what_is_not_visible_is_not_judged() {
    for overflow in POLICIES {
        let mut rig = Rig::new(1000);
        let mut cursor = cursor();
        rig.append(&["k"; 500]);
        assert_eq!(rig.prepare(&mut cursor, overflow, 100), Prepared::Event(1), "{overflow:?}");
        assert_eq!(rig.counts, SubscriptionCounts::default());
    }
}

#[test]
fn age_is_that_of_the_oldest_pending_event_that_is_there() {
    let mut rig = Rig::new(2);
    let mut cursor = cursor();
    for _ in 0..3 {
        rig.append(&[""]);
        rig.now += Duration::from_secs(1);
    }
    match rig.prepare(&mut cursor, Overflow::Disconnect, 3) {
        Prepared::Disconnect(lag) => assert_eq!((lag.age, lag.events), (Duration::from_secs(2), 3)),
        other => panic!("{other:?}"),
    }
}
