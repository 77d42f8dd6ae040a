//! The newest event of each key, also after it has left the ring.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::Entry;
use crate::event::EventKey;

/// Which entry is the newest of its key.
///
/// Bounds: one map entry per key in the ring or kept; kept entries by number and bytes, the longest
/// untouched key goes first.
#[derive(Debug, Default)]
pub(super) struct KeyIndex {
    newest: HashMap<EventKey, u64>,
    kept: BTreeMap<u64, Arc<Entry>>,
    kept_bytes: u64,
    lost_until: u64,
}

impl KeyIndex {
    /// An entry with `key` was appended at `index`.
    pub(super) fn appended(&mut self, key: &EventKey, index: u64) {
        if let Some(newest) = self.newest.get_mut(key) {
            let before = std::mem::replace(newest, index);
            if let Some(entry) = self.kept.remove(&before) {
                self.kept_bytes -= entry.event().size() as u64;
            }
        } else {
            self.newest.insert(key.clone(), index);
        }
    }

    /// An entry with `key` was put at `index`, before all others.
    pub(super) fn prepended(&mut self, key: &EventKey, index: u64) {
        if !self.newest.contains_key(key) {
            self.newest.insert(key.clone(), index);
        }
    }

    /// `entry` left the ring: it is kept if it is the newest of its key.
    pub(super) fn evicted(&mut self, entry: Arc<Entry>, max_keys: usize, max_bytes: u64) {
        let index = entry.mark().index;
        let Some(key) = entry.event().key() else { return };
        if self.newest.get(key) != Some(&index) {
            return;
        }
        self.kept_bytes += entry.event().size() as u64;
        self.kept.insert(index, entry);
        while self.kept.len() > max_keys || self.kept_bytes > max_bytes {
            if !self.lose_oldest() {
                break;
            }
        }
    }

    /// Lets go of the longest untouched key of those that have left the ring; false if there is none.
    pub(super) fn lose_oldest(&mut self) -> bool {
        let Some((index, entry)) = self.kept.pop_first() else { return false };
        self.kept_bytes -= entry.event().size() as u64;
        if let Some(key) = entry.event().key() {
            self.newest.remove(key);
        }
        self.lost_until = self.lost_until.max(index + 1);
        true
    }

    /// Returns room that is not needed, if nothing is.
    pub(super) fn shrink(&mut self) {
        if self.newest.is_empty() {
            self.newest = HashMap::new();
        }
    }

    /// The index of the newest entry with `key`.
    pub(super) fn newest(&self, key: &EventKey) -> Option<u64> {
        self.newest.get(key).copied()
    }

    /// The first kept entry with an index of at least `from`.
    pub(super) fn kept_from(&self, from: u64) -> Option<&Arc<Entry>> {
        self.kept.range(from..).next().map(|(_, entry)| entry)
    }

    /// The index after the last newest entry that had to be let go.
    pub(super) fn lost_until(&self) -> u64 {
        self.lost_until
    }

    /// Keys in the ring or kept.
    pub(super) fn len(&self) -> usize {
        self.newest.len()
    }

    /// Entries that have left the ring.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }
}
