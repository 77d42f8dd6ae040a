//! The memory of all logs together, and what gives way when it becomes short.

use std::{sync::Arc, task::Waker};

use super::table::{PAGE, Table};
use crate::{
    fanout::{Fanout, Wakeups, lock, try_lock},
    log::LogMemory,
    stats::{Counters, add},
    sync::Mutex,
};

/// Keeps the logs of a hub within [`Limits::log_bytes`](crate::Limits::log_bytes).
///
/// Room is made from seven eighths of the budget on, down to three quarters: so it is made once for
/// many events, and who publishes meanwhile has an eighth until it has to wait for it.
#[derive(Debug)]
pub(super) struct Budget {
    memory: LogMemory,
    max: u64,
    /// Held by whoever makes room; the outermost lock of a hub.
    turn: Mutex<()>,
}

impl Budget {
    pub(super) fn new(memory: LogMemory, max: u64) -> Self {
        Self { memory, max, turn: Mutex::default() }
    }

    /// Bytes that the logs take together.
    pub(super) fn used(&self) -> u64 {
        self.memory.total()
    }

    /// Whether room is to be made.
    pub(super) fn is_tight(&self) -> bool {
        self.used() > self.max - self.max / 8
    }

    /// Bytes to be taken once room is made.
    fn excess(&self) -> u64 {
        self.used().saturating_sub(self.max - self.max / 4)
    }

    /// Makes room if there is little and nobody else does: first by what is encoded, which is made
    /// anew when it is needed, then by events. Of these, topics that were published to the longest ago
    /// give first, and all they have; the last one no more than has to be.
    ///
    /// The caller holds no lock.
    pub(super) fn make_room(&self, table: &Table, counters: &Counters) {
        let turn = if self.used() > self.max {
            lock(&self.turn)
        } else {
            let Some(turn) = try_lock(&self.turn) else { return };
            turn
        };
        if !self.is_tight() {
            return;
        }
        // In no order: to find it takes a look at all topics for every few, and most have none.
        table.each_while(|topic| {
            topic.forget_encoded();
            self.excess() > 0
        });
        let wakers = self.take_from(table, |topic, excess| {
            let (gone, wakers) = topic.shrink_by(excess);
            add(&counters.evicted, gone);
            wakers
        });
        drop(turn);
        Wakeups::new(wakers).wake();
    }

    /// Has topics `give` until enough is there; told is how much is missing. Returns whom to wake.
    fn take_from(
        &self,
        table: &Table,
        mut give: impl FnMut(&Arc<Fanout>, u64) -> Vec<Waker>,
    ) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let mut after = 0;
        while self.excess() > 0 {
            let idlest = table.idlest(after);
            let Some((last, _)) = idlest.last() else { break };
            after = *last;
            let mut names = idlest.into_iter().map(|(_, name)| name).peekable();
            while names.peek().is_some() && self.excess() > 0 {
                let mut empty = Vec::new();
                table.read(|topics| {
                    for name in names.by_ref().take(PAGE) {
                        let excess = self.excess();
                        if excess == 0 {
                            break;
                        }
                        let Some(topic) = topics.get(&name) else { continue };
                        wakers.extend(give(topic, excess));
                        if topic.memory() == 0 {
                            empty.push(name);
                        }
                    }
                });
                wakers.extend(table.remove_blank(&empty));
            }
        }
        wakers
    }
}
