//! Frames that the server sends. They are not masked, so one encoding serves every connection.

use bytes::Bytes;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::message::Message;
use crate::close::CloseFrame;

/// Appends a whole message as one frame.
pub(crate) fn write_message(is_text: bool, payload: &[u8], out: &mut Vec<u8>) {
    let data = if is_text { Data::Text } else { Data::Binary };
    write_frame(OpCode::Data(data), payload, out);
}

/// A message as one frame.
pub(crate) fn message(message: &Message) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 10);
    write_message(message.as_text().is_some(), message.as_bytes(), &mut out);
    out.into()
}

pub(crate) fn ping() -> Bytes {
    Bytes::from_static(&[0x89, 0])
}

pub(crate) fn pong(payload: &[u8]) -> Bytes {
    control(Control::Pong, payload)
}

pub(crate) fn close(frame: Option<&CloseFrame>) -> Bytes {
    let mut payload = Vec::new();
    if let Some(frame) = frame {
        payload.extend_from_slice(&frame.code.get().to_be_bytes());
        payload.extend_from_slice(frame.reason.as_str().as_bytes());
    }
    control(Control::Close, &payload)
}

/// The end of the first frame in `bytes` that ends at or after `from`. `bytes` begin with a frame.
pub(crate) fn boundary(bytes: &[u8], from: usize) -> usize {
    let mut end = 0;
    while end < from && end < bytes.len() {
        end += frame_length(&bytes[end..]);
    }
    end.min(bytes.len())
}

/// Splits the first frame off `bytes`, which begin with a frame: its opcode byte and its payload.
pub(crate) fn split_first(bytes: &mut Bytes) -> Option<(u8, Bytes)> {
    let opcode = bytes.first()? & 0x0f;
    let frame = bytes.split_to(frame_length(bytes).min(bytes.len()));
    let header = header_length(&frame).min(frame.len());
    Some((opcode, frame.slice(header..)))
}

fn header_length(frame: &[u8]) -> usize {
    match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    }
}

fn frame_length(frame: &[u8]) -> usize {
    let header = header_length(frame);
    let extended = frame.get(2..header).unwrap_or_default();
    let payload = match extended {
        [] => usize::from(frame.get(1).copied().unwrap_or_default()),
        bytes => bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
    };
    header + payload
}

fn control(kind: Control, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(payload.len() + 2);
    write_frame(OpCode::Control(kind), payload, &mut out);
    out.into()
}

fn write_frame(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { is_final: true, opcode, ..FrameHeader::default() };
    // Writing to a Vec can't fail.
    let _ = header.format(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_found_whatever_the_length_form() {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for length in [0, 5, 125, 126, 65_535, 65_536] {
            write_message(true, &vec![b'x'; length], &mut bytes);
            ends.push(bytes.len());
        }
        for pair in ends.windows(2) {
            assert_eq!(boundary(&bytes, pair[0]), pair[0]);
            assert_eq!(boundary(&bytes, pair[0] + 1), pair[1]);
            assert_eq!(boundary(&bytes, pair[1]), pair[1]);
        }
        let mut rest = Bytes::from(bytes);
        for length in [0, 5, 125, 126, 65_535, 65_536] {
            let (opcode, payload) = split_first(&mut rest).unwrap();
            assert_eq!((opcode, payload.len()), (1, length));
        }
        assert!(split_first(&mut rest).is_none());
    }
}
