//! The locks and atomics that threads meet at.
//!
//! They are std's. Where the models are built (`cargo xtask models`) they are shuttle's, which decides
//! at each of them who runs next, so that a model runs the code as it is under schedules that a machine
//! hardly ever comes by. What only counts (`stats`, `rate`) is std's there, too: it orders nothing, and
//! would make more schedules without making different ones.
//!
//! A `cfg` and no feature: `--all-features` would switch a feature on for everybody.

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, RwLock, atomic};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock, atomic};

#[cfg(all(test, shuttle))]
pub(crate) mod tests;
