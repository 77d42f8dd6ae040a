//! What the server holds, as it says itself and as the system sees it.

use std::{
    fs,
    io::{Read as _, Write as _},
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use serde_json::Value;

use super::wire::{self, Window};
use crate::{Result, memory, testbed::Server};

/// One look at the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    pub connections: u64,
    pub subscriptions: u64,
    pub identities: u64,
    pub topics: u64,
    pub retained_bytes: u64,
    pub max_lag: u64,
    /// HTTP connections; the one that asks is among them where they are counted.
    pub sockets: u64,
    pub tasks: Option<u64>,
    pub descriptors: usize,
    /// KiB.
    pub resident: u64,
    pub slow_disconnects: u64,
}

impl Reading {
    pub fn take(server: &Server) -> Result<Self> {
        let stats = stats(server)?;
        let count = |name: &str| {
            stats[name].as_u64().ok_or_else(|| format!("/stats should have `{name}`: {stats}"))
        };
        let folder = format!("/proc/{}/fd", server.process());
        let descriptors = fs::read_dir(&folder)
            .map_err(|error| format!("could not read {folder} (Linux only): {error}"))?
            .count();
        Ok(Self {
            connections: count("connections_sse")? + count("connections_websocket")?,
            subscriptions: count("subscriptions")?,
            identities: count("identities")?,
            topics: count("topics")?,
            retained_bytes: count("retained_bytes")?,
            max_lag: count("max_lag")?,
            sockets: count("sockets")?,
            tasks: stats["tasks"].as_u64(),
            descriptors,
            resident: memory::resident(server.process())?,
            slow_disconnects: count("slow_disconnects")?,
        })
    }

    /// The first reading for which `is_enough`, or the last one within `limit`; and how long it took.
    pub fn wait(
        server: &Server,
        limit: Duration,
        is_enough: impl Fn(&Self) -> bool,
    ) -> Result<(Self, Duration)> {
        let began = Instant::now();
        loop {
            let reading = Self::take(server)?;
            if is_enough(&reading) || began.elapsed() > limit {
                return Ok((reading, began.elapsed()));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Nothing is left of any connection, as the hub sees it.
    pub fn is_released(&self) -> bool {
        self.connections + self.subscriptions + self.identities == 0
    }
}

fn stats(server: &Server) -> Result<Value> {
    let failed = |error| format!("/stats should answer: {error}");
    let mut stream =
        wire::dial(server.address(), Window::Normal, &mut Rng::new()).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER)).map_err(failed)?;
    stream.write_all(&wire::get("/stats", "Connection: close\r\n")).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let start = answer.find('{').unwrap_or(answer.len());
    let end = answer.rfind('}').map_or(start, |end| end + 1);
    serde_json::from_str(&answer[start..end])
        .map_err(|error| format!("/stats should answer with JSON: {error}: {answer:?}"))
}

/// How long the server may take to answer, whatever goes on.
const ANSWER: Duration = Duration::from_secs(5);
