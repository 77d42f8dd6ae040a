//! Sessions of one process over connections in memory, half event streams, half WebSockets.

use std::{
    future::pending,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt};
use realtime::{Event, Hub, driver};
use serde_json::{Value, json};
use tokio::{
    runtime::Handle,
    task::yield_now,
    time::{sleep, sleep_until},
};

use crate::{
    head::Head,
    process::{ran_here, resident},
    ran,
    wire::{Peers, Wire},
};

/// How many sessions, and what is done with them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) sessions: u64,
    pub(crate) topics: u64,
    /// Between two heartbeats of a session, and how long idleness is measured; sessions are opened
    /// over as long, so that heartbeats are spread. Without it, they are opened at once, and idleness
    /// is not measured.
    pub(crate) heartbeat: Option<Duration>,
}

/// How long the calls of `publish` are measured at most, and how many.
const PUBLISHING: Duration = Duration::from_secs(25);
const CALLS: usize = 1_000;
const LEAST_CALLS: usize = 5;

/// How often something is published to all.
const WAVES: usize = 5;

const EVENT_BYTES: usize = 128;

/// By when all have got something.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a process takes for connections in memory and a task for each, without the library.
pub(crate) fn floor(sessions: u64) -> Value {
    let (peers, _told) = Peers::new();
    let (runtime, _) = start();
    let before = resident();
    let (tell, told) = mpsc::channel();
    runtime.spawn(async move {
        (0..sessions).for_each(|_| drop(tokio::spawn(Wire::new(peers))));
        yield_now().await;
        tell.send(()).expect("somebody waits");
    });
    told.recv_timeout(PATIENCE).expect("all tasks are there");
    json!({ "sessions": sessions, "bytes": (resident() - before) / sessions as f64 })
}

pub(crate) fn measure(plan: Plan) -> Value {
    let (peers, told) = Peers::new();
    let (runtime, server) = start();
    runtime.spawn(peers.answer());
    let hub = hub(plan);
    let field = Field { plan, peers, told, server, hub, runtime };
    let (opening, bytes) = field.open();
    let idle = plan.heartbeat.map(|period| field.idle(period));
    let wave = field.waves();
    let after_waves = resident();
    let publish = field.publish();
    let began = Instant::now();
    let stats = field.hub.stats();
    let stats_took = began.elapsed();
    assert_eq!(stats.subscriptions, plan.sessions, "all are there");
    let drain = field.drain();
    json!({
        "sessions": plan.sessions,
        "topics": plan.topics,
        "sse_bytes": bytes.0,
        "websocket_bytes": bytes.1,
        "grown_by_waves_bytes": (after_waves - bytes.2) / plan.sessions as f64,
        "open_cpu_us": opening.as_secs_f64() * 1e6 / plan.sessions as f64,
        "idle": idle,
        "wave": wave,
        "publish": publish,
        "stats_ms": millis(stats_took),
        "drain": drain,
    })
}

struct Field {
    plan: Plan,
    peers: &'static Peers,
    told: mpsc::Receiver<Instant>,
    server: ran::Thread,
    hub: Hub,
    runtime: Handle,
}

impl Field {
    /// Opens all: what it took, and resident bytes of an event stream, of a WebSocket, of the process.
    fn open(&self) -> (Duration, (f64, f64, f64)) {
        let Plan { sessions, heartbeat, .. } = self.plan;
        let (began, ran) = (tokio::time::Instant::now(), self.server.ran());
        let half = sessions / 2;
        let mut resident_at = vec![resident()];
        for (range, is_websocket) in [(0..half, false), (half..sessions, true)] {
            self.peers.expect(range.end - range.start);
            let (hub, peers, plan) = (self.hub.clone(), self.peers, self.plan);
            self.runtime.spawn(async move {
                let opener = Opener { hub, peers, plan, began };
                if is_websocket {
                    opener.websockets(range).await
                } else {
                    opener.streams(range).await
                }
            });
            self.told.recv_timeout(PATIENCE + heartbeat.unwrap_or_default()).expect("all open");
            resident_at.push(resident());
        }
        let grown = |nth: usize| resident_at[nth + 1] - resident_at[nth];
        let bytes = (grown(0) / half as f64, grown(1) / (sessions - half) as f64, resident_at[2]);
        (self.server.ran() - ran, bytes)
    }

