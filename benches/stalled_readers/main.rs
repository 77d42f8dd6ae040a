//! What clients that never read do to those that do: how late events reach nine hundred readers that
//! are alone, with a hundred others that read too, and with a hundred that don't; and to the server's
//! memory.
//!
//! The server is the testbed as a process of its own, clients and publisher are this process, and
//! events are published at fixed times to one topic. The three crowds take turns on one server. Once
//! the server's deadlines are so long that who stalls stays, once they are its defaults.
//!
//! `cargo bench --bench stalled_readers`, or `… -- axum websocket` for a part of it.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark tells its figures"
)]

mod clients;
mod server;

use std::{
    net::{SocketAddr, TcpStream},
    rc::Rc,
    time::{Duration, Instant},
};

use clients::{Notes, Transport, publish};
use server::Server;
use tokio::{
    task::{JoinHandle, LocalSet},
    time::{sleep, sleep_until, timeout},
};

const ADAPTERS: [&str; 3] = ["axum", "actix", "hyper"];
const TRANSPORTS: [(&str, Transport); 2] =
    [("websocket", Transport::WebSocket), ("sse", Transport::Sse)];

/// Between two events; far from what a server can do.
const PERIOD: Duration = Duration::from_millis(25);

/// Who stalls has no room left after that; what is delivered before does not count.
const FILLING: Duration = Duration::from_secs(4);

/// For the last events to arrive, and for who has left to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long clients have stalled when it is looked what the server holds.
const STALLING: [Duration; 3] =
    [Duration::from_secs(10), Duration::from_secs(30), Duration::from_secs(60)];

/// How the server is, and how long a crowd is measured on it.
struct Variant {
    name: &'static str,
    arguments: &'static [&'static str],
    window: Duration,
    stays: bool,
}

const VARIANTS: [Variant; 2] = [
    Variant {
        name: "who stalls stays (drop-oldest, no deadline)",
        arguments: &[
            "--overflow",
            "drop-oldest",
            "--write-deadline",
            "3600000",
            "--stall-deadline",
            "3600000",
            "--ping-interval",
            "3600000",
        ],
        window: Duration::from_secs(6),
        stays: true,
    },
    Variant {
        name: "who stalls is cut (defaults)",
        arguments: &[],
        window: Duration::from_secs(14),
        stays: false,
    },
];

#[derive(Clone, Copy)]
struct Crowd {
    name: &'static str,
    measured: usize,
    reading: usize,
    stalled: usize,
}

/// How large a run is.
#[derive(Clone, Copy)]
struct Plan {
    crowds: [Crowd; 3],
    rounds: usize,
    /// By what times are divided, for a try.
    hurry: u32,
}

impl Plan {
    fn new(is_quick: bool) -> Self {
        let (many, few, rounds, hurry) = if is_quick { (18, 2, 1, 20) } else { (900, 100, 5, 1) };
        let crowd = |name, reading, stalled| Crowd { name, measured: many, reading, stalled };
        let crowds =
            [crowd("alone", 0, 0), crowd("others read", few, 0), crowd("others stall", 0, few)];
        Self { crowds, rounds, hurry }
    }
}

/// Clients that are connected; dropping them closes their connections.
struct Clients {
    epoch: Instant,
    notes: Rc<Notes>,
    readers: Vec<JoinHandle<()>>,
    _stalled: Vec<TcpStream>,
}

