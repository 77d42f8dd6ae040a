//! What is to be measured.

use std::{net::SocketAddr, str::FromStr, time::Duration};

pub(crate) use crate::chart::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    Sse,
}

impl Transport {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
        }
    }

    /// As a browser asks, as far as a server looks at it.
    pub(crate) fn request(self, addr: SocketAddr) -> String {
        let (path, rest) = match self {
            Self::WebSocket => (
                "/ws",
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            ),
            Self::Sse => ("/events", "Accept: text/event-stream\r\n"),
        };
        format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://{addr}\r\n{rest}\r\n")
    }
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::WebSocket, Self::Sse];
        let found = all.into_iter().find(|it| it.name() == name);
        found.ok_or(format!("--transport must be websocket or sse, not {name}"))
    }
}

/// A server that is measured.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What it is, over a WebSocket and as an event stream; empty where it is none.
    labels: [&'static str; 2],
}

impl Entry {
    pub(crate) fn label(self, transport: Transport) -> &'static str {
        self.labels[usize::from(transport == Transport::Sse)]
    }
}

/// The limit that others are a share of.
pub(crate) const LIMIT: &str = "limit";
/// The limit with a write for each delivery.
pub(crate) const SINGLE: &str = "limit-single";
/// What one writes today, that others are a multiple of.
pub(crate) const TODAY: &str = "axum-broadcast";

const fn both(name: &'static str, kind: Kind, label: &'static str) -> Entry {
    Entry { name, kind, labels: [label, label] }
}

const fn rival(name: &'static str, websocket: &'static str, sse: &'static str) -> Entry {
    Entry { name, kind: Kind::Rival, labels: [websocket, sse] }
}

const fn floor(name: &'static str, sse: &'static str) -> Entry {
    Entry { name, kind: Kind::Floor, labels: ["", sse] }
}

pub(crate) const ENTRIES: [Entry; 16] = [
    both(LIMIT, Kind::Limit, "limit: pending copied into one write"),
    both("limit-slice", Kind::Limit, "limit: pending is one slice"),
    both(SINGLE, Kind::Limit, "limit: one write per delivery"),
    both("hyper", Kind::Ours, "realtime on hyper"),
    both("axum", Kind::Ours, "realtime on axum"),
    both("actix", Kind::Ours, "realtime on actix"),
    both("hyper-bare", Kind::Bare, "realtime on hyper, guards off"),
    both("axum-bare", Kind::Bare, "realtime on axum, guards off"),
    both("actix-bare", Kind::Bare, "realtime on actix, guards off"),
    rival(TODAY, "axum ws + broadcast", "axum Sse + BroadcastStream"),
    rival("axum-forward", "axum ws + broadcast, forward", ""),
    rival("actix-broadcast", "actix-ws + broadcast", "actix body + BroadcastStream"),
    rival("tungstenite", "tokio-tungstenite + broadcast", ""),
    floor("hyper-floor", "hyper, a body that waits"),
    floor("axum-floor", "axum Sse that waits"),
    floor("actix-floor", "actix, a body that waits"),
];

/// What the arguments say.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) parts: Vec<String>,
    pub(crate) transports: Vec<Transport>,
    pub(crate) only: Vec<String>,
    pub(crate) clients: Vec<usize>,
    pub(crate) bytes: Vec<usize>,
    pub(crate) windows: Vec<u64>,
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
    pub(crate) under: Vec<String>,
    pub(crate) is_quick: bool,
    /// What this process is to serve, for whom.
    pub(crate) serves: Option<(String, String)>,
}

/// Enough to see that it works.
const QUICK_CLIENTS: usize = 50;

pub(crate) const PARTS: [&str; 6] =
    ["throughput", "guards", "latency", "memory", "connects", "slow"];

