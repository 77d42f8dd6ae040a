//! Connections on which nothing happens but heartbeats, beside a `tokio::time::interval` for each.
//!
//! The connections are in memory, since a process may not open as many sockets, and their opening is
//! spread over one period, as heartbeats are in life. Each way of doing it has a thread with a runtime
//! for itself, and all of them are measured at once. The peers answer pings some time later; that is
//! part of both figures. What ours does beside, deadlines for pongs, writes and stalls, the other does
//! not.
//!
//! `cargo bench --bench idle`, or `… -- --connections 10000`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark tells its figures")]

mod head;
mod ran;

use std::{
    collections::VecDeque,
    fs,
    future::pending,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use futures_util::StreamExt;
use head::Head;
use realtime::{Hub, driver};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, interval_at, sleep, sleep_until},
};

const PING: [u8; 2] = [0x89, 0];
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
const COMMENT: &[u8] = b":\n\n";

/// How long a peer takes to answer.
const ROUND_TRIP: Duration = Duration::from_millis(50);

#[derive(Clone, Copy)]
struct Plan {
    connections: u32,
    /// Between two heartbeats of a connection.
    period: Duration,
    /// How many periods are measured.
    rounds: usize,
}

/// A WebSocket of a hub.
async fn websocket(hub: Hub, wire: Wire, _: Duration) {
    let request = driver::attach(&hub).expect("room for a connection").subscribe("idle");
    let (_, session) = driver::open(request).expect("a valid topic");
    driver::Connection::<_, driver::BoxHandler>::new(wire, &[], session, None).await;
}

/// What one writes without the library.
async fn pings(_: Hub, mut wire: Wire, period: Duration) {
    let mut pings = interval_at(Instant::now() + period, period);
    let mut buffer = [0; 128];
    loop {
        tokio::select! {
            biased;
            _ = pings.tick() => wire.write_all(&PING).await.expect("a wire takes all"),
            read = wire.read(&mut buffer) => assert!(read.is_ok_and(|length| length > 0)),
        }
    }
}

/// An event stream of a hub, and what a framework does with its body.
async fn event_stream(hub: Hub, mut wire: Wire, _: Duration) {
    let request = driver::accept_event_stream(&hub, &Head::default()).await.expect("let in");
    let (_, mut body) = driver::Body::open(request, "idle").expect("a valid topic");
    while let Some(bytes) = body.next().await {
        wire.write_all(&bytes).await.expect("a wire takes all");
    }
}

/// What one writes without the library.
async fn comments(_: Hub, mut wire: Wire, period: Duration) {
    let mut comments = interval_at(Instant::now() + period, period);
    loop {
        comments.tick().await;
        wire.write_all(COMMENT).await.expect("a wire takes all");
    }
}

/// One end of a connection in memory. It takes all that is written, and gives the peer's pongs.
struct Wire(Arc<Line>);

#[derive(Default)]
struct Line {
    state: Mutex<State>,
    peers: Arc<Peers>,
}

#[derive(Default)]
struct State {
    is_answered: bool,
    reader: Option<Waker>,
}

/// The other ends.
#[derive(Default)]
struct Peers {
    /// When each is to be answered.
    pinged: Mutex<VecDeque<(Instant, Arc<Line>)>>,
    heartbeats: AtomicU64,
}

impl Peers {
    /// Answers each ping at its time: were they answered together, the next ones would come together.
    async fn answer(self: Arc<Self>) {
        loop {
            let next = lock(&self.pinged).front().map(|(at, _)| *at);
            sleep_until(next.unwrap_or_else(|| Instant::now() + ROUND_TRIP)).await;
            while let Some(line) = self.next_due() {
                let mut state = lock(&line.state);
                state.is_answered = true;
                let reader = state.reader.take();
                drop(state);
                reader.into_iter().for_each(Waker::wake);
            }
        }
    }

