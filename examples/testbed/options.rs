//! The command line.

use realtime::{OriginPolicy, Overflow};

const USAGE: &str = "usage: testbed --adapter axum|actix|hyper --listen HOST:PORT [--threads N] \
    [--overflow disconnect|drop-oldest|drop-newest|conflate] [--origin any|same|URL]…";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adapter {
    Axum,
    Actix,
    Hyper,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) adapter: Adapter,
    pub(crate) listen: String,
    pub(crate) threads: usize,
    pub(crate) overflow: Overflow,
    pub(crate) origin: OriginPolicy,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            adapter: Adapter::Axum,
            listen: "127.0.0.1:9001".to_owned(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            overflow: Overflow::default(),
            origin: OriginPolicy::default(),
        };
        let mut origins = Vec::new();
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{flag} needs a value; {USAGE}"));
            match flag.as_str() {
                "--adapter" => options.adapter = adapter(&value()?)?,
                "--listen" => options.listen = value()?,
                "--threads" => options.threads = threads(&value()?)?,
                "--overflow" => options.overflow = overflow(&value()?)?,
                "--origin" => origins.push(value()?),
                _ => return Err(format!("unknown argument {flag}; {USAGE}")),
            }
        }
        options.origin = origin(origins)?;
        Ok(options)
    }
}

fn adapter(value: &str) -> Result<Adapter, String> {
    match value {
        "axum" => Ok(Adapter::Axum),
        "actix" => Ok(Adapter::Actix),
        "hyper" => Ok(Adapter::Hyper),
        _ => Err(format!("--adapter must be axum, actix or hyper, not {value}")),
    }
}

fn threads(value: &str) -> Result<usize, String> {
    let threads = value.parse().ok().filter(|threads| *threads > 0);
    threads.ok_or(format!("--threads must be a number of at least 1, not {value}"))
}

fn overflow(value: &str) -> Result<Overflow, String> {
    match value {
        "disconnect" => Ok(Overflow::Disconnect),
        "drop-oldest" => Ok(Overflow::DropOldest),
        "drop-newest" => Ok(Overflow::DropNewest),
        "conflate" => Ok(Overflow::Conflate),
        _ => Err(format!("--overflow: unknown policy {value}; {USAGE}")),
    }
}

fn origin(origins: Vec<String>) -> Result<OriginPolicy, String> {
    if origins.iter().any(|origin| origin == "any") {
        return Ok(OriginPolicy::dangerously_allow_any_origin());
    }
    let allowed = origins.iter().filter(|origin| *origin != "same");
    OriginPolicy::allow(allowed).map_err(|error| format!("--origin: {error}"))
}
