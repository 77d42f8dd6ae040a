//! How often something may happen: [`Rate`], and the bucket that holds one to it.

use std::{
    num::NonZeroU32,
    ops::Add,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};

/// So many per second, and so many at once.
///
/// A token bucket: it holds `burst` tokens, and `per_second` come back each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a token bucket has these two parameters")]
pub struct Rate {
    /// How many per second in the long run; at least 1.
    pub per_second: u32,
    /// How many at once after a pause; at least 1.
    pub burst: u32,
}

impl Rate {
    /// `per_second` in the long run, and as many at once.
    pub const fn per_second(per_second: u32) -> Self {
        Self { per_second, burst: per_second }
    }

    /// The same with another burst.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// So many times as much.
    pub(crate) fn times(self, factor: u32) -> Self {
        let times = |value: u32| value.saturating_mul(factor);
        Self { per_second: times(self.per_second), burst: times(self.burst) }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.per_second == 0 || self.burst == 0
    }

    /// How long an empty bucket takes to be full.
    pub(crate) fn refill(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.burst) / f64::from(self.per_second.max(1)))
    }
}

/// A token bucket that is told the time.
#[derive(Debug)]
pub(crate) struct Bucket {
    made_at: Instant,
    burst: NonZeroU32,
    limiter: RateLimiter<NotKeyed, InMemoryState, Told, NoOpMiddleware<At>>,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let per_second = NonZeroU32::new(rate.per_second).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self {
            made_at: now,
            burst,
            limiter: RateLimiter::direct_with_clock(quota, Told::default()),
        }
    }

    /// Takes `tokens`, or says how long it takes until they are there and takes none. More than the
    /// burst count as the burst.
    pub(crate) fn take(&self, tokens: u32, now: Instant) -> Result<(), Duration> {
        let Some(tokens) = NonZeroU32::new(tokens) else { return Ok(()) };
        let clock = self.limiter.clock();
        clock.tell(now.saturating_duration_since(self.made_at));
        match self.limiter.check_n(tokens.min(self.burst)) {
            Ok(Err(not_until)) => Err(not_until.wait_time_from(clock.now())),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

/// The time since a bucket was made, as it was told last.
#[derive(Debug, Default)]
struct Told(AtomicU64);

impl Told {
    fn tell(&self, elapsed: Duration) {
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanos, Ordering::Relaxed);
    }
}

impl Clock for Told {
    type Instant = At;

    fn now(&self) -> At {
        At(self.0.load(Ordering::Relaxed))
    }
}

/// Nanoseconds since a bucket was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct At(u64);

impl Add<Nanos> for At {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0.saturating_add(nanos.as_u64()))
    }
}

impl Reference for At {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(duration.as_u64()))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a clock")]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let now = Instant::now();
        let bucket = Bucket::new(Rate::per_second(10).burst(3), now);
        for _ in 0..3 {
            assert_eq!(bucket.take(1, now), Ok(()));
        }
        assert_eq!(bucket.take(1, now), Err(Duration::from_millis(100)));
        let later = now + Duration::from_millis(100);
        assert_eq!(bucket.take(1, later), Ok(()));
        assert!(bucket.take(1, later).is_err(), "a refusal takes nothing, and nothing is saved up");
        let refilled = later + Rate::per_second(10).burst(3).refill();
        assert_eq!(bucket.take(3, refilled), Ok(()));
        assert!(bucket.take(1, refilled).is_err());
    }

    #[test]
    fn refusals_do_not_put_off_the_next_token() {
        let now = Instant::now();
        let bucket = Bucket::new(Rate::per_second(1), now);
        assert!(bucket.take(1, now).is_ok());
        for millis in 0..1000 {
            assert!(bucket.take(1, now + Duration::from_millis(millis)).is_err());
        }
        assert!(bucket.take(1, now + Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn what_is_larger_than_the_burst_takes_all_of_it() {
        let now = Instant::now();
        let bucket = Bucket::new(Rate::per_second(100), now);
        assert_eq!(bucket.take(u32::MAX, now), Ok(()));
        assert!(bucket.take(1, now).is_err());
        assert_eq!(bucket.take(0, now), Ok(()));
    }

    #[test]
    fn extreme_rates_and_a_clock_that_goes_back_are_fine() {
        let now = Instant::now();
        let bucket = Bucket::new(Rate::per_second(u32::MAX), now);
        for _ in 0..1000 {
            assert_eq!(bucket.take(1 << 20, now), Ok(()));
        }
        let bucket = Bucket::new(Rate { per_second: 0, burst: 0 }, now);
        assert!(bucket.take(1, now).is_ok());
        assert!(bucket.take(1, now - Duration::from_secs(1)).is_err());
    }
}
