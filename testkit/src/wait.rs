//! Polling for a condition with a deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::deadline::{DEADLINE, deadline};

/// Waits until `condition` holds.
///
/// For state that can only be looked at, such as a counter in a snapshot. Where something can be
/// awaited, await that.
///
/// # Panics
///
/// With `what`, when the condition does not hold within [`DEADLINE`].
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = deadline();
    while !condition() {
        pause(what, deadline).await;
    }
}

/// Waits until the asynchronous `condition` holds; otherwise as [`until`].
///
/// # Panics
///
/// With `what`, when the condition does not hold, or does not answer, within [`DEADLINE`].
pub async fn until_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = deadline();
    while !timeout_at(deadline, condition()).await.unwrap_or_else(|_| give_up(what)) {
        pause(what, deadline).await;
    }
}

async fn pause(what: &str, deadline: Instant) {
    if Instant::now() >= deadline {
        give_up(what);
    }
    sleep(BETWEEN_POLLS).await;
}

fn give_up(what: &str) -> ! {
    panic!("still waiting after {DEADLINE:?} until {what}")
}

const BETWEEN_POLLS: Duration = Duration::from_millis(2);
