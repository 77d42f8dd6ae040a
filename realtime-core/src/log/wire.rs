//! Encoded copies of a log's entries, made once for all subscribers and shared.
//!
//! Neighbours lie in one contiguous buffer, so that what is pending for a reader is one slice and
//! one write. A batch is sealed by the first reader that looks, never by a timer: one pending event
//! leaves at once, sixty-four leave together.

use std::{collections::VecDeque, fmt, ops::Range};

use bytes::Bytes;

use super::Entry;

/// How many wire formats there are; each has its own slot in the cache.
pub(crate) const WIRE_FORMATS: usize = 4;

/// At this many bytes a batch is full: one write of what a socket buffer takes at once.
const BATCH_BYTES: usize = 64 * 1024;

/// What a batch takes beside its bytes: itself, where its entries end, and what the allocator adds.
const BATCH_OVERHEAD: usize = size_of::<Batch>() + 64;

/// A buffer may be this much larger than an eighth more than what is in it.
const SLACK_BYTES: usize = 128;

/// Writes entries for one kind of wire.
pub(crate) trait WireFormat: fmt::Debug + Send + Sync {
    /// Its slot, below [`WIRE_FORMATS`].
    fn slot(&self) -> usize;

    /// About how many bytes `encode` will append.
    fn size_hint(&self, entry: &Entry) -> usize;

    /// Appends the encoded entry. It must depend on the entry alone, since all subscribers share
    /// the result.
    fn encode(&self, entry: &Entry, out: &mut Vec<u8>);
}

/// The batches of each format, ordered by index; the ranges of indices never overlap.
#[derive(Debug, Default)]
pub(super) struct WireCache {
    pub(super) slots: [VecDeque<Batch>; WIRE_FORMATS],
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Batch {
    first: u64,
    /// Where each entry ends in `bytes`, but for the last.
    ends: Box<[u32]>,
    pub(super) bytes: Bytes,
}

impl WireCache {
    /// What [`Log::encoded`](super::Log::encoded) is to return, if it is there.
    pub(super) fn get(
        &self,
        format: &dyn WireFormat,
        range: &Range<u64>,
        max: usize,
    ) -> Option<(Bytes, u64)> {
        let slot = &self.slots[format.slot()];
        let batch = slot.get(slot.partition_point(|batch| batch.end() <= range.start))?;
        (batch.first <= range.start).then(|| batch.slice(range.clone(), max))
    }

    /// Encodes what [`get`](Self::get) has not found. `entry` finds entries of `range`.
    pub(super) fn encode<'a>(
        &mut self,
        format: &dyn WireFormat,
        range: Range<u64>,
        max: usize,
        entry: impl Fn(u64) -> Option<&'a Entry>,
        budget: usize,
    ) -> (Bytes, u64) {
        let slot = &mut self.slots[format.slot()];
        let at = slot.partition_point(|batch| batch.end() <= range.start);
        let until = slot.get(at).map_or(range.end, |batch| batch.first.min(range.end));
        let batch = Batch::encode(format, range.start..until, entry);
        let slice = batch.slice(range, max);
        self.bytes += batch.bytes.len();
        slot.insert(at, batch);
        self.keep_within(budget, format.slot(), at);
        slice
    }

    /// Lets go of batches that lie wholly before `index`.
    pub(super) fn forget_before(&mut self, index: u64) {
        for slot in &mut self.slots {
            while let Some(batch) = slot.pop_front() {
                if batch.end() > index {
                    slot.push_front(batch);
                    break;
                }
                self.bytes -= batch.bytes.len();
            }
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that it takes: the copies, and what each batch needs beside them.
    pub(super) fn memory(&self) -> u64 {
        let batches: usize = self.slots.iter().map(VecDeque::len).sum();
        (self.bytes + batches * BATCH_OVERHEAD) as u64
    }

    /// Lets go of the oldest batches over the budget; they can be made anew. The one that was just
    /// made, the batch `at` of `slot`, stays: its reader has not come to its end.
    fn keep_within(&mut self, budget: usize, slot: usize, mut at: usize) {
        while self.bytes > budget {
            let candidates = self.slots.iter().enumerate().filter_map(|(of, batches)| {
                let oldest = usize::from(of == slot && at == 0);
                Some((batches.get(oldest)?.first, of, oldest))
            });
            let Some((_, of, oldest)) = candidates.min() else { break };
            let Some(batch) = self.slots[of].remove(oldest) else { break };
            self.bytes -= batch.bytes.len();
            at -= usize::from(of == slot && oldest < at);
        }
    }
}

impl Batch {
    fn encode<'a>(
        format: &dyn WireFormat,
        range: Range<u64>,
        entry: impl Fn(u64) -> Option<&'a Entry>,
    ) -> Self {
        let mut hint = 0;
        let mut last = range.start;
        for entry in range.clone().map_while(&entry) {
            hint += format.size_hint(entry);
            last += 1;
            if hint >= BATCH_BYTES {
                break;
            }
        }
        let mut bytes = Vec::with_capacity(hint);
        let mut ends = Vec::with_capacity((last - range.start).saturating_sub(1) as usize);
        for (index, entry) in (range.start..last).map_while(|index| Some((index, entry(index)?))) {
            // The hint may have been too low.
            if bytes.len() >= BATCH_BYTES {
                break;
            }
            if index > range.start {
                ends.push(bytes.len() as u32);
            }
            format.encode(entry, &mut bytes);
        }
        // Or too high, and what is not used would count against no bound.
        if bytes.capacity() - bytes.len() > bytes.len() / 8 + SLACK_BYTES {
            bytes.shrink_to_fit();
        }
        Self { first: range.start, ends: ends.into(), bytes: bytes.into() }
    }

    /// The index after its last entry.
    pub(super) fn end(&self) -> u64 {
        self.first + self.ends.len() as u64 + 1
    }

    /// Where the entry with `index`, one of this batch or the one after, begins.
    fn offset(&self, index: u64) -> usize {
        match (index - self.first) as usize {
            0 => 0,
            n => self.ends.get(n - 1).map_or(self.bytes.len(), |end| *end as usize),
        }
    }

    /// The entries of `range` that lie here and fit `max` bytes, the first one in any case.
    fn slice(&self, range: Range<u64>, max: usize) -> (Bytes, u64) {
        let from = self.offset(range.start);
        let mut end = self.end().min(range.end);
        if self.offset(end) - from > max {
            let ends = &self.ends[(range.start - self.first) as usize..];
            let fitting = ends.partition_point(|&end| end as usize - from <= max) as u64;
            end = end.min(range.start + fitting.max(1));
        }
        (self.bytes.slice(from..self.offset(end)), end)
    }
}
