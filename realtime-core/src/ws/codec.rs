//! Frames that clients send: bytes in, messages and control frames out. No IO.
//!
//! Headers are parsed by tungstenite. What it leaves open is decided here, because hostile clients
//! use it: lengths must be minimal, a claimed size is refused at the header with nothing buffered, a
//! message may have a bounded number of fragments, and text is checked as it comes.

use std::io::Cursor;

use bytes::{Buf, Bytes};
use bytestring::ByteString;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::message::Message;
use crate::close::{CloseCause, CloseCode, CloseFrame, CloseReason};

mod assembly;

use assembly::Assembly;

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming {
    /// A whole message.
    Message(Message),
    /// A ping with its payload, to be answered.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// A Close, with its code and reason if it has any.
    Close(Option<CloseFrame>),
}

/// Why a client's bytes can't be taken; the connection is closed with the code of the cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.as_str())]
pub struct ProtocolError(pub(crate) CloseCause);

impl ProtocolError {
    /// The cause with which the connection is to be closed.
    pub fn cause(&self) -> &CloseCause {
        &self.0
    }
}

/// The longest header of a client's frame (RFC 6455 §5.2).
const MAX_HEADER_BYTES: usize = 14;

/// The decoder's state between two reads. It holds buffers only while a frame or message is
/// incomplete.
#[derive(Debug)]
pub struct Decoder {
    max_bytes: usize,
    max_fragments: u32,
    header: [u8; MAX_HEADER_BYTES],
    header_length: u8,
    frame: Option<Frame>,
    message: Option<Box<Assembly>>,
    control: Vec<u8>,
}

/// The frame whose payload is coming in.
#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: Kind,
    is_final: bool,
    mask: [u8; 4],
    remaining: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data,
    Ping,
    Pong,
    Close,
}

impl Decoder {
    /// A decoder for messages of at most `max_bytes` bytes in at most `max_fragments` frames.
    pub fn new(max_bytes: usize, max_fragments: u32) -> Self {
        Self {
            max_bytes,
            max_fragments,
            header: [0; MAX_HEADER_BYTES],
            header_length: 0,
            frame: None,
            message: None,
            control: Vec::new(),
        }
    }

    /// Takes bytes off the front of `input` up to the end of the next message or control frame;
    /// `None` when there is none, and then all of `input` has been taken.
    ///
    /// # Errors
    /// [`ProtocolError`]: nothing more can be decoded.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, ProtocolError> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.header(input)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let payload;
            (payload, *input) = input.split_at(frame.remaining.min(input.len()));
            frame.remaining -= payload.len();
            self.payload(&frame, payload)?;
            frame.mask.rotate_left(payload.len() % 4);
            if frame.remaining > 0 {
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(incoming) = self.end_of_frame(&frame)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// Reads a frame's header, keeping what there is of it when it is incomplete.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, ProtocolError> {
        loop {
            let have = usize::from(self.header_length);
            let need = header_length(&self.header[..have]);
            if have < need {
                let Some(byte) = input.first() else { return Ok(None) };
                self.header[have] = *byte;
                self.header_length += 1;
                input.advance(1);
                continue;
            }
            self.header_length = 0;
            let mut cursor = Cursor::new(&self.header[..have]);
            let (header, length) = FrameHeader::parse(&mut cursor)
                .map_err(|_| protocol("unknown opcode"))?
                .ok_or_else(|| protocol("incomplete header"))?;
            return self.check(&header, length, have).map(Some);
        }
    }