impl Plan {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self {
            parts: Vec::new(),
            transports: Vec::new(),
            only: Vec::new(),
            clients: Vec::new(),
            bytes: Vec::new(),
            windows: Vec::new(),
            rounds: 0,
            time: Duration::ZERO,
            under: Vec::new(),
            is_quick: false,
            serves: None,
        };
        let (mut server, mut control) = (None, None);
        let mut arguments = arguments;
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{flag} needs a value"));
            match &*flag {
                // Cargo's.
                "--bench" => {}
                "--quick" | "--test" => plan.is_quick = true,
                "--transport" => plan.transports = list(&flag, &value()?)?,
                "--only" => plan.only = list(&flag, &value()?)?,
                "--clients" => plan.clients = list(&flag, &value()?)?,
                "--bytes" => plan.bytes = list(&flag, &value()?)?,
                "--window" => plan.windows = list(&flag, &value()?)?,
                "--rounds" => plan.rounds = one(&flag, &value()?)?,
                "--seconds" => {
                    plan.time = Duration::try_from_secs_f64(one(&flag, &value()?)?)
                        .map_err(|error| error.to_string())?;
                }
                "--under" => {
                    plan.under = value()?.split_whitespace().map(str::to_owned).collect();
                }
                "--server-only" => server = Some(value()?),
                "--control" => control = Some(value()?),
                part if PARTS.contains(&part) => plan.parts.push(flag),
                _ => return Err(format!("unknown argument {flag}; parts are {PARTS:?}")),
            }
        }
        plan.serves = server.zip(control);
        if let Some(unknown) = plan.only.iter().find(|it| ENTRIES.iter().all(|e| e.name != **it)) {
            let names = ENTRIES.map(|it| it.name).join(",");
            return Err(format!("--only: there is no {unknown} among {names}"));
        }
        Ok(plan.with_defaults())
    }

    fn with_defaults(mut self) -> Self {
        let quick = self.is_quick;
        fn or<T>(of: &mut Vec<T>, default: Vec<T>) {
            if of.is_empty() {
                *of = default;
            }
        }
        or(&mut self.parts, PARTS.map(str::to_owned).to_vec());
        or(&mut self.transports, vec![Transport::WebSocket, Transport::Sse]);
        or(&mut self.bytes, if quick { vec![128] } else { vec![128, 2048] });
        or(&mut self.windows, vec![64, 1]);
        if self.rounds == 0 {
            self.rounds = if quick { 1 } else { 5 };
        }
        if self.time.is_zero() {
            self.time = Duration::from_millis(if quick { 100 } else { 2000 });
        }
        self
    }

    pub(crate) fn has(&self, part: &str) -> bool {
        self.parts.iter().any(|it| it == part)
    }

    /// The servers that are wanted, of those that are of such a kind and have the transport.
    pub(crate) fn entries(&self, transport: Transport, kinds: &[Kind]) -> Vec<Entry> {
        let is_wanted = |it: &Entry| {
            let is_named = self.only.iter().any(|name| name == it.name);
            is_named || self.only.is_empty() && kinds.contains(&it.kind)
        };
        let has_it = |it: &Entry| !it.label(transport).is_empty();
        ENTRIES.into_iter().filter(|it| is_wanted(it) && has_it(it)).collect()
    }

    /// How many clients there are in turn.
    pub(crate) fn crowds(&self) -> Vec<usize> {
        match (self.clients.is_empty(), self.is_quick) {
            (true, true) => vec![QUICK_CLIENTS],
            (true, false) => vec![1000, 5000],
            (false, _) => self.clients.clone(),
        }
    }

    /// The first of what is wanted, or what a part is measured with.
    pub(crate) fn clients_or(&self, default: usize) -> usize {
        let default = if self.is_quick { default.min(QUICK_CLIENTS) } else { default };
        self.clients.first().copied().unwrap_or(default)
    }
}

fn one<T: FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{flag}: {value} is none"))
}

fn list<T: FromStr>(flag: &str, value: &str) -> Result<Vec<T>, String> {
    value.split(',').map(|it| one(flag, it)).collect()
}
