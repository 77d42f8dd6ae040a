//! All clients of a server, on one thread with one epoll.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
    },
    fd::OwnedFd,
};
use socket2::{Domain, Socket, Type};

use crate::{plan::Transport, server::Server, wire::Wire};

/// Handshakes at a time.
const OPENING: usize = 64;

/// Who waits that long for a message that is published waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// Room for all that a socket has.
const BUFFER_BYTES: usize = 256 * 1024;

/// A pong with nothing in it: any frame tells that a client lives.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

/// Clients that follow what a server publishes.
pub(crate) struct Clients {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    connections: Vec<Connection>,
    open: usize,
    progress: Progress,
    allowed: u64,
}

struct Connection {
    socket: TcpStream,
    wire: Wire,
    received: u64,
}

/// What a client has just read.
pub(crate) struct Reading<'a> {
    /// The messages before, and with those that are whole now.
    pub(crate) received: (u64, u64),
    pub(crate) bytes: &'a [u8],
}

impl Clients {
    /// Connects them all. Who follows has to get the first message, which is published then.
    pub(crate) fn connect(server: &mut Server, transport: Transport, count: usize) -> Self {
        let mut clients = Self {
            epoll: epoll::create(CreateFlags::CLOEXEC).expect("an epoll"),
            events: Vec::with_capacity(1024),
            buffer: vec![0; BUFFER_BYTES],
            connections: Vec::with_capacity(count),
            open: 0,
            progress: Progress::new(count),
            allowed: 0,
        };
        while clients.open < count {
            while clients.connections.len() < count
                && clients.connections.len() - clients.open < OPENING
            {
                clients.start(server.addr(), transport);
            }
            clients.turn(&mut |_| {});
        }
        clients.pump(server, 1, Duration::ZERO, &mut |_| {});
        clients
    }

    /// Has the server publish for that time, with at most `window` messages that not all clients have
    /// yet; returns when all have all. The count of deliveries.
    pub(crate) fn pump(
        &mut self,
        server: &mut Server,
        window: u64,
        time: Duration,
        note: &mut impl FnMut(&Reading<'_>),
    ) -> u64 {
        let (first, ends) = (self.allowed, Instant::now() + time);
        loop {
            let is_over = self.allowed > first && Instant::now() >= ends;
            if is_over && self.progress.least == self.allowed {
                return (self.allowed - first) * self.connections.len() as u64;
            }
            if !is_over && self.progress.least + window > self.allowed {
                self.allowed = self.progress.least + window;
                self.progress.make_room(window);
                server.publish_until(self.allowed);
            }
            self.turn(note);
        }
    }

    fn start(&mut self, addr: SocketAddr, transport: Transport) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.connect(&addr.into()).expect("a connection");
        // No port waits for the end of the last connection on it.
        socket.set_linger(Some(Duration::ZERO)).expect("no lingering");
        socket.set_tcp_nodelay(true).expect("no delay");
        let mut socket = TcpStream::from(socket);
        socket.write_all(transport.request(addr).as_bytes()).expect("sent");
        socket.set_nonblocking(true).expect("a socket that does not block");
        let data = EventData::new_u64(self.connections.len() as u64);
        epoll::add(&self.epoll, &socket, data, EventFlags::IN).expect("added");
        self.connections.push(Connection { socket, wire: Wire::new(transport), received: 0 });
    }

    /// Reads from whoever has something.
    fn turn(&mut self, note: &mut impl FnMut(&Reading<'_>)) {
        let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&patience))
            .expect("events");
        assert!(!self.events.is_empty(), "nothing has come for {PATIENCE:?}");
        for event in self.events.drain(..) {
            let connection = &mut self.connections[event.data.u64() as usize];
            let length = match connection.socket.read(&mut self.buffer) {
                Ok(0) => panic!("the server cuts a client that reads"),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("the server cuts a client that reads: {error}"),
            };
            let bytes = &self.buffer[..length];
            let was_open = connection.wire.is_open();
            let seen = connection.wire.take(bytes);
            self.open += usize::from(connection.wire.is_open() && !was_open);
            for _ in 0..seen.pings {
                connection.socket.write_all(&PONG).expect("room for a pong");
            }
            if seen.messages > 0 {
                let before = connection.received;
                connection.received += seen.messages;
                assert!(connection.received <= self.allowed, "nobody published that");
                self.progress.move_on(before, connection.received);
                note(&Reading { received: (before, connection.received), bytes });
            }
        }
    }
}

/// How many clients are how far, so that nobody has to look at all for the last.
struct Progress {
    /// The messages that all have.
    least: u64,
    /// How many clients have so many messages, modulo its length.
    at: Vec<usize>,
}

impl Progress {
    fn new(clients: usize) -> Self {
        Self { least: 0, at: vec![clients, 0] }
    }

    /// Room for that many messages beyond the least.
    fn make_room(&mut self, window: u64) {
        let places = window as usize + 1;
        if self.at.len() < places {
            let old = self.at.len() as u64;
            let mut at = vec![0; places];
            for count in self.least..self.least + old {
                at[(count % places as u64) as usize] = self.at[(count % old) as usize];
            }
            self.at = at;
        }
    }

    fn move_on(&mut self, before: u64, after: u64) {
        let places = self.at.len() as u64;
        self.at[(before % places) as usize] -= 1;
        self.at[(after % places) as usize] += 1;
        while self.at[(self.least % places) as usize] == 0 {
            self.least += 1;
        }
    }
}
