//! Frames as a client writes them, right or wrong.

use std::fmt;

use crate::transcript::preview;

/// The opcodes of RFC 6455.
pub mod opcode {
    /// A fragment that is not the first.
    pub const CONTINUATION: u8 = 0x0;
    /// A text message, or its first fragment.
    pub const TEXT: u8 = 0x1;
    /// A binary message, or its first fragment.
    pub const BINARY: u8 = 0x2;
    /// Connection close.
    pub const CLOSE: u8 = 0x8;
    /// Ping.
    pub const PING: u8 = 0x9;
    /// Pong.
    pub const PONG: u8 = 0xa;
}

/// How the payload length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthForm {
    /// In as few bytes as it takes, which is the only right way.
    Minimal,
    /// In 16 bits, however short the payload is.
    U16,
    /// In 64 bits, however short the payload is.
    U64,
    /// This number in its minimal form, whatever the payload really is.
    Claim(u64),
}

/// A frame to send; nothing keeps it from being wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Frame {
    /// Whether it is the last of its message.
    pub fin: bool,
    /// The three reserved bits, RSV1 being `0b100`.
    pub rsv: u8,
    /// The opcode, see [`opcode`]; only its low four bits are written.
    pub opcode: u8,
    /// The masking key; `None` leaves the mask bit unset and the payload as it is.
    pub mask: Option<[u8; 4]>,
    /// The payload before masking.
    pub payload: Vec<u8>,
    /// How the length is written.
    pub length_form: LengthForm,
}

impl Frame {
    /// A right client frame: final, masked with a random key, of minimal length form.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            fin: true,
            rsv: 0,
            opcode,
            mask: Some(fastrand::u32(..).to_be_bytes()),
            payload: payload.into(),
            length_form: LengthForm::Minimal,
        }
    }

    /// A text message in one frame; bytes, since a test may want invalid UTF-8.
    pub fn text(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(opcode::TEXT, payload)
    }

    /// A binary message in one frame.
    pub fn binary(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(opcode::BINARY, payload)
    }

    /// The last fragment of a message; see [`fin`](Self::fin) for one in the middle.
    pub fn continuation(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(opcode::CONTINUATION, payload)
    }

    /// A ping.
    pub fn ping(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(opcode::PING, payload)
    }

    /// A pong.
    pub fn pong(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(opcode::PONG, payload)
    }

    /// A close with code and reason; for one without, `Frame::new(opcode::CLOSE, [])`.
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(opcode::CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// Sets the FIN bit.
    pub fn fin(mut self, fin: bool) -> Self {
        self.fin = fin;
        self
    }

    /// Sets the three reserved bits.
    pub fn rsv(mut self, rsv: u8) -> Self {
        self.rsv = rsv;
        self
    }

    /// Sets the masking key.
    pub fn mask(mut self, key: [u8; 4]) -> Self {
        self.mask = Some(key);
        self
    }

    /// Leaves the payload unmasked, which a client must not.
    pub fn unmasked(mut self) -> Self {
        self.mask = None;
        self
    }

    /// Sets how the length is written.
    pub fn length_form(mut self, form: LengthForm) -> Self {
        self.length_form = form;
        self
    }

    /// The frame on the wire.
    ///
    /// # Panics
    ///
    /// When the payload is too long for [`LengthForm::U16`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let first = u8::from(self.fin) << 7 | (self.rsv & 0b111) << 4 | self.opcode & 0x0f;
        let mut wire = vec![first];
        self.write_length(&mut wire);
        match self.mask {
            None => wire.extend_from_slice(&self.payload),
            Some(key) => {
                wire[1] |= 0x80;
                wire.extend_from_slice(&key);
                wire.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, k)| byte ^ k));
            }
        }
        wire
    }

    fn write_length(&self, wire: &mut Vec<u8>) {
        let length = match self.length_form {
            LengthForm::Claim(length) => length,
            _ => self.payload.len() as u64,
        };
        match (self.length_form, length) {
            (LengthForm::Minimal | LengthForm::Claim(_), 0..=125) => {
                wire.extend_from_slice(&length.to_be_bytes()[7..]);
            }
            (LengthForm::Minimal | LengthForm::Claim(_), 126..=0xffff) | (LengthForm::U16, _) => {
                let length = u16::try_from(length).expect("a payload of at most 65535 bytes");
                wire.push(126);
                wire.extend_from_slice(&length.to_be_bytes());
            }
            (_, length) => {
                wire.push(127);
                wire.extend_from_slice(&length.to_be_bytes());
            }
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fin, rsv, opcode, mask, payload, length_form } = self;
        let mask = if mask.is_some() { "masked" } else { "unmasked" };
        let payload = preview(payload);
        write!(f, "frame opcode={opcode:#x} fin={fin} rsv={rsv:03b} {mask}")?;
        if *length_form != LengthForm::Minimal {
            write!(f, " length={length_form:?}")?;
        }
        write!(f, " {payload}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, LengthForm};

    #[test]
    fn writes_the_examples_of_the_rfc() {
        let masked = Frame::text("Hello").mask([0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(masked.to_bytes(), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        assert_eq!(Frame::text("Hel").fin(false).unmasked().to_bytes(), b"\x01\x03Hel");
        assert_eq!(Frame::continuation("lo").unmasked().to_bytes(), b"\x80\x02lo");
        assert_eq!(Frame::binary([0; 256]).unmasked().to_bytes()[..4], *b"\x82\x7e\x01\x00");
        assert_eq!(
            Frame::binary([0; 65536]).unmasked().to_bytes()[..10],
            *b"\x82\x7f\0\0\0\0\0\x01\0\0"
        );
    }

    #[test]
    fn writes_lengths_in_every_form() {
        let head = |frame: Frame| frame.unmasked().to_bytes();
        assert_eq!(head(Frame::text("a").length_form(LengthForm::U16)), b"\x81\x7e\0\x01a");
        assert_eq!(
            head(Frame::text("a").length_form(LengthForm::U64)),
            b"\x81\x7f\0\0\0\0\0\0\0\x01a"
        );
        assert_eq!(head(Frame::text("a").length_form(LengthForm::Claim(125))), b"\x81\x7da");
        assert_eq!(head(Frame::text("a").length_form(LengthForm::Claim(126))), b"\x81\x7e\0\x7ea");
        assert_eq!(
            head(Frame::text("").length_form(LengthForm::Claim(1 << 40))),
            b"\x81\x7f\0\0\x01\0\0\0\0\0"
        );
        assert_eq!(head(Frame::text("").rsv(0b100)), b"\xc1\0");
    }
}
