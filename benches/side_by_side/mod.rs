//! Two ways of doing the same, measured in turn in one run.

use std::time::{Duration, Instant};

/// Runs of each; the median is printed.
const RUNS: usize = 15;

/// At least this long is one run, so that the clock's resolution doesn't show.
const RUN_TIME: Duration = Duration::from_millis(20);

/// Measures `ours` and `theirs`, each given how often to do its work, A B A B …, and prints the
/// medians per unit of work and their ratio. `units` is how much work one call with 1 does.
pub(crate) fn compare(
    what: &str,
    units: u64,
    (our_name, ours): (&str, &mut dyn FnMut(u64)),
    (their_name, theirs): (&str, &mut dyn FnMut(u64)),
) {
    let our_times = calibrate(ours);
    let their_times = calibrate(theirs);
    let mut our_runs = Vec::with_capacity(RUNS);
    let mut their_runs = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        our_runs.push(nanoseconds(ours, our_times) / units as f64);
        their_runs.push(nanoseconds(theirs, their_times) / units as f64);
    }
    let (our_median, their_median) = (median(our_runs), median(their_runs));
    println!(
        "{what:<44} {our_name} {our_median:>9.1} ns   {their_name} {their_median:>9.1} ns   \
         {their_name}/{our_name} {:>6.2}",
        their_median / our_median
    );
}

fn calibrate(work: &mut dyn FnMut(u64)) -> u64 {
    let mut times = 1;
    loop {
        let started = Instant::now();
        work(times);
        if started.elapsed() >= RUN_TIME {
            return times;
        }
        times *= 2;
    }
}

fn nanoseconds(work: &mut dyn FnMut(u64), times: u64) -> f64 {
    let started = Instant::now();
    work(times);
    started.elapsed().as_nanos() as f64 / times as f64
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}
