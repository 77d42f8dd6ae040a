//! How long a connection may last, and how long it may carry nothing.

use std::time::{Duration, Instant};

use crate::limits::Limits;

/// What bounds a connection's life; for those without bounds, which is the default, a pointer.
#[derive(Debug)]
pub(crate) struct Lifetime(Option<Box<Bounds>>);

#[derive(Debug)]
struct Bounds {
    idle_timeout: Duration,
    active_at: Instant,
    ends_at: Instant,
}

/// Why a connection's life is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LifetimeEnd {
    Idle,
    MaxAge,
}

impl Lifetime {
    pub(crate) fn new(limits: &Limits, now: Instant) -> Self {
        let (idle_timeout, max_age) = (limits.idle_timeout, limits.max_age);
        if idle_timeout == Duration::MAX && max_age == Duration::MAX {
            return Self(None);
        }
        // Connections that were made together don't end together.
        let jitter = 0.9 + 0.2 * fastrand::f64();
        let age = Duration::try_from_secs_f64(max_age.as_secs_f64() * jitter);
        let ends_at = later(now, age.unwrap_or(Duration::MAX));
        Self(Some(Box::new(Bounds { idle_timeout, active_at: now, ends_at })))
    }

    /// Takes word that the connection carries something.
    pub(crate) fn active(&mut self, now: Instant) {
        if let Some(bounds) = &mut self.0 {
            bounds.active_at = now;
        }
    }

    /// When to look whether it is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let bounds = self.0.as_ref()?;
        Some(later(bounds.active_at, bounds.idle_timeout).min(bounds.ends_at))
    }

    /// Why it is over, if it is.
    pub(crate) fn end(&self, now: Instant) -> Option<LifetimeEnd> {
        let bounds = self.0.as_ref()?;
        if now >= bounds.ends_at {
            Some(LifetimeEnd::MaxAge)
        } else if now >= later(bounds.active_at, bounds.idle_timeout) {
            Some(LifetimeEnd::Idle)
        } else {
            None
        }
    }
}

/// When a configured time that begins at `at` is over. `Duration::MAX` stands for never, which is a
/// year.
pub(crate) fn later(at: Instant, by: Duration) -> Instant {
    at.checked_add(by).unwrap_or_else(|| at + Duration::from_secs(365 * 24 * 3600))
}
