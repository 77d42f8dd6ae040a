//! How long a thread was running, which other work on the machine changes little.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// What the kernel says of a thread.
pub(crate) struct Thread(PathBuf);

impl Thread {
    /// The thread that asks.
    pub(crate) fn current() -> Self {
        let task = fs::read_link("/proc/thread-self").expect("a thread that the kernel names");
        Self(Path::new("/proc").join(task))
    }

    /// How long it was running so far.
    pub(crate) fn ran(&self) -> Duration {
        let stat = fs::read_to_string(self.0.join("schedstat")).expect("a thread that lives");
        let nanoseconds = stat.split(' ').next().and_then(|it| it.parse().ok());
        Duration::from_nanos(nanoseconds.expect("its time on a core"))
    }
}
