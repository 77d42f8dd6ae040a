//! Patterns among threads, and what the broker hears of them.

use std::{collections::BTreeSet, sync::atomic::AtomicBool};

use super::*;
use crate::{PositionIssuer, Published, TopicPattern};

const PUBLISHERS: u64 = 4;
const TOPICS: u64 = 40;
const EACH: u64 = 8;

/// Reads until the event on `end`, and returns all sequences, each above the one before.
async fn read_to_the_end(mut subscription: Subscription) -> (u64, Vec<u64>) {
    let start = subscription.last_event_id().sequence;
    let (mut out, mut all) = (Vec::new(), Vec::new());
    loop {
        subscription.recv_many(&mut out, 7).await;
        for delivery in out.drain(..) {
            match delivery {
                Delivery::Event(entry) if entry.topic().as_str() == "end" => return (start, all),
                Delivery::Event(entry) => all.push(entry.position().sequence()),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Topics are made, published to, let go and made again while patterns are followed and left; who
/// follows gets exactly everything after its start, in order.
#[test]
fn everything_arrives_in_order_from_topics_that_come_and_go() {
    let hub = build(|hub| hub.limits(|limits| limits.topics_per_subscription = 100_000));
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    let follow = |hub: &Hub| {
        let request = Subscribe::pattern("a.>").and_pattern("*.0.*").and("end");
        let limit = crate::LagLimit::default().events(u64::MAX).bytes(u64::MAX);
        hub.subscribe(request.lag(limit)).unwrap()
    };
    let (published, heard) = runtime.block_on(async {
        let mut readers: Vec<_> =
            (0..3).map(|_| tokio::spawn(read_to_the_end(follow(&hub)))).collect();
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let hub = hub.clone();
                tokio::spawn(async move {
                    let mut published = Vec::new();
                    for n in 0..TOPICS * EACH {
                        // Each topic comes back when it may have gone; some are shared.
                        let topic = format!("a.{}.{}", publisher / 2, n % TOPICS);
                        let position = hub.publish(topic, Event::text("x")).await.unwrap();
                        published.push(position.sequence());
                        if n % 8 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                    published
                })
            })
            .collect();
        let retirer = tokio::task::spawn_blocking({
            let (hub, stop) = (hub.clone(), Arc::clone(&stop));
            move || {
                let all = TopicPattern::new(">").unwrap();
                let later = Instant::now() + Duration::from_secs(3600);
                while !stop.load(Ordering::Relaxed) {
                    hub.retire(hub.matched(&all).iter(), 1, later);
                    drop(hub.subscribe("a.0.1").unwrap());
                }
            }
        });
        let everything = async {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(2)).await;
                readers.push(tokio::spawn(read_to_the_end(follow(&hub))));
                drop(follow(&hub));
            }
            let mut published = BTreeSet::new();
            for publisher in publishers {
                published.extend(publisher.await.unwrap());
            }
            stop.store(true, Ordering::Relaxed);
            retirer.await.unwrap();
            hub.publish("end", Event::text("x")).await.unwrap();
            let mut heard = Vec::new();
            for reader in readers {
                heard.push(reader.await.unwrap());
            }
            (published, heard)
        };
        tokio::time::timeout(Duration::from_secs(60), everything).await.expect("somebody sleeps")
    });
    for (start, heard) in heard {
        let expected: Vec<_> = published.range(start + 1..).copied().collect();
        assert!(heard.is_sorted());
        assert_eq!(heard, expected, "after {start}");
    }
    assert_eq!(hub.stats().subscriptions, 0);
    assert!(hub.has_no_patterns());
    for fanout in hub.inner.table.read(|topics| topics.values().cloned().collect::<Vec<_>>()) {
        assert_eq!(fanout.members(), 0);
        assert_eq!(Arc::strong_count(&fanout), 2, "the table's and this one");
    }
    assert_eq!(Arc::strong_count(&hub.inner), 1);
}

/// Delivers under its lock, and takes it again when it is told of interest.
#[derive(Debug)]
struct Strict {
    issuer: PositionIssuer,
    state: Mutex<StrictState>,
}

#[derive(Debug, Default)]
struct StrictState {
    last: u64,
    inlet: Option<Inlet>,
    interested: BTreeSet<String>,
}

impl Broker for Strict {
    fn epoch(&self) -> u64 {
        self.issuer.epoch()
    }

    fn start(&self, inlet: Inlet) -> Result<(), BrokerError> {
        self.state.lock().unwrap().inlet = Some(inlet);
        Ok(())
    }

    fn publish(&self, topic: &TopicName, event: Event, now: Instant) -> Published {
        let mut state = self.state.lock().unwrap();
        state.last += 1;
        let position = self.issuer.at(state.last);
        let wakeups = state.inlet.as_ref().unwrap().deliver(topic, position, event, now).unwrap();
        drop(state);
        wakeups.wake();
        Published::Now(Ok(position))
    }

    fn interest(&self, topic: &TopicName, interested: bool) {
        let mut state = self.state.try_lock().expect("told under the broker's own lock");
        if interested {
            state.interested.insert(topic.to_string());
        } else {
            state.interested.remove(topic.as_str());
        }
    }
}

#[test]
fn the_broker_is_told_of_interest_by_pattern_and_not_under_its_lock() {
    let broker = Arc::new(Strict { issuer: PositionIssuer::new(EPOCH), state: Mutex::default() });
    let age = Duration::from_millis(10);
    let hub = Hub::builder()
        .broker(Arc::clone(&broker))
        .retention(Retention::default().age(age))
        .build()
        .unwrap();
    let mut now = Instant::now();
    let interested = || Vec::from_iter(broker.state.lock().unwrap().interested.clone());
    publish_at(&hub, "a.0", Event::text("x"), now).unwrap();
    let mut subscription = hub.subscribe_at(Subscribe::pattern("a.*"), now).unwrap();
    assert_eq!(interested(), ["a.0"]);
    publish_at(&hub, "a.1", Event::text("x"), now).unwrap();
    publish_at(&hub, "b.1", Event::text("x"), now).unwrap();
    let stranger = hub.subscribe_at("a.2", now).unwrap();
    assert_eq!(interested(), ["a.0", "a.1", "a.2"], "before it has looked");
    drain(&mut subscription, now);

    // One goes and is made again before the subscription looks: it lets go of the first one.
    now += age * 2;
    let all = TopicPattern::new(">").unwrap();
    hub.retire(hub.matched(&all).iter(), 1, now);
    publish_at(&hub, "a.1", Event::text("x"), now).unwrap();
    assert_eq!(sequences(&drain(&mut subscription, now)), [4]);
    assert_eq!(interested(), ["a.1", "a.2"], "a.0 has nobody");
    drop(stranger);
    drain(&mut subscription, now);
    assert_eq!(interested(), ["a.1"]);
    publish_at(&hub, "a.9", Event::text("x"), now).unwrap();
    assert_eq!(interested(), ["a.1", "a.9"]);
    drop(subscription);
    assert_eq!(interested(), Vec::<String>::new(), "what had only arrived included");
}

/// A table full of topics that only patterns follow makes room.
#[test]
fn a_pattern_keeps_no_topic_in_a_full_table() {
    let start = Instant::now();
    let age = Duration::from_millis(10);
    let hub = build(|hub| {
        hub.limits(|limits| limits.topics = 3).retention(Retention::default().age(age))
    });
    let mut all = hub.subscribe_at(Subscribe::pattern(">"), start).unwrap();
    let mut named = hub.subscribe_at("a", start).unwrap();
    for topic in ["a", "b", "c"] {
        publish_at(&hub, topic, Event::text("x"), start).unwrap();
    }
    let later = start + age * 2;
    assert!(publish_at(&hub, "d", Event::text("x"), later).is_err(), "nothing was taken");
    assert_eq!(drain(&mut all, later).len(), 3);
    publish_at(&hub, "d", Event::text("x"), later).unwrap();
    assert_eq!(hub.stats().topics, 2, "the named one stays");
    assert_eq!(drain(&mut named, later).len(), 1);
    assert_eq!(sequences(&drain(&mut all, later)), [4]);
    publish_at(&hub, "b", Event::text("x"), later).unwrap();
    assert_eq!(sequences(&drain(&mut all, later)), [5], "made again, joined again");
}
