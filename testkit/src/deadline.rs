//! The bound on every wait.

use std::time::Duration;

use tokio::time::Instant;

/// How long any call of this crate waits before it panics.
///
/// Far above what a loaded two-core machine needs for one exchange over loopback, and low enough
/// that a suite with a hanging case still ends.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// When a call that starts now has waited too long.
pub(crate) fn deadline() -> Instant {
    Instant::now() + DEADLINE
}
