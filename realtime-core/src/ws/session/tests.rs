#![allow(clippy::disallowed_methods, reason = "a test has a clock and tasks")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
    time::Duration,
};

use futures_util::FutureExt;
use realtime_testkit::ws::{Frame as Sent, opcode};

use super::*;
use crate::{
    Event, Hub, HubBuilder, LagLimit, Overflow, Subscribe, TopicName,
    head::testing::Head,
    subscription::Permission,
    ws::{CloseCode, CloseFrame, CloseReason, Format, Message, Request, Socket},
};

mod bounds;
mod closing;
mod failing;
mod identity;
mod life;
mod order;
mod overflow;
mod sockets;

/// A session with its handler's end, fed and written at times that the test makes up.
struct Rig {
    hub: Hub,
    session: Session,
    socket: Option<Socket>,
    start: Instant,
    now: Instant,
    wakes: Arc<Wakes>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A frame that the session has written: opcode and payload.
type Written = (u8, Vec<u8>);

fn text(text: &str) -> Written {
    (opcode::TEXT, text.into())
}

fn close(code: u16, reason: &str) -> Written {
    (opcode::CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
}

impl Rig {
    /// Events as they are, of the topic `a`.
    fn new() -> Self {
        Self::with(|hub| hub, |request| request.format(Format::Raw).subscribe("a"))
    }

    fn with(
        hub: impl FnOnce(HubBuilder) -> HubBuilder,
        request: impl FnOnce(Request) -> Request,
    ) -> Self {
        let hub = hub(Hub::builder()).build().unwrap();
        let accepted = Request::let_in(&hub, &Head::websocket()).unwrap();
        let start = Instant::now();
        let (_, session, socket) = request(accepted).open_with_socket(start).unwrap();
        let wakes = Arc::new(Wakes::default());
        let waker = Arc::clone(&wakes).into();
        Self { hub, session, socket: Some(socket), start, now: start, wakes, waker }
    }

    /// Sets the time to `seconds` after the start.
    fn at(&mut self, seconds: f64) -> &mut Self {
        self.now = self.start + Duration::from_secs_f64(seconds);
        self
    }

    fn publish(&self, text: &str) {
        let published = self.hub.publish_at("a", Event::text(text), self.now);
        published.now_or_never().unwrap().unwrap();
    }

    /// The client sends these frames, in one piece.
    fn client(&mut self, frames: impl IntoIterator<Item = Sent>) {
        let bytes: Vec<u8> = frames.into_iter().flat_map(|frame| frame.to_bytes()).collect();
        self.session.receive(&bytes, self.now);
    }

    fn poll(&mut self) -> bool {
        let mut cx = Context::from_waker(&self.waker);
        self.session.poll_transmit(&mut cx, self.now).is_ready()
    }

    fn pending(&self) -> usize {
        self.session.chunks().map(<[u8]>::len).sum()
    }

    /// Writes at most `max` bytes and returns them.
    fn write(&mut self, max: usize) -> Vec<u8> {
        self.poll();
        let mut bytes: Vec<u8> = self.session.chunks().flatten().copied().collect();
        bytes.truncate(max);
        if !bytes.is_empty() {
            self.session.wrote(bytes.len());
        }
        bytes
    }

    /// Writes everything that there is, and returns it as frames.
    fn written(&mut self) -> Vec<Written> {
        let mut bytes = Vec::new();
        loop {
            let more = self.write(usize::MAX);
            if more.is_empty() {
                return frames_of(&bytes);
            }
            bytes.extend(more);
        }
    }

    /// The socket takes nothing.
    fn blocked(&mut self) {
        self.poll();
        let mut cx = Context::from_waker(&self.waker);
        self.session.write_blocked(&mut cx, self.now);
    }

    /// What happens until `seconds` after the start, when the driver does nothing but wait.
    fn wait_until(&mut self, seconds: f64) -> &mut Self {
        let end = self.start + Duration::from_secs_f64(seconds);
        while self.ended().is_none() && self.session.deadline() <= end {
            self.now = self.now.max(self.session.deadline());
            self.session.handle_timeout(self.now);
        }
        self.now = end;
        self
    }

    fn ended(&self) -> Option<(CloseCause, bool)> {
        match self.session.status() {
            Status::Open => None,
            Status::Ended { cause, linger } => Some((cause, linger)),
        }
    }

    fn socket(&mut self) -> &mut Socket {
        self.socket.as_mut().unwrap()
    }

    fn send(&mut self, text: &str) {
        self.socket().send(Message::text(text)).now_or_never().unwrap().unwrap();
    }

    /// The next message, the outer `None` when there is none yet.
    fn recv(&mut self) -> Option<Option<Message>> {
        self.socket().recv().now_or_never()
    }
}

/// Whole frames as a server must write them: final, without a mask or reserved bits, of minimal
/// length.
fn frames_of(mut bytes: &[u8]) -> Vec<Written> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<2>() {
        assert_eq!(head[0] & 0xf0, 0x80, "final and no reserved bits");
        let (length, rest) = match head[1] {
            length @ 0..=125 => (u64::from(length), rest),
            126 => {
                let (length, rest) = rest.split_first_chunk::<2>().expect("a whole header");
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk::<8>().expect("a whole header");
                (u64::from_be_bytes(*length), rest)
            }
            _ => panic!("masked"),
        };
        let (payload, rest) = rest.split_at_checked(length as usize).expect("a whole frame");
        frames.push((head[0] & 0x0f, payload.to_vec()));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "a frame is cut");
    frames
}
