//! Encoding events as WebSocket frames: the way from publish to the bytes of a thousand connections,
//! beside a `tokio::sync::broadcast` whose receivers use tungstenite's frame writer each.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark tells its figures")]

mod head;
mod side_by_side;
mod streams;

use criterion::{Criterion, Throughput, criterion_group};
use realtime::ws::Format;
use streams::{Receivers, Streams};
use tungstenite::protocol::frame::{
    Frame,
    coding::{Data, OpCode},
};

const SIZES: [usize; 3] = [64, 2 * 1024, 16 * 1024];
const CONNECTIONS: usize = 1_000;

/// What a server does that encodes each message for each connection.
fn encode_each(data: bytes::Bytes, out: &mut Vec<u8>) {
    out.clear();
    let frame = Frame::message(data, OpCode::Data(Data::Text), true);
    frame.format(out).expect("a Vec takes everything");
    std::hint::black_box(out);
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ws_encode");
    group.sample_size(20);
    for size in SIZES {
        let data = "x".repeat(size);
        for (name, format) in [("raw", Format::Raw), ("envelope", Format::Envelope)] {
            group.throughput(Throughput::Elements(CONNECTIONS as u64));
            let mut connections = Streams::websocket(CONNECTIONS, format);
            group.bench_function(format!("{name}/{size}"), |b| b.iter(|| connections.round(&data)));
        }
    }
}

criterion_group!(benches, encode);

fn main() {
    let _timers = streams::enter_runtime();
    benches();
    println!("\nfrom publish to the bytes of a connection, in turn in one run:");
    for size in SIZES {
        let mut connections = Streams::websocket(CONNECTIONS, Format::Raw);
        let data = "x".repeat(size);
        let bytes = bytes::Bytes::from(data.clone());
        let mut receivers = Receivers::new(CONNECTIONS);
        let mut out = Vec::new();
        side_by_side::compare(
            &format!("{size} B to {CONNECTIONS} connections"),
            CONNECTIONS as u64,
            ("realtime", &mut |times| {
                for _ in 0..times {
                    connections.round(&data);
                }
            }),
            ("broadcast+tungstenite", &mut |times| {
                for _ in 0..times {
                    receivers.round(&bytes, &mut |data| encode_each(data, &mut out));
                }
            }),
        );
    }
    Criterion::default().configure_from_args().final_summary();
}