    fn check(
        &mut self,
        header: &FrameHeader,
        length: u64,
        header_bytes: usize,
    ) -> Result<Frame, ProtocolError> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(protocol("reserved bit set"));
        }
        let mask = header.mask.ok_or_else(|| protocol("frame not masked"))?;
        if header.len(length) != header_bytes {
            return Err(protocol("length not minimal"));
        }
        if length > i64::MAX as u64 {
            return Err(protocol("length too large"));
        }
        let kind = match header.opcode {
            OpCode::Data(data) => {
                self.check_data(data, header.is_final, length)?;
                Kind::Data
            }
            OpCode::Control(control) => {
                if !header.is_final {
                    return Err(protocol("fragmented control frame"));
                }
                if length > 125 {
                    return Err(protocol("control frame over 125 bytes"));
                }
                match control {
                    Control::Ping => Kind::Ping,
                    Control::Pong => Kind::Pong,
                    Control::Close => Kind::Close,
                    Control::Reserved(_) => return Err(protocol("unknown opcode")),
                }
            }
        };
        let remaining = usize::try_from(length).map_err(|_| too_big())?;
        Ok(Frame { kind, is_final: header.is_final, mask, remaining })
    }

    /// Starts or continues a message, and refuses it before any of the payload is there when it is
    /// to be too big.
    fn check_data(&mut self, data: Data, is_final: bool, length: u64) -> Result<(), ProtocolError> {
        match (data, &mut self.message) {
            (Data::Continue, None) => return Err(protocol("continuation of nothing")),
            (Data::Text | Data::Binary, Some(_)) => {
                return Err(protocol("message within a message"));
            }
            (Data::Continue, Some(_)) => {}
            (Data::Text, slot @ None) => *slot = Some(Box::new(Assembly::new(true))),
            (Data::Binary, slot @ None) => *slot = Some(Box::new(Assembly::new(false))),
            (Data::Reserved(_), _) => return Err(protocol("unknown opcode")),
        }
        let Some(message) = &mut self.message else { return Ok(()) };
        if length > (self.max_bytes - message.len()) as u64 {
            return Err(too_big());
        }
        if message.count_fragment() > self.max_fragments {
            return Err(ProtocolError(CloseCause::TooManyFragments));
        }
        message.expect(length as usize, is_final);
        Ok(())
    }

    fn payload(&mut self, frame: &Frame, payload: &[u8]) -> Result<(), ProtocolError> {
        match (&mut self.message, frame.kind) {
            (Some(message), Kind::Data) => message
                .push(payload, frame.mask)
                .map_err(|_| ProtocolError(CloseCause::InvalidUtf8)),
            (_, Kind::Data) => Ok(()),
            (_, Kind::Pong) => Ok(()),
            (_, Kind::Ping | Kind::Close) => {
                assembly::unmask_into(&mut self.control, payload, frame.mask);
                Ok(())
            }
        }
    }

    fn end_of_frame(&mut self, frame: &Frame) -> Result<Option<Incoming>, ProtocolError> {
        match frame.kind {
            Kind::Data if !frame.is_final => Ok(None),
            Kind::Data => {
                let Some(message) = self.message.take() else { return Ok(None) };
                let message =
                    message.finish().map_err(|_| ProtocolError(CloseCause::InvalidUtf8))?;
                Ok(Some(Incoming::Message(message)))
            }
            Kind::Ping => Ok(Some(Incoming::Ping(std::mem::take(&mut self.control).into()))),
            Kind::Pong => Ok(Some(Incoming::Pong)),
            Kind::Close => close_frame(&std::mem::take(&mut self.control)).map(Some),
        }
    }
}

fn close_frame(payload: &[u8]) -> Result<Incoming, ProtocolError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok(Incoming::Close(None)),
            _ => Err(protocol("close code of one byte")),
        };
    };
    let code = CloseCode::new(u16::from_be_bytes(*code))
        .ok_or_else(|| protocol("close code not allowed"))?;
    let reason =
        ByteString::try_from(reason).map_err(|_| ProtocolError(CloseCause::InvalidUtf8))?;
    let reason = CloseReason::new(reason).map_err(|_| protocol("close reason too long"))?;
    Ok(Incoming::Close(Some(CloseFrame::new(code, reason))))
}

/// How long a header is, as far as its first bytes tell.
fn header_length(start: &[u8]) -> usize {
    let Some(second) = start.get(1) else { return 2 };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + if second & 0x80 == 0 { 0 } else { 4 }
}

fn protocol(what: &'static str) -> ProtocolError {
    ProtocolError(CloseCause::ProtocolError(what))
}

fn too_big() -> ProtocolError {
    ProtocolError(CloseCause::MessageTooBig)
}

#[cfg(test)]
mod tests;
