//! Real threads: everything arrives in order, nobody is left asleep, and all is given back.

use std::sync::atomic::AtomicBool;

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap()
}

/// The sum of what a subscription did not deliver, and how many it did.
#[derive(Default)]
struct Heard {
    delivered: u64,
    missed: u64,
    last: u64,
}

impl Heard {
    fn hear(&mut self, deliveries: &mut Vec<Delivery>) {
        for delivery in deliveries.drain(..) {
            match delivery {
                Delivery::Event(entry) => {
                    let sequence = entry.position().sequence();
                    assert!(sequence > self.last, "{sequence} after {}", self.last);
                    self.last = sequence;
                    self.delivered += 1;
                }
                Delivery::Gap(gap) => self.missed += gap.missed.unwrap_or(0),
                other => panic!("{other:?}"),
            }
        }
    }
}

const TOPICS: [&str; 4] = ["a", "b", "c", "d"];
const EACH: u64 = 2_000;
const PUBLISHERS: u64 = 4;

/// `PUBLISHERS` threads publish to `TOPICS`; each of `subscribers` reads until it has heard of all.
fn storm(hub: &Hub, subscribers: impl IntoIterator<Item = Subscribe>) -> Vec<Subscription> {
    let runtime = runtime();
    runtime.block_on(async {
        let readers: Vec<_> = subscribers
            .into_iter()
            .zip(1..)
            .map(|(request, max)| {
                let mut subscription = hub.subscribe(request).unwrap();
                tokio::spawn(async move {
                    let (mut heard, mut out) = (Heard::default(), Vec::new());
                    loop {
                        let counts = subscription.counts();
                        let done = counts.delivered + counts.missed + counts.conflated;
                        if done == EACH * PUBLISHERS {
                            assert_eq!(heard.delivered, counts.delivered);
                            return (subscription, heard);
                        }
                        subscription.recv_many(&mut out, max).await;
                        heard.hear(&mut out);
                    }
                })
            })
            .collect();
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let hub = hub.clone();
                tokio::spawn(async move {
                    for n in 0..EACH {
                        let topic = TOPICS[(n + publisher) as usize % TOPICS.len()];
                        let event = Event::text("x").keyed((n % 7).to_string()).unwrap();
                        hub.publish(topic, event).await.unwrap();
                        if n % 16 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                })
            })
            .collect();
        let all = async {
            for publisher in publishers {
                publisher.await.unwrap();
            }
            let mut heard = Vec::new();
            for reader in readers {
                heard.push(reader.await.unwrap().0);
            }
            heard
        };
        tokio::time::timeout(DEADLINE, all)
            .await
            .expect("somebody sleeps though there is something")
    })
}

#[test]
fn everything_arrives_in_order_and_nobody_is_left_asleep() {
    let hub = build(|hub| hub.retention(Retention::default().events(100_000)));
    let limit = crate::LagLimit::default().events(u64::MAX).bytes(u64::MAX);
    let request = || Subscribe::from(TOPICS).lag(limit);
    let readers = storm(&hub, (0..6).map(|_| request()));
    for reader in &readers {
        assert_eq!(reader.counts().delivered, EACH * PUBLISHERS);
    }
    drop(readers);
    assert_eq!(hub.stats().subscriptions, 0);
}

/// The ring is so small that readers fall off it between a look and the next.
#[test]
fn readers_at_the_edge_of_the_ring_account_for_everything() {
    for events in [1, 2, 8] {
        let hub = build(|hub| hub.retention(Retention::default().events(events).keys(3)));
        let limit = crate::LagLimit::default().events(u64::MAX).bytes(u64::MAX);
        let policies = [Overflow::DropOldest, Overflow::DropNewest, Overflow::Conflate];
        let requests = policies.into_iter().cycle().take(6);
        let readers =
            storm(&hub, requests.map(|policy| Subscribe::from(TOPICS).overflow(policy).lag(limit)));
        drop(readers);
        let stats = hub.stats();
        let heard = stats.delivered + stats.missed + stats.conflated;
        assert_eq!(heard, 6 * EACH * PUBLISHERS, "the hub counts what they count");
    }
}

#[test]
fn after_a_storm_everything_is_given_back() {
    let hub = build(|hub| hub);
    let stop = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let publisher = scope.spawn({
            let (hub, stop) = (&hub, Arc::clone(&stop));
            move || {
                let now = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    for topic in TOPICS {
                        publish_at(hub, topic, Event::text("x"), now).unwrap();
                    }
                }
            }
        });
        let stormers: Vec<_> = (0..4)
            .map(|n| {
                let hub = &hub;
                scope.spawn(move || {
                    let now = Instant::now();
                    for round in 0..200 {
                        let mut many: Vec<_> = (0..5)
                            .map(|_| hub.subscribe_at([TOPICS[n], "a", "b"], now).unwrap())
                            .collect();
                        many.iter_mut().for_each(|one| drop(read(one, 3, now)));
                        many[round % 5].add_at(format!("own {n}"), now).unwrap();
                        many.remove(round % 4);
                    }
                })
            })
            .collect();
        stormers.into_iter().for_each(|stormer| stormer.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        publisher.join().unwrap();
    });
    assert_eq!(hub.stats().subscriptions, 0);
    assert_eq!(Arc::strong_count(&hub.inner), 1);
    for fanout in hub.inner.table.read(|topics| topics.values().cloned().collect::<Vec<_>>()) {
        assert_eq!((fanout.members(), fanout.slots_capacity()), (0, 0));
        assert_eq!(Arc::strong_count(&fanout), 2, "the table's and this one");
    }
}
