//! Subscriptions on a hub that are polled by nobody but who measures.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

use futures_util::FutureExt;
use realtime::{Delivery, Event, Hub, LastEventId, Subscribe, Subscription};

pub(crate) const TOPIC: &str = "bench";
pub(crate) const TEXT: &str = "0123456789abcdef";

/// A waker that notes that it was woken, as each task has one of its own.
pub(crate) fn waker() -> Waker {
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.wake_by_ref();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            self.0.store(true, Ordering::Release);
        }
    }

    Waker::from(Arc::new(Flag(AtomicBool::new(false))))
}

/// Subscriptions of a hub, all of which wait.
pub(crate) struct Subscriptions {
    hub: Hub,
    subscriptions: Vec<(Subscription, Waker)>,
    out: Vec<Delivery>,
}

impl Subscriptions {
    /// Subscriptions of one topic.
    pub(crate) fn new(count: usize) -> Self {
        Self::of(&Hub::new(), (0..count).map(|_| TOPIC))
    }

    pub(crate) fn of(hub: &Hub, requests: impl Iterator<Item = impl Into<Subscribe>>) -> Self {
        let subscribe = |request| (hub.subscribe(request).expect("a valid topic"), waker());
        let subscriptions = requests.map(subscribe).collect();
        let mut all = Self { hub: hub.clone(), subscriptions, out: Vec::new() };
        all.take();
        all
    }

    pub(crate) fn publish(&self) {
        publish(&self.hub, TOPIC, Event::text(TEXT));
    }

    /// Every subscription takes what is there, and waits again. Returns how much it was.
    pub(crate) fn take(&mut self) -> usize {
        (0..self.subscriptions.len()).map(|nth| self.take_one(nth)).sum()
    }

    pub(crate) fn take_one(&mut self, nth: usize) -> usize {
        let (subscription, waker) = &mut self.subscriptions[nth];
        let mut cx = Context::from_waker(waker);
        let now = Instant::now();
        let mut taken = 0;
        while let Poll::Ready(count) = subscription.poll_recv_many(&mut cx, &mut self.out, 64, now)
        {
            assert_ne!(count, 0, "no subscription ends");
            taken += count;
            self.out.clear();
        }
        taken
    }
}

/// Publishes, which the embedded broker does at once.
pub(crate) fn publish(hub: &Hub, topic: &str, event: Event) -> LastEventId {
    let published = hub.publish(topic, event).now_or_never().expect("at once");
    published.expect("a valid topic").into()
}
