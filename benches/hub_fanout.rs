//! Publishing to in-process subscriptions, beside `tokio::sync::broadcast` doing the same.
//!
//! One unit of work is one event published and taken by every subscriber.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark tells its figures")]

mod side_by_side;

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use criterion::{Criterion, Throughput, criterion_group};
use futures_util::FutureExt;
use realtime::{Delivery, Event, Hub, Subscription};
use tokio::sync::broadcast;

const SUBSCRIBERS: [usize; 3] = [1, 1_000, 100_000];

struct Ours {
    hub: Hub,
    subscriptions: Vec<Subscription>,
    out: Vec<Delivery>,
}

impl Ours {
    fn new(subscribers: usize) -> Self {
        let hub = Hub::new();
        let subscribe = |_| hub.subscribe("bench").expect("a valid topic");
        let subscriptions = (0..subscribers).map(subscribe).collect();
        Self { hub, subscriptions, out: Vec::new() }
    }

    /// Publishes one event, and every subscription takes it and parks again.
    fn round(&mut self) {
        let published = self.hub.publish("bench", Event::text("0123456789abcdef"));
        published.now_or_never().expect("the embedded broker answers at once").expect("published");
        let mut cx = Context::from_waker(Waker::noop());
        let now = std::time::Instant::now();
        for subscription in &mut self.subscriptions {
            while subscription.poll_recv_many(&mut cx, &mut self.out, 16, now).is_ready() {}
            self.out.clear();
        }
    }
}

struct Theirs {
    sender: broadcast::Sender<Event>,
    receivers: Vec<broadcast::Receiver<Event>>,
}

impl Theirs {
    fn new(subscribers: usize) -> Self {
        let (sender, _) = broadcast::channel(1024);
        let receivers = (0..subscribers).map(|_| sender.subscribe()).collect();
        Self { sender, receivers }
    }

    /// Sends one event, and every receiver takes it and waits again.
    fn round(&mut self) {
        self.sender.send(Event::text("0123456789abcdef")).expect("there are receivers");
        let mut cx = Context::from_waker(Waker::noop());
        for receiver in &mut self.receivers {
            while let Poll::Ready(event) = pin!(receiver.recv()).poll(&mut cx) {
                let _ = std::hint::black_box(event);
            }
        }
    }
}

fn fanout(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hub_fanout");
    group.sample_size(10);
    for subscribers in SUBSCRIBERS {
        group.throughput(Throughput::Elements(subscribers as u64));
        let mut ours = Ours::new(subscribers);
        group.bench_function(format!("realtime/{subscribers}"), |b| b.iter(|| ours.round()));
        let mut theirs = Theirs::new(subscribers);
        group.bench_function(format!("broadcast/{subscribers}"), |b| b.iter(|| theirs.round()));
    }
}

criterion_group!(benches, fanout);

fn main() {
    benches();
    println!("\nper delivery, in turn in one run:");
    for subscribers in SUBSCRIBERS {
        let (mut ours, mut theirs) = (Ours::new(subscribers), Theirs::new(subscribers));
        side_by_side::compare(
            &format!("publish to {subscribers} and take"),
            subscribers as u64,
            ("realtime", &mut |times| (0..times).for_each(|_| ours.round())),
            ("broadcast", &mut |times| (0..times).for_each(|_| theirs.round())),
        );
    }
    Criterion::default().configure_from_args().final_summary();
}