    /// What heartbeats take of a core.
    fn idle(&self, period: Duration) -> Value {
        let (began, ran, sent) = (Instant::now(), self.server.ran(), self.peers.heartbeats());
        thread::sleep(period);
        let seconds = began.elapsed().as_secs_f64();
        let cpu = (self.server.ran() - ran).as_secs_f64();
        let sent = self.peers.heartbeats() - sent;
        json!({
            "heartbeats_per_second": sent as f64 / seconds,
            "cpu_ms_per_second": cpu * 1e3 / seconds,
            "cpu_us_per_heartbeat": cpu * 1e6 / sent as f64,
        })
    }

    /// One event of every topic, until the last session has written it; medians.
    fn waves(&self) -> Value {
        let Plan { sessions, topics, .. } = self.plan;
        let (mut took, mut cpu, mut calls) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..WAVES {
            self.peers.expect(sessions);
            let (began, ran) = (Instant::now(), self.server.ran());
            (0..topics).for_each(|topic| self.publish_to(topic));
            calls.push(began.elapsed());
            let last = self.told.recv_timeout(PATIENCE).expect("everybody gets it");
            took.push(last - began);
            cpu.push(self.server.ran() - ran);
        }
        let cpu_each = middle(&mut cpu).as_secs_f64() * 1e9 / sessions as f64;
        json!({
            "ms": millis(middle(&mut took)),
            "publishing_ms": millis(middle(&mut calls)),
            "server_cpu_ns_per_delivery": cpu_each,
        })
    }

    /// How long a call of `publish` takes, all sessions being parked.
    fn publish(&self) -> Value {
        let Plan { sessions, topics, .. } = self.plan;
        let began = Instant::now();
        let (mut calls, mut on_core, mut reached) = (Vec::new(), Vec::new(), Vec::new());
        for topic in (0..topics).cycle() {
            let is_enough = calls.len() >= CALLS || began.elapsed() > PUBLISHING;
            if is_enough && calls.len() >= LEAST_CALLS {
                break;
            }
            let members = sessions / topics + u64::from(sessions % topics > topic);
            if members == 0 {
                continue;
            }
            self.peers.expect(members);
            let (began, ran) = (Instant::now(), ran_here());
            self.publish_to(topic);
            calls.push(began.elapsed());
            on_core.push(ran_here() - ran);
            let last = self.told.recv_timeout(PATIENCE).expect("everybody gets it");
            reached.push(last - began);
            // The sessions' thread goes to sleep, as where events are rare.
            thread::sleep(Duration::from_micros(200));
        }
        let count = calls.len();
        calls.sort_unstable();
        on_core.sort_unstable();
        let most = (count * 99 / 100).min(count - 1);
        json!({
            "calls": count,
            "subscribers": sessions as f64 / topics as f64,
            "p50_us": micros(calls[count / 2]),
            "p99_us": micros(calls[most]),
            "p99_cpu_us": micros(on_core[most]),
            "max_us": micros(calls[count - 1]),
            "last_session_ms": millis(middle(&mut reached)),
        })
    }

    fn publish_to(&self, topic: u64) {
        let event = Event::text("x".repeat(EVENT_BYTES));
        let published = self.hub.publish(topic_name(topic), event).now_or_never();
        published.expect("ready at once").expect("published");
    }

