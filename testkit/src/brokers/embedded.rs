//! The embedded broker as a cluster of one.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use realtime_core::{Hub, Retention};

use super::Cluster;

/// Hubs with the embedded broker: all instances under a prefix are the same one.
#[derive(Debug, Default)]
pub struct Embedded {
    hubs: Mutex<HashMap<String, Hub>>,
}

impl Cluster for Embedded {
    fn hub(&self, prefix: &str, retention: Retention) -> Hub {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || Hub::builder().retention(retention).build().expect("a valid configuration");
        hubs.entry(prefix.to_owned()).or_insert_with(made).clone()
    }

    fn is_shared(&self) -> bool {
        false
    }
}
