//! Jobs that tell how far they are.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use realtime::{Event, EventError, Hub, Overflow, Start, Subscribe};
use serde::{Deserialize, Serialize};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

use crate::{
    app::{KEPT, Problem},
    digest::{self, Progress},
};

/// Jobs at a time: each takes a core or the disk.
const MAX_RUNNING: usize = 3;
const MAX_REMEMBERED: usize = 64;
/// The longest body of a request, where the framework has no limit of its own.
#[cfg(feature = "hyper")]
pub(crate) const MAX_BODY: usize = 64 * 1024;
const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// The jobs that run and those that have run of late.
#[derive(Clone)]
pub(crate) struct Jobs {
    hub: Hub,
    /// Of the whole app: a web server's worker may end before a job does.
    runtime: Handle,
    free: Arc<Semaphore>,
    known: Arc<Mutex<VecDeque<Job>>>,
}

struct Job {
    id: String,
    ended: Option<Instant>,
}

/// The body of a request for a job.
#[derive(Deserialize)]
struct Order {
    folder: String,
}

/// The answer to it.
#[derive(Serialize)]
pub(crate) struct Accepted {
    job: String,
}

impl Jobs {
    pub(crate) fn new(hub: Hub) -> Self {
        let free = Arc::new(Semaphore::new(MAX_RUNNING));
        Self { hub, runtime: Handle::current(), free, known: Arc::default() }
    }

    /// Starts the job that `body` asks for.
    pub(crate) async fn start(&self, body: &[u8]) -> Result<Accepted, Problem> {
        let order: Order = serde_json::from_slice(body).map_err(|error| {
            Problem::new(400, format!("expected {{\"folder\":\"…\"}} as JSON: {error}"))
        })?;
        let folder = readable(order.folder).await?;
        let permit = Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            let line = format!("{MAX_RUNNING} jobs are running: try again when one has ended");
            Problem::new(429, line)
        })?;
        let id = format!("{:016x}", fastrand::u64(..));
        // Before the client knows of it, so that it finds something to watch.
        publish(&self.hub, &id, Report::running(Progress::default(), Instant::now())).await?;
        self.remember(&id);
        self.runtime.spawn(run(self.clone(), id.clone(), folder, permit));
        Ok(Accepted { job: id })
    }

    /// A job's state now and from now on; after a reload just as the first time.
    pub(crate) fn subscribe(&self, id: &str) -> Result<Subscribe, Problem> {
        if !self.known(|known| known.iter().any(|job| job.id == id)) {
            return Err(Problem::new(404, "no such job; it may have been forgotten"));
        }
        Ok(Subscribe::to(topic(id)).start(Start::NewestPerKey).overflow(Overflow::Conflate))
    }

    fn remember(&self, id: &str) {
        self.known(|known| known.push_back(Job { id: id.to_owned(), ended: None }));
    }

    fn ended(&self, id: &str) {
        self.known(|known| {
            let job = known.iter_mut().find(|job| job.id == id);
            if let Some(job) = job {
                job.ended = Some(Instant::now());
            }
        });
    }

    /// Looks at the jobs that are known, once those to forget are gone.
    fn known<R>(&self, look: impl FnOnce(&mut VecDeque<Job>) -> R) -> R {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|job| job.ended.is_none_or(|ended| ended.elapsed() < KEPT));
        while known.len() > MAX_REMEMBERED {
            let Some(oldest) = known.iter().position(|job| job.ended.is_some()) else { break };
            known.remove(oldest);
        }
        look(&mut known)
    }
}

/// The folder, if it is one and can be read.
async fn readable(folder: String) -> Result<PathBuf, Problem> {
    if folder.trim().is_empty() {
        return Err(Problem::new(400, "give the path of a folder on the server"));
    }
    let Err(error) = tokio::fs::read_dir(&folder).await else { return Ok(folder.into()) };
    let what = match error.kind() {
        ErrorKind::NotFound => "does not exist".to_owned(),
        ErrorKind::NotADirectory => "is not a folder".to_owned(),
        ErrorKind::PermissionDenied => "may not be read by the server".to_owned(),
        _ => format!("can't be read: {error}"),
    };
    Err(Problem::new(400, format!("{folder} {what}")))
}

async fn run(jobs: Jobs, id: String, folder: PathBuf, permit: OwnedSemaphorePermit) {
    let began = Instant::now();
    let (sender, mut progress) = watch::channel(Progress::default());
    let work = tokio::task::spawn_blocking(move || digest::of_folder(&folder, &sender));
    // Ends when the work has, which drops the sender.
    while progress.changed().await.is_ok() {
        let report = Report::running(progress.borrow_and_update().clone(), began);
        // The next one will do as well.
        let _ = publish(&jobs.hub, &id, report).await;
        tokio::time::sleep(REPORT_INTERVAL).await;
    }
    let outcome = work.await.unwrap_or_else(|_| Err("the job ended unexpectedly".to_owned()));
    let report = Report::last(progress.borrow().clone(), began, outcome);
    let _ = publish(&jobs.hub, &id, report).await;
    jobs.ended(&id);
    drop(permit);
}

#[derive(Serialize)]
struct Report {
    state: &'static str,
    #[serde(flatten)]
    progress: Progress,
    digest: Option<String>,
    message: Option<String>,
    seconds: f64,
}

impl Report {
    fn running(progress: Progress, began: Instant) -> Self {
        let seconds = began.elapsed().as_secs_f64();
        Self { state: "running", progress, digest: None, message: None, seconds }
    }

    fn last(progress: Progress, began: Instant, outcome: Result<String, String>) -> Self {
        let running = Self::running(progress, began);
        match outcome {
            Ok(digest) => Self { state: "done", digest: Some(digest), ..running },
            Err(message) => Self { state: "failed", message: Some(message), ..running },
        }
    }
}

async fn publish(hub: &Hub, id: &str, report: Report) -> Result<(), Problem> {
    let event = event(&report).map_err(|error| Problem::new(500, error.to_string()))?;
    let published = hub.publish(topic(id), event).await;
    published.map(|_| ()).map_err(|error| Problem::new(503, error.to_string()))
}

fn event(report: &Report) -> Result<Event, EventError> {
    Event::json(report)?.named("progress")?.keyed("progress")
}

fn topic(id: &str) -> String {
    format!("jobs.{id}")
}
