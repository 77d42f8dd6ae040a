//! Neighbouring entries as they go over one kind of wire.

use std::{ops::Range, time::Instant};

use bytes::Bytes;

use super::{Entry, Mark, WireFormat};

/// At this many bytes a batch is full: one write of what a socket buffer takes at once.
const BATCH_BYTES: usize = 64 * 1024;

/// A buffer may be this much larger than an eighth more than what is in it.
const SLACK_BYTES: usize = 128;

/// Encoded entries in one piece; it never changes.
#[derive(Debug)]
pub(crate) struct Batch {
    first: u64,
    /// Where each entry ends in `bytes`, but for the last.
    ends: Box<[u32]>,
    bytes: Bytes,
    last: Last,
    /// When the first entry was appended.
    since: Instant,
}

/// What is said of a batch's last entry.
#[derive(Clone, Copy, Debug)]
struct Last {
    end: Mark,
    sequence: u64,
}

impl Batch {
    /// Encodes entries of `range`, as many as make a full batch; nothing if the first is not there.
    pub(super) fn encode<'a>(
        format: &dyn WireFormat,
        range: Range<u64>,
        entry: impl Fn(u64) -> Option<&'a Entry>,
    ) -> Option<Self> {
        let since = entry(range.start)?.at();
        let mut hint = 0;
        let mut until = range.start;
        for entry in range.clone().map_while(&entry) {
            hint += format.size_hint(entry);
            until += 1;
            if hint >= BATCH_BYTES {
                break;
            }
        }
        let mut bytes = Vec::with_capacity(hint);
        let mut ends = Vec::with_capacity((until - range.start).saturating_sub(1) as usize);
        let mut last = Last { end: Mark::default(), sequence: 0 };
        for entry in (range.start..until).map_while(&entry) {
            // The hint may have been too low.
            if bytes.len() >= BATCH_BYTES {
                break;
            }
            if entry.mark().index > range.start {
                ends.push(bytes.len() as u32);
            }
            format.encode(entry, &mut bytes);
            last = Last { end: entry.end(), sequence: entry.position().sequence() };
        }
        // Or too high, and what is not used would count against no bound.
        if bytes.capacity() - bytes.len() > bytes.len() / 8 + SLACK_BYTES {
            bytes.shrink_to_fit();
        }
        Some(Self { first: range.start, ends: ends.into(), bytes: bytes.into(), last, since })
    }

    /// Bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that are reserved for it.
    #[cfg(test)]
    pub(super) fn capacity(self) -> usize {
        self.bytes.try_into_mut().map_or(0, |bytes| bytes.capacity())
    }

    /// The index of its first entry.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The index after its last entry.
    pub(super) fn end(&self) -> u64 {
        self.last.end.index
    }

    /// The totals with its last entry.
    pub(crate) fn end_mark(&self) -> Mark {
        self.last.end
    }

    /// The sequence of its last entry.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.last.sequence
    }

    /// When its first entry was appended.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// All from the entry with `index` on, if that is one of them.
    pub(crate) fn rest(&self, index: u64) -> Option<Bytes> {
        let is_here = self.first <= index && index < self.end();
        is_here.then(|| self.bytes.slice(self.offset(index)..))
    }

    /// The entries of `range` that lie here and fit `max` bytes, the first one in any case.
    pub(super) fn slice(&self, range: Range<u64>, max: usize) -> (Bytes, u64) {
        let from = self.offset(range.start);
        let mut end = self.end().min(range.end);
        if self.offset(end) - from > max {
            let ends = &self.ends[(range.start - self.first) as usize..];
            let fitting = ends.partition_point(|&end| end as usize - from <= max) as u64;
            end = end.min(range.start + fitting.max(1));
        }
        (self.bytes.slice(from..self.offset(end)), end)
    }

    /// Where the entry with `index`, one of this batch or the one after, begins.
    fn offset(&self, index: u64) -> usize {
        match (index - self.first) as usize {
            0 => 0,
            n => self.ends.get(n - 1).map_or(self.bytes.len(), |end| *end as usize),
        }
    }
}
