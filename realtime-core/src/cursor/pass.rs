//! `Conflate`: what comes next when only the newest of each key counts.

use std::sync::Arc;

use super::{Found, Pressure, later};
use crate::{
    log::{Entry, Log, Mark},
    stats::SubscriptionCounts,
};

/// A look for the next events under pressure. What is passed over with a key counts as conflated,
/// what is passed over without has been told.
pub(super) struct Pass<'a> {
    pub(super) pressure: &'a Pressure,
    pub(super) joined: Mark,
    pub(super) log: &'a Log,
    /// The last sequence to be looked at, and the index after it.
    pub(super) until: u64,
    pub(super) end: u64,
}

impl Pass<'_> {
    pub(super) fn find(&self, next: &mut Mark, counts: &mut SubscriptionCounts) -> Option<Found> {
        let first = self.log.first_index();
        if next.index < first {
            if let Some(entry) = self.log.kept_from(next.index) {
                if entry.position().sequence() > self.until {
                    return None;
                }
                self.pass_to(entry.mark(), next, counts);
                return Some(Found::Kept(Arc::clone(entry)));
            }
            self.pass_to(self.log.mark_at(first)?, next, counts);
        }
        let until = self.pressure.until.min(self.end);
        while next.index < until {
            let entry = self.log.get(next.index)?;
            if self.wants(entry) {
                let rest = (next.index + 1..until).map_while(|index| self.log.get(index));
                let run = rest.take_while(|entry| self.wants(entry)).count() as u64;
                return Some(Found::Run(next.index..next.index + 1 + run));
            }
            self.pass_to(entry.end(), next, counts);
        }
        None
    }

    fn wants(&self, entry: &Entry) -> bool {
        match entry.event().key() {
            Some(_) => self.log.is_newest_of_key(entry),
            None => entry.mark().index >= self.pressure.unkeyed_from.index,
        }
    }

    fn pass_to(&self, to: Mark, next: &mut Mark, counts: &mut SubscriptionCounts) {
        let from = if self.pressure.snapshot { later(*next, self.joined) } else { *next };
        counts.conflated += to.keyed.saturating_sub(from.keyed);
        *next = to;
    }
}
