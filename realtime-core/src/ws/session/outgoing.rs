//! What a connection has in writing.

use bytes::{Buf, Bytes};

use super::chunks::Chunks;
use crate::ws::frames;

/// Chunks of whole frames, the first perhaps partly written, and control frames that go ahead.
///
/// Bounds: the session adds data up to 64 KiB or one message; a ping and 1 KiB of pongs wait behind as
/// much in writing, and once the peer does not read, one pong.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    chunks: Chunks,
    /// Bytes of the first chunk that are written.
    written: usize,
    bytes: usize,
    /// Bytes up to the end of the control frames that are placed; until they are written, no more
    /// are placed, so that they can't pile up before a peer that does not read.
    control_left: usize,
    /// Pongs that are not placed yet; boxed because there are mostly none.
    pong: Option<Box<Bytes>>,
    ping: bool,
}

/// The most bytes of pongs that wait together. Beyond, and for a peer that does not read, only the
/// latest ping is answered (RFC 6455 §5.5.3).
const PONG_BYTES: usize = 1024;

impl Outgoing {
    /// Bytes of data that are to be written.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub(super) fn has_buffer(&self) -> bool {
        self.chunks.has_buffer()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.pong.is_none() && !self.ping
    }

    /// Appends whole frames.
    pub(super) fn push(&mut self, frames: Bytes) {
        if !frames.is_empty() {
            self.bytes += frames.len();
            self.chunks.push_back(frames);
        }
    }

    pub(super) fn extend(&mut self, frames: Option<Bytes>) {
        frames.into_iter().for_each(|frames| self.push(frames));
    }

    /// Sends a pong ahead of what is not begun; alone, in place of others that are not begun either.
    pub(super) fn pong(&mut self, frame: Bytes, alone: bool) {
        let waiting = self.pong.take().filter(|waiting| {
            !alone && self.control_left == 0 && waiting.len() + frame.len() <= PONG_BYTES
        });
        self.pong = Some(Box::new(match waiting {
            Some(waiting) => [*waiting, frame].concat().into(),
            None => frame,
        }));
    }

    /// Sends a ping ahead of what is not begun.
    pub(super) fn ping(&mut self) {
        self.ping = true;
    }

    /// Appends the Close, the last frame: an owed pong goes before it, a ping needs no more.
    pub(super) fn close(&mut self, frame: Bytes) {
        self.ping = false;
        let pong = self.pong.take();
        self.extend(pong.map(|pong| *pong));
        self.push(frame);
    }

    /// Whether pings or pongs are yet to be written.
    pub(super) fn owes_control(&self) -> bool {
        self.ping || self.pong.is_some() || self.control_left > 0
    }

    /// Forgets everything but the rest of a frame that is partly written.
    pub(super) fn drop_unstarted(&mut self) {
        let started = self.chunks.pop_front().filter(|_| self.written > 0);
        let started = started.map(|chunk| chunk.slice(..frames::boundary(&chunk, self.written)));
        *self = Self { written: self.written, ..Self::default() };
        if let Some(chunk) = started.filter(|chunk| chunk.len() > self.written) {
            self.bytes = chunk.len() - self.written;
            self.chunks.push_back(chunk);
        } else {
            self.written = 0;
        }
    }

    /// Puts control frames in their place: before the first frame that is not begun.
    pub(super) fn place_control(&mut self) {
        if self.control_left > 0 || (self.pong.is_none() && !self.ping) {
            return;
        }
        let mut frames = Vec::new();
        if std::mem::take(&mut self.ping) {
            frames.extend_from_slice(&frames::ping());
        }
        frames.extend_from_slice(self.pong.take().as_deref().map_or(&[], |pong| pong));
        let frames = Bytes::from(frames);
        self.bytes += frames.len();
        self.control_left = frames.len();
        let Some(first) = self.chunks.front_mut().filter(|_| self.written > 0) else {
            return self.chunks.push_front(frames);
        };
        let rest = first.split_off(frames::boundary(first, self.written));
        self.control_left += first.len() - self.written;
        self.chunks.insert_second(rest);
        self.chunks.insert_second(frames);
    }

    /// What is to be written.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut written = self.written;
        self.chunks.iter().map(move |chunk| &chunk[std::mem::take(&mut written)..])
    }

    /// Forgets the first `n` bytes.
    pub(super) fn advance(&mut self, n: usize) {
        self.bytes -= n;
        self.written += n;
        self.control_left = self.control_left.saturating_sub(n);
        while let Some(first) = self.chunks.front() {
            if self.written < first.len() {
                return;
            }
            self.written -= first.len();
            self.chunks.pop_front();
        }
    }

    /// Takes the first chunk.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.place_control();
        let mut chunk = self.chunks.pop_front()?;
        chunk.advance(std::mem::take(&mut self.written));
        self.took(chunk.len());
        Some(chunk)
    }

    /// Takes the first frame, its opcode and its payload; none may be partly written.
    pub(super) fn pop_frame(&mut self) -> Option<(u8, Bytes)> {
        self.place_control();
        let mut first = self.chunks.pop_front()?;
        let before = first.len();
        let frame = frames::split_first(&mut first);
        self.took(before - first.len());
        self.chunks.push_front(first);
        frame
    }

    fn took(&mut self, n: usize) {
        self.bytes -= n;
        self.control_left = self.control_left.saturating_sub(n);
    }
}
