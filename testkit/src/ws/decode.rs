//! Frames as a server must write them.

use std::fmt;

use super::frame::opcode;
use crate::transcript::preview;

/// What came from the server: a whole message, a control frame, or the end of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A text message, put together if it was fragmented.
    Text(String),
    /// A binary message, put together if it was fragmented.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame, with code and reason if it has them.
    Close(Option<(u16, String)>),
    /// FIN after a whole frame; also in the middle of a fragmented message.
    Eof,
    /// FIN inside a frame, as when the server gives a write up.
    Cut,
    /// RST.
    Reset,
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "text {}", preview(text.as_bytes())),
            Self::Binary(bytes) => write!(f, "binary {}", preview(bytes)),
            Self::Ping(bytes) => write!(f, "ping {}", preview(bytes)),
            Self::Pong(bytes) => write!(f, "pong {}", preview(bytes)),
            Self::Close(None) => write!(f, "close without a code"),
            Self::Close(Some((code, reason))) => write!(f, "close {code} {reason:?}"),
            Self::Eof => write!(f, "FIN"),
            Self::Cut => write!(f, "FIN inside a frame"),
            Self::Reset => write!(f, "RST"),
        }
    }
}

/// Reads frames strictly: what RFC 6455 forbids a server is an error.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(crate) buffer: Vec<u8>,
    /// Opcode and payload so far of a message whose last fragment has not come.
    message: Option<(u8, Vec<u8>)>,
    closed: bool,
}

impl Decoder {
    /// A decoder that has these bytes already.
    pub(crate) fn starting_with(buffer: Vec<u8>) -> Self {
        Self { buffer, message: None, closed: false }
    }

    /// The next message or control frame, `None` if more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Received>, String> {
        while let Some((header, start)) = Header::parse(&self.buffer)? {
            if self.closed {
                return Err(format!("a frame after the close frame: {header:?}"));
            }
            // What can't be waited for can't be held in memory either.
            let end = usize::try_from(header.length).ok().and_then(|n| start.checked_add(n));
            let Some(end) = end.filter(|&end| end <= self.buffer.len()) else { return Ok(None) };
            let payload = self.buffer[start..end].to_vec();
            self.buffer.drain(..end);
            if let Some(received) = self.frame(&header, payload)? {
                return Ok(Some(received));
            }
        }
        Ok(None)
    }

    /// What a FIN at this point means.
    pub(crate) fn end(&self) -> Received {
        if self.buffer.is_empty() { Received::Eof } else { Received::Cut }
    }

    fn frame(&mut self, header: &Header, payload: Vec<u8>) -> Result<Option<Received>, String> {
        match header.opcode {
            opcode::PING => Ok(Some(Received::Ping(payload))),
            opcode::PONG => Ok(Some(Received::Pong(payload))),
            opcode::CLOSE => {
                self.closed = true;
                close(&payload).map(|close| Some(Received::Close(close)))
            }
            _ => self.fragment(header, payload),
        }
    }

    fn fragment(&mut self, header: &Header, payload: Vec<u8>) -> Result<Option<Received>, String> {
        let (opcode, whole) = match (self.message.take(), header.opcode) {
            (None, opcode::CONTINUATION) => return Err("a continuation of nothing".into()),
            (None, opcode) => (opcode, payload),
            (Some((opcode, mut whole)), opcode::CONTINUATION) => {
                whole.extend(payload);
                (opcode, whole)
            }
            (Some(_), _) => return Err("a new message inside a fragmented one".into()),
        };
        if !header.fin {
            self.message = Some((opcode, whole));
            return Ok(None);
        }
        match opcode {
            opcode::TEXT => text(whole).map(|text| Some(Received::Text(text))),
            _ => Ok(Some(Received::Binary(whole))),
        }
    }
}

#[derive(Debug)]
struct Header {
    fin: bool,
    opcode: u8,
    length: u64,
}

impl Header {
    /// The header at the start of `bytes` and how long it is; judged as soon as it is complete.
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, String> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(digits) = rest.get(..extended) else { return Ok(None) };
        let length = match extended {
            0 => u64::from(second & 0x7f),
            _ => digits.iter().fold(0, |length, &digit| length << 8 | u64::from(digit)),
        };
        let header = Self { fin: first & 0x80 != 0, opcode: first & 0x0f, length };
        header.judge(first >> 4 & 0b111, second & 0x80 != 0, extended)?;
        Ok(Some((header, 2 + extended)))
    }

    fn judge(&self, rsv: u8, masked: bool, extended: usize) -> Result<(), String> {
        let is_control = self.opcode & 0x8 != 0;
        let known = matches!(self.opcode, 0x0..=0x2 | 0x8..=0xa);
        let minimal = match self.length {
            0..=125 => 0,
            126..=0xffff => 2,
            _ => 8,
        };
        let wrong = match self {
            _ if masked => "masked by a server",
            _ if rsv != 0 => "reserved bits",
            _ if !known => "unknown opcode",
            _ if extended != minimal => "length not in its minimal form",
            _ if self.length > i64::MAX as u64 => "length with its first bit set",
            _ if is_control && !self.fin => "fragmented control frame",
            _ if is_control && self.length > 125 => "control frame of more than 125 bytes",
            _ => return Ok(()),
        };
        Err(format!("{wrong}: {self:?}, rsv {rsv:03b}"))
    }
}

fn close(payload: &[u8]) -> Result<Option<(u16, String)>, String> {
    let &[high, low, ref reason @ ..] = payload else {
        return if payload.is_empty() { Ok(None) } else { Err("close payload of 1 byte".into()) };
    };
    let code = u16::from_be_bytes([high, low]);
    match code {
        // 1004 to 1006 and 1015 never travel, 1016 to 2999 are not given out.
        1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Some((code, text(reason.to_vec())?))),
        _ => Err(format!("close code {code}")),
    }
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| format!("text that is not UTF-8: {error}"))
}
