//! Topics that are made, followed by pattern, left, removed and made again.

use super::{interest::Listening, *};
use crate::sync::atomic::AtomicBool;

/// Follows `room.*` until an event on `room.end`, and checks that nothing is missing in between.
fn follow_to_the_end(hub: &Hub, now: Instant) {
    let mut subscription = hub.subscribe_at(patient(Subscribe::pattern("room.*")), now).unwrap();
    let mut last = subscription.last_event_id().sequence;
    loop {
        for item in take(&mut subscription, 2, now) {
            let Delivery::Event(entry) = item else { panic!("{item:?}") };
            assert_eq!(entry.position().sequence(), last + 1);
            last += 1;
            if entry.topic().as_str() == "room.end" {
                return;
            }
        }
    }
}

/// Publishes two events to a room that may be there or not.
fn talk(hub: &Hub, now: Instant) {
    publish_all(hub, &["room.1", "room.2", "room.1"], now);
}

/// Comes into a room by its name and leaves it, so that it may be blank and nobody's for a moment.
fn look_in(hub: &Hub, now: Instant) {
    drop(hub.subscribe_at("room.1", now).unwrap());
}

#[test]
fn who_follows_a_pattern_misses_no_first_event() {
    check(800, || {
        let (now, (hub, broker)) = (Instant::now(), Listening::with_hub());
        let run = |act: fn(&Hub, Instant)| {
            let hub = hub.clone();
            thread::spawn(move || act(&hub, now))
        };
        let is_over = Arc::new(AtomicBool::new(false));
        let follower = thread::spawn({
            let (hub, is_over) = (hub.clone(), Arc::clone(&is_over));
            move || {
                follow_to_the_end(&hub, now);
                is_over.store(true, Ordering::SeqCst);
            }
        });
        let others = [run(talk), run(look_in), run(look_in)];
        others.into_iter().for_each(|thread| thread.join().unwrap());
        // More than one, since it may follow only then.
        while !is_over.load(Ordering::SeqCst) {
            publish_all(&hub, &["room.end"], now);
            thread::yield_now();
        }
        follower.join().unwrap();
        assert_left_behind_nothing(&hub);
        broker.assert_knows_that_nobody_is_there();
    });
}

/// Nothing is ever published: names that were only subscribed to leave nothing behind, whoever is the
/// last to go.
#[test]
fn names_that_nobody_publishes_to_are_forgotten() {
    check(800, || {
        let (now, (hub, broker)) = (Instant::now(), Listening::with_hub());
        let run = |act: fn(&Hub, Instant)| {
            let hub = hub.clone();
            thread::spawn(move || act(&hub, now))
        };
        let threads = [
            run(look_in),
            run(look_in),
            run(|hub, now| {
                let mut subscription = hub.subscribe_at(Subscribe::pattern("room.*"), now).unwrap();
                assert!(read(&mut subscription, 1, now).is_empty());
            }),
        ];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_left_behind_nothing(&hub);
        assert_eq!(hub.stats().topics, 0);
        broker.assert_knows_that_nobody_is_there();
    });
}

/// Rooms are taken out of the table while they are used, and made again.
#[test]
fn a_topic_that_is_removed_and_made_again_loses_nothing() {
    check(800, || {
        let (now, (hub, broker)) = (Instant::now(), Listening::with_hub());
        let mut subscription =
            hub.subscribe_at(patient(Subscribe::pattern("room.*")), now).unwrap();
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || (0..3).for_each(|_| publish_all(&hub, &["room.1"], now))
        });
        let retirer = thread::spawn({
            let hub = hub.clone();
            move || {
                let (all, later) = (TopicPattern::new(">").unwrap(), now + 2 * AGE);
                (0..3).for_each(|_| hub.retire(hub.matched(&all).iter(), 1, later));
            }
        });
        let mut heard = Vec::new();
        while heard.len() < 3 {
            heard.extend(sequences(&take(&mut subscription, 2, now)));
        }
        assert_eq!(heard, [1, 2, 3]);
        publisher.join().unwrap();
        retirer.join().unwrap();
        drop(subscription);
        assert_left_behind_nothing(&hub);
        broker.assert_knows_that_nobody_is_there();
    });
}

/// More than an event's, by default.
const AGE: Duration = Duration::from_secs(3_600);
