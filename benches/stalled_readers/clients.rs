//! Who connects: readers that measure, those that never read, and one that publishes.

use std::{
    cell::{Cell, RefCell},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, SockRef, Socket, Type};
use tokio::{io::AsyncReadExt, task::JoinHandle};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    Sse,
}

impl Transport {
    fn request(self) -> &'static str {
        match self {
            Self::WebSocket => {
                "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            }
            Self::Sse => "GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n",
        }
    }

    /// Connects and is let in.
    fn connect(self, socket: Socket, addr: SocketAddr) -> TcpStream {
        socket.connect(&addr.into()).expect("a connection");
        // No port waits for the end of the last connection on it.
        socket.set_linger(Some(Duration::ZERO)).expect("no lingering");
        let mut socket = TcpStream::from(socket);
        socket.write_all(self.request().as_bytes()).expect("sent");
        let mut answer = Vec::new();
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).expect("an answer");
            answer.push(byte[0]);
        }
        let is_let_in = answer.starts_with(b"HTTP/1.1 101") || answer.starts_with(b"HTTP/1.1 200");
        assert!(is_let_in, "{}", answer.escape_ascii());
        socket
    }

    /// Never reads again, and has little room.
    pub(crate) fn stall(self, addr: SocketAddr) -> TcpStream {
        let socket = socket();
        socket.set_recv_buffer_size(2 * 1024).expect("a small buffer");
        self.connect(socket, addr)
    }

    /// Reads, and notes for each event how late it was.
    pub(crate) fn read(self, addr: SocketAddr, notes: Rc<Notes>) -> JoinHandle<()> {
        let socket = self.connect(socket(), addr);
        socket.set_nonblocking(true).expect("a socket that does not block");
        let mut socket = tokio::net::TcpStream::from_std(socket).expect("a socket");
        tokio::task::spawn_local(async move {
            let mut bytes = Vec::with_capacity(4096);
            while socket.read_buf(&mut bytes).await.expect("nobody cuts a reader") > 0 {
                notes.take(&mut bytes);
            }
            panic!("nobody cuts a reader");
        })
    }
}

fn socket() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")
}

/// Before the time in an event's data.
const MARK: u8 = b'@';
const DIGITS: usize = 20;
const EVENT_BYTES: usize = 256;

/// How late events were that were to be published in a window of time.
pub(crate) struct Notes {
    epoch: Instant,
    window: Cell<(Duration, Duration)>,
    late: RefCell<Vec<Duration>>,
}

impl Notes {
    /// Notes nothing yet; times are since `epoch`.
    pub(crate) fn new(epoch: Instant) -> Self {
        Self { epoch, window: Cell::default(), late: RefCell::default() }
    }

    /// Notes what is to be published from one time until another.
    pub(crate) fn open(&self, from: Duration, until: Duration) {
        self.window.set((from, until));
    }

    /// Notes the events that are whole in `bytes`, and leaves the rest.
    fn take(&self, bytes: &mut Vec<u8>) {
        let now = self.epoch.elapsed();
        let (from, until) = self.window.get();
        let mut rest = 0;
        while let Some(mark) = bytes[rest..].iter().position(|byte| *byte == MARK) {
            let Some(digits) = bytes.get(rest + mark + 1..rest + mark + 1 + DIGITS) else { break };
            let digits = std::str::from_utf8(digits).ok().and_then(|it| it.parse().ok());
            let at = Duration::from_nanos(digits.expect("a time"));
            if (from..until).contains(&at) {
                self.late.borrow_mut().push(now.saturating_sub(at));
            }
            rest += mark + 1 + DIGITS;
        }
        let is_open = bytes[rest..].contains(&MARK);
        bytes.drain(..if is_open { rest } else { bytes.len() });
    }

    pub(crate) fn count(&self) -> usize {
        self.late.borrow().len()
    }

    /// In order.
    pub(crate) fn sorted(&self) -> Vec<Duration> {
        let mut late = self.late.take();
        late.sort_unstable();
        late
    }
}

/// Publishes at fixed times until `until`, whether or not those before have arrived; how many were to
/// be published from `from` on.
pub(crate) fn publish(
    addr: SocketAddr,
    epoch: Instant,
    period: Duration,
    (from, until): (Duration, Duration),
) -> thread::JoinHandle<usize> {
    let mut socket = TcpStream::connect(addr).expect("a connection");
    SockRef::from(&socket).set_tcp_nodelay(true).expect("no delay");
    thread::spawn(move || {
        let (mut at, mut counted) = (epoch.elapsed() + period, 0);
        while at < until {
            thread::sleep(at.saturating_sub(epoch.elapsed()));
            let mut data = format!("{}{:0DIGITS$}", char::from(MARK), at.as_nanos());
            data.push_str(&"x".repeat(EVENT_BYTES - data.len()));
            let head = format!(
                "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: {EVENT_BYTES}\r\n\r\n{data}"
            );
            socket.write_all(head.as_bytes()).expect("sent");
            let mut answer = Vec::new();
            while !answer.ends_with(b"}") {
                let mut part = [0; 1024];
                let length = socket.read(&mut part).expect("an answer");
                assert!(length > 0, "{}", answer.escape_ascii());
                answer.extend_from_slice(&part[..length]);
            }
            counted += usize::from(at >= from);
            at += period;
        }
        counted
    })
}