impl Clients {
    fn connect(addr: SocketAddr, transport: Transport, crowd: Crowd) -> Self {
        let epoch = Instant::now();
        let (notes, nothing) = (Rc::new(Notes::new(epoch)), Rc::new(Notes::new(epoch)));
        let measured = (0..crowd.measured).map(|_| transport.read(addr, Rc::clone(&notes)));
        let others = (0..crowd.reading).map(|_| transport.read(addr, Rc::clone(&nothing)));
        let readers = measured.chain(others).collect();
        let stalled = (0..crowd.stalled).map(|_| transport.stall(addr)).collect();
        Self { epoch, notes, readers, _stalled: stalled }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

/// How late the events of one round were, and what the hub says at its end.
struct Round {
    late: Vec<Duration>,
    connections: u64,
    max_lag: u64,
}

async fn round(
    server: &Server,
    (transport, crowd): (Transport, Crowd),
    filling: Duration,
    window: Duration,
) -> Round {
    let clients = Clients::connect(server.addr(), transport, crowd);
    let from = clients.epoch.elapsed() + filling;
    let until = from + window;
    clients.notes.open(from, until);
    let published = publish(server.addr(), clients.epoch, PERIOD, (from, until));
    sleep(filling + window).await;
    let expected = published.join().expect("all are published") * crowd.measured;
    let arrived = async {
        while clients.notes.count() < expected {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, arrived).await.expect("every reader gets every event");
    let (connections, max_lag) = (server.connections(), server.stat("max_lag"));
    let late = clients.notes.sorted();
    drop(clients);
    empty(server).await;
    Round { late, connections, max_lag }
}

/// Waits until everybody has left.
async fn empty(server: &Server) {
    let gone = async {
        while server.connections() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("who has left is not kept");
}

/// How late the events were at the median and at the 99th percentile, in milliseconds.
fn percentiles(round: &Round) -> [f64; 2] {
    let at = |part: f64| round.late[((round.late.len() - 1) as f64 * part) as usize];
    [at(0.5), at(0.99)].map(|late| late.as_secs_f64() * 1e3)
}

fn median(of: impl Iterator<Item = f64>) -> f64 {
    let mut of: Vec<_> = of.collect();
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Each crowd in turn, so that what disturbs one disturbs the others.
async fn compare(server: &Server, transport: Transport, variant: &Variant, plan: Plan) {
    let (filling, window) = (FILLING / plan.hurry, variant.window / plan.hurry);
    let mut rounds = plan.crowds.map(|_| Vec::new());
    for _ in 0..plan.rounds {
        for (crowd, rounds) in plan.crowds.into_iter().zip(&mut rounds) {
            rounds.push(round(server, (transport, crowd), filling, window).await);
        }
    }
    for (crowd, rounds) in plan.crowds.iter().zip(&rounds) {
        let [half, most] =
            [0, 1].map(|which| median(rounds.iter().map(|it| percentiles(it)[which])));
        let last = rounds.last().expect("at least one round");
        println!(
            "  {:<13} p50 {half:>6.2} ms  p99 {most:>6.2} ms   {:>4} connections, the slowest {:>4} \
             events behind",
            crowd.name, last.connections, last.max_lag
        );
    }
    let [alone, others_read, others_stall] = &rounds;
    // Of rounds that follow each other, so that what changes on the machine is in both.
    let ratio = |to: &[Round]| {
        let pairs = others_stall.iter().zip(to);
        median(pairs.map(|(stall, to)| percentiles(stall)[1] / percentiles(to)[1]))
    };
    println!(
        "  p99, median of the rounds' ratios: others stall/alone {:.2}, others stall/others read {:.2}",
        ratio(alone),
        ratio(others_read)
    );
}

/// What the server holds while clients stall for longer and longer.
async fn hold(server: &Server, transport: Transport, plan: Plan) {
    let clients = Clients::connect(server.addr(), transport, plan.crowds[2]);
    let ends = STALLING.map(|time| time / plan.hurry);
    let until = clients.epoch.elapsed() + ends[ends.len() - 1];
    let mut held = format!("  resident {:.1} MiB", server.resident());
    let published = publish(server.addr(), clients.epoch, PERIOD, (until, until));
    let began = tokio::time::Instant::now();
    for end in ends {
        sleep_until(began + end).await;
        held += &format!(", after {:?} of stalling {:.1}", end, server.resident());
    }
    published.join().expect("all are published");
    println!("{held}");
    drop(clients);
    empty(server).await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let is_wanted = |name: &&str, among: &[&str]| {
        arguments.iter().any(|it| it == name) || !arguments.iter().any(|it| among.contains(&&**it))
    };
    let plan = Plan::new(arguments.iter().any(|it| it == "--test"));
    let testbed = server::build();
    println!("\nhow late events are, medians of {} rounds of each crowd, in turn:", plan.rounds);
    let names = TRANSPORTS.map(|(name, _)| name);
    for adapter in ADAPTERS.into_iter().filter(|it| is_wanted(it, &ADAPTERS)) {
        for (name, transport) in TRANSPORTS.into_iter().filter(|(it, _)| is_wanted(it, &names)) {
            for variant in &VARIANTS {
                println!("{adapter}, {name}, {}:", variant.name);
                let server = Server::start(&testbed, adapter, variant.arguments);
                let run = async {
                    compare(&server, transport, variant, plan).await;
                    if variant.stays {
                        hold(&server, transport, plan).await;
                    }
                };
                LocalSet::new().run_until(run).await;
            }
        }
    }
}
