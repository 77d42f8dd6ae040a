//! Instances that follow each other, and the clients that go from one to the next.
//!
//! What a client finds at the next one depends on the broker. [`SharedLog`] stands for one between
//! instances: then nothing is lost. With the embedded broker the log ends with its hub: then every client
//! is told so.
//!
//! `cargo xtask restarts` plays the first case with more clients, and prints how it went.

use std::{
    env,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use realtime_core::{Event, Hub, HubBuilder, PublishError};
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{Served, Suite, shared_log::SharedLog};
use crate::{
    http::End,
    sse::Client,
    wait,
    ws::{Peer, Received},
};

/// Twenty restarts under load: every client has every event once, in order, and comes back no faster
/// than it is asked to.
pub async fn loses_nothing_with_a_shared_log(suite: Suite) {
    let log = Arc::new(SharedLog::new());
    let scale = Scale {
        clients: asked_for(CLIENTS_VARIABLE).unwrap_or(CLIENTS),
        restarts: asked_for(RESTARTS_VARIABLE).unwrap_or(20),
    };
    let told = restarts(suite, scale, || {
        let log = Arc::clone(&log);
        move |hub: HubBuilder| hub.broker(log)
    })
    .await;
    assert_eq!(told.resets, 0);
    assert_eq!(told.came_back, scale.restarts * scale.clients);
    told.print(scale);
}

/// Each client is told at each restart that its place is none here, and gets one that is.
pub async fn tells_what_ends_with_the_process(suite: Suite) {
    let told = restarts(suite, Scale { clients: CLIENTS, restarts: 3 }, || |hub| hub).await;
    assert_eq!(told.resets, 3 * CLIENTS);
    assert_eq!(told.came_back, 3 * CLIENTS);
}

/// How many clients see how many restarts.
#[derive(Clone, Copy, Debug)]
struct Scale {
    clients: usize,
    restarts: usize,
}

fn asked_for(variable: &str) -> Option<usize> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value}")))
}

async fn restarts<C>(suite: Suite, scale: Scale, configure: impl Fn() -> C) -> Told
where
    C: FnOnce(HubBuilder) -> HubBuilder,
{
    let start = || {
        suite.start_with(|hub| {
            configure()(hub.drain(|drain| {
                drain.deadline = DEADLINE;
                drain.reconnects_per_second = PER_SECOND;
                drain.retry = RETRY;
            }))
            .limits(|limits| {
                super::served::unthrottled(limits);
                limits.connections_per_ip = u32::MAX;
            })
        })
    };
    let mut instance = start();
    let fleet = Arc::new(Fleet::new(&instance));
    let mut clients = JoinSet::new();
    for number in 0..scale.clients {
        let fleet = Arc::clone(&fleet);
        clients.spawn(async move {
            match number % 2 {
                0 => stream(&fleet).await,
                _ => websocket(&fleet).await,
            }
        });
    }
    are_there(&instance, scale).await;
    let publisher = tokio::spawn(publish(Arc::clone(&fleet)));
    for _ in 0..scale.restarts {
        let next = start();
        fleet.moves_to(&next);
        let began = Instant::now();
        instance.stop();
        let report = instance.hub().drain().await;
        assert_eq!((report.closed, report.forced), (scale.clients as u64, 0));
        assert!(report.took <= DEADLINE, "{report:?}");
        fleet.here().told.drains.push(report.took);
        are_there(&next, scale).await;
        instance.stopped().await;
        fleet.came_back_at_the_rate(began, scale);
        instance = next;
    }
    fleet.here().is_over = true;
    publisher.await.expect("a publisher");
    // Whoever hung would be waited for no longer than any call of this crate.
    while let Some(client) = clients.join_next().await {
        client.expect("a client that has seen the last event");
    }
    instance.released().await;
    std::mem::take(&mut fleet.here().told)
}

/// Where clients go, and what became of them.
struct Fleet {
    here: Mutex<Here>,
}

