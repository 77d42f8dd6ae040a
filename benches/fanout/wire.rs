//! How much of a stream of bytes is messages, told by as few of them as possible.

use crate::{plan::Transport, server::END_MARK};

/// One connection's stream.
pub(crate) enum Wire {
    /// The answer's head, as far as it has come.
    Head(Transport, Vec<u8>),
    WebSocket(Frames),
    Sse,
}

/// What was in some bytes.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) messages: u64,
    pub(crate) pings: u32,
}

impl Wire {
    pub(crate) fn new(transport: Transport) -> Self {
        Self::Head(transport, Vec::new())
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self, Self::Head(..))
    }

    /// Takes what has come.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Seen {
        match self {
            Self::WebSocket(frames) => frames.take(bytes),
            // Whatever the chunks are: the mark stands at the end of each message and nowhere else.
            Self::Sse => {
                let messages = memchr::memchr_iter(END_MARK, bytes).count() as u64;
                Seen { messages, pings: 0 }
            }
            Self::Head(transport, head) => {
                let before = head.len();
                head.extend_from_slice(bytes);
                let Some(end) = memchr::memmem::find(head, b"\r\n\r\n") else {
                    return Seen::default();
                };
                let (is_let_in, open) = match transport {
                    Transport::WebSocket => ("HTTP/1.1 101", Self::WebSocket(Frames::default())),
                    Transport::Sse => ("HTTP/1.1 200", Self::Sse),
                };
                assert!(head.starts_with(is_let_in.as_bytes()), "{}", head.escape_ascii());
                let rest = &bytes[end + 4 - before..];
                *self = open;
                self.take(rest)
            }
        }
    }
}

const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

/// Where in its frames a WebSocket's stream is.
#[derive(Default)]
pub(crate) struct Frames {
    head: [u8; 4],
    /// Bytes of the head that have come.
    have: usize,
    /// Bytes of the payload that are to come.
    rest: usize,
    is_in_payload: bool,
}

impl Frames {
    fn take(&mut self, mut bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        loop {
            if self.is_in_payload {
                let part = self.rest.min(bytes.len());
                bytes = &bytes[part..];
                self.rest -= part;
                if self.rest > 0 {
                    return seen;
                }
                (self.is_in_payload, self.have) = (false, 0);
                match self.head[0] {
                    PING => seen.pings += 1,
                    CLOSE => panic!("the server closes a WebSocket"),
                    _ => seen.messages += 1,
                }
            }
            if self.have == 0 && bytes.len() >= 4 {
                self.head.copy_from_slice(&bytes[..4]);
                let length = self.head_length();
                bytes = &bytes[length..];
                self.have = length;
            }
            while self.have < self.head_length() {
                let Some((first, rest)) = bytes.split_first() else { return seen };
                self.head[self.have] = *first;
                (self.have, bytes) = (self.have + 1, rest);
            }
            self.rest = match self.head[1] {
                length @ ..126 => length.into(),
                126 => u16::from_be_bytes([self.head[2], self.head[3]]).into(),
                _ => panic!("a message of 64 KiB"),
            };
            self.is_in_payload = true;
        }
    }

    /// As far as it is known.
    fn head_length(&self) -> usize {
        if self.have >= 2 || self.have == 0 { if self.head[1] < 126 { 2 } else { 4 } } else { 2 }
    }
}
