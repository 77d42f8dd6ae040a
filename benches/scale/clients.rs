//! Clients over sockets, which have a process for some thousands of them.

use std::{
    cell::RefCell,
    future::pending,
    io::{self, BufRead, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    rc::Rc,
    thread,
    time::{Duration, SystemTime},
};

use socket2::{Domain, Socket, Type};
use tokio::{io::AsyncWriteExt, task::LocalSet};

const WEBSOCKET: &str = "GET /messages?topic=scale HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SSE: &str =
    "GET /events?topic=scale HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";

const PING: u8 = 0x89;
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

/// What an event's data begins with; nothing else that the server says has it.
const MARK: u8 = b'@';

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// `ADDRESS SOURCE STREAMS WEBSOCKETS`: opens so many from the address 127.0.0.SOURCE, says `open`, and
/// then for each event when the last of them had it, in nanoseconds since 1970. Ends with its input.
pub(crate) fn run(arguments: &[String]) {
    let [addr, source, streams, websockets] = arguments else { return };
    let addr: SocketAddr = addr.parse().expect("an address");
    let source = Ipv4Addr::new(127, 0, 0, source.parse().expect("a number below 256"));
    let [streams, websockets]: [usize; 2] =
        [streams, websockets].map(|it| it.parse().expect("a number"));
    thread::spawn(|| {
        io::stdin().lock().lines().for_each(drop);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tally = Rc::new(Tally { clients: streams + websockets, had: RefCell::default() });
    let clients = LocalSet::new();
    clients.block_on(&runtime.expect("a runtime"), async {
        for nth in 0..streams + websockets {
            let request = if nth < streams { SSE } else { WEBSOCKET };
            let socket = connect(addr, source, request).expect("let in");
            tokio::task::spawn_local(read(socket, nth >= streams, Rc::clone(&tally)));
            // What has come for the others is read meanwhile: they answer pings.
            tokio::task::yield_now().await;
        }
        println!("open");
        pending::<()>().await;
    });
}

/// Connects, and reads the answer's head.
fn connect(addr: SocketAddr, source: Ipv4Addr, request: &str) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // No port waits for the end of the last connection on it.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&addr.into())?;
    let mut socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    if !answer.starts_with(b"HTTP/1.1 101") && !answer.starts_with(b"HTTP/1.1 200") {
        return Err(io::Error::other(answer.escape_ascii().to_string()));
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Reads, answers pings, and notes events.
async fn read(socket: TcpStream, is_websocket: bool, tally: Rc<Tally>) {
    let mut socket = tokio::net::TcpStream::from_std(socket).expect("a socket");
    let mut events = 0;
    loop {
        // Not kept between two reads, so that thousands of clients take little memory.
        socket.readable().await.expect("a connection");
        let mut buffer = [0; 4096];
        let length = match socket.try_read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return println!("lost: {error}"),
        };
        if length == 0 {
            return println!("lost: the server closed a connection");
        }
        let read = &buffer[..length];
        for _ in read.iter().filter(|byte| **byte == MARK) {
            tally.note(events);
            events += 1;
        }
        // A ping has no payload, and all else that comes is text.
        if is_websocket && read.contains(&PING) {
            socket.write_all(&PONG).await.expect("a pong is sent");
        }
    }
}

/// How many clients have had each event.
struct Tally {
    clients: usize,
    had: RefCell<Vec<usize>>,
}

impl Tally {
    fn note(&self, event: usize) {
        let mut had = self.had.borrow_mut();
        let length = had.len().max(event + 1);
        had.resize(length, 0);
        had[event] += 1;
        if had[event] == self.clients {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            println!("had {event} {}", now.expect("after 1970").as_nanos());
        }
    }
}
