//! What the routes of every framework share.

use std::{
    error::Error,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use realtime::{Hub, Retention};
use serde::Serialize;

use crate::{
    firehose,
    jobs::Jobs,
    metrics::{self, Machine},
    stats,
};

/// The state of the app: a cheap handle.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) hub: Hub,
    pub(crate) jobs: Jobs,
}

/// Ready when the server is to stop.
pub(crate) type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How long events are kept: the past of a chat room, the end of a job.
pub(crate) const KEPT: Duration = Duration::from_secs(60 * 60);

impl App {
    /// Builds the hub, and starts what publishes by itself.
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let hub = Hub::builder()
            .retention(Retention::default().age(KEPT))
            .limits(|limits| limits.topics = 1024)
            .build()?;
        tokio::spawn(metrics::publish(hub.clone(), Machine::new()?));
        tokio::spawn(stats::publish(hub.clone()));
        tokio::spawn(firehose::publish(hub.clone(), firehose::TOPIC.parse()?));
        Ok(Self { jobs: Jobs::new(hub.clone()), hub })
    }
}

/// What serves the page.
#[derive(Serialize)]
pub(crate) struct About {
    adapter: &'static str,
    version: &'static str,
}

impl About {
    pub(crate) fn new(adapter: &'static str) -> Self {
        Self { adapter, version: env!("CARGO_PKG_VERSION") }
    }
}

/// Why a request is refused: a status and one line of plain text.
#[derive(Debug)]
pub(crate) struct Problem {
    status: u16,
    line: String,
}

impl Problem {
    pub(crate) fn new(status: u16, line: impl Into<String>) -> Self {
        Self { status, line: line.into() }
    }
}

#[cfg(feature = "axum")]
impl From<Problem> for realtime::axum::Refused {
    fn from(problem: Problem) -> Self {
        Self::new(problem.status, problem.line)
    }
}

#[cfg(feature = "actix")]
impl From<Problem> for realtime::actix::Refused {
    fn from(problem: Problem) -> Self {
        Self::new(problem.status, problem.line)
    }
}

#[cfg(feature = "hyper")]
impl From<Problem> for realtime::hyper::Refused {
    fn from(problem: Problem) -> Self {
        Self::new(problem.status, problem.line)
    }
}

/// The time as JavaScript tells it.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
