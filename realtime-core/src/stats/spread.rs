//! A counter that many threads add to all the time: [`Spread`].

use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// Places that threads are spread over.
const PLACES: usize = 8;

/// A count in several places, so that threads which add to it seldom share a cache line.
#[derive(Debug, Default)]
pub(crate) struct Spread([Place; PLACES]);

/// Its own cache lines, two of which are fetched together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place(AtomicU64);

impl Spread {
    pub(crate) fn add(&self, n: u64) {
        if n > 0 {
            self.0[thread_number() as usize % PLACES].0.fetch_add(n, Relaxed);
        }
    }

    /// The sum, which may lack what is added meanwhile.
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(|place| place.0.load(Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// A number of the thread that asks, from 0 on in the order in which threads ask first.
pub(crate) fn thread_number() -> u32 {
    // Std's also in a model: it orders nothing.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    thread_local! {
        static NUMBER: Cell<Option<u32>> = const { Cell::new(None) };
    }
    NUMBER.with(|number| {
        number.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Relaxed);
            number.set(Some(next));
            next
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_threads_add_is_there() {
        let spread = Spread::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * PLACES {
                scope.spawn(|| (0..1000).for_each(|n| spread.add(n)));
            }
        });
        assert_eq!(spread.sum(), 2 * PLACES as u64 * (0..1000).sum::<u64>());
    }
}
