//! HTTP/1.1 as far as it is needed: a head, bodies by length and in chunks, an event stream.

use std::{collections::VecDeque, io, net::SocketAddr};

use realtime_testkit::sse::{Event, Parser};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What an event stream brings.
#[derive(Debug)]
pub enum Got {
    /// A block with an id and nothing else.
    Id(String),
    Event(Event),
    /// Something that means nothing, as a heartbeat does.
    Nothing,
    End,
}

/// An open event stream.
#[derive(Debug)]
pub struct EventStream {
    stream: TcpStream,
    /// Bytes as they came, not yet taken.
    raw: Vec<u8>,
    /// Bytes of the chunk that are still to come, its line end included.
    chunk: usize,
    has_ended: bool,
    parser: Parser,
    got: VecDeque<Got>,
}

impl EventStream {
    /// Asks for `target`, from after `last_id` on.
    pub async fn open(
        address: SocketAddr,
        target: &str,
        last_id: Option<&str>,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        let last_id = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n{last_id}\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut raw = Vec::new();
        let head = head(&mut stream, &mut raw).await?;
        if head.status != 200 {
            return Err(io::Error::other(format!("status {}", head.status)));
        }
        let (parser, got) = (Parser::new(), VecDeque::new());
        let mut open = Self { stream, raw, chunk: 0, has_ended: false, parser, got };
        open.take()?;
        Ok(open)
    }

    /// What comes next. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> io::Result<Got> {
        if let Some(got) = self.got.pop_front() {
            return Ok(got);
        }
        if self.has_ended || self.stream.read_buf(&mut self.raw).await? == 0 {
            return Ok(Got::End);
        }
        self.take()?;
        Ok(self.got.pop_front().unwrap_or(Got::Nothing))
    }

    fn take(&mut self) -> io::Result<()> {
        loop {
            if self.chunk > 0 {
                let length = self.chunk.min(self.raw.len());
                // The last two bytes of a chunk are its line end.
                let data = self.chunk.saturating_sub(2).min(length);
                let bytes: Vec<u8> = self.raw.drain(..length).collect();
                self.parse(&bytes[..data]);
                self.chunk -= length;
            }
            if self.chunk > 0 || self.has_ended {
                return Ok(());
            }
            let Some(end) = find(&self.raw, b"\r\n") else { return Ok(()) };
            let line = String::from_utf8_lossy(&self.raw[..end]).into_owned();
            let size = usize::from_str_radix(line.trim(), 16)
                .map_err(|_| io::Error::other(format!("no size of a chunk: {line:?}")))?;
            self.raw.drain(..end + 2);
            self.has_ended = size == 0;
            self.chunk = if size == 0 { 0 } else { size + 2 };
        }
    }

    /// Line by line, so that an id without an event is seen in its place.
    fn parse(&mut self, bytes: &[u8]) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let before = self.parser.silent_blocks();
            self.got.extend(self.parser.feed(line).into_iter().map(Got::Event));
            let id = self.parser.last_event_id();
            if self.parser.silent_blocks() > before && !id.is_empty() {
                self.got.push_back(Got::Id(id.to_owned()));
            }
        }
    }
}

/// Publishes over an open connection: the answer's status and body.
pub async fn post(stream: &mut TcpStream, target: &str, body: &str) -> io::Result<(u16, String)> {
    let length = body.len();
    let request =
        format!("POST {target} HTTP/1.1\r\nHost: chaos\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let mut raw = Vec::new();
    let head = head(stream, &mut raw).await?;
    let length = head.length.ok_or_else(|| io::Error::other("an answer without Content-Length"))?;
    while raw.len() < length {
        if stream.read_buf(&mut raw).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((head.status, String::from_utf8_lossy(&raw).into_owned()))
}

struct Head {
    status: u16,
    length: Option<usize>,
}

/// Reads the head of an answer; what follows it stays in `raw`.
async fn head(stream: &mut TcpStream, raw: &mut Vec<u8>) -> io::Result<Head> {
    let end = loop {
        if let Some(end) = find(raw, b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(raw).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let rest = raw.split_off(end + 4);
    let text = String::from_utf8_lossy(raw).to_ascii_lowercase();
    *raw = rest;
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("an answer without a status"))?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    Ok(Head { status, length: length.and_then(|length| length.trim().parse().ok()) })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
