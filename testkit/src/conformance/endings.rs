//! What the connections have told of their ends that cases want to know of.

use std::{
    collections::HashMap,
    process,
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use realtime_core::ws::CloseCause;

use crate::wait;

/// The ends of the connections that a case asks for by the path of [`path`](Self::path).
#[derive(Debug)]
pub(super) struct Endings {
    name: String,
}

#[derive(Debug, Default)]
struct Told {
    begun: usize,
    causes: Vec<CloseCause>,
}

impl Endings {
    /// None so far.
    pub(super) fn new() -> Self {
        static NAMES: AtomicUsize = AtomicUsize::new(0);
        let number = NAMES.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("{}-{number}", process::id()) }
    }

    /// The path of a route, `/ended` or `/ended-ws`, whose connection then tells these.
    pub(super) fn path(&self, route: &str) -> String {
        format!("{route}?topic=a&ended={}", self.name)
    }

    /// What tells the end of one more connection of this name.
    pub(super) fn begin(name: &str) -> impl FnOnce(CloseCause) + Send + use<> {
        let name = name.to_owned();
        all().entry(name.clone()).or_default().begun += 1;
        move |cause| all().entry(name).or_default().causes.push(cause)
    }

    /// How many connections were to tell, whether or not they have.
    pub(super) fn begun(&self) -> usize {
        all().get(&self.name).map_or(0, |told| told.begun)
    }

    /// What was told so far.
    pub(super) fn causes(&self) -> Vec<CloseCause> {
        all().get(&self.name).map_or_else(Vec::new, |told| told.causes.clone())
    }

    /// Waits until something is told, which then is all.
    pub(super) async fn one(&self) -> CloseCause {
        wait::until("the end is told", || !self.causes().is_empty()).await;
        match &self.causes()[..] {
            [cause] => cause.clone(),
            causes => panic!("expected one end, was told {causes:?}"),
        }
    }
}

fn all() -> MutexGuard<'static, HashMap<String, Told>> {
    static ALL: LazyLock<Mutex<HashMap<String, Told>>> = LazyLock::new(Mutex::default);
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}
