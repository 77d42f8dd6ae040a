//! What logs take, beside the bytes of their events too, and all of a hub's together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::Entry;

/// What an entry takes beside the bytes of its event: itself, its place in the ring, and what the
/// allocator adds to each of its parts.
pub(super) const ENTRY_BYTES: u64 = size_of::<Entry>() as u64 + 64;

/// What a key takes that is in the index, beside its bytes.
pub(super) const KEY_BYTES: u64 = 128;

/// Bytes that the logs of a hub take together. Clones are the same count.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogMemory {
    bytes: Arc<AtomicU64>,
}

impl LogMemory {
    /// Bytes of all logs.
    pub(crate) fn total(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

/// One log's part, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    of: LogMemory,
    bytes: u64,
}

impl Share {
    pub(super) fn new(of: &LogMemory) -> Self {
        Self { of: of.clone(), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn set(&mut self, bytes: u64) {
        // Less is more by what wraps around.
        let change = bytes.wrapping_sub(self.bytes);
        if change != 0 {
            self.of.bytes.fetch_add(change, Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}
