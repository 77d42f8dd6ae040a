//! Who joins while others publish gets everything from there on, once and in order, and never sleeps
//! while something is there.

use super::*;

/// How many events the two publishers have together.
const ALL: u64 = 6;

/// Reads to the last event; everything after where it began has to come.
fn read_to_the_end(hub: &Hub, max: usize, now: Instant) -> Subscription {
    let mut subscription = hub.subscribe_at(patient(["a", "b"].into()), now).unwrap();
    let mut last = subscription.last_event_id().sequence;
    while last < ALL {
        for sequence in sequences(&take(&mut subscription, max, now)) {
            assert_eq!(sequence, last + 1);
            last = sequence;
        }
    }
    assert!(read(&mut subscription, 1, now).is_empty());
    subscription
}

#[test]
fn who_joins_among_publishers_gets_everything_from_there_on() {
    check(600, || {
        let (hub, now) = (build(|hub| hub), Instant::now());
        let run = |act: fn(&Hub, Instant)| {
            let hub = hub.clone();
            thread::spawn(move || act(&hub, now))
        };
        let threads = [
            run(|hub, now| publish_all(hub, &["a", "b", "a"], now)),
            run(|hub, now| publish_all(hub, &["b", "a", "a"], now)),
            run(|hub, now| drop(read_to_the_end(hub, 2, now))),
            // Of several that read and leave, nobody keeps another from being woken.
            run(|hub, now| {
                let mut subscription = hub.subscribe_at("a", now).unwrap();
                read(&mut subscription, 1, now);
            }),
        ];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_left_behind_nothing(&hub);
    });
}

#[test]
fn who_was_there_before_gets_everything_and_is_woken() {
    check(600, || {
        let (hub, now) = (build(|hub| hub), Instant::now());
        let mut subscription = hub.subscribe_at(patient(["a", "b"].into()), now).unwrap();
        let publishers = [["a", "b", "a"], ["b", "b", "a"]].map(|topics| {
            let hub = hub.clone();
            thread::spawn(move || publish_all(&hub, &topics, now))
        });
        let mut heard = Vec::new();
        while heard.len() < ALL as usize {
            heard.extend(sequences(&take(&mut subscription, 1, now)));
        }
        assert!(heard.into_iter().eq(1..=ALL));
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        drop(subscription);
        assert_left_behind_nothing(&hub);
    });
}

/// Nobody reads it: it is woken when it has lagged past its limit, and not left for ever.
#[test]
fn who_does_not_read_is_told_when_it_is_to_be_cut() {
    check(500, || {
        let (hub, now) = (build(|hub| hub), Instant::now());
        let lag = LagLimit::default().events(2);
        let request = Subscribe::to("a").overflow(Overflow::Disconnect).lag(lag);
        let mut subscription = hub.subscribe_at(request, now).unwrap();
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || publish_all(&hub, &["a", "b", "a", "a"], now)
        });
        block_on(|cx| subscription.poll_overflow(cx, now));
        assert!(subscription.is_lagging(now));
        publisher.join().unwrap();
        drop(subscription);
        assert_left_behind_nothing(&hub);
    });
}
