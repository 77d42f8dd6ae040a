//! Wakers are foreign code: they may do to the hub whatever they like.

use std::{sync::mpsc, task::Wake, thread};

use super::*;

/// Publishes when it is woken, and when it is dropped.
struct Publisher {
    hub: Hub,
    now: Instant,
}

impl Publisher {
    fn waker(hub: &Hub, now: Instant) -> Waker {
        Waker::from(Arc::new(Self { hub: hub.clone(), now }))
    }

    fn publish(&self, what: &str) {
        publish_at(&self.hub, "a", Event::text(what.to_owned()), self.now).unwrap();
        let other = self.hub.subscribe_at(["a", "b"], self.now).unwrap();
        let _ = self.hub.stats();
        drop(other);
    }
}

impl Wake for Publisher {
    fn wake(self: Arc<Self>) {
        self.publish("woken");
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.publish("dropped");
    }
}

/// Runs `act` on a thread of its own and returns what it leaves in topic `a`; fails instead of
/// hanging when it doesn't end.
fn published_by(act: impl FnOnce(&Hub, Instant) + Send + 'static) -> Vec<String> {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let now = Instant::now();
        let hub = build(|hub| hub);
        act(&hub, now);
        let all = Subscribe::to("a").start(Start::Last(99));
        let mut subscription = hub.subscribe_at(all, now).unwrap();
        let text = |delivery: Delivery| match delivery {
            Delivery::Event(entry) => entry.event().data().as_text().unwrap().to_owned(),
            other => panic!("{other:?}"),
        };
        let texts: Vec<_> = drain(&mut subscription, now).into_iter().map(text).collect();
        done.send(texts).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(10)).expect("it deadlocks or has failed")
}

fn park(subscription: &mut Subscription, waker: &Waker, now: Instant) {
    let mut out = Vec::new();
    let polled = subscription.poll_recv_many(&mut Context::from_waker(waker), &mut out, 9, now);
    assert!(polled.is_pending());
}

#[test]
fn a_waker_may_publish_when_it_is_woken() {
    let texts = published_by(|hub, now| {
        let mut subscription = hub.subscribe_at(["a", "b"], now).unwrap();
        park(&mut subscription, &Publisher::waker(hub, now), now);
        publish_at(hub, "a", Event::text("first"), now).unwrap();
    });
    // It is parked on both topics: the other slot lets go of it at the end.
    assert_eq!(texts, ["first", "woken", "dropped"]);
}

#[test]
fn a_waker_may_publish_when_another_takes_its_place() {
    let texts = published_by(|hub, now| {
        let mut subscription = hub.subscribe_at("a", now).unwrap();
        park(&mut subscription, &Publisher::waker(hub, now), now);
        let mut cx = Context::from_waker(Waker::noop());
        let _ = subscription.poll_recv_many(&mut cx, &mut Vec::new(), 9, now);
        publish_at(hub, "a", Event::text("last"), now).unwrap();
    });
    assert_eq!(texts, ["dropped", "last"]);
}

#[test]
fn a_waker_may_publish_when_its_subscription_goes() {
    let texts = published_by(|hub, now| {
        let mut subscription = hub.subscribe_at(["a", "b"], now).unwrap();
        park(&mut subscription, &Publisher::waker(hub, now), now);
        subscription.remove(&TopicName::new("b").unwrap());
        drop(subscription);
    });
    assert_eq!(texts, ["dropped"]);
}
