//! What publishers, clients and faults share.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64},
    },
    time::{Duration, Instant},
};

use super::{cluster::Addresses, ledger::Ledger};

/// What publishers, clients and faults share.
#[derive(Debug)]
pub struct Field {
    pub ledger: Ledger,
    pub addresses: Addresses,
    pub instances: usize,
    /// Nothing more is to be published, and clients are to stay where they are.
    pub is_over: AtomicBool,
    /// Clients are to end.
    pub is_left: AtomicBool,
    pub acknowledged: AtomicU64,
    pub unknown: AtomicU64,
    /// Goodbyes that clients were told.
    pub byes: AtomicU64,
    recovery: Mutex<Recovery>,
    failures: Mutex<Vec<String>>,
}

/// Since when an event is waited for on each instance, and how long it took.
#[derive(Debug)]
struct Recovery {
    since: Option<Instant>,
    took: Vec<Option<Duration>>,
}

const MOST_FAILURES: usize = 20;

impl Field {
    pub fn new(topics: usize, instances: usize, addresses: Addresses) -> Self {
        Self {
            ledger: Ledger::new(topics),
            addresses,
            instances,
            is_over: AtomicBool::default(),
            is_left: AtomicBool::default(),
            acknowledged: AtomicU64::default(),
            unknown: AtomicU64::default(),
            byes: AtomicU64::default(),
            recovery: Mutex::new(Recovery { since: None, took: Vec::new() }),
            failures: Mutex::default(),
        }
    }

    /// Waits, from now on, for an event that is sent from now on, on each instance.
    pub fn watch(&self) {
        let mut recovery = lock(&self.recovery);
        recovery.since = Some(Instant::now());
        recovery.took = vec![None; self.instances];
    }

    /// An event sent then came to a client of this instance.
    pub fn came(&self, instance: usize, sent: Instant) {
        let mut recovery = lock(&self.recovery);
        let Some(since) = recovery.since.filter(|since| *since <= sent) else { return };
        recovery.took[instance].get_or_insert(since.elapsed());
    }

    /// The instances on which none has come, and how long the slowest of the others took.
    pub fn recovered(&self) -> (Vec<usize>, Duration) {
        let recovery = lock(&self.recovery);
        let all = recovery.took.iter().enumerate();
        let waiting = all.filter(|(_, took)| took.is_none()).map(|(instance, _)| instance);
        (waiting.collect(), recovery.took.iter().flatten().max().copied().unwrap_or_default())
    }

    /// What makes the run a failure.
    pub fn fail(&self, what: String) {
        let mut failures = lock(&self.failures);
        if failures.len() < MOST_FAILURES {
            failures.push(what);
        }
    }

    pub fn failures(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.failures))
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
