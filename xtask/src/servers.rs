//! The servers that brokers are tested with.

use crate::{Result, debian, process::find_program};

/// Makes sure that they are on `PATH`; installs them where apt-get can.
pub fn ensure() -> Result {
    debian::ensure("the brokers' tests need `redis-server` on PATH", "redis-server", || {
        find_program(&["redis-server"]).map(|_| "redis-server".to_owned())
    })
}
