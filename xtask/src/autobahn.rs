//! `cargo xtask autobahn`: the WebSocket protocol suite against each adapter's echo.

mod options;
mod report;
mod suite;

use std::{fs, path::Path, time::Instant};

use crate::{
    Result,
    steps::Steps,
    testbed::{self, Server},
    workspace,
};
use options::Options;
use report::Report;
use suite::Suite;

pub fn run(arguments: &[&str]) -> Result {
    let options = Options::parse(arguments)?;
    let target = workspace::target()?;
    let folder = target.join("autobahn");
    let binary = target.join(testbed::BINARY);
    let mut steps = Steps::new("autobahn");
    let ready = steps.run("suite", || Suite::install(&folder).map(drop))
        && steps.run("testbed", testbed::build);
    if ready {
        let suite = Suite::install(&folder)?;
        for adapter in &options.adapters {
            steps.run(*adapter, || {
                check(&suite, &options, adapter, &binary, &folder.join("runs").join(adapter))
            });
        }
    }
    steps.finish()
}

fn check(suite: &Suite, options: &Options, adapter: &str, binary: &Path, folder: &Path) -> Result {
    clear(folder)?;
    let server = Server::start(binary, adapter, &folder.join("testbed.log"))?;
    let url = format!("ws://{}/echo", server.address());
    let began = Instant::now();
    let index = suite.run(&url, &options.cases, folder)?;
    let seconds = began.elapsed().as_secs_f64();
    let stopped = server.stop();
    let report = Report::parse(&index)?;
    print!("{report}");
    println!("{adapter}: {} cases in {seconds:.1} s", report.len());
    for line in report.remarks(&folder.join("reports")) {
        println!("{line}");
    }
    stopped?;
    report.verdict(options.cases.expected())
}

fn clear(folder: &Path) -> Result {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .map_err(|error| format!("could not empty {}: {error}", folder.display()))?;
    }
    fs::create_dir_all(folder)
        .map_err(|error| format!("could not make {}: {error}", folder.display()))
}
