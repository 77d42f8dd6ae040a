//! What reading costs: a batch, what a slow reader gets, and what who comes back is replayed.

use std::{
    task::{Context, Poll},
    time::{Duration, Instant},
};

use realtime::{Event, Hub, Overflow, Subscribe};

use crate::{
    cases::{Case, Cases},
    ours::{Subscriptions, TEXT, TOPIC, publish, waker},
    publish::{BROADCAST, receivers, timed},
};

const BATCH: usize = 64;

/// More than a subscription may lag, and fewer than a topic retains.
const PENDING: usize = 1_000;
const KEYS: usize = 100;

const RESUMED: usize = 10_000;
const REPLAYED: usize = 10;

pub(crate) fn measure(cases: &mut Cases) {
    cases.measure(&format!("read of {BATCH} pending, per event"), read);
    let name = format!("conflation of {PENDING} pending to {KEYS} keys, per event pending");
    cases.measure(&name, conflate);
    let name = format!("resume of {RESUMED}, {REPLAYED} events replayed, per cursor");
    cases.measure(&name, resume);
}

/// One subscriber takes all at once, and waits again. Only that counts.
fn read() -> Case {
    let (mut ours, mut theirs) = (Subscriptions::new(1), receivers(1));
    let ours = move |times| {
        let mut spent = Duration::ZERO;
        for _ in 0..times {
            (0..BATCH).for_each(|_| ours.publish());
            spent += timed(|| assert_eq!(ours.take_one(0), BATCH));
        }
        spent
    };
    let theirs = move |times| {
        let mut spent = Duration::ZERO;
        for _ in 0..times {
            (0..BATCH).for_each(|_| theirs.send(Event::text(TEXT)));
            spent += timed(|| theirs.take());
        }
        spent
    };
    Case::new(BATCH as u64, ours).beside(BROADCAST, theirs)
}

/// One subscriber lags behind and takes the newest of each key. A broadcast only tells that it lags.
fn conflate() -> Case {
    let hub = Hub::new();
    let request = Subscribe::to(TOPIC).overflow(Overflow::Conflate);
    let mut subscription = Subscriptions::of(&hub, [request].into_iter());
    let keys: Vec<_> = (0..KEYS).map(|key| format!("key{key}")).collect();
    Case::new(PENDING as u64, move |times| {
        let mut spent = Duration::ZERO;
        for _ in 0..times {
            for key in keys.iter().cycle().take(PENDING) {
                let event = Event::text(TEXT).keyed(key.as_str()).expect("a valid key");
                publish(&hub, TOPIC, event);
            }
            spent += timed(|| assert_eq!(subscription.take(), KEYS));
        }
        spent
    })
}

/// All come back with the id of an event that they had, take what has come since, and wait. A broadcast
/// cannot.
fn resume() -> Case {
    let hub = Hub::new();
    let id = publish(&hub, TOPIC, Event::text(TEXT));
    for _ in 0..REPLAYED {
        publish(&hub, TOPIC, Event::text(TEXT));
    }
    let wakers: Vec<_> = (0..RESUMED).map(|_| waker()).collect();
    let mut out = Vec::new();
    Case::new(RESUMED as u64, move |times| {
        let mut spent = Duration::ZERO;
        for _ in 0..times {
            let mut resumed = Vec::with_capacity(RESUMED);
            let started = Instant::now();
            for waker in &wakers {
                let request = Subscribe::to(TOPIC).after(id);
                let mut subscription = hub.subscribe(request).expect("a valid topic");
                let (mut cx, now) = (Context::from_waker(waker), Instant::now());
                let mut taken = 0;
                while let Poll::Ready(count) =
                    subscription.poll_recv_many(&mut cx, &mut out, 64, now)
                {
                    taken += count;
                    out.clear();
                }
                assert_eq!(taken, REPLAYED);
                resumed.push(subscription);
            }
            spent += started.elapsed();
        }
        spent
    })
}
