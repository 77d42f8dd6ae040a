//! That a connection is lost, and why: [`Loss`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use realtime_bridge::EngineError;
use tokio::sync::watch;

/// Set once, by whoever notices first.
#[derive(Debug, Default)]
pub(crate) struct Loss(watch::Sender<Option<EngineError>>);

impl Loss {
    pub(crate) fn set(&self, error: EngineError) {
        self.0.send_if_modified(|why| {
            let is_first = why.is_none();
            why.get_or_insert(error);
            is_first
        });
    }

    pub(crate) fn get(&self) -> Option<EngineError> {
        self.0.borrow().clone()
    }

    /// Waits until it is set.
    ///
    /// Cancel safe.
    pub(crate) async fn told(&self) -> EngineError {
        let mut why = self.0.subscribe();
        // The sender is ours, so this ends only with a reason.
        let why = why.wait_for(Option::is_some).await;
        why.ok()
            .and_then(|why| why.clone())
            .unwrap_or_else(|| EngineError::Unreachable("the connection is closed".to_owned()))
    }
}

/// Nothing panics under these locks; if it did, what they guard would still be whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
