//! From an event to the bytes of a connection: event streams beside axum's, and WebSocket beside
//! tungstenite's frame writer, each behind a `tokio::sync::broadcast` as one writes them today.
//!
//! The unit of work is one event for one connection.
//!
//! `cargo bench --bench framing` does all of it; a part of a name does less, and `--quick` shows that it
//! works. The chart is `target/bench/framing.svg`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark tells its figures")]

mod cases;
mod figures;
mod head;
mod receivers;
mod side_by_side;
mod streams;

use std::{
    convert::Infallible,
    hint::black_box,
    task::{Context, Poll, Waker},
};

use axum::{
    body::BodyDataStream,
    response::{IntoResponse, Sse, sse::Event},
};
use bytes::Bytes;
use cases::{Case, Cases};
use futures_util::{FutureExt, StreamExt, stream};
use realtime::{sse::Block, ws::Format};
use receivers::Receivers;
use side_by_side::whole;
use streams::Streams;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tungstenite::protocol::frame::{
    Frame,
    coding::{Data, OpCode},
};

const SIZES: [usize; 3] = [64, 2 * 1024, 16 * 1024];

/// To how many connections, and how many events are pending when these are polled.
const CROWDS: [(usize, usize); 3] = [(1, 1), (1_000, 1), (1_000, 32)];
const ID: &str = "1f3a9c02-1234567";

/// As many messages as our topic retains.
const CAPACITY: usize = 1024;

fn main() {
    let _timers = streams::enter_runtime();
    let mut cases = Cases::new("framing", "From an event to the bytes of a connection");
    for size in SIZES {
        cases.measure(&format!("sse: one block of {size} B"), || block(size));
    }
    for load in loads() {
        cases.measure(&load.name("sse", "stream"), || event_streams(load));
    }
    for load in loads() {
        cases.measure(&load.name("websocket", "connection"), || websockets(load, Format::Raw));
    }
    for load in loads() {
        let name = load.name("websocket envelope", "connection");
        cases.measure(&name, || websockets(load, Format::Envelope));
    }
    cases.finish();
}

/// What is to be done at once.
#[derive(Clone, Copy)]
struct Load {
    connections: usize,
    pending: usize,
    size: usize,
}

impl Load {
    fn name(self, what: &str, connection: &str) -> String {
        let Self { connections, pending, size } = self;
        let s = if connections == 1 { "" } else { "s" };
        format!("{what}: {pending} × {size} B to {connections} {connection}{s}")
    }

    fn units(self) -> u64 {
        (self.connections * self.pending) as u64
    }
}

/// Those that nobody lags too far behind for.
fn loads() -> impl Iterator<Item = Load> {
    let all = CROWDS
        .into_iter()
        .flat_map(|(connections, pending)| SIZES.map(|size| Load { connections, pending, size }));
    let lag = realtime::LagLimit::default();
    all.filter(move |load| ((load.pending * load.size) as u64) < lag.bytes)
}

/// Formats an event with a name, an id and data in lines of 80, with no hub and no channel.
fn block(size: usize) -> Case {
    let line = "x".repeat(79) + "\n";
    let data: String = line.repeat(size.div_ceil(80)).chars().take(size).collect();
    let their_data = data.clone();
    let mut out = Vec::new();
    let name: realtime::EventName = "tick".parse().expect("a valid name");
    let ours = whole(move |times| {
        for _ in 0..times {
            out.clear();
            let block = Block::new().event(name.clone()).id(ID).expect("a valid id");
            block.data(data.as_str()).write(&mut out);
            black_box(&out);
        }
    });
    let event = move || Event::default().event("tick").id(ID).data(&their_data);
    let events = stream::repeat_with(move || Ok::<_, Infallible>(event()));
    let mut body = Sse::new(events).into_response().into_body().into_data_stream();
    let theirs = whole(move |times| {
        for _ in 0..times {
            let bytes = body.next().now_or_never().flatten().expect("it never ends");
            black_box(bytes).expect("it cannot fail");
        }
    });
    Case::new(1, ours).beside("axum sse::Event", theirs)
}

/// Publishes events, and all event streams give their bytes.
fn event_streams(load: Load) -> Case {
    let data = "x".repeat(load.size);
    let message = data.clone();
    let mut streams = Streams::sse(load.connections);
    let ours = whole(move |times| {
        (0..times).for_each(|_| round(&mut streams, load, &data));
    });
    let (sender, _) = broadcast::channel::<Bytes>(CAPACITY);
    let mut bodies: Vec<_> = (0..load.connections).map(|_| body(&sender)).collect();
    let theirs = whole(move |times| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..times {
            for _ in 0..load.pending {
                drop(sender.send(Bytes::copy_from_slice(message.as_bytes())));
            }
            for body in &mut bodies {
                while let Poll::Ready(bytes) = body.poll_next_unpin(&mut cx) {
                    black_box(bytes).expect("the sender lives").expect("it cannot fail");
                }
            }
        }
    });
    Case::new(load.units(), ours).beside("broadcast + axum Sse", theirs)
}

fn round(streams: &mut Streams, load: Load, data: &str) {
    (0..load.pending).for_each(|_| streams.publish(data));
    let bytes = streams.take();
    assert!(bytes > load.units() as usize * load.size, "every connection gets every event");
}

/// What axum answers with whose handler makes an event of each message.
fn body(sender: &broadcast::Sender<Bytes>) -> BodyDataStream {
    let events = BroadcastStream::new(sender.subscribe()).map(|message| {
        let message = message.expect("no receiver lags");
        let text = str::from_utf8(&message).expect("it is text");
        Ok::<_, Infallible>(Event::default().id(ID).data(text))
    });
    Sse::new(events).into_response().into_body().into_data_stream()
}

/// Publishes events, and all connections give their bytes. There is no envelope but ours.
fn websockets(load: Load, format: Format) -> Case {
    let data = "x".repeat(load.size);
    let message = data.clone();
    let mut connections = Streams::websocket(load.connections, format);
    let ours = whole(move |times| {
        (0..times).for_each(|_| round(&mut connections, load, &data));
    });
    let case = Case::new(load.units(), ours);
    if format != Format::Raw {
        return case;
    }
    let (sender, _) = broadcast::channel::<Bytes>(CAPACITY);
    let mut receivers = Receivers::new(
        sender,
        load.connections,
        || Waker::noop().clone(),
        || {
            let mut out = Vec::new();
            move |message| {
                out.clear();
                let frame = Frame::message(message, OpCode::Data(Data::Text), true);
                frame.format(&mut out).expect("a Vec takes everything");
                black_box(&out);
            }
        },
    );
    case.beside(
        "broadcast + tungstenite",
        whole(move |times| {
            for _ in 0..times {
                for _ in 0..load.pending {
                    receivers.send(Bytes::copy_from_slice(message.as_bytes()));
                }
                receivers.take();
            }
        }),
    )
}
