//! Events that the broker has lost: a cursor that gets there tells a gap.

use super::{Cursor, Missed};
use crate::log::{Entry, Log};

impl Cursor {
    /// What stands for lost events and comes next.
    pub(super) fn loss<'a>(&self, log: &'a Log, visible: u64) -> Option<&'a Entry> {
        log.loss_from(self.next.index).filter(|loss| {
            loss.mark().index == self.next.index && loss.position().sequence() <= visible
        })
    }

    /// Tells that events were lost, if that comes next. How many is not known.
    pub(super) fn tell_loss(&mut self, log: &Log, visible: u64) {
        while let Some(loss) = self.loss(log, visible) {
            self.next = loss.end();
            self.tell(Missed { through: loss.position().sequence(), count: None });
        }
    }
}
