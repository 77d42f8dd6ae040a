//! Running a model under many schedules, or under one.

use std::{
    env,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use shuttle::{
    Config, MaxSteps, Runner,
    scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler},
    sync::{Condvar, Mutex},
};

/// A schedule that a failure has printed; it alone is run, again.
const REPLAY: &str = "MODEL_SCHEDULE";

/// Seconds for each model under schedules that nobody has seen, instead of always the same ones.
const SECONDS: &str = "MODEL_SECONDS";

/// Any will do: the same one at each run, so that a change is judged by what it is, not by luck.
const SEED: u64 = 0x5eed;

/// The most switches at chosen places of a schedule that has few; nearly all races need no more.
const DEPTH: usize = 3;

/// Locks and atomics that one run of a model may come by: far more than any does that ends.
const MAX_STEPS: usize = 50_000;

/// Runs `model` under `schedules` schedules, half of them wholly random and half with few switches.
/// Fails when the model does, or when nobody can go on; the schedule is printed then.
pub(crate) fn check(schedules: usize, model: impl Fn() + Send + Sync + 'static) {
    let model = Arc::new(model);
    if let Ok(schedule) = env::var(REPLAY) {
        return run(ReplayScheduler::new_from_encoded(&schedule), None, &model);
    }
    if let Ok(seconds) = env::var(SECONDS) {
        let seconds: f64 = seconds.parse().unwrap();
        let time = Some(Duration::from_secs_f64(seconds / 2.0));
        run(RandomScheduler::new(usize::MAX), time, &model);
        return run(PctScheduler::new(DEPTH, usize::MAX), time, &model);
    }
    run(RandomScheduler::new_from_seed(SEED, schedules / 2), None, &model);
    run(PctScheduler::new_from_seed(SEED, DEPTH, schedules / 2), None, &model);
}

fn run(
    scheduler: impl Scheduler + 'static,
    time: Option<Duration>,
    model: &Arc<impl Fn() + Send + Sync + 'static>,
) {
    let mut config = Config::new();
    config.stack_size = 512 * 1024;
    config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
    config.max_time = time;
    // Every ordering is taken for the strongest one: CONTRIBUTING.md says what that leaves out.
    config.silence_warnings = true;
    let model = Arc::clone(model);
    Runner::new(scheduler, config).run(move || model());
}

/// A task's waker, on a thread of its own: who waits for it sleeps until it is woken, and for ever if
/// that is forgotten, which the checker finds.
#[derive(Default)]
pub(crate) struct Alarm {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Alarm {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let alarm = Arc::new(Self::default());
        (Arc::clone(&alarm), Waker::from(alarm))
    }

    /// Sleeps until it has been woken since the last time.
    pub(crate) fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

/// Polls until it is ready, and only when woken.
pub(crate) fn block_on<R>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> R {
    let (alarm, waker) = Alarm::new();
    loop {
        match poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => alarm.wait(),
        }
    }
}
