//! How many, and on which adapters.

use crate::{Result, testbed::ADAPTERS};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub adapters: Vec<&'static str>,
    /// Sockets to the testbed; without it, as many as a process may open.
    pub connections: Option<usize>,
    /// How many sessions are in one process, one after the other.
    pub sessions: Vec<u64>,
    /// Seconds between two heartbeats of a session.
    pub heartbeat: u64,
    /// Seconds for which sockets are left idle.
    pub idle: u64,
    /// Events that are published to all sockets.
    pub events: usize,
}

impl Options {
    pub fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self {
            adapters: ADAPTERS.to_vec(),
            connections: None,
            sessions: vec![10_000, 100_000, 1_000_000],
            heartbeat: 30,
            idle: 30,
            events: 100,
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let mut value = || {
                arguments.next().copied().ok_or_else(|| format!("`{name}` needs a value after it"))
            };
            match *name {
                "--adapter" => options.adapters = vec![adapter(value()?)?],
                "--sessions" => options.sessions = vec![number(name, value()?)?],
                "--connections" => options.connections = Some(number(name, value()?)? as usize),
                "--quick" => {
                    options = Self {
                        adapters: options.adapters,
                        connections: Some(1_000),
                        sessions: vec![1_000, 10_000],
                        heartbeat: 1,
                        idle: 2,
                        events: 20,
                    };
                }
                other => {
                    return Err(format!(
                        "unknown option `{other}`; scale knows --quick, --adapter, --connections and --sessions"
                    ));
                }
            }
        }
        Ok(options)
    }
}

fn adapter(name: &str) -> Result<&'static str> {
    ADAPTERS
        .into_iter()
        .find(|adapter| *adapter == name)
        .ok_or_else(|| format!("`--adapter` is one of {}, not `{name}`", ADAPTERS.join(", ")))
}

/// Fewer than so many tell nothing.
const LEAST: u64 = 100;

fn number(name: &str, value: &str) -> Result<u64> {
    let number = value.parse().ok().filter(|number| *number >= LEAST);
    number.ok_or_else(|| format!("`{name}` takes a number from {LEAST}, not `{value}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_the_help_says() {
        let options = Options::parse(&["--adapter", "hyper"]).expect("valid");
        assert_eq!((options.adapters, options.connections), (vec!["hyper"], None));
        assert_eq!(options.sessions, [10_000, 100_000, 1_000_000]);
        let options = Options::parse(&["--adapter", "axum", "--quick"]).expect("valid");
        assert_eq!((options.adapters, options.connections), (vec!["axum"], Some(1_000)));
    }

    #[test]
    fn mistakes_are_told() {
        let told = |arguments: &[&str]| Options::parse(arguments).expect_err("a mistake");
        assert!(told(&["--sessions", "0"]).contains("from 100"));
        assert!(told(&["--sessions"]).contains("needs a value"));
        assert!(told(&["--adapter", "warp"]).contains("axum, actix, hyper"));
        assert!(told(&["--fast"]).contains("--quick"));
    }
}
