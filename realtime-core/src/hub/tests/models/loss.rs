//! What a slow reader loses, or one that comes back too late, is told, to the last event.

use super::*;
use crate::LastEventId;

const ALL: u64 = 7;

/// Keyed and not, over two topics.
fn publish_mixed(hub: &Hub, now: Instant) {
    for n in 0..ALL {
        let event = Event::text("x");
        let event = if n % 3 == 2 { event } else { event.keyed((n % 2).to_string()).unwrap() };
        publish_at(hub, if n % 4 == 1 { "b" } else { "a" }, event, now).unwrap();
    }
}

/// Delivered, missed and conflated are what was published, whatever falls out of the ring, or is
/// skipped, between one look and the next.
#[test]
fn a_slow_reader_accounts_for_everything() {
    for policy in [Overflow::DropOldest, Overflow::DropNewest, Overflow::Conflate] {
        check(500, move || {
            let now = Instant::now();
            let hub = build(|hub| hub.retention(Retention::default().events(2).keys(2)));
            let lag = LagLimit::default().events(2);
            let request = Subscribe::from(["a", "b"]).overflow(policy).lag(lag);
            let mut subscription = hub.subscribe_at(request, now).unwrap();
            let publisher = thread::spawn({
                let hub = hub.clone();
                move || publish_mixed(&hub, now)
            });
            let (mut delivered, mut missed, mut last) = (0, 0, 0);
            loop {
                let counts = subscription.counts();
                let heard = counts.delivered + counts.missed + counts.conflated;
                assert!(heard <= ALL, "{counts:?}");
                let is_over = heard == ALL;
                let items = if is_over {
                    // A gap may still be to be told.
                    read(&mut subscription, 1, now)
                } else {
                    take(&mut subscription, 1, now)
                };
                if is_over && items.is_empty() {
                    break;
                }
                for item in items {
                    match item {
                        Delivery::Event(entry) => {
                            let sequence = entry.position().sequence();
                            assert!(sequence > last, "{sequence} after {last}");
                            last = sequence;
                            delivered += 1;
                        }
                        Delivery::Gap(gap) => missed += gap.missed.unwrap_or(0),
                        other => panic!("{other:?}"),
                    }
                }
            }
            let counts = subscription.counts();
            assert_eq!((counts.delivered, counts.missed), (delivered, missed), "as it was told");
            publisher.join().unwrap();
            let stats = hub.stats();
            assert_eq!(stats.delivered + stats.missed + stats.conflated, ALL, "{stats:?}");
            drop(subscription);
            assert_left_behind_nothing(&hub);
        });
    }
}

/// Under `Disconnect` it gets everything up to the end, which is told.
#[test]
fn who_is_cut_has_had_everything_before() {
    check(500, || {
        let now = Instant::now();
        let hub = build(|hub| hub.retention(Retention::default().events(2)));
        let request = Subscribe::from(["a", "b"]).overflow(Overflow::Disconnect);
        let request = request.lag(LagLimit::default().events(2));
        let mut subscription = hub.subscribe_at(request, now).unwrap();
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || publish_mixed(&hub, now)
        });
        let mut next = 1;
        while next <= ALL && !subscription.has_ended() {
            for item in take(&mut subscription, 2, now) {
                match item {
                    Delivery::Event(entry) => assert_eq!(entry.position().sequence(), next),
                    Delivery::Disconnected(_) => assert!(subscription.has_ended()),
                    other => panic!("{other:?}"),
                }
                next += 1;
            }
        }
        publisher.join().unwrap();
    });
}

/// One topic, of which two events are kept while five are published: between the look at what is
/// visible and the one at the ring, more than the ring holds may come.
fn who_comes_while_the_ring_evicts(request: impl Fn() -> Subscribe + Send + Sync + 'static) {
    const BEFORE: u64 = 2;
    const LAST: u64 = 7;
    check(500, move || {
        let now = Instant::now();
        let hub = build(|hub| hub.retention(Retention::default().events(2)));
        publish_all(&hub, &["a"; BEFORE as usize], now);
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || publish_all(&hub, &["a"; (LAST - BEFORE) as usize], now)
        });
        let request = patient(request().overflow(Overflow::DropOldest));
        let mut subscription = hub.subscribe_at(request, now).unwrap();
        let start = subscription.last_event_id().sequence;
        let (mut last, mut id, mut may_jump, mut is_first) = (start, start, false, true);
        while last < LAST {
            for item in take(&mut subscription, 1, now) {
                match item {
                    Delivery::Event(entry) => {
                        let sequence = entry.position().sequence();
                        assert!(sequence > last, "{sequence} after {last}");
                        assert!(
                            may_jump || sequence == last + 1,
                            "{sequence} after {last}, untold"
                        );
                        (last, id, may_jump) = (sequence, sequence, false);
                    }
                    Delivery::Gap(gap) => {
                        assert_eq!(
                            gap.after.sequence, id,
                            "who is cut now comes back before the gap"
                        );
                        let resumes_at = gap.resumes_at.sequence;
                        let missed = Some(resumes_at - last - 1);
                        assert!(may_jump || gap.missed == missed, "{gap:?} after {last}");
                        (last, may_jump) = (resumes_at - 1, false);
                    }
                    Delivery::Reset(reset) => {
                        assert!(is_first, "a reset is how it starts");
                        assert_eq!(reset.id.sequence, start);
                        // It starts anew, from whatever is there.
                        may_jump = true;
                    }
                    other => panic!("{other:?}"),
                }
                is_first = false;
            }
        }
        let rest = read(&mut subscription, 2, now);
        assert!(rest.iter().all(|it| is_first && matches!(it, Delivery::Reset(_))), "{rest:?}");
        publisher.join().unwrap();
        drop(subscription);
        assert_left_behind_nothing(&hub);
    });
}

#[test]
fn who_resumes_while_the_ring_evicts_is_complete_or_told() {
    for sequence in [0, 1, 2] {
        let id = LastEventId { epoch: EPOCH, sequence };
        who_comes_while_the_ring_evicts(move || Subscribe::to("a").after(id));
    }
}

#[test]
fn who_subscribes_while_the_ring_evicts_is_complete_or_told() {
    who_comes_while_the_ring_evicts(|| Subscribe::to("a"));
    who_comes_while_the_ring_evicts(|| Subscribe::pattern("*"));
}
