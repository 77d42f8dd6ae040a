//! What is broken, and in which order.

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use fastrand::Rng;
use realtime_testkit::faults::Network;

use super::{cluster::Cluster, field::Field};
use crate::Result;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The broker is killed, and started again after 0 to 3 s.
    BrokerKilled,
    /// Connections to the broker are reset.
    Cut,
    /// Nothing passes to and from the broker for 1 to 8 s, then connections are reset.
    Silent,
    /// The same for 0.5 to 4 s, after which everything passes that was held up.
    Stalled,
    /// The broker can't be connected to for 0 to 3 s.
    Refused,
    /// An instance is killed, and started again after 0 to 2 s.
    InstanceKilled,
    /// The broker loses its data.
    Forgotten,
    /// The broker loses its data and is killed, and started again without.
    KilledAndForgotten,
}

const KEEPING: [Kind; 6] = [
    Kind::BrokerKilled,
    Kind::Cut,
    Kind::Silent,
    Kind::Stalled,
    Kind::Refused,
    Kind::InstanceKilled,
];
const FORGETTING: [Kind; 2] = [Kind::Forgotten, Kind::KilledAndForgotten];

/// By when everybody gets what is sent after a fault.
const RECOVERS: Duration = Duration::from_secs(30);

/// How often each kind was, and how long the slowest recovery from it took.
pub type Faults = BTreeMap<Kind, (u32, Duration)>;

/// Breaks one thing after another until then, each after all have recovered from the one before.
pub fn run(
    cluster: &mut Cluster,
    field: &Field,
    forget: bool,
    until: Instant,
    mut random: Rng,
) -> Result<Faults> {
    let mut faults = Faults::new();
    // At first, too, everybody is to get something.
    field.watch();
    recover(field)?;
    let mut deck = Vec::new();
    loop {
        sleep(Duration::from_millis(random.u64(800..2_500)));
        if Instant::now() >= until {
            return Ok(faults);
        }
        if deck.is_empty() {
            // Each kind has its turn before any has another.
            deck = KEEPING.to_vec();
            deck.extend(FORGETTING.iter().filter(|_| forget));
            random.shuffle(&mut deck);
        }
        let Some(kind) = deck.pop() else { continue };
        let what = fault(cluster, field, kind, &mut random)?;
        field.watch();
        let took = recover(field).map_err(|told| format!("after {what}: {told}"))?;
        println!("{what}: recovered in {:.2} s", took.as_secs_f64());
        let (count, slowest) = faults.entry(kind).or_default();
        *count += 1;
        *slowest = took.max(*slowest);
    }
}

/// From its begin to its end; what it was.
fn fault(cluster: &mut Cluster, field: &Field, kind: Kind, random: &mut Rng) -> Result<String> {
    let one = random.usize(0..field.instances);
    let which = if random.bool() { vec![one] } else { (0..field.instances).collect() };
    let mut wait = |milliseconds: std::ops::RangeInclusive<u64>| {
        let time = Duration::from_millis(random.u64(milliseconds));
        sleep(time);
        time.as_secs_f64()
    };
    let from = if which.len() == 1 { format!("instance {one}") } else { "all".to_owned() };
    Ok(match kind {
        Kind::BrokerKilled => {
            cluster.kill_broker();
            let time = wait(0..=3_000);
            cluster.restart_broker();
            format!("broker killed for {time:.1} s")
        }
        Kind::Cut => {
            cluster.cut(&which);
            format!("{from} cut off")
        }
        Kind::Silent => {
            cluster.set(&which, Network::Silent);
            let time = wait(1_000..=8_000);
            // In this order: what was held up is not to pass.
            cluster.cut(&which);
            cluster.set(&which, Network::Good);
            format!("{from} in silence for {time:.1} s, then cut off")
        }
        Kind::Stalled => {
            cluster.set(&which, Network::Silent);
            let time = wait(500..=4_000);
            cluster.set(&which, Network::Good);
            format!("{from} held up for {time:.1} s")
        }
        Kind::Refused => {
            cluster.set(&which, Network::Refuses);
            let time = wait(0..=3_000);
            cluster.set(&which, Network::Good);
            format!("{from} refused for {time:.1} s")
        }
        Kind::InstanceKilled => {
            cluster.kill_instance(one);
            let time = wait(0..=2_000);
            field.addresses.set(one, cluster.start_instance(one)?);
            format!("instance {one} killed for {time:.1} s")
        }
        Kind::Forgotten => {
            cluster.forget();
            "broker's data deleted".to_owned()
        }
        Kind::KilledAndForgotten => {
            cluster.forget();
            cluster.kill_broker();
            let time = wait(0..=3_000);
            cluster.restart_broker();
            format!("broker's data deleted and it killed for {time:.1} s")
        }
    })
}

/// Waits until an event sent since has come on every instance; how long that took.
fn recover(field: &Field) -> Result<Duration> {
    let deadline = Instant::now() + RECOVERS;
    loop {
        let (waiting, took) = field.recovered();
        if waiting.is_empty() {
            return Ok(took);
        }
        if Instant::now() > deadline {
            return Err(format!(
                "nothing published since came to a client of instance {waiting:?} within {} s",
                RECOVERS.as_secs()
            ));
        }
        sleep(Duration::from_millis(10));
    }
}
