//! `cargo xtask soak`: a storm of clients against each adapter, after which nothing may be left.
//!
//! Wild clients do what they want; followers behave well and look whether they lose anything. What is
//! done follows from the seed; when, and so in which order, from the machine.

mod follower;
mod options;
mod publisher;
mod reading;
mod source;
mod wild;
mod wire;

use std::{
    collections::VecDeque,
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;

use crate::{
    Result,
    steps::Steps,
    testbed::{self, Server},
    workspace,
};
use follower::Followed;
use options::Options;
use reading::Reading;

const WILD_CLIENTS: usize = 64;
const WILD_TOPICS: u8 = 24;
const FOLLOWERS: usize = 16;
const NUMBERED_TOPICS: usize = 2;
/// How many vanished clients keep their sockets open.
const VANISHED: usize = 300;

/// So short that whatever they end, they end within the run.
const DEADLINES: [&str; 14] = [
    "--ping-interval",
    "1000",
    "--pong-deadline",
    "1000",
    "--write-deadline",
    "2000",
    "--stall-deadline",
    "2500",
    "--max-age",
    "5000",
    "--drain-deadline",
    "5000",
    "--reconnects-per-second",
    "1000",
];
/// The allocator gives back at once what is freed, so that what stays is held.
const GIVES_BACK: [(&str, &str); 2] =
    [("MALLOC_ARENA_MAX", "2"), ("MALLOC_TRIM_THRESHOLD_", "65536")];
/// How long it storms until everybody leaves, and it is looked at what is left.
const ROUND: Duration = Duration::from_secs(45);
/// By when all of them have ended whoever vanished, with room for a busy machine.
const RELEASE: Duration = Duration::from_secs(15);
/// How long descriptors, tasks and memory may take to come back.
const REST: Duration = Duration::from_secs(15);
/// How much of memory may not come back, beside what the topics retain: allocators keep what they had.
const RESIDENT_BOUND: u64 = 24 * 1024;
/// What a retained byte may cost in memory: itself, its encoded copies, and what is between them.
const RETAINED_FACTOR: u64 = 4;
/// Topics nobody uses any more stay in the table until there are so many.
const SWEEP_FLOOR: u64 = 1024;

pub fn run(arguments: &[&str]) -> Result {
    let options = Options::parse(arguments)?;
    let target = workspace::target()?;
    let folder = target.join("soak");
    fs::create_dir_all(&folder)
        .map_err(|error| format!("could not make {}: {error}", folder.display()))?;
    let mut steps = Steps::new("soak");
    println!("seed {}, {} s each", options.seed, options.each.as_secs());
    let mut table = vec![Row::TITLE.to_owned()];
    if steps.run("testbed", testbed::build) {
        for adapter in &options.adapters {
            steps.run(*adapter, || {
                let log = folder.join(format!("{adapter}.log"));
                let (row, result) = soak(&options, adapter, &target.join(testbed::BINARY), &log)?;
                table.push(row);
                result
            });
        }
    }
    println!("{}", table.join("\n"));
    let again = format!("--seed {}", options.seed);
    steps.finish().map_err(|failed| format!("{failed}; again with {again}"))
}

/// A line of the table, and whether all was as it should be.
fn soak(options: &Options, adapter: &str, binary: &Path, log: &Path) -> Result<(String, Result)> {
    let server = Server::start_with(binary, adapter, &DEADLINES, &GIVES_BACK, log)?;
    let mut failures = Vec::new();
    // What is made once, and what the topics retain, is there after this.
    let warm_up = (options.each / 4).min(Duration::from_secs(10));
    let warm = storm(&server, warm_up, options.seed)?;
    let before = at_rest(&server, None)?;
    failures.extend(warm.failures);
    let rest = options.each - warm_up;
    let rounds = rest.as_secs().div_ceil(ROUND.as_secs()).max(1) as u32;
    let (mut all, mut after) = (Storm::default(), before);
    for round in 1..=rounds {
        let seed = options.seed.wrapping_add(u64::from(round) << 32);
        let storm = storm(&server, rest / rounds, seed)?;
        after = at_rest(&server, Some(&before))?;
        println!(
            "{adapter}: round {round} of {rounds}: {:.1} MiB resident, {:.1} MiB retained",
            mebibytes(after.resident),
            mebibytes(after.retained_bytes / 1024)
        );
        all.add(storm);
        failures.extend(left_over(&before, &after));
    }
    failures.append(&mut all.failures);
    if let Err(failed) = server.stop() {
        failures.push(failed);
    }
    failures.extend(complaints(log));
    let line = Row { adapter, storm: &all, before: &before, after: &after }.line();
    let result = if failures.is_empty() { Ok(()) } else { Err(failures.join("\n  ")) };
    Ok((line, result))
}

/// What all clients share.
#[derive(Debug)]
struct Field {
    addr: SocketAddr,
    /// Wild clients are to stop.
    is_over: AtomicBool,
    /// Followers are to leave once they have all that is published by now.
    is_finishing: AtomicBool,
    /// Nobody follows any more.
    is_left: AtomicBool,
    published: [AtomicU64; NUMBERED_TOPICS],
    goals: Mutex<[u64; NUMBERED_TOPICS]>,
    vanished: Mutex<VecDeque<TcpStream>>,
}

impl Field {
    fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            is_over: AtomicBool::default(),
            is_finishing: AtomicBool::default(),
            is_left: AtomicBool::default(),
            published: Default::default(),
            goals: Mutex::default(),
            vanished: Mutex::default(),
        }
    }

    fn goals(&self) -> [u64; NUMBERED_TOPICS] {
        *self.goals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn vanish(&self, stream: TcpStream) {
        let mut vanished = self.vanished.lock().unwrap_or_else(PoisonError::into_inner);
        vanished.push_back(stream);
        if vanished.len() > VANISHED {
            vanished.pop_front();
        }
    }
}

