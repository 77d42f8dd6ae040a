//! Encoded copies of a log's entries, made once for all subscribers and shared.
//!
//! Neighbours lie in one contiguous buffer, so that what is pending for a reader is one slice and
//! one write. A batch is sealed by the first reader that looks, never by a timer: one pending event
//! leaves at once, sixty-four leave together.

use std::{collections::VecDeque, fmt, ops::Range, sync::Arc};

use arc_swap::{ArcSwapOption, Guard};
use bytes::Bytes;

use super::{Batch, Entry};

/// How many wire formats there are; each has its own slot in the cache.
pub(crate) const WIRE_FORMATS: usize = 4;

/// What a batch takes beside its bytes: itself, where its entries end, and what the allocator adds.
const BATCH_OVERHEAD: usize = size_of::<Batch>() + 64;

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
    pub(super) slots: [VecDeque<Arc<Batch>>; WIRE_FORMATS],
    bytes: usize,
    newest: Arc<Newest>,
}

/// The batch of each format that ends with the log's newest entry, if there is one and until there is a
/// newer entry: what all who are up to date take next, without the log's lock.
#[derive(Debug, Default)]
pub(crate) struct Newest([ArcSwapOption<Batch>; WIRE_FORMATS]);

impl Newest {
    pub(crate) fn load(&self, format: &dyn WireFormat) -> Guard<Option<Arc<Batch>>> {
        self.0[format.slot()].load()
    }

    /// A batch that goes is not to be held here.
    fn forget(&self, batch: &Arc<Batch>) {
        for newest in &self.0 {
            if newest.load().as_ref().is_some_and(|it| Arc::ptr_eq(it, batch)) {
                newest.store(None);
            }
        }
    }
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
        (batch.first() <= range.start).then(|| batch.slice(range.clone(), max))
    }

    /// Whoever has this looks for batches without the log's lock.
    pub(super) fn newest(&self) -> &Arc<Newest> {
        &self.newest
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) {
        self.newest.0.iter().for_each(|newest| newest.store(None));
        *self = Self { newest: Arc::clone(&self.newest), ..Self::default() };
    }

    /// Encodes what [`get`](Self::get) has not found. `entry` finds entries of `range`; the log ends at
    /// `head`.
    pub(super) fn encode<'a>(
        &mut self,
        format: &dyn WireFormat,
        range: Range<u64>,
        max: usize,
        entry: impl Fn(u64) -> Option<&'a Entry>,
        head: u64,
        budget: usize,
    ) -> Option<(Bytes, u64)> {
        let slot = &mut self.slots[format.slot()];
        let at = slot.partition_point(|batch| batch.end() <= range.start);
        let until = slot.get(at).map_or(range.end, |batch| batch.first().min(range.end));
        let batch = Arc::new(Batch::encode(format, range.start..until, entry)?);
        let slice = batch.slice(range, max);
        self.bytes += batch.len();
        if batch.end() == head {
            self.newest.0[format.slot()].store(Some(Arc::clone(&batch)));
        }
        slot.insert(at, batch);
        self.keep_within(budget, format.slot(), at);
        Some(slice)
    }

    /// Lets go of batches that lie wholly before `index`.
    pub(super) fn forget_before(&mut self, index: u64) {
        for slot in &mut self.slots {
            while let Some(batch) = slot.pop_front() {
                if batch.end() > index {
                    slot.push_front(batch);
                    break;
                }
                self.bytes -= batch.len();
                self.newest.forget(&batch);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes one batch of each format.
    #[cfg(test)]
    pub(super) fn take_batches(&mut self) -> Vec<Batch> {
        let batches: Vec<_> = self.slots.iter_mut().filter_map(VecDeque::pop_front).collect();
        self.clear();
        batches.into_iter().filter_map(Arc::into_inner).collect()
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
                Some((batches.get(oldest)?.first(), of, oldest))
            });
            let Some((_, of, oldest)) = candidates.min() else { break };
            let Some(batch) = self.slots[of].remove(oldest) else { break };
            self.bytes -= batch.len();
            self.newest.forget(&batch);
            at -= usize::from(of == slot && oldest < at);
        }
    }
}
