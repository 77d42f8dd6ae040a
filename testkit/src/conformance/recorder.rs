//! Everything that is logged in this process, by `tracing` and by `log`, at every level.

use std::{
    fmt::{self, Write as _},
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

/// What was logged while `work` ran, a line for each event, span and record. Only one may record at
/// a time, and what others log meanwhile is in it.
pub(super) async fn record(work: impl Future<Output = ()>) -> Vec<String> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing::subscriber::set_global_default(Recorder).expect("no other subscriber");
        log::set_logger(&Recorder).expect("no other logger");
        log::set_max_level(log::LevelFilter::Trace);
    });
    lines().clear();
    IS_ON.store(true, Ordering::SeqCst);
    work.await;
    IS_ON.store(false, Ordering::SeqCst);
    std::mem::take(&mut *lines())
}

struct Recorder;

static IS_ON: AtomicBool = AtomicBool::new(false);
static SPANS: AtomicU64 = AtomicU64::new(1);
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn lines() -> std::sync::MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Subscriber for Recorder {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        IS_ON.load(Ordering::Relaxed)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line::of(span.metadata());
        span.record(&mut line);
        lines().push(line.0);
        Id::from_u64(SPANS.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line("span: ".to_owned());
        values.record(&mut line);
        lines().push(line.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::of(event.metadata());
        event.record(&mut line);
        lines().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        IS_ON.load(Ordering::Relaxed)
    }

    fn log(&self, record: &log::Record<'_>) {
        if log::Log::enabled(self, record.metadata()) {
            let line = format!("{} {}: {}", record.target(), record.level(), record.args());
            lines().push(line);
        }
    }

    fn flush(&self) {}
}

struct Line(String);

impl Line {
    fn of(metadata: &Metadata<'_>) -> Self {
        Self(format!("{} {}: {}", metadata.target(), metadata.level(), metadata.name()))
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}