/// How a storm went.
#[derive(Debug, Default)]
struct Storm {
    acts: u64,
    followed: Followed,
    most_connections: u64,
    vanished: usize,
    /// How long it took until the last vanished client was let go of.
    release: Duration,
    failures: Vec<String>,
}

impl Storm {
    fn add(&mut self, other: Self) {
        self.acts += other.acts;
        self.followed.add(&other.followed);
        self.most_connections = self.most_connections.max(other.most_connections);
        self.vanished += other.vanished;
        self.release = self.release.max(other.release);
        self.failures.extend(other.failures);
    }
}

fn storm(server: &Server, time: Duration, seed: u64) -> Result<Storm> {
    let field = Field::new(server.address());
    let random = |stream: u64| Rng::with_seed(seed.wrapping_add(stream << 16));
    let mut storm = Storm::default();
    let mut failed = Vec::new();
    thread::scope(|scope| {
        let field = &field;
        let publishers: Vec<_> = (0..NUMBERED_TOPICS)
            .map(|topic| {
                let random = random(topic as u64);
                scope.spawn(move || publisher::number(field, topic, random))
            })
            .collect();
        let flood = {
            let random = random(99);
            scope.spawn(move || publisher::flood(field, random))
        };
        let followers: Vec<_> = (0..FOLLOWERS)
            .map(|number| {
                let random = random(100 + number as u64);
                scope.spawn(move || follower::follow(field, number, random))
            })
            .collect();
        let wild: Vec<_> = (0..WILD_CLIENTS)
            .map(|number| {
                let random = random(1_000 + number as u64);
                scope.spawn(move || wild::run(field, random))
            })
            .collect();

        let until = Instant::now() + time;
        while Instant::now() < until {
            match Reading::take(server) {
                Ok(reading) => {
                    storm.most_connections = storm.most_connections.max(reading.connections);
                }
                Err(error) => {
                    failed.push(format!("during the storm: {error}"));
                    break;
                }
            }
            thread::sleep(Duration::from_millis(200));
        }
        field.is_over.store(true, Ordering::Relaxed);
        storm.acts = wild.into_iter().map(|it| it.join().unwrap_or(0)).sum();
        failed.extend(ended(flood).err());
        let published = [0, 1].map(|topic: usize| field.published[topic].load(Ordering::Relaxed));
        *field.goals.lock().unwrap_or_else(PoisonError::into_inner) = published;
        field.is_finishing.store(true, Ordering::Relaxed);
        for follower in followers {
            match ended(follower) {
                Ok(followed) => storm.followed.add(&followed),
                Err(error) => failed.push(error),
            }
        }
        field.is_left.store(true, Ordering::Relaxed);
        for publisher in publishers {
            failed.extend(ended(publisher).err());
        }
    });
    // The vanished still hold their sockets: the server is to let go of them by itself.
    let vanished = field.vanished.into_inner().unwrap_or_else(PoisonError::into_inner);
    storm.vanished = vanished.len();
    let (reading, release) = Reading::wait(server, RELEASE, Reading::is_released)?;
    storm.release = release;
    if !reading.is_released() {
        failed.push(format!(
            "{} s after everybody else had left, the vanished still held {} connections, \
             {} subscriptions, {} identities",
            RELEASE.as_secs(),
            reading.connections,
            reading.subscriptions,
            reading.identities
        ));
    }
    drop(vanished);
    storm.failures = failed;
    Ok(storm)
}

