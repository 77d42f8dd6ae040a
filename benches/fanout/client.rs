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
    io::Errno,
};
use socket2::{Domain, Socket, Type};

use crate::{plan::Transport, server::Server, wire::Wire};

/// Handshakes at a time.
const OPENING: usize = 64;

/// Who waits that long for a message that is published waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);

const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

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
    addr: SocketAddr,
    transport: Transport,
    /// Who has been let in since somebody looked.
    opened: Vec<usize>,
    reading: usize,
    progress: Progress,
    allowed: u64,
    /// When something came that was waited for.
    moved: Instant,
}

struct Connection {
    socket: TcpStream,
    wire: Wire,
    received: u64,
}

/// What a client has just read.
pub(crate) struct Reading<'a> {
    /// The messages that it had before, and those that it has now.
    pub(crate) received: (u64, u64),
    pub(crate) bytes: &'a [u8],
}

impl Clients {
    /// Connects them all, some handshakes at a time.
    pub(crate) fn connect(server: &Server, transport: Transport, count: usize) -> Self {
        let mut clients = Self::nobody(server, transport, count);
        let mut open = 0;
        while open < count {
            while clients.connections.len() < count.min(open + OPENING) {
                let connection = clients.start(clients.connections.len());
                clients.connections.push(connection);
            }
            clients.turn(PATIENCE, &mut |_| {});
            open += clients.opened.drain(..).len();
        }
        clients
    }

    /// Connects and leaves again once it is let in, over and over, some at a time; how often.
    pub(crate) fn come_and_go(server: &Server, transport: Transport, time: Duration) -> u64 {
        let mut clients = Self::nobody(server, transport, OPENING);
        for nth in 0..OPENING {
            let connection = clients.start(nth);
            clients.connections.push(connection);
        }
        let (mut count, ends) = (0, Instant::now() + time);
        while Instant::now() < ends {
            clients.turn(PATIENCE, &mut |_| {});
            for nth in std::mem::take(&mut clients.opened) {
                clients.connections[nth] = clients.start(nth);
                count += 1;
            }
        }
        count
    }

    fn nobody(server: &Server, transport: Transport, room: usize) -> Self {
        Self {
            epoll: epoll::create(CreateFlags::CLOEXEC).expect("an epoll"),
            events: Vec::with_capacity(1024),
            buffer: vec![0; BUFFER_BYTES],
            connections: Vec::with_capacity(room),
            addr: server.addr(),
            transport,
            opened: Vec::new(),
            reading: room,
            progress: Progress::new(room),
            allowed: 0,
            moved: Instant::now(),
        }
    }

    /// Has the server publish for that time, with at most `window` messages that not all who read
    /// have yet; returns when all have all. The count of deliveries.
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
                return (self.allowed - first) * self.reading as u64;
            }
            if !is_over && self.progress.least + window > self.allowed {
                self.allow(server, self.progress.least + window);
            }
            self.turn(PATIENCE, note);
        }
    }

    /// Has the server publish `count` messages, one each `period`; returns when all have all.
    pub(crate) fn pace(
        &mut self,
        server: &mut Server,
        count: u64,
        period: Duration,
        note: &mut impl FnMut(&Reading<'_>),
    ) {
        let last = self.allowed + count;
        let mut next = Instant::now();
        while self.allowed < last {
            self.allow(server, self.allowed + 1);
            next += period;
            while Instant::now() < next {
                self.turn(next.saturating_duration_since(Instant::now()), note);
            }
        }
        while self.progress.least < last {
            self.turn(PATIENCE, note);
        }
    }

    fn allow(&mut self, server: &mut Server, until: u64) {
        self.allowed = until;
        self.progress.make_room(until);
        server.publish_until(until);
    }

    /// The first so many read no more.
    pub(crate) fn stall(&mut self, count: usize) {
        for connection in &self.connections[..count] {
            epoll::delete(&self.epoll, &connection.socket).expect("it was there");
            self.progress.leave(connection.received);
        }
        self.reading -= count;
    }

    fn start(&self, nth: usize) -> Connection {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.connect(&self.addr.into()).expect("a connection");
        // No port waits for the end of the last connection on it.
        socket.set_linger(Some(Duration::ZERO)).expect("no lingering");
        socket.set_tcp_nodelay(true).expect("no delay");
        let mut socket = TcpStream::from(socket);
        socket.write_all(self.transport.request(self.addr).as_bytes()).expect("sent");
        socket.set_nonblocking(true).expect("a socket that does not block");
        epoll::add(&self.epoll, &socket, EventData::new_u64(nth as u64), EventFlags::IN)
            .expect("added");
        Connection { socket, wire: Wire::new(self.transport), received: 0 }
    }

    /// Heartbeats are nothing that anybody waits for.
    fn assert_moves(&self) {
        if self.moved.elapsed() < PATIENCE {
            return;
        }
        let least = self.progress.least;
        let behind = self.connections.iter().enumerate();
        let behind = behind.filter(|(_, it)| !it.wire.is_open() || it.received == least);
        let behind: Vec<_> = behind.map(|(nth, it)| (nth, it.wire.is_open())).collect();
        panic!(
            "{} of {} clients wait for message {} of {}, for {PATIENCE:?}: {:?}",
            behind.len(),
            self.connections.len(),
            least + 1,
            self.allowed,
            &behind[..behind.len().min(8)]
        );
    }

    /// Reads from whoever has something, or waits that long for it.
    ///
    /// It waits awake: whoever sends to somebody who sleeps has to wake them, which would count as the
    /// server's work, and more of it for a slow server than for a fast one.
    fn turn(&mut self, wait: Duration, note: &mut impl FnMut(&Reading<'_>)) {
        let ends = Instant::now() + wait;
        loop {
            let at_once = Some(&NO_TIME);
            match epoll::wait(&self.epoll, spare_capacity(&mut self.events), at_once) {
                // Who looks at this process, or stops it for a while, interrupts it.
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => panic!("no events: {error}"),
            }
            if !self.events.is_empty() || Instant::now() >= ends {
                break;
            }
        }
        self.assert_moves();
        for event in self.events.drain(..) {
            let nth = event.data.u64() as usize;
            let connection = &mut self.connections[nth];
            let length = match connection.socket.read(&mut self.buffer) {
                Ok(0) => panic!("the server cuts a client that reads"),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("the server cuts a client that reads: {error}"),
            };
            let bytes = &self.buffer[..length];
            let was_open = connection.wire.is_open();
            let seen = connection.wire.take(bytes);
            if connection.wire.is_open() && !was_open {
                self.opened.push(nth);
                self.moved = Instant::now();
            }
            for _ in 0..seen.pings {
                connection.socket.write_all(&PONG).expect("room for a pong");
            }
            if seen.messages > 0 {
                self.moved = Instant::now();
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

    /// Room for clients that have so many.
    fn make_room(&mut self, most: u64) {
        let places = (most - self.least) as usize + 1;
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
        self.at[(after % places) as usize] += 1;
        self.leave(before);
    }

    fn leave(&mut self, count: u64) {
        let places = self.at.len() as u64;
        self.at[(count % places) as usize] -= 1;
        // Somebody always reads.
        while self.at[(self.least % places) as usize] == 0 {
            self.least += 1;
        }
    }
}
