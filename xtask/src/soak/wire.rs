//! Sockets, requests and frames of the clients, right and wrong.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use fastrand::Rng;
use socket2::{Domain, Socket, Type};

/// No client waits longer for one read or write, unless it sets another time.
pub const PATIENCE: Duration = Duration::from_millis(300);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Normal,
    /// So small that whoever does not read holds the server up soon.
    Small,
    /// The same, with room enough to catch up.
    Narrow,
}

/// Connects from some address of the loopback interface: closed connections hold ports for a while,
/// and one address has too few.
pub fn dial(addr: SocketAddr, window: Window, random: &mut Rng) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    match window {
        Window::Normal => {}
        Window::Small => socket.set_recv_buffer_size(2 * 1024)?,
        Window::Narrow => socket.set_recv_buffer_size(32 * 1024)?,
    }
    let from = Ipv4Addr::new(127, 0, random.u8(0..8), random.u8(2..250));
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&addr.into(), CONNECT)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Goes in one of the ways in which clients go.
pub fn leave(mut stream: TcpStream, random: &mut Rng) {
    match random.u8(0..4) {
        0 => drop(stream),
        1 => reset(stream),
        2 => {
            // What fails here has ended already.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = read_some(&mut stream);
        }
        _ => {
            let _ = stream.write_all(&frame(CLOSE, &1000_u16.to_be_bytes(), random));
            let _ = read_some(&mut stream);
        }
    }
}

/// Closes with RST.
pub fn reset(stream: TcpStream) {
    let socket = Socket::from(stream);
    let _ = socket.set_linger(Some(Duration::ZERO));
}

/// What comes with one read; nothing at the end, and where nothing comes.
pub fn read_some(stream: &mut TcpStream) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let length = stream.read(&mut buffer).unwrap_or(0);
    buffer[..length].to_vec()
}

pub fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: soak\r\n{headers}\r\n").into_bytes()
}

pub fn event_stream(path: &str, last_id: Option<&str>) -> Vec<u8> {
    let last_id = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
    get(path, &format!("Accept: text/event-stream\r\n{last_id}"))
}

pub fn handshake(path: &str) -> Vec<u8> {
    get(
        path,
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    )
}

pub fn post(topic: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request = format!(
        "POST /publish?topic={topic} HTTP/1.1\r\nHost: soak\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// Reads the head of an answer: its status, and what follows it.
pub fn answer(stream: &mut TcpStream) -> io::Result<(u16, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let status = std::str::from_utf8(&bytes[..end]).ok();
            let status = status.and_then(|head| head.split(' ').nth(1)?.parse().ok());
            let rest = bytes.split_off(end + 4);
            return Ok((status.ok_or(io::ErrorKind::InvalidData)?, rest));
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}

pub const TEXT: u8 = 0x81;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

/// A masked frame; `first` is its first byte.
pub fn frame(first: u8, payload: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = random.u32(..).to_be_bytes();
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Bytes that no frame begins with, or whose sequel is wrong.
pub fn broken_frame(random: &mut Rng) -> Vec<u8> {
    match random.u8(0..9) {
        // Not masked.
        0 => vec![TEXT, 2, b'h', b'i'],
        // A reserved bit.
        1 => frame(TEXT | 0x40, b"hi", random),
        // A reserved opcode.
        2 => frame(0x83, b"hi", random),
        // More than anybody takes.
        3 => [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &[1, 2, 3, 4]].concat(),
        // A fragmented ping.
        4 => frame(PING & 0x7f, b"hi", random),
        // A continuation of nothing.
        5 => frame(0x80, b"hi", random),
        // No UTF-8.
        6 => frame(TEXT, &[0xff, 0xfe, 0xfd], random),
        // A Close with a code that nobody may send.
        7 => frame(CLOSE, &1005_u16.to_be_bytes(), random),
        _ => bytes(random, 200),
    }
}

/// Up to `most` random bytes.
pub fn bytes(random: &mut Rng, most: usize) -> Vec<u8> {
    let length = random.usize(1..=most);
    (0..length).map(|_| random.u8(..)).collect()
}
