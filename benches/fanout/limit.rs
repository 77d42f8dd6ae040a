//! What the machine can do: one thread, epoll, bytes that are encoded once, and nothing else.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    process::exit,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    fd::OwnedFd,
    io::Errno,
};
use sha1::{Digest, Sha1};

use crate::{
    plan::Transport,
    server::{Task, message},
};

/// How many messages are kept for who is behind; who is further behind misses some.
const KEPT: usize = 1024;

const LISTENER: u64 = u64::MAX;
const ORDERS: u64 = u64::MAX - 1;

/// How messages come to a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All that is pending is copied into one buffer and written.
    Copied,
    /// Messages lie one behind the other, and all that is pending is one slice.
    Slice,
    /// Each message is a write.
    Single,
}

/// Is one of the limits.
pub(crate) fn serve(name: &str, task: Task) {
    let way = match name {
        "limit" => Way::Copied,
        "limit-slice" => Way::Slice,
        "limit-single" => Way::Single,
        _ => panic!("there is no server {name}"),
    };
    let Task { listener, orders, transport, bytes } = task;
    let epoll = epoll::create(CreateFlags::CLOEXEC).expect("an epoll");
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN).expect("added");
    epoll::add(&epoll, &orders, EventData::new_u64(ORDERS), EventFlags::IN).expect("added");
    let log = Log { messages: VecDeque::new(), joined: Vec::new(), first: 0, transport };
    Limit {
        epoll,
        listener,
        orders,
        ordered: Vec::new(),
        connections: Vec::new(),
        log,
        way,
        bytes,
        scratch: vec![0; 64 * 1024],
    }
    .run();
}

struct Limit {
    epoll: OwnedFd,
    listener: TcpListener,
    orders: TcpStream,
    ordered: Vec<u8>,
    connections: Vec<Option<Connection>>,
    log: Log,
    way: Way,
    bytes: usize,
    scratch: Vec<u8>,
}

impl Limit {
    fn run(mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(1024);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => panic!("no events: {error}"),
            }
            let mut is_published = false;
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept(),
                    ORDERS => is_published |= self.obey(),
                    nth => self.serve(nth as usize, event.flags),
                }
            }
            if is_published {
                for connection in self.connections.iter_mut().flatten() {
                    connection.flush(&self.log, self.way, &mut self.scratch);
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            socket.set_nonblocking(true).expect("a socket that does not block");
            socket.set_nodelay(true).expect("no delay");
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            let data = EventData::new_u64(self.connections.len() as u64);
            epoll::add(&self.epoll, &socket, data, flags).expect("added");
            self.connections.push(Some(Connection::new(socket)));
        }
    }

    /// Publishes as it is told; whether it has.
    fn obey(&mut self) -> bool {
        let mut part = [0; 256];
        match self.orders.read(&mut part) {
            Ok(0) => exit(0),
            Ok(length) => self.ordered.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => exit(0),
        }
        let before = self.log.end();
        let whole = self.ordered.len() / 8 * 8;
        for until in self.ordered.drain(..whole).as_slice().chunks_exact(8) {
            let until = u64::from_le_bytes(until.try_into().expect("eight bytes"));
            while self.log.end() < until {
                self.log.append(&message(self.bytes));
            }
        }
        self.log.end() > before
    }

    fn serve(&mut self, nth: usize, flags: EventFlags) {
        let Some(connection) = &mut self.connections[nth] else { return };
        if flags.contains(EventFlags::IN) && !connection.read(&mut self.scratch, self.log.end()) {
            self.connections[nth] = None;
            return;
        }
        if flags.contains(EventFlags::OUT) {
            connection.is_full = false;
        }
        connection.flush(&self.log, self.way, &mut self.scratch);
    }
}

/// What is published, as it is on the wire.
struct Log {
    messages: VecDeque<Vec<u8>>,
    /// The same, one behind the other.
    joined: Vec<u8>,
    /// The number of the first that is kept.
    first: u64,
    transport: Transport,
}