    /// Lets all go, as fast as they may.
    fn drain(&self) -> Value {
        let (tell, told) = mpsc::channel();
        let (hub, ran) = (self.hub.clone(), self.server.ran());
        let began = Instant::now();
        hub.start_drain();
        let started = began.elapsed();
        self.runtime.spawn(async move {
            tell.send(hub.drain().await).expect("it is waited for");
        });
        let report = told.recv_timeout(PATIENCE).expect("a drain ends");
        let cpu = self.server.ran() - ran;
        json!({
            "begin_ms": millis(started),
            "seconds": began.elapsed().as_secs_f64(),
            "forced": report.forced,
            "cpu_us_each": cpu.as_secs_f64() * 1e6 / self.plan.sessions as f64,
            "resident_after_bytes": resident(),
        })
    }
}

/// A thread with a runtime for itself, until the process ends.
fn start() -> (Handle, ran::Thread) {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime");
        tell.send((runtime.handle().clone(), ran::Thread::current())).expect("somebody waits");
        runtime.block_on(pending::<()>());
    });
    told.recv().expect("it runs")
}

fn hub(plan: Plan) -> Hub {
    let hub = Hub::builder()
        .limits(|limits| limits.connections = plan.sessions)
        .drain(|drain| drain.reconnects_per_second = u32::MAX);
    let hub = match plan.heartbeat {
        Some(period) => hub
            .websocket(|websocket| websocket.ping_interval = period)
            .sse(|sse| sse.heartbeat = period),
        None => hub,
    };
    hub.build().expect("valid")
}

fn topic_name(topic: u64) -> String {
    format!("scale.{topic}")
}

/// Opens sessions, spread over a period.
struct Opener {
    hub: Hub,
    peers: &'static Peers,
    plan: Plan,
    began: tokio::time::Instant,
}

impl Opener {
    async fn streams(self, range: Range<u64>) {
        for nth in range {
            self.turn(nth).await;
            let head = Head { peer: Some(client(nth)), ..Head::default() };
            let request = driver::accept_event_stream(&self.hub, &head).await.expect("let in");
            let (_, mut body) = driver::Body::open(request, &*self.topic(nth)).expect("valid");
            let wire = Wire::new(self.peers);
            tokio::spawn(async move {
                while let Some(bytes) = body.next().await {
                    wire.take(&bytes);
                }
            });
        }
    }

    async fn websockets(self, range: Range<u64>) {
        let headers: [(&str, &[u8]); 5] = [
            ("host", b"localhost"),
            ("upgrade", b"websocket"),
            ("connection", b"Upgrade"),
            ("sec-websocket-version", b"13"),
            ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for nth in range {
            self.turn(nth).await;
            let headers = headers.map(|(name, value)| (name, value.to_vec())).into();
            let head = Head { headers, peer: Some(client(nth)) };
            let request = driver::accept_websocket(&self.hub, &head).await.expect("let in");
            let request = request.subscribe(&*self.topic(nth));
            let (_, session) = driver::open(request).expect("valid");
            let wire = Wire::new(self.peers);
            tokio::spawn(driver::Connection::<_, driver::BoxHandler>::new(
                wire,
                &[],
                session,
                None,
            ));
        }
    }

    /// When it is the turn of this one.
    async fn turn(&self, nth: u64) {
        if !nth.is_multiple_of(32) {
            return;
        }
        match self.plan.heartbeat {
            Some(period) => {
                sleep_until(self.began + period.mul_f64(nth as f64 / self.plan.sessions as f64))
                    .await;
            }
            None => sleep(Duration::ZERO).await,
        }
        yield_now().await;
    }

    fn topic(&self, nth: u64) -> String {
        topic_name(nth % self.plan.topics)
    }
}

/// An address for each, some hundred in a block, as many as there are clients.
fn client(nth: u64) -> SocketAddr {
    const BLOCKS: u64 = 1 << 12;
    let [.., high, low] = (nth % BLOCKS).to_be_bytes();
    let host = (nth / BLOCKS) as u8;
    (IpAddr::from(Ipv4Addr::new(10, high, low, host)), 50_000).into()
}

fn middle(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
