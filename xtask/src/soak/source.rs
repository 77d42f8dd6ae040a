//! What a well-behaved client reads: an event stream or a WebSocket, as the same items.

use std::{
    collections::VecDeque,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use fastrand::Rng;
use serde_json::Value;

use super::wire::{self, Window};

/// How a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    EventStream,
    WebSocket,
}

#[derive(Debug)]
pub enum Got {
    Item(Item),
    /// Nothing within a while.
    Nothing,
    End,
}

#[derive(Debug, Default)]
pub struct Item {
    pub id: Option<String>,
    /// `message` unless it is named.
    pub event: String,
    pub data: String,
}

/// An open connection, read on demand.
#[derive(Debug)]
pub struct Source {
    transport: Transport,
    stream: TcpStream,
    items: VecDeque<Item>,
    /// Bytes as they came, not yet taken.
    raw: Vec<u8>,
    /// The body of an event stream, not yet taken.
    body: Vec<u8>,
    /// Bytes of the chunk that are still to come, its line end included.
    chunk: usize,
    has_ended: bool,
}

/// How long `next` waits.
const WAIT: Duration = Duration::from_millis(200);

impl Source {
    /// Connects to these topics, from after `last_id` on.
    pub fn open(
        addr: SocketAddr,
        transport: Transport,
        window: Window,
        query: &str,
        last_id: Option<&str>,
        random: &mut Rng,
    ) -> Result<Self, String> {
        let failed = |error: io::Error| format!("could not connect: {error}");
        let mut stream = wire::dial(addr, window, random).map_err(failed)?;
        let (request, expected) = match transport {
            Transport::EventStream => {
                (wire::event_stream(&format!("/events?{query}"), last_id), 200)
            }
            Transport::WebSocket => {
                let id = last_id.map(|id| format!("&last_event_id={id}")).unwrap_or_default();
                (wire::handshake(&format!("/messages?{query}{id}")), 101)
            }
        };
        stream.set_write_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
        stream.write_all(&request).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
        let (status, raw) = wire::answer(&mut stream).map_err(failed)?;
        if status != expected {
            return Err(format!("expected status {expected}, got {status}"));
        }
        stream.set_read_timeout(Some(WAIT)).map_err(failed)?;
        let (items, body) = (VecDeque::new(), Vec::new());
        let mut source = Self { transport, stream, items, raw, body, chunk: 0, has_ended: false };
        source.take(random)?;
        Ok(source)
    }

    /// The next item, if one comes.
    pub fn next(&mut self, random: &mut Rng) -> Result<Got, String> {
        if let Some(item) = self.items.pop_front() {
            return Ok(Got::Item(item));
        }
        if self.has_ended {
            return Ok(Got::End);
        }
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Ok(Got::End),
            Ok(length) => self.raw.extend_from_slice(&buffer[..length]),
            Err(error) => {
                return Ok(match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Got::Nothing,
                    _ => Got::End,
                });
            }
        }
        self.take(random)?;
        Ok(self.items.pop_front().map_or(Got::Nothing, Got::Item))
    }

    /// Whether all that was read has been taken.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn take(&mut self, random: &mut Rng) -> Result<(), String> {
        match self.transport {
            Transport::EventStream => {
                self.take_chunks()?;
                self.take_blocks();
                Ok(())
            }
            Transport::WebSocket => self.take_frames(random),
        }
    }

    fn take_chunks(&mut self) -> Result<(), String> {
        loop {
            if self.chunk > 0 {
                let length = self.chunk.min(self.raw.len());
                // The last two bytes of a chunk are its line end.
                let data = self.chunk.saturating_sub(2).min(length);
                self.body.extend_from_slice(&self.raw[..data]);
                self.raw.drain(..length);
                self.chunk -= length;
            }
            if self.chunk > 0 || self.has_ended {
                return Ok(());
            }
            let Some(end) = self.raw.windows(2).position(|window| window == b"\r\n") else {
                return Ok(());
            };
            let line = String::from_utf8_lossy(&self.raw[..end]).into_owned();
            let size = usize::from_str_radix(line.trim(), 16)
                .map_err(|_| format!("expected the size of a chunk, got {line:?}"))?;
            self.raw.drain(..end + 2);
            self.has_ended = size == 0;
            self.chunk = if size == 0 { 0 } else { size + 2 };
        }
    }

    fn take_blocks(&mut self) {
        while let Some(end) = self.body.windows(2).position(|window| window == b"\n\n") {
            let block: Vec<u8> = self.body.drain(..end + 2).collect();
            let mut item = Item { event: "message".to_owned(), ..Item::default() };
            let mut has_data = false;
            for line in String::from_utf8_lossy(&block).lines() {
                match line.split_once(": ") {
                    Some(("id", id)) => item.id = Some(id.to_owned()),
                    Some(("event", event)) => event.clone_into(&mut item.event),
                    Some(("data", data)) => {
                        has_data = true;
                        item.data.push_str(data);
                    }
                    _ => {}
                }
            }
            if !has_data {
                // As the first block does, which has only the place where the stream begins.
                "realtime.ready".clone_into(&mut item.event);
            }
            self.items.push_back(item);
        }
    }

    fn take_frames(&mut self, random: &mut Rng) -> Result<(), String> {
        loop {
            let [first, second, rest @ ..] = &*self.raw else { return Ok(()) };
            let (start, length) = match (second, rest) {
                (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
                (127, [a, b, c, d, e, f, g, h, ..]) => {
                    let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                    (10, usize::try_from(length).map_err(|_| "a frame of any size".to_owned())?)
                }
                (126 | 127, _) => return Ok(()),
                (128.., _) => return Err("a server's frame must not be masked".to_owned()),
                (length, _) => (2, usize::from(*length)),
            };
            let first = *first;
            if self.raw.len() < start + length {
                return Ok(());
            }
            let payload: Vec<u8> = self.raw.drain(..start + length).skip(start).collect();
            match first {
                wire::TEXT => self.items.push_back(message(&payload)?),
                wire::PING => {
                    // It fails where the server has gone, which the next read tells.
                    let _ = self.stream.write_all(&wire::frame(wire::PONG, &payload, random));
                }
                wire::CLOSE => {
                    let _ = self.stream.write_all(&wire::frame(wire::CLOSE, &payload, random));
                    self.has_ended = true;
                }
                other => return Err(format!("unexpected first byte of a frame: {other:#x}")),
            }
        }
    }
}

fn message(payload: &[u8]) -> Result<Item, String> {
    let message: Value = serde_json::from_slice(payload)
        .map_err(|error| format!("a message should be JSON: {error}"))?;
    let text = |name: &str| message[name].as_str().map(str::to_owned);
    Ok(Item {
        id: text("id"),
        event: text("event").unwrap_or_else(|| "message".to_owned()),
        data: text("data").unwrap_or_default(),
    })
}
