//! What it costs a server to send every message to every client, beside what one writes without
//! realtime, and beside what the machine can do.
//!
//! The server is this program once more, as a process of its own with one thread of work on the first
//! core; all clients are this process, with one epoll on the second. The server publishes by itself, by
//! whatever its way is, as much as the clients tell it to: with a window of 64, at most 64 messages are
//! published that not all clients have yet.
//!
//! What counts is the time that the server's threads ran, as the kernel says it (`schedstat`): other
//! work on the machine changes that little. The clients never sleep, so that no server pays for waking
//! them. It is taken when nothing is in flight, so that the
//! deliveries are exactly those that it was for. Servers take turns, each with a new process for each
//! round, and medians are printed with the least and the most.
//!
//! The limits are servers that do nothing else: one thread, epoll, bytes encoded once per message.
//!
//! `cargo bench --bench fanout` does all of it. A part:
//!
//! ```sh
//! cargo bench --bench fanout --features full -- throughput --transport websocket --only axum,limit \
//!     --clients 1000 --bytes 128 --window 64 --rounds 3 --seconds 2
//! ```
//!
//! `--under "perf record -g -o perf.data"`, or `"valgrind --tool=callgrind"`, runs the server under
//! that; it is this program with `--server-only NAME`, and ends by itself when the clients have left.
//! `--quick` does everything with few clients, to see that it works.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark tells its figures"
)]

mod client;
mod connects;
mod floors;
mod latency;
mod limit;
mod measure;
mod memory;
mod ours;
mod plan;
mod rivals;
mod server;
mod throughput;
mod wire;

#[path = "../figures/mod.rs"]
mod figures;

use figures::{chart, table};
use plan::{PARTS, Plan};
use rustix::process::{Resource, getrlimit};

type Measure = fn(&Plan);

/// The core of the clients.
const CLIENT_CORE: usize = 1;

fn main() {
    let plan = Plan::parse(std::env::args().skip(1)).unwrap_or_else(|error| panic!("{error}"));
    if let Some((name, control)) = &plan.serves {
        return server::serve(name, plan.transports[0], plan.bytes[0], control);
    }
    server::pin(CLIENT_CORE);
    enough_descriptors(&plan);
    let parts: [(&str, Measure); PARTS.len()] = [
        ("throughput", throughput::throughput),
        ("guards", throughput::guards),
        ("latency", latency::latency),
        ("memory", memory::memory),
        ("connects", connects::connects),
        ("slow", throughput::slow),
    ];
    for (_, measure) in parts.into_iter().filter(|(part, _)| plan.has(part)) {
        measure(&plan);
    }
}

/// Says what to do before a server has none left.
fn enough_descriptors(plan: &Plan) {
    let most = plan.crowds().into_iter().max().unwrap_or(0);
    let most = most.max(if plan.has("memory") { plan.clients_or(memory::OPEN) } else { 0 });
    let Some(allowed) = getrlimit(Resource::Nofile).current else { return };
    assert!(
        allowed as usize > most + 100,
        "{most} clients need as many descriptors and some, and {allowed} are allowed: raise `ulimit -n`"
    );
}
