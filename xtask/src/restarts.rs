//! `cargo xtask restarts`: the conformance suite's rolling restarts, with as many clients as asked for.

use std::process::Command;

use crate::{
    Result,
    process::{cargo, run},
    steps::Steps,
    testbed::ADAPTERS,
};

const CASE: &str = "rolling_restart::loses_nothing_with_a_shared_log";

/// Plays them on each adapter, one after the other.
pub fn run_all(arguments: &[&str]) -> Result {
    let options = Options::parse(arguments)?;
    let mut steps = Steps::new("restarts");
    for adapter in &options.adapters {
        steps.run(*adapter, || run(&mut options.command(adapter)));
    }
    steps.finish()
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    adapters: Vec<&'static str>,
    clients: u32,
    restarts: u32,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self { adapters: ADAPTERS.to_vec(), clients: 1_000, restarts: 20 };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let value =
                arguments.next().ok_or_else(|| format!("`{name}` needs a value after it"))?;
            match *name {
                "--adapter" => options.adapters = vec![adapter(value)?],
                "--clients" => options.clients = number(name, value)?,
                "--restarts" => options.restarts = number(name, value)?,
                other => {
                    return Err(format!(
                        "unknown option `{other}`; restarts knows --clients, --restarts and --adapter"
                    ));
                }
            }
        }
        Ok(options)
    }

    fn command(&self, adapter: &str) -> Command {
        let mut command = cargo();
        command
            .env("ROLLING_CLIENTS", self.clients.to_string())
            .env("ROLLING_RESTARTS", self.restarts.to_string())
            .args(["test", "-p", &format!("realtime-{adapter}"), "--all-features"])
            .args(["--test", "conformance", "--", CASE, "--nocapture", "--test-threads=1"]);
        command
    }
}

fn adapter(name: &str) -> Result<&'static str> {
    ADAPTERS
        .into_iter()
        .find(|adapter| *adapter == name)
        .ok_or_else(|| format!("`--adapter` is one of {}, not `{name}`", ADAPTERS.join(", ")))
}

fn number(name: &str, value: &str) -> Result<u32> {
    let number = value.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("`{name}` takes a number from 1, not `{value}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_the_help_says() {
        let options = Options::parse(&["--clients", "50", "--adapter", "hyper"]).expect("valid");
        assert_eq!(options, Options { adapters: vec!["hyper"], clients: 50, restarts: 20 });
    }

    #[test]
    fn mistakes_are_told() {
        let told = |arguments: &[&str]| Options::parse(arguments).expect_err("a mistake");
        assert!(told(&["--clients", "0"]).contains("from 1"));
        assert!(told(&["--clients"]).contains("needs a value"));
        assert!(told(&["--adapter", "warp"]).contains("axum, actix, hyper"));
        assert!(told(&["--fast", "1"]).contains("--restarts"));
    }
}