impl Log {
    fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }

    fn append(&mut self, message: &str) {
        let encoded = self.encode(message);
        if self.messages.len() == 2 * KEPT {
            self.messages.drain(..KEPT);
            self.joined.drain(..KEPT * encoded.len());
            self.first += KEPT as u64;
        }
        self.joined.extend_from_slice(&encoded);
        self.messages.push_back(encoded);
    }

    fn encode(&self, message: &str) -> Vec<u8> {
        let length = message.len() as u16;
        match self.transport {
            Transport::WebSocket => {
                let mut frame = vec![0x81];
                match length {
                    ..126 => frame.push(length as u8),
                    _ => {
                        frame.push(126);
                        frame.extend(length.to_be_bytes());
                    }
                }
                frame.extend(message.as_bytes());
                frame
            }
            Transport::Sse => {
                // With an id, as realtime's. Each is a chunk, so that any number of them is.
                let event = format!("id: 5bc1e1b5-{:08}\ndata: {message}\n\n", self.end());
                format!("{:08x}\r\n{event}\r\n", event.len()).into_bytes()
            }
        }
    }

    /// All that is pending from `from` on, in a buffer; an event stream's in one chunk.
    fn copy(&self, from: u64, into: &mut Vec<u8>) {
        into.clear();
        let pending = self.messages.range((from - self.first) as usize..);
        match self.transport {
            Transport::WebSocket => pending.for_each(|it| into.extend_from_slice(it)),
            Transport::Sse => {
                into.extend_from_slice(b"00000000\r\n");
                // Without its own chunk's head, of ten bytes, and end.
                pending.for_each(|it| into.extend_from_slice(&it[10..it.len() - 2]));
                let length = into.len() - 10;
                into.extend_from_slice(b"\r\n");
                let mut head = &mut into[..8];
                write!(head, "{length:08x}").expect("room for it");
            }
        }
    }
}

struct Connection {
    socket: TcpStream,
    request: Vec<u8>,
    is_open: bool,
    /// Whether it took less than it was given, and has not said since that there is room.
    is_full: bool,
    /// The first message that it was not given.
    next: u64,
    /// What it was given, and how much of that it took.
    rest: Vec<u8>,
    taken: usize,
}

impl Connection {
    fn new(socket: TcpStream) -> Self {
        let (request, rest) = (Vec::new(), Vec::new());
        Self { socket, request, is_open: false, is_full: false, next: 0, rest, taken: 0 }
    }

    /// Reads what has come; whether it goes on.
    fn read(&mut self, scratch: &mut Vec<u8>, end: u64) -> bool {
        scratch.resize(64 * 1024, 0);
        loop {
            match self.socket.read(scratch) {
                Ok(0) => return false,
                Ok(_) if self.is_open => {}
                Ok(length) => self.request.extend_from_slice(&scratch[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        if !self.is_open && self.request.ends_with(b"\r\n\r\n") {
            self.is_open = true;
            self.next = end;
            self.rest = answer(&std::mem::take(&mut self.request));
        }
        true
    }

    /// Writes what is pending, as far as there is room.
    fn flush(&mut self, log: &Log, way: Way, scratch: &mut Vec<u8>) {
        if self.is_full {
            return;
        }
        if !self.rest.is_empty() {
            self.taken += write(&self.socket, &self.rest[self.taken..]);
            if self.taken < self.rest.len() {
                self.is_full = true;
                return;
            }
            (self.rest, self.taken) = (Vec::new(), 0);
        }
        self.next = self.next.max(log.first);
        while self.is_open && self.next < log.end() && self.rest.is_empty() {
            let nth = (self.next - log.first) as usize;
            let (pending, until) = match way {
                Way::Copied => {
                    log.copy(self.next, scratch);
                    (&scratch[..], log.end())
                }
                Way::Slice => (&log.joined[nth * log.messages[nth].len()..], log.end()),
                Way::Single => (&log.messages[nth][..], self.next + 1),
            };
            let written = write(&self.socket, pending);
            self.rest.extend_from_slice(&pending[written..]);
            self.next = until;
            self.is_full = !self.rest.is_empty();
        }
    }
}

/// How much of it the socket takes.
fn write(mut socket: &TcpStream, bytes: &[u8]) -> usize {
    // An error is seen by the next read.
    socket.write(bytes).unwrap_or(0)
}

fn answer(request: &[u8]) -> Vec<u8> {
    let request = str::from_utf8(request).expect("a head");
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    match key {
        Some(key) => {
            let magic = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
            let accept = STANDARD.encode(Sha1::digest(magic));
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            )
        }
        None => "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                 Transfer-Encoding: chunked\r\n\r\n"
            .to_owned(),
    }
    .into_bytes()
}