struct Here {
    addr: SocketAddr,
    hub: Hub,
    is_over: bool,
    returns: Vec<Instant>,
    told: Told,
}

#[derive(Debug, Default)]
struct Told {
    resets: usize,
    came_back: usize,
    events: usize,
    drains: Vec<Duration>,
    most_in_a_second: usize,
}

impl Told {
    /// For who has asked; nothing was lost or doubled, or this would not be reached.
    #[expect(clippy::print_stdout, reason = "`cargo xtask restarts` asks for it")]
    fn print(&self, scale: Scale) {
        let Scale { clients, restarts } = scale;
        let longest = self.drains.iter().max().copied().unwrap_or_default();
        let shortest = self.drains.iter().min().copied().unwrap_or_default();
        println!(
            "{clients} clients, {restarts} restarts: {} events, 0 lost, 0 doubled; drains took \
             {shortest:.2?} to {longest:.2?} of {DEADLINE:?}; at no time were more back than \
             {PER_SECOND} for each second of the drain, at most {} within one second",
            self.events, self.most_in_a_second
        );
    }
}

impl Fleet {
    fn new(instance: &Served) -> Self {
        let (addr, hub) = (instance.addr(), instance.hub().clone());
        let (returns, told) = (Vec::new(), Told::default());
        Self { here: Mutex::new(Here { addr, hub, is_over: false, returns, told }) }
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As a balancer does, which knows that the next instance is there before the old one goes.
    fn moves_to(&self, instance: &Served) {
        let mut here = self.here();
        (here.addr, here.hub) = (instance.addr(), instance.hub().clone());
    }

    /// Where a client that was sent away comes back, at the time that it was told.
    async fn comes_back(&self, retry: u64) -> SocketAddr {
        sleep(Duration::from_millis(retry)).await;
        let mut here = self.here();
        here.returns.push(Instant::now());
        here.told.came_back += 1;
        here.addr
    }

    /// At no time have more come back than were asked to by then. There is no tolerance: the first
    /// leaves at once, each next one an interval later, and none is told to wait for less than half of
    /// `RETRY`.
    fn came_back_at_the_rate(&self, began: Instant, scale: Scale) {
        let returns = std::mem::take(&mut self.here().returns);
        assert_eq!(returns.len(), scale.clients);
        let within_a_second = |(first, at): (usize, &Instant)| {
            let second = returns[first..].iter();
            second.take_while(|other| **other - *at < Duration::from_secs(1)).count()
        };
        let most = returns.iter().enumerate().map(within_a_second).max().unwrap_or(0);
        let told = &mut self.here().told;
        told.most_in_a_second = told.most_in_a_second.max(most);
        for (number, at) in (0..).zip(returns) {
            let earliest = RETRY / 2 + Duration::from_secs(1) / PER_SECOND * number;
            let after = at - began;
            // The reconnection time is told in whole milliseconds.
            assert!(
                after + Duration::from_millis(1) >= earliest,
                "return {number} came {after:?} after the drain began, not {earliest:?}"
            );
        }
    }
}

/// The events that a client has had: one after the other, unless it was told.
#[derive(Default)]
struct Seen {
    last: u64,
    is_told: bool,
}

impl Seen {
    /// Takes an event; whether it was the last.
    fn take(&mut self, fleet: &Fleet, event: &str, data: &str) -> bool {
        match event {
            "message" => {}
            "realtime.reset" => {
                fleet.here().told.resets += 1;
                self.is_told = true;
                return false;
            }
            other => panic!("{other}: {data}"),
        }
        fleet.here().told.events += 1;
        if data == LAST {
            return true;
        }
        let number = data.parse().expect("a number");
        if std::mem::take(&mut self.is_told) {
            assert!(number > self.last, "doubled: {number} after {}", self.last);
        } else {
            assert_eq!(number, self.last + 1, "after {}", self.last);
        }
        self.last = number;
        false
    }
}

/// As an `EventSource` does: keeps the last id, and comes back at the time that it was told.
async fn stream(fleet: &Fleet) {
    let (mut addr, mut id, mut seen) = (fleet.here().addr, String::new(), Seen::default());
    loop {
        let resumed = [("Last-Event-ID", &*id)];
        let headers = if id.is_empty() { &[] } else { &resumed[..] };
        let mut client =
            Client::connect(addr, "/events?topic=a", headers).await.expect("an answer");
        assert_eq!(client.status, 200);
        loop {
            let event = client.expect_event().await;
            if event.event == "realtime.bye" {
                break;
            }
            if event.event == "realtime.reset" {
                let fresh = event.block_id.as_deref().expect("a fresh id");
                assert_ne!(epoch(fresh), epoch(&id));
            }
            if seen.take(fleet, &event.event, &event.data) {
                return client.close().await;
            }
        }
        assert_eq!(client.expect_end().await, End::Clean);
        client.last_event_id().clone_into(&mut id);
        addr = fleet.comes_back(client.retry().expect("a reconnection time")).await;
    }
}

/// The same over WebSocket.
async fn websocket(fleet: &Fleet) {
    let (mut addr, mut id, mut seen) = (fleet.here().addr, String::new(), Seen::default());
    loop {
        let path = format!("/ws?topic=a&last_event_id={id}");
        let path = if id.is_empty() { "/ws?topic=a" } else { &*path };
        let mut peer = Peer::connect(addr, path, &[]).await;
        peer.answer_pings(true);
        let presented = id.clone();
        let retry = loop {
            let message: Value = match peer.recv().await {
                Received::Text(text) => serde_json::from_str(&text).expect("JSON"),
                Received::Close(Some((1012, reason))) => break reason,
                other => panic!("expected a message or a Close, got {other}"),
            };
            let event = message["event"].as_str().unwrap_or("message");
            if event == "realtime.reset" {
                assert_ne!(message["id"].as_str().map(epoch), Some(epoch(&presented)));
            }
            message["id"].as_str().expect("an id").clone_into(&mut id);
            if event == "realtime.ready" {
                continue;
            }
            if seen.take(fleet, event, message["data"].as_str().unwrap_or_default()) {
                return peer.send_close(1000, "").await;
            }
        };
        peer.send_close(1012, "").await;
        assert_eq!(peer.recv().await, Received::Eof);
        let retry = retry.strip_prefix("retry=").and_then(|it| it.parse().ok());
        addr = fleet.comes_back(retry.expect("a reconnection time")).await;
    }
}

fn epoch(id: &str) -> &str {
    id.split('-').next().unwrap_or_default()
}

/// Publishes numbers to whatever instance there is, and in the end that it is the end.
async fn publish(fleet: Arc<Fleet>) {
    let mut ticks = interval(BETWEEN_EVENTS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    loop {
        let (hub, is_over) = {
            let here = fleet.here();
            (here.hub.clone(), here.is_over)
        };
        if is_over {
            publish_to(&hub, LAST).await.expect("a hub that nobody drains");
            return;
        }
        number += 1;
        publish_to(&hub, &number.to_string()).await.expect("the hub of the newest instance");
        ticks.tick().await;
    }
}

async fn publish_to(hub: &Hub, text: &str) -> Result<(), PublishError> {
    hub.publish("a", Event::text(text)).await.map(drop)
}

async fn are_there(instance: &Served, scale: Scale) {
    // A connection counts before its subscription begins.
    wait::until("every client follows", || instance.stats().subscriptions == scale.clients as u64)
        .await;
}

const CLIENTS_VARIABLE: &str = "ROLLING_CLIENTS";
const RESTARTS_VARIABLE: &str = "ROLLING_RESTARTS";
const CLIENTS: usize = 200;
const PER_SECOND: u32 = 500;
const RETRY: Duration = Duration::from_millis(100);
/// Above what it takes at that rate.
const DEADLINE: Duration = Duration::from_secs(5);
const BETWEEN_EVENTS: Duration = Duration::from_millis(20);
const LAST: &str = "the last";
