//! Encoding events for event streams: one block, and the way from publish to the bytes of a thousand
//! streams, beside a `tokio::sync::broadcast` whose receivers encode for themselves.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark tells its figures")]

mod head;
mod side_by_side;
mod streams;

use criterion::{Criterion, Throughput, criterion_group};
use realtime::sse::Block;
use streams::{Receivers, Streams};

const SIZES: [usize; 3] = [64, 2 * 1024, 16 * 1024];
const STREAMS: usize = 1_000;

/// A block with a name, an id and `size` bytes of data in lines of 80.
fn block(size: usize) -> Block {
    let line = "x".repeat(79) + "\n";
    let data = line.repeat(size.div_ceil(80)).chars().take(size).collect::<String>();
    let named = Block::new().event("tick".parse().expect("a valid name"));
    named.id("1f3a9c02-1234567").expect("a valid id").data(data)
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sse_encode");
    group.sample_size(20);
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let block = block(size);
        let mut out = Vec::new();
        group.bench_function(format!("block/{size}"), |b| {
            b.iter(|| {
                out.clear();
                block.write(&mut out);
            });
        });
    }
}

criterion_group!(benches, encode);

fn main() {
    let _timers = streams::enter_runtime();
    benches();
    println!("\nfrom publish to the bytes of a stream, in turn in one run:");
    for size in SIZES {
        let mut streams = Streams::sse(STREAMS);
        let data = "x".repeat(size);
        let bytes = bytes::Bytes::from(data.clone());
        let mut receivers = Receivers::new(STREAMS);
        let mut out = Vec::new();
        let mut encode = |data: bytes::Bytes| {
            let text = String::from_utf8_lossy(&data);
            out.clear();
            let block = Block::new().id("1f3a9c02-1234567").expect("a valid id").data(text);
            block.write(&mut out);
        };
        side_by_side::compare(
            &format!("{size} B to {STREAMS} streams"),
            STREAMS as u64,
            ("realtime", &mut |times| {
                for _ in 0..times {
                    streams.round(&data);
                }
            }),
            ("broadcast+encode", &mut |times| {
                for _ in 0..times {
                    receivers.round(&bytes, &mut encode);
                }
            }),
        );
    }
    Criterion::default().configure_from_args().final_summary();
}
