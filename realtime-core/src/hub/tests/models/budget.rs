//! Whoever makes room takes it from topics that others publish to, read, and leave.

use super::*;

const ALL: u64 = 10;
const MEMORY: u64 = 65_536;

/// With room for three events.
fn tight() -> Hub {
    build(|hub| {
        hub.retention(Retention::default().bytes(16_000)).limits(|limits| {
            limits.event_bytes = 16_000;
            limits.log_bytes = MEMORY;
        })
    })
}

#[test]
fn what_gives_way_is_told_and_nobody_sleeps_over_it() {
    check(600, || {
        let (hub, now) = (tight(), Instant::now());
        let request = patient(["a", "b"].into()).overflow(Overflow::DropOldest);
        let mut subscription = hub.subscribe_at(request, now).unwrap();
        let publishers = [["a", "b", "a", "a", "b"], ["b", "c", "b", "a", "a"]].map(|topics| {
            let hub = hub.clone();
            thread::spawn(move || {
                for topic in topics {
                    let event = Event::binary(vec![0; 15_000]);
                    publish_at(&hub, topic, event, now).unwrap();
                }
            })
        });
        let (mut last, mut missed) = (0, 0);
        loop {
            let counts = subscription.counts();
            if counts.delivered + counts.missed == ALL - 1 {
                break;
            }
            for item in take(&mut subscription, 1, now) {
                match item {
                    Delivery::Event(entry) => {
                        let sequence = entry.position().sequence();
                        assert!(sequence > last, "{sequence} after {last}");
                        last = sequence;
                    }
                    Delivery::Gap(gap) => missed += gap.missed.unwrap_or(0),
                    other => panic!("{other:?}"),
                }
            }
        }
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        // The last gap may stand for what was published after it was due.
        missed += drain(&mut subscription, now).len() as u64;
        assert_eq!(subscription.counts().missed, missed);
        drop(subscription);
        assert!(hub.inner.budget.used() <= MEMORY);
        let taken =
            hub.inner.table.read(|topics| topics.values().map(|it| it.memory()).sum::<u64>());
        assert_eq!(hub.inner.budget.used(), taken);
        assert_left_behind_nothing(&hub);
    });
}
