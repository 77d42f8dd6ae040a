//! What an append leaves to be done: [`Wakeups`].

use std::{fmt, task::Waker};

/// What is to be done after an append, once no lock is held: word to the broker of a topic that has
/// come into use, subscribers to wake, and at times some upkeep of the hub.
///
/// It is done when this is dropped, so that nothing can be forgotten; a broker that delivers under
/// its own lock keeps it until the lock is released.
#[must_use = "subscribers wake when this is dropped: keep it until your lock is released"]
pub struct Wakeups {
    wakers: Vec<Waker>,
    before: Option<Box<dyn FnOnce() + Send + Sync>>,
    after: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Wakeups {
    pub(crate) fn new(wakers: Vec<Waker>) -> Self {
        Self { wakers, before: None, after: None }
    }

    /// Adds what is to be done before anybody is woken.
    pub(crate) fn before(&mut self, act: impl FnOnce() + Send + Sync + 'static) {
        self.before = Some(Box::new(act));
    }

    /// Adds what is to be done when everybody has been woken.
    pub(crate) fn after(&mut self, act: impl FnOnce() + Send + Sync + 'static) {
        self.after = Some(Box::new(act));
    }

    /// Adds the subscribers of `other`.
    pub(crate) fn extend(&mut self, mut other: Self) {
        self.wakers.extend(std::mem::take(&mut other.wakers));
    }

    /// Wakes the subscribers now.
    pub fn wake(self) {}
}

impl fmt::Debug for Wakeups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakeups").field("wakers", &self.wakers).finish_non_exhaustive()
    }
}

impl Drop for Wakeups {
    fn drop(&mut self) {
        if let Some(act) = self.before.take() {
            act();
        }
        self.wakers.drain(..).for_each(Waker::wake);
        if let Some(act) = self.after.take() {
            act();
        }
    }
}
