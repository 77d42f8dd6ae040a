//! `cargo xtask models`: runs what threads do beside each other in the core under many schedules.

use std::process::Command;

use crate::{
    Result,
    process::{cargo, run},
};

/// Runs the models, under the schedules of every test run, or for so many seconds each under others.
pub fn run_all(arguments: &[&str]) -> Result {
    let seconds = match arguments {
        [] => None,
        ["--seconds", seconds] => match seconds.parse::<u32>() {
            Ok(seconds) if seconds > 0 => Some(seconds),
            _ => return Err(format!("--seconds takes a number from 1, not `{seconds}`")),
        },
        other => {
            return Err(format!("expected `--seconds N` or nothing, not `{}`", other.join(" ")));
        }
    };
    run(&mut command(seconds)).map_err(|failed| {
        format!("{failed}. CONTRIBUTING.md, \"Models\", says how to run the printed schedule again")
    })
}

/// What the flag changes is built apart, or every other build would be anew after it.
fn command(seconds: Option<u32>) -> Command {
    let mut command = cargo();
    command
        .env("RUSTFLAGS", "--cfg shuttle")
        .args(["test", "-p", "realtime-core", "--lib", "--target-dir", "target/models"])
        .args(["--", "models::"]);
    if let Some(seconds) = seconds {
        command.env("MODEL_SECONDS", seconds.to_string());
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_of_seconds_is_taken() {
        for arguments in [&["--seconds"][..], &["--seconds", "0"], &["--seconds", "x"], &["all"]] {
            assert!(run_all(arguments).is_err(), "{arguments:?}");
        }
    }
}