    fn next_due(&self) -> Option<Arc<Line>> {
        let now = Instant::now();
        let mut pinged = lock(&self.pinged);
        let is_due = pinged.front().is_some_and(|(at, _)| *at <= now);
        if is_due { pinged.pop_front().map(|(_, line)| line) } else { None }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0.state);
        if std::mem::take(&mut state.is_answered) {
            buffer.put_slice(&PONG);
            return Poll::Ready(Ok(()));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let peers = &self.0.peers;
        if bytes.starts_with(&PING) {
            let answer_at = Instant::now() + ROUND_TRIP;
            lock(&peers.pinged).push_back((answer_at, Arc::clone(&self.0)));
        }
        if bytes.starts_with(&PING) || bytes.starts_with(b":") {
            peers.heartbeats.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connections that are open, and the thread that they are on.
struct Arm {
    thread: ran::Thread,
    peers: Arc<Peers>,
    /// Resident, of one connection and both its ends.
    bytes: f64,
}

/// Opens them over one period, on a thread of their own.
fn open<F>(plan: Plan, connect: fn(Hub, Wire, Duration) -> F) -> Arm
where
    F: Future<Output = ()> + Send + 'static,
{
    let before = resident();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let (hub, peers) = (hub(plan), Arc::<Peers>::default());
            tokio::spawn(Arc::clone(&peers).answer());
            let began = Instant::now();
            for nth in 0..plan.connections {
                sleep_until(began + plan.period * nth / plan.connections).await;
                let line = Line { peers: Arc::clone(&peers), ..Line::default() };
                tokio::spawn(connect(hub.clone(), Wire(Arc::new(line)), plan.period));
            }
            tell.send((ran::Thread::current(), peers)).expect("somebody asks");
            pending::<()>().await;
        });
    });
    let (thread, peers) = told.recv().expect("all are open");
    Arm { thread, peers, bytes: (resident() - before) / f64::from(plan.connections) }
}

fn hub(plan: Plan) -> Hub {
    let hub = Hub::builder()
        .limits(|limits| limits.connections = plan.connections.into())
        .websocket(|websocket| websocket.ping_interval = plan.period)
        .sse(|sse| sse.heartbeat = plan.period);
    hub.build().expect("valid")
}

impl Arm {
    fn so_far(&self) -> (Duration, u64) {
        (self.thread.ran(), self.peers.heartbeats.load(Ordering::Relaxed))
    }
}

/// Milliseconds of a core, and heartbeats, per second.
type Cost = (f64, f64);

async fn measure(arms: &[Arm], plan: Plan) -> Vec<Cost> {
    let mut rounds = vec![Vec::new(); arms.len()];
    for _ in 0..plan.rounds {
        let began = Instant::now();
        let before: Vec<_> = arms.iter().map(Arm::so_far).collect();
        sleep(plan.period).await;
        let seconds = began.elapsed().as_secs_f64();
        for ((arm, (ran, sent)), costs) in arms.iter().zip(before).zip(&mut rounds) {
            let (ran_then, sent_then) = arm.so_far();
            let milliseconds = (ran_then - ran).as_secs_f64() * 1e3;
            costs.push((milliseconds / seconds, (sent_then - sent) as f64 / seconds));
        }
    }
    let median = |mut costs: Vec<Cost>| {
        costs.sort_by(|a, b| a.0.total_cmp(&b.0));
        costs[costs.len() / 2]
    };
    rounds.into_iter().map(median).collect()
}

/// The process's resident memory in bytes.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("what the kernel says of us");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse::<f64>().ok()).expect("a number") * 1024.0
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip_while(|it| it != "--connections");
    let connections = arguments.nth(1).map(|it| it.parse().expect("a number of connections"));
    let plan = if std::env::args().any(|it| it == "--test") {
        Plan { connections: 100, period: Duration::from_millis(200), rounds: 1 }
    } else {
        let connections = connections.unwrap_or(50_000);
        Plan { connections, period: Duration::from_secs(30), rounds: 3 }
    };
    println!(
        "\n{} idle connections with a heartbeat each {:?}, opened over as long; medians of {}, per \
         second:",
        plan.connections, plan.period, plan.rounds
    );
    // One after another, so that one can tell whose the memory is.
    let arms =
        [open(plan, websocket), open(plan, pings), open(plan, event_stream), open(plan, comments)];
    let costs = measure(&arms, plan).await;
    for (what, arms, costs) in
        [("WebSocket", &arms[..2], &costs[..2]), ("SSE", &arms[2..], &costs[2..])]
    {
        for (who, arm, (ran, heartbeats)) in
            [("realtime", &arms[0], costs[0]), ("interval", &arms[1], costs[1])]
        {
            println!(
                "{what:<10} {who}  {ran:>7.2} ms of a core  {heartbeats:>6.0} heartbeats  \
                 {:>6.0} B each",
                arm.bytes
            );
        }
        println!("{what:<10} realtime/interval {:>6.2}", costs[0].0 / costs[1].0);
    }
}
