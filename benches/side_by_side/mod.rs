//! Two ways of doing the same, measured in turn in one run.

use std::time::{Duration, Instant};

/// How often and for how long each is measured.
#[derive(Clone, Copy)]
pub(crate) struct Runs {
    /// Runs of each; the median counts.
    pub(crate) count: usize,
    /// At least this long is one run, so that the clock's resolution doesn't show.
    pub(crate) time: Duration,
}

impl Default for Runs {
    fn default() -> Self {
        Self { count: 15, time: Duration::from_millis(20) }
    }
}

/// Does its work as often as it is told, and tells how long that took. It may do other things in
/// between, which it doesn't count.
pub(crate) type Timed<'a> = dyn FnMut(u64) -> Duration + 'a;

/// Measures `ours` and `theirs`, each given how often to do its work, A B A B …, and prints the
/// medians per unit of work and their ratio. `units` is how much work one call with 1 does.
#[allow(dead_code, reason = "some benchmarks make a table of what they measure")]
pub(crate) fn compare(
    what: &str,
    units: u64,
    (our_name, ours): (&str, &mut dyn FnMut(u64)),
    (their_name, theirs): (&str, &mut dyn FnMut(u64)),
) {
    let sides: [&mut Timed<'_>; 2] = [&mut whole(ours), &mut whole(theirs)];
    let medians = medians(Runs::default(), units, sides);
    println!(
        "{what:<44} {our_name} {:>9.1} ns   {their_name} {:>9.1} ns   \
         {their_name}/{our_name} {:>6.2}",
        medians[0],
        medians[1],
        medians[1] / medians[0]
    );
}

/// Measures all sides in turn and returns the median of each, in nanoseconds per unit of work.
pub(crate) fn medians<const SIDES: usize>(
    runs: Runs,
    units: u64,
    mut sides: [&mut Timed<'_>; SIDES],
) -> [f64; SIDES] {
    let times = sides.each_mut().map(|side| calibrate(*side, runs.time));
    let mut measured = [const { Vec::new() }; SIDES];
    for _ in 0..runs.count {
        for ((side, times), measured) in sides.iter_mut().zip(times).zip(&mut measured) {
            measured.push(side(times).as_nanos() as f64 / (times * units) as f64);
        }
    }
    measured.map(median)
}

/// All that `work` does counts.
pub(crate) fn whole(mut work: impl FnMut(u64)) -> impl FnMut(u64) -> Duration {
    move |times| {
        let started = Instant::now();
        work(times);
        started.elapsed()
    }
}

/// How often it has to do its work for a run, with all that isn't counted.
fn calibrate(work: &mut Timed<'_>, run_time: Duration) -> u64 {
    let mut times = 1;
    loop {
        let started = Instant::now();
        work(times);
        if started.elapsed() >= run_time {
            return times;
        }
        times *= 2;
    }
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}
