//! The body without its transfer coding.

use std::io;

use super::head::{Head, malformed};

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As its framing says: last chunk, full length, or FIN where only that ends it.
    Clean,
    /// FIN before the framing's end.
    Cut,
    /// RST before the framing's end.
    Reset,
}

/// Takes the framing off, step by step.
#[derive(Debug)]
pub(crate) enum Body {
    /// Nothing follows any more.
    Done,
    /// So many bytes are still to come.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked(Chunk),
    /// Everything up to FIN.
    UntilFin,
}

/// Where in the chunked coding the next byte falls.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// In the line with the size, collected without its line end.
    Size(Vec<u8>),
    /// In the data, so many bytes before its end.
    Data(u64),
    /// In the line end after the data, of which so many bytes were seen.
    DataEnd(usize),
    /// In a trailer line, collected without its line end.
    Trailer(Vec<u8>),
}

impl Body {
    /// The framing which this head announces for the response to a request of this method.
    pub(crate) fn announced_by(head: &Head, is_head_request: bool) -> io::Result<Self> {
        let coding = head.headers.text("transfer-encoding");
        let length = head.headers.text("content-length");
        match (coding, length) {
            _ if is_head_request || matches!(head.status, 101 | 204 | 304) => Ok(Self::Done),
            (Some(_), Some(_)) => Err(malformed("both a transfer coding and a content length")),
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => {
                Ok(Self::Chunked(Chunk::Size(Vec::new())))
            }
            (Some(coding), None) => Err(malformed(format!("transfer coding {coding:?}"))),
            (None, Some(digits)) => match digits.parse() {
                Ok(0) => Ok(Self::Done),
                Ok(length) => Ok(Self::Length(length)),
                Err(_) => Err(malformed(format!("content length {digits:?}"))),
            },
            (None, None) => Ok(Self::UntilFin),
        }
    }

    /// Appends to `out` what `input` carries of the body.
    pub(crate) fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while !input.is_empty() {
            input = match self {
                Self::Done => {
                    let extra = input.escape_ascii();
                    return Err(malformed(format!("bytes after the end of the body: \"{extra}\"")));
                }
                Self::UntilFin => take(input, u64::MAX, out).1,
                Self::Length(left) => {
                    let (taken, rest) = take(input, *left, out);
                    *left -= taken;
                    rest
                }
                Self::Chunked(chunk) => match chunk.step(input, out)? {
                    Some(rest) => rest,
                    None => {
                        *self = Self::Done;
                        &input[1..]
                    }
                },
            };
            if matches!(self, Self::Length(0)) {
                *self = Self::Done;
            }
        }
        Ok(())
    }

    /// Whether the framing said that this is all.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// What a FIN at this point means.
    pub(crate) fn end_at_fin(&self) -> End {
        match self {
            Self::Done | Self::UntilFin => End::Clean,
            Self::Length(_) | Self::Chunked(_) => End::Cut,
        }
    }
}

impl Chunk {
    /// Takes some of a non-empty `input` and returns the rest; `None` when its first byte ended the
    /// body.
    fn step<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> io::Result<Option<&'a [u8]>> {
        let byte = input[0];
        let mut rest = &input[1..];
        match self {
            Self::Size(line) => {
                if let Some(line) = end_of_line(line, byte) {
                    *self = match chunk_size(&line)? {
                        0 => Self::Trailer(Vec::new()),
                        size => Self::Data(size),
                    };
                }
            }
            Self::Data(left) => {
                let (taken, after) = take(input, *left, out);
                *left -= taken;
                rest = after;
                if *left == 0 {
                    *self = Self::DataEnd(0);
                }
            }
            Self::DataEnd(seen) if byte != b"\r\n"[*seen] => {
                return Err(malformed(format!("byte {byte:#04x} after the data of a chunk")));
            }
            Self::DataEnd(0) => *self = Self::DataEnd(1),
            Self::DataEnd(_) => *self = Self::Size(Vec::new()),
            Self::Trailer(line) => match end_of_line(line, byte) {
                Some(line) if line.is_empty() => return Ok(None),
                Some(_) => *self = Self::Trailer(Vec::new()),
                None => {}
            },
        }
        Ok(Some(rest))
    }
}

/// Adds a byte to the line, or takes the line without CRLF if the byte ends it.
fn end_of_line(line: &mut Vec<u8>, byte: u8) -> Option<Vec<u8>> {
    if byte == b'\n' && line.last() == Some(&b'\r') {
        line.pop();
        return Some(std::mem::take(line));
    }
    line.push(byte);
    None
}

fn chunk_size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| malformed(format!("chunk size \"{}\"", line.escape_ascii())))
}

/// Moves up to `most` bytes to `out`; returns how many and what is left of the input.
fn take<'a>(input: &'a [u8], most: u64, out: &mut Vec<u8>) -> (u64, &'a [u8]) {
    let length = input.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    let (taken, rest) = input.split_at(length);
    out.extend_from_slice(taken);
    (length as u64, rest)
}
