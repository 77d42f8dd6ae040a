//! `cargo xtask chaos`: instances over one broker, of which now this, now that is broken, and no client lacks an
//! event that it was not told of.
//!
//! What is broken follows from the seed; when, and so what is in flight, from the machine.

mod client;
mod cluster;
mod faults;
mod field;
mod http;
mod ledger;
mod options;
mod publisher;
mod record;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    thread::sleep,
    time::{Duration, Instant},
};

use fastrand::Rng;
use tokio::runtime::{Builder, Runtime};

use crate::{Result, servers, steps::Steps, testbed, workspace};
use client::Wanted;
use cluster::Cluster;
use faults::Faults;
use field::{Field, lock};
use options::Options;
use record::{Record, Tally};

const TOPICS: usize = 20;
/// By when, after all is well again, everybody has all.
const SETTLES: Duration = Duration::from_secs(60);
/// By when publishers and clients have ended that were asked to.
const ENDS: Duration = Duration::from_secs(20);
/// Complaints that are printed.
const MOST_TOLD: usize = 12;

pub fn run(arguments: &[&str]) -> Result {
    let options = Options::parse(arguments)?;
    options.broker.is_built()?;
    let target = workspace::target()?;
    // Another one for each seed, so that two runs do not get in each other's way.
    let folder = target.join("chaos").join(format!("{}-{}", options.broker.name(), options.seed));
    // Nothing of an earlier run is to be taken for this one's.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)
        .map_err(|error| format!("could not make {}: {error}", folder.display()))?;
    println!(
        "seed {}, {} s, {} instances, {} clients",
        options.seed,
        options.time.as_secs(),
        options.instances,
        options.clients
    );
    let mut steps = Steps::new("chaos");
    let _ = steps.run("server", servers::ensure)
        && steps.run("testbed", testbed::build)
        && steps
            .run(options.broker.name(), || chaos(&options, &target.join(testbed::BINARY), &folder));
    let forget = if options.forget { " --forget" } else { "" };
    let again = format!("--broker {} --seed {}{forget}", options.broker.name(), options.seed);
    steps.finish().map_err(|failed| format!("{failed}; again with {again}"))
}

fn chaos(options: &Options, binary: &Path, folder: &Path) -> Result {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("could not start a runtime: {error}"))?;
    let mut cluster = Cluster::start(options.broker, options.instances, binary, folder, &runtime)?;
    let began = Instant::now();
    let field = Arc::new(Field::new(TOPICS, options.instances, cluster.addresses()));
    let random = |stream: u64| Rng::with_seed(options.seed.wrapping_add(stream << 20));
    let mut records = Vec::new();
    let mut listening = Vec::new();
    for client in 0..options.clients {
        let mut random = random(1_000 + client as u64);
        let wanted = Wanted::choose(client, TOPICS, &mut random);
        let record = Arc::new(Mutex::new(Record::new(client, &wanted.target, &wanted.topics)));
        records.push(Arc::clone(&record));
        let field = Arc::clone(&field);
        listening.push(runtime.spawn(async move {
            client::listen(&field, &record, &wanted, random).await;
        }));
    }
    let publishing = (0..TOPICS).map(|topic| {
        let (field, random) = (Arc::clone(&field), random(100 + topic as u64));
        runtime.spawn(async move { publisher::publish(&field, topic, random).await })
    });
    let publishing: Vec<_> = publishing.collect();

    let until = began + options.time;
    let faults = faults::run(&mut cluster, &field, options.forget, until, random(0));
    field.is_over.store(true, Relaxed);
    end(&runtime, publishing, "publishers").unwrap_or_else(|told| field.fail(told));
    let settled = settle(&field, &records);
    field.is_left.store(true, Relaxed);
    end(&runtime, listening, "clients").unwrap_or_else(|told| field.fail(told));
    let mut failures = field.failures();
    failures.extend(cluster.stop());
    failures.extend(panics(cluster.logs()));
    let faults = faults.unwrap_or_else(|told| {
        failures.push(told);
        Faults::new()
    });
    let mut tally = Tally::default();
    for record in &records {
        let mut record = lock(record);
        record.finish(&field.ledger, began);
        tally.add(&record.tally);
        failures.append(&mut record.told);
    }
    failures.extend(field.ledger.shared_ids());
    if !options.forget && tally.gaps + tally.resets > 0 {
        failures.push("gaps or resets, where the broker kept its data".to_owned());
    }
    report(&field, &tally, &faults, settled);
    if failures.is_empty() && tally.violations() == 0 {
        return Ok(());
    }
    let count = failures.len();
    failures.truncate(MOST_TOLD);
    let logs = folder.display();
    Err(format!("{count} complaints, the first:\n  {}\nlogs: {logs}", failures.join("\n  ")))
}

/// Waits until these have ended.
fn end(runtime: &Runtime, tasks: Vec<tokio::task::JoinHandle<()>>, what: &str) -> Result {
    runtime.block_on(async {
        let all = async {
            for task in tasks {
                task.await.map_err(|error| format!("one of the {what}: {error}"))?;
            }
            Ok(())
        };
        let late = || format!("the {what} did not end within {} s", ENDS.as_secs());
        tokio::time::timeout(ENDS, all).await.unwrap_or_else(|_| Err(late()))
    })
}

/// Waits until everybody has all, or it takes too long; how long it took.
fn settle(field: &Field, records: &[Arc<Mutex<Record>>]) -> Duration {
    let began = Instant::now();
    while began.elapsed() < SETTLES {
        if records.iter().all(|record| lock(record).missing(&field.ledger) == 0) {
            break;
        }
        sleep(Duration::from_millis(100));
    }
    let took = began.elapsed();
    // What comes twice, or should not come, comes a little later.
    sleep(Duration::from_secs(1));
    took
}

fn panics(logs: &[PathBuf]) -> Vec<String> {
    let mut found = Vec::new();
    for log in logs {
        let text = fs::read_to_string(log).unwrap_or_default();
        let line = text.lines().find(|line| line.contains("panicked"));
        found.extend(line.map(|line| format!("{}: {line}", log.display())));
    }
    found
}

fn report(field: &Field, tally: &Tally, faults: &Faults, settled: Duration) {
    println!("fault                 times  slowest recovery");
    for (kind, (count, slowest)) in faults {
        println!("{:<20}  {count:>5}  {:>14.2} s", format!("{kind:?}"), slowest.as_secs_f64());
    }
    let number = |it: &std::sync::atomic::AtomicU64| it.load(Relaxed);
    let rows = [
        ("acknowledged", number(&field.acknowledged)),
        ("unknown", number(&field.unknown)),
        ("delivered", tally.delivered),
        ("connects", tally.connects),
        ("refused connects", tally.refused),
        ("goodbyes", number(&field.byes)),
        ("gaps", tally.gaps),
        ("resets", tally.resets),
        ("lost silently", tally.lost),
        ("duplicates", tally.duplicates),
        ("order violations", tally.order),
        ("corrupted", tally.corrupt),
        ("otherwise wrong", tally.wrong),
    ];
    for (name, number) in rows {
        println!("{name:<20}  {number:>9}");
    }
    println!("everybody had all {:.1} s after the last was published", settled.as_secs_f64());
}
