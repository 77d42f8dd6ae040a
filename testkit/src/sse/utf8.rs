//! The UTF-8 decoder of the Encoding Standard, one piece at a time.

use std::ops::RangeInclusive;

/// A "UTF-8 decode" in progress: drops one leading BOM, replaces what is invalid by U+FFFD.
#[derive(Debug)]
pub(crate) struct Decoder {
    code_point: u32,
    /// Continuation bytes still to come.
    needed: u8,
    /// What the next continuation byte may be: narrower after E0, ED, F0 and F4.
    allowed: RangeInclusive<u8>,
    at_start: bool,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { code_point: 0, needed: 0, allowed: CONTINUATION, at_start: true }
    }

    /// Calls `each` for every character that `bytes` completes.
    pub(crate) fn decode(&mut self, bytes: &[u8], mut each: impl FnMut(char)) {
        for &byte in bytes {
            self.step(byte, &mut each);
        }
    }

    fn step(&mut self, byte: u8, each: &mut impl FnMut(char)) {
        if self.needed == 0 {
            return self.lead(byte, each);
        }
        if !self.allowed.contains(&byte) {
            // The byte that breaks a sequence is not part of it and begins anew.
            self.restart();
            self.emit(char::REPLACEMENT_CHARACTER, each);
            return self.lead(byte, each);
        }
        self.allowed = CONTINUATION;
        self.code_point = self.code_point << 6 | u32::from(byte & 0x3f);
        self.needed -= 1;
        if self.needed == 0 {
            let decoded = char::from_u32(self.code_point).expect("the ranges leave scalar values");
            self.emit(decoded, each);
        }
    }

    fn lead(&mut self, byte: u8, each: &mut impl FnMut(char)) {
        let (needed, bits, allowed) = match byte {
            0x00..=0x7f => return self.emit(char::from(byte), each),
            0xc2..=0xdf => (1, byte & 0x1f, CONTINUATION),
            0xe0 => (2, byte & 0x0f, 0xa0..=0xbf),
            0xed => (2, byte & 0x0f, 0x80..=0x9f),
            0xe1..=0xef => (2, byte & 0x0f, CONTINUATION),
            0xf0 => (3, byte & 0x07, 0x90..=0xbf),
            0xf1..=0xf3 => (3, byte & 0x07, CONTINUATION),
            0xf4 => (3, byte & 0x07, 0x80..=0x8f),
            _ => return self.emit(char::REPLACEMENT_CHARACTER, each),
        };
        (self.needed, self.code_point, self.allowed) = (needed, u32::from(bits), allowed);
    }

    fn restart(&mut self) {
        (self.needed, self.code_point, self.allowed) = (0, 0, CONTINUATION);
    }

    fn emit(&mut self, decoded: char, each: &mut impl FnMut(char)) {
        let is_bom = std::mem::replace(&mut self.at_start, false) && decoded == '\u{feff}';
        if !is_bom {
            each(decoded);
        }
    }
}

const CONTINUATION: RangeInclusive<u8> = 0x80..=0xbf;

#[cfg(test)]
mod tests {
    use super::Decoder;

    fn decode(bytes: &[u8]) -> String {
        let mut decoder = Decoder::new();
        let mut text = String::new();
        decoder.decode(bytes, |decoded| text.push(decoded));
        text
    }

    #[test]
    fn agrees_with_the_standard_library_on_random_bytes() {
        let mut random = fastrand::Rng::with_seed(1);
        // Bytes at the borders of the decoder's ranges meet more often than by chance.
        let borders = b"a\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xed\xef\xf0\xf4\xf5";
        for _ in 0..20_000 {
            let mut bytes = vec![b'.'];
            bytes.extend((0..random.usize(..12)).map(|_| borders[random.usize(..borders.len())]));
            // The end of a stream is not the decoder's business: an open sequence is closed first.
            bytes.push(b'.');
            assert_eq!(decode(&bytes), String::from_utf8_lossy(&bytes), "{bytes:02x?}");
        }
    }

    #[test]
    fn drops_one_leading_bom() {
        assert_eq!(decode("\u{feff}\u{feff}a\u{feff}".as_bytes()), "\u{feff}a\u{feff}");
    }
}
