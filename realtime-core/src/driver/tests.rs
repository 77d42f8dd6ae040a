#![allow(clippy::disallowed_methods, reason = "a test has a clock and tasks")]

use std::{
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::Duration,
};

use realtime_testkit::ws::{Frame as Sent, opcode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
    time::Instant as Clock,
};

use super::*;
use crate::{
    Event, Hub, Limits,
    head::testing::Head,
    ws::{CloseCause, Format, Message, Outcome, Request, Session, Socket},
};

mod admission;
mod body;
mod byte_stream;
mod cancel;
mod connection;
mod deadlines;
mod drain;
mod held;
mod identities;
mod idle;
mod lifetime;
mod messages;
#[cfg(shuttle)]
mod models;
mod on_close;
#[cfg(all(target_pointer_width = "64", not(shuttle)))]
mod sizes;
mod write_deadline;

/// A frame from the server: opcode and payload.
type Written = (u8, Vec<u8>);

fn text(text: &str) -> Written {
    (opcode::TEXT, text.into())
}

fn close(code: u16, reason: &str) -> Written {
    (opcode::CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// A hub whose clients may send as fast as they can.
fn unpaced() -> Hub {
    Hub::builder().limits(Limits::unpace).build().unwrap()
}

/// A session that is subscribed to the topic `a` and gets its events as they are.
fn session(hub: &Hub) -> (Session, Socket) {
    let request = Request::let_in(hub, &Head::websocket()).unwrap();
    let request = request.format(Format::Raw).subscribe("a");
    let (_, session, socket) = request.open_with_socket(now()).unwrap();
    (session, socket)
}

fn boxed<F: Future<Output: Outcome> + Send + 'static>(future: F) -> BoxHandler {
    Box::pin(async { future.await.into_cause() })
}

async fn echo(mut socket: Socket) {
    while let Some(message) = socket.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

/// Keeps the socket and does nothing.
async fn idle(socket: Socket) {
    std::future::pending::<()>().await;
    drop(socket);
}

async fn publish(hub: &Hub, text: &str) {
    hub.publish("a", Event::text(text)).await.unwrap();
}

/// Tells when it is dropped.
#[derive(Clone, Default)]
struct Dropped(Arc<AtomicBool>);

impl Dropped {
    fn guard(&self) -> impl Drop + Send + use<> {
        struct Guard(Arc<AtomicBool>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        Guard(Arc::clone(&self.0))
    }

    fn is_dropped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Splits the first whole frame off what the server has written.
fn take_frame(bytes: &mut Vec<u8>) -> Option<Written> {
    let (header, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize),
        length => (2, usize::from(length)),
    };
    let payload = bytes.get(header..header + length)?.to_vec();
    assert_eq!(bytes[0] & 0xf0, 0x80);
    let opcode = bytes[0] & 0x0f;
    bytes.drain(..header + length);
    Some((opcode, payload))
}

/// The client's end of a connection.
struct Client {
    io: DuplexStream,
    bytes: Vec<u8>,
}

impl Client {
    async fn send(&mut self, frame: Sent) {
        self.io.write_all(&frame.to_bytes()).await.unwrap();
    }

    /// The next frame; `None` at the end.
    async fn next(&mut self) -> Option<Written> {
        loop {
            if let Some(frame) = take_frame(&mut self.bytes) {
                return Some(frame);
            }
            if self.io.read_buf(&mut self.bytes).await.unwrap() == 0 {
                assert!(self.bytes.is_empty(), "a frame is cut");
                return None;
            }
        }
    }
}

/// A connection over a pipe that holds `pipe` bytes each way.
fn connect<F>(
    hub: &Hub,
    pipe: usize,
    early: &[u8],
    run: impl FnOnce(Socket) -> F,
) -> (Client, JoinHandle<CloseCause>)
where
    F: Future<Output: Outcome> + Send + 'static,
{
    let (session, socket) = session(hub);
    serve(session, socket, pipe, early, run)
}

fn serve<F>(
    session: Session,
    socket: Socket,
    pipe: usize,
    early: &[u8],
    run: impl FnOnce(Socket) -> F,
) -> (Client, JoinHandle<CloseCause>)
where
    F: Future<Output: Outcome> + Send + 'static,
{
    let (io, server) = tokio::io::duplex(pipe);
    let connection = Connection::new(server, early, session, Some(boxed(run(socket))));
    (Client { io, bytes: Vec::new() }, tokio::spawn(connection))
}

#[tokio::test(start_paused = true)]
async fn the_timer_rings_at_the_deadline_whichever_way_it_is_moved() {
    let mut timer = Timer::default();
    let start = now();
    let at = |seconds| start + Duration::from_secs(seconds);
    poll_fn(|cx| timer.poll(cx, at(10), now())).await;
    assert_eq!(now(), at(10));
    // Later than it is set to, and then earlier.
    let mut cx = Context::from_waker(Waker::noop());
    assert!(timer.poll(&mut cx, at(40), now()).is_pending());
    poll_fn(|cx| timer.poll(cx, at(30), now())).await;
    assert_eq!(now(), at(30));
    assert!(timer.poll(&mut cx, at(31), now()).is_pending());
    poll_fn(|cx| timer.poll(cx, at(50), now())).await;
    assert_eq!(now(), at(50));
}

#[tokio::test(start_paused = true)]
async fn the_timer_rings_though_the_clock_passed_the_deadline_since_it_was_read() {
    let mut timer = Timer::default();
    let read = now();
    tokio::time::advance(Duration::from_secs(2)).await;
    let mut cx = Context::from_waker(Waker::noop());
    let polled = timer.poll(&mut cx, read + Duration::from_secs(1), read);
    assert!(polled.is_ready());
}
