//! Figures of this machine, from the operating system.

use std::time::{Duration, Instant};

use realtime::{Event, EventError, Hub, Overflow, Start, Subscribe};
use serde::Serialize;
use sysinfo::{NetworkData, Networks, System};
use tokio::time::{MissedTickBehavior, interval};

use crate::app::unix_ms;

const TOPIC: &str = "metrics";
const INTERVAL: Duration = Duration::from_millis(400);

/// A client starts with the last 120 readings of the four metrics, as many as its charts hold. One
/// that is slow gets the newest of each.
pub(crate) fn subscribe() -> Subscribe {
    Subscribe::to(TOPIC).start(Start::Last(4 * 120)).overflow(Overflow::Conflate)
}

/// Publishes readings for as long as the runtime lives.
pub(crate) async fn publish(hub: Hub, mut machine: Machine) {
    let mut interval = interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once, and rates need two looks.
    interval.tick().await;
    loop {
        interval.tick().await;
        for reading in machine.read() {
            if let Ok(event) = event(&reading) {
                // Refused only by a hub whose limits are below this.
                let _ = hub.publish(TOPIC, event).await;
            }
        }
    }
}

fn event(reading: &Reading) -> Result<Event, EventError> {
    Event::json(reading)?.named("metric")?.keyed(reading.metric)
}

#[derive(Serialize)]
struct Reading {
    metric: &'static str,
    value: f64,
    unit: &'static str,
    time: u64,
}

/// What the operating system tells of itself.
pub(crate) struct Machine {
    system: System,
    networks: Networks,
    read_at: Instant,
}

impl Machine {
    pub(crate) fn new() -> Result<Self, sysinfo::Error> {
        let mut system = System::new()?;
        system.refresh_cpu_usage();
        let networks = Networks::new_with_refreshed_list()?;
        Ok(Self { system, networks, read_at: Instant::now() })
    }

    /// Some small reads of `/proc` and the like, quick enough for an async task.
    fn read(&mut self) -> [Reading; 4] {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.networks.refresh(true);
        let seconds = self.read_at.elapsed().as_secs_f64().max(0.001);
        self.read_at = Instant::now();

        let time = unix_ms();
        let memory = self.system.used_memory() as f64 / self.system.total_memory().max(1) as f64;
        let (received, sent) = self.traffic();
        let reading = |metric, value, unit| Reading { metric, value, unit, time };
        [
            reading("cpu", f64::from(self.system.global_cpu_usage()), "%"),
            reading("memory", 100.0 * memory, "%"),
            reading("network_in", received as f64 / seconds, "B/s"),
            reading("network_out", sent as f64 / seconds, "B/s"),
        ]
    }

    /// Bytes received and sent since the last look, over all interfaces but loopback; over loopback
    /// where there is nothing else.
    fn traffic(&self) -> (u64, u64) {
        let only_loopback = self.networks.values().all(is_loopback);
        let counted = self.networks.values().filter(|data| only_loopback || !is_loopback(data));
        counted.fold((0, 0), |(received, sent), data| {
            (received + data.received(), sent + data.transmitted())
        })
    }
}

fn is_loopback(data: &NetworkData) -> bool {
    data.ip_networks().iter().any(|network| network.addr.is_loopback())
}
