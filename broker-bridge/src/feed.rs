//! The queue from an engine to the bridge: [`Feed`].

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::AcqRel},
};

use tokio::sync::mpsc;

use crate::link::Fed;

/// The engine's end of the queue into the bridge, bounded by number and bytes.
///
/// What does not fit is not waited for: the engine reads its socket and must not stall. The bridge then
/// drops the connection and repairs from history what it missed.
#[derive(Clone, Debug)]
pub struct Feed {
    queue: mpsc::Sender<(Fed, usize)>,
    bytes: Arc<AtomicUsize>,
    max_bytes: usize,
}

/// The bridge's end.
#[derive(Debug)]
pub struct Fetched {
    queue: mpsc::Receiver<(Fed, usize)>,
    bytes: Arc<AtomicUsize>,
}

impl Feed {
    /// A queue for so many items, and so many bytes of events.
    pub fn new(max: usize, max_bytes: usize) -> (Self, Fetched) {
        let (sender, receiver) = mpsc::channel(max);
        let bytes = Arc::<AtomicUsize>::default();
        let feed = Self { queue: sender, bytes: Arc::clone(&bytes), max_bytes };
        (feed, Fetched { queue: receiver, bytes })
    }

    /// Passes on what has come. False when it did not fit or nobody takes it any more: then the
    /// connection is to be closed, and nothing more to be passed on.
    #[must_use]
    pub fn push(&self, fed: Fed) -> bool {
        let size = match &fed {
            Fed::Event(record) => record.event.size() + record.topic.as_str().len(),
            Fed::Mark { .. } | Fed::Lost(_) => 0,
        };
        if self.bytes.fetch_add(size, AcqRel) + size > self.max_bytes && size > 0 {
            self.bytes.fetch_sub(size, AcqRel);
            return false;
        }
        let sent = self.queue.try_send((fed, size)).is_ok();
        if !sent {
            self.bytes.fetch_sub(size, AcqRel);
        }
        sent
    }
}

impl Fetched {
    /// The next; nothing once all of the engine's ends are gone.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Fed> {
        let (fed, size) = self.queue.recv().await?;
        self.bytes.fetch_sub(size, AcqRel);
        Some(fed)
    }

    /// The next, if it is there.
    pub(crate) fn try_next(&mut self) -> Option<Fed> {
        let (fed, size) = self.queue.try_recv().ok()?;
        self.bytes.fetch_sub(size, AcqRel);
        Some(fed)
    }
}
