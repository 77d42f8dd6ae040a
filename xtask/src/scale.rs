//! `cargo xtask scale`: what a connection costs, and how that changes with how many there are.
//!
//! Real sockets, as many as a process may open, to the testbed on each adapter; and sessions over
//! connections in memory, up to a million, in the bench `scale`. The table and the chart lie in
//! `target/bench/`.

mod chart;
mod kernel;
mod options;
mod sockets;
mod table;

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

use crate::{
    Result,
    process::{cargo, output},
    steps::Steps,
    testbed, workspace,
};
use options::Options;

/// How many topics the sessions of one process are on.
const TOPICS: u64 = 1_000;

/// What was measured.
#[derive(Debug, Default)]
pub struct Measured {
    pub sockets: Vec<sockets::Measured>,
    pub sessions: Vec<Sessions>,
}

/// So many sessions in one process.
#[derive(Debug)]
pub struct Sessions {
    pub count: u64,
    /// A connection in memory and a bare task.
    pub floor: Value,
    /// On many topics.
    pub many: Value,
    /// All on one topic.
    pub one: Value,
}

pub fn run(arguments: &[&str]) -> Result {
    let options = Options::parse(arguments)?;
    let folder = workspace::target()?.join("bench");
    fs::create_dir_all(&folder)
        .map_err(|error| format!("could not make {}: {error}", folder.display()))?;
    let mut steps = Steps::new("scale");
    let mut measured = Measured::default();
    let mut bench = None;
    let is_built = steps.run("build", || {
        testbed::build()?;
        bench = Some(build()?);
        Ok(())
    });
    if let (true, Some(bench)) = (is_built, bench) {
        for adapter in &options.adapters {
            steps.run(*adapter, || {
                measured.sockets.push(sockets::measure(&options, adapter, &bench, &folder)?);
                Ok(())
            });
        }
        for count in &options.sessions {
            steps.run(format!("{count} sessions"), || {
                measured.sessions.push(sessions(&bench, &options, *count)?);
                Ok(())
            });
        }
    }
    let text = table::text(&measured);
    println!("{text}");
    for (name, content) in [("scale.md", text), ("scale.svg", chart::svg(&measured))] {
        let path = folder.join(name);
        fs::write(&path, content)
            .map_err(|error| format!("could not write {}: {error}", path.display()))?;
        println!("{}", path.display());
    }
    steps.finish()
}

fn sessions(bench: &PathBuf, options: &Options, count: u64) -> Result<Sessions> {
    let number = count.to_string();
    let run = |arguments: &[&str]| {
        let line = output(Command::new(bench).args(arguments).args(["--sessions", &number]))?;
        serde_json::from_str(&line)
            .map_err(|error| format!("the bench should print JSON: {error}: {line:?}"))
    };
    let (topics, heartbeat) = (TOPICS.min(count / 10).to_string(), options.heartbeat.to_string());
    Ok(Sessions {
        count,
        floor: run(&["floor"])?,
        many: run(&["sessions", "--topics", &topics, "--heartbeat", &heartbeat])?,
        one: run(&["sessions", "--topics", "1"])?,
    })
}

/// Builds the bench, and tells where it lies.
fn build() -> Result<PathBuf> {
    let arguments = ["bench", "--bench", "scale", "--no-run", "--message-format=json"];
    let messages = output(cargo().args(arguments))?;
    let executable = messages.lines().find_map(executable);
    executable.ok_or_else(|| "cargo should tell where the bench `scale` lies".to_owned())
}

fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_bench = message["target"]["name"] == "scale" && message["target"]["kind"][0] == "bench";
    is_bench.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bench_is_found_among_what_cargo_says() {
        let message = r#"{"reason":"compiler-artifact","target":{"kind":["bench"],"name":"scale"},
            "executable":"deps/scale-1"}"#;
        assert_eq!(executable(message), Some(PathBuf::from("deps/scale-1")));
        assert_eq!(executable(&message.replace("\"scale\"", "\"idle\"")), None);
        assert_eq!(executable("a warning"), None);
    }
}