fn ended<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err("a client panicked; see above".to_owned()))
}

/// The server when nobody is there any more, as much like `before` as it gets.
fn at_rest(server: &Server, before: Option<&Reading>) -> Result<Reading> {
    let (first, _) = Reading::wait(server, REST, |reading| {
        let is_back = before.is_none_or(|before| {
            reading.descriptors <= before.descriptors && reading.tasks <= before.tasks
        });
        reading.is_released() && reading.sockets <= 1 && is_back
    })?;
    if before.is_some() {
        return Ok(first);
    }
    // The first time it is not known what there is to come back to: what stays the same for a while.
    let (mut last, mut since) = (first, Instant::now());
    let limit = Instant::now() + REST;
    while since.elapsed() < Duration::from_secs(2) && Instant::now() < limit {
        thread::sleep(Duration::from_millis(100));
        let now = Reading::take(server)?;
        if (now.descriptors, now.tasks) != (last.descriptors, last.tasks) {
            since = Instant::now();
        }
        last = now;
    }
    Ok(last)
}

/// What is there after the storm and was not before.
fn left_over(before: &Reading, after: &Reading) -> Vec<String> {
    let mut left = Vec::new();
    let mut at_most = |what: &str, is: u64, bound: u64| {
        if is > bound {
            left.push(format!("left over: {is} {what}, at most {bound} should be"));
        }
    };
    at_most("connections", after.connections, 0);
    at_most("subscriptions", after.subscriptions, 0);
    at_most("identities", after.identities, 0);
    at_most("events that somebody lags", after.max_lag, 0);
    // The one that asks is there while it asks.
    at_most("sockets", after.sockets, 1);
    at_most("descriptors", after.descriptors as u64, before.descriptors as u64);
    at_most("tasks", after.tasks.unwrap_or(0), before.tasks.unwrap_or(0));
    at_most("topics", after.topics, SWEEP_FLOOR);
    let retained = after.retained_bytes.saturating_sub(before.retained_bytes) / 1024;
    let bound = before.resident + RESIDENT_BOUND + RETAINED_FACTOR * retained;
    at_most("KiB of resident memory", after.resident, bound);
    left
}

/// So actix calls a request that is none.
const EXPECTED_ERROR: &str = "actix_http::h1::dispatcher: stream error: request parse error";

/// Panics and errors in the server's log.
fn complaints(log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let is_wrong = |line: &&str| {
        line.contains("panicked") || line.starts_with("ERROR") && !line.contains(EXPECTED_ERROR)
    };
    let wrong: Vec<&str> = text.lines().filter(is_wrong).collect();
    let Some(first) = wrong.first() else { return Vec::new() };
    vec![format!("{} errors in {}, the first: {first}", wrong.len(), log.display())]
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

/// A line of the table.
struct Row<'a> {
    adapter: &'a str,
    storm: &'a Storm,
    before: &'a Reading,
    after: &'a Reading,
}

impl Row<'_> {
    const TITLE: &'static str = "\
adapter   wild  most open  vanished  gone after  followed: events  connects  ended  resets  gaps  \
slow  fds        tasks      RSS MiB      topics";

    fn line(&self) -> String {
        let Self { adapter, storm, before, after } = self;
        let Followed { events, connects, ended, resets, gaps } = storm.followed;
        let tasks = |reading: &Reading| reading.tasks.map_or("-".to_owned(), |it| it.to_string());
        format!(
            "{adapter:<8} {:>5}  {:>9}  {:>8}  {:>8.1} s  {events:>16}  {connects:>8}  {ended:>5}  \
             {resets:>6}  {gaps:>4}  {:>4}  {:<9}  {:<9}  {:<11}  {}",
            storm.acts,
            storm.most_connections,
            storm.vanished,
            storm.release.as_secs_f64(),
            after.slow_disconnects - before.slow_disconnects,
            format!("{} > {}", before.descriptors, after.descriptors),
            format!("{} > {}", tasks(before), tasks(after)),
            format!("{:.1} > {:.1}", mebibytes(before.resident), mebibytes(after.resident)),
            after.topics,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_is_told() {
        let before =
            Reading { descriptors: 20, tasks: Some(2), resident: 9_000, ..Reading::default() };
        let mut after = before;
        after.retained_bytes = 1 << 20;
        after.resident = 9_000 + RESIDENT_BOUND + RETAINED_FACTOR * 1024;
        after.sockets = 1;
        assert_eq!(left_over(&before, &after), Vec::<String>::new());
        after.resident += 1;
        after.descriptors += 1;
        after.subscriptions = 3;
        let left = left_over(&before, &after);
        assert_eq!(left.len(), 3, "{left:?}");
    }
}
