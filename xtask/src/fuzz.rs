//! `cargo xtask fuzz`: lets libFuzzer look for inputs that break a fuzz target.

use std::{fs, process::Command};

use crate::{
    Result,
    process::{cargo, run, succeeds},
    steps::Steps,
    workspace,
};

/// Inputs longer than this find little more and take much longer.
const LONGEST_INPUT: &str = "-max_len=4096";

/// A target that takes so many seconds for one input is broken.
const SLOWEST_INPUT: &str = "-timeout=20";

pub fn run_all(arguments: &[&str]) -> Result {
    let options = Options::parse(arguments, &targets()?)?;
    if !succeeds(cargo().args(["fuzz", "--version"])) {
        return Err("fuzzing needs cargo-fuzz; `cargo install --locked cargo-fuzz` brings it. \
             Replaying the corpora does not: `cargo test -p realtime-testkit --test corpus`"
            .to_owned());
    }
    let mut steps = Steps::new("fuzz");
    for target in &options.targets {
        steps.run(target.as_str(), || fuzz(target, options.seconds));
    }
    steps.finish()
}

fn fuzz(target: &str, seconds: u32) -> Result {
    let found = workspace::root().join(found(target));
    fs::create_dir_all(&found)
        .map_err(|error| format!("could not make {}: {error}", found.display()))?;
    run(&mut command(target, seconds)).map_err(|failed| {
        format!(
            "{failed}. The input lies in fuzz/artifacts/{target}/; once it is mended, move it to \
             fuzz/corpus/{target}/, where every test run replays it"
        )
    })
}

fn command(target: &str, seconds: u32) -> Command {
    let mut command = cargo();
    // The sanitizer is an unstable option, which this lets a stable compiler take.
    command
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["fuzz", "run", target, &found(target), &format!("fuzz/corpus/{target}")])
        .args(["--", LONGEST_INPUT, SLOWEST_INPUT])
        .arg(format!("-max_total_time={seconds}"));
    command
}

/// Where a run keeps what it finds worth going on from; git does not, so that only chosen inputs
/// are replayed by every test run.
fn found(target: &str) -> String {
    format!("fuzz/found/{target}")
}

/// The targets that `fuzz/` has a program for.
fn targets() -> Result<Vec<String>> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder)
        .map_err(|error| format!("could not list {}: {error}", folder.display()))?;
    let mut targets: Vec<String> = entries
        .filter_map(|entry| {
            entry.ok()?.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned)
        })
        .collect();
    targets.sort();
    Ok(targets)
}

/// Which targets, and for how long each.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    seconds: u32,
    targets: Vec<String>,
}

impl Options {
    fn parse(arguments: &[&str], known: &[String]) -> Result<Self> {
        let mut options = Self { seconds: 60, targets: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--seconds" => {
                    let value = arguments.next().copied().unwrap_or_default();
                    // Of libFuzzer, 0 would mean for ever.
                    options.seconds =
                        value.parse().ok().filter(|seconds| *seconds > 0).ok_or_else(|| {
                            format!("`--seconds` takes a number above 0, not `{value}`")
                        })?;
                }
                target if known.iter().any(|known| known == target) => {
                    options.targets.push(target.to_owned());
                }
                other if other.starts_with('-') => {
                    return Err(format!("unknown option `{other}`; fuzz knows --seconds"));
                }
                other => {
                    return Err(format!("no target `{other}`; there are {}", known.join(", ")));
                }
            }
        }
        if options.targets.is_empty() {
            options.targets = known.to_vec();
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(arguments, &["origin".to_owned(), "ws_codec".to_owned()])
    }

    #[test]
    fn everything_for_a_minute_by_default() {
        let options = parse(&[]).expect("no arguments are valid");
        assert_eq!((options.seconds, options.targets.len()), (60, 2));
    }

    #[test]
    fn targets_and_time_are_chosen() {
        let options = parse(&["ws_codec", "--seconds", "5"]);
        assert_eq!(options, Ok(Options { seconds: 5, targets: vec!["ws_codec".to_owned()] }));
    }

    #[test]
    fn mistakes_are_told() {
        for (arguments, told) in [
            (&["--seconds"][..], "takes a number"),
            (&["--seconds", "0"], "above 0"),
            (&["orgin"], "no target `orgin`; there are origin, ws_codec"),
            (&["--fast"], "unknown option `--fast`"),
        ] {
            let complaint = parse(arguments).expect_err("a mistake");
            assert!(complaint.contains(told), "{complaint}");
        }
    }

    #[test]
    fn the_targets_are_found() {
        let targets = targets().expect("the repository is readable");
        assert!(targets.iter().any(|target| target == "ws_codec"), "{targets:?}");
    }
}
