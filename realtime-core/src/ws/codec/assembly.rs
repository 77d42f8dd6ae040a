//! A message whose frames are coming in.

use bytestring::ByteString;

use crate::ws::message::Message;

/// The most that is reserved because a header claims it; beyond, the buffer grows with what arrives.
pub(super) const MAX_RESERVE: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Assembly {
    is_text: bool,
    payload: Vec<u8>,
    /// Up to here, `payload` is checked UTF-8.
    checked: usize,
    fragments: u32,
}

/// Text that is no UTF-8.
#[derive(Debug)]
pub(super) struct NotUtf8;

impl Assembly {
    pub(super) fn new(is_text: bool) -> Self {
        Self { is_text, payload: Vec::new(), checked: 0, fragments: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.payload.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.payload.capacity()
    }

    /// Counts one more frame and tells how many there are.
    pub(super) fn count_fragment(&mut self) -> u32 {
        self.fragments = self.fragments.saturating_add(1);
        self.fragments
    }

    /// Makes room for a frame of `length` bytes.
    pub(super) fn expect(&mut self, length: usize, is_final: bool) {
        let length = length.min(MAX_RESERVE);
        if is_final && self.payload.is_empty() {
            self.payload.reserve_exact(length);
        } else {
            self.payload.reserve(length);
        }
    }

    /// Appends masked payload; what is certainly no text fails at once (RFC 6455 §8.1).
    pub(super) fn push(&mut self, masked: &[u8], mask: [u8; 4]) -> Result<(), NotUtf8> {
        unmask_into(&mut self.payload, masked, mask);
        if self.is_text {
            let unchecked = &self.payload[self.checked..];
            match std::str::from_utf8(unchecked) {
                Ok(_) => self.checked = self.payload.len(),
                // The end may be the start of a character whose rest is yet to come.
                Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
                Err(_) => return Err(NotUtf8),
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Message, NotUtf8> {
        if !self.is_text {
            return Ok(Message::Binary(self.payload.into()));
        }
        let text = String::from_utf8(self.payload).map_err(|_| NotUtf8)?;
        Ok(Message::Text(ByteString::from(text)))
    }
}

/// Appends `masked` without its mask, which starts with the first byte (RFC 6455 §5.3).
pub(super) fn unmask_into(out: &mut Vec<u8>, masked: &[u8], mask: [u8; 4]) {
    let start = out.len();
    out.extend_from_slice(masked);
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (words, rest) = out[start..].as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
