//! The testbed example, as a process of its own.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{
    Result,
    process::{cargo, run, wait},
};

pub const ADAPTERS: [&str; 3] = ["axum", "actix", "hyper"];

const BUILD: [&str; 6] = ["build", "--release", "--example", "testbed", "--features", "full"];

/// Where the build puts it, below the target folder.
pub const BINARY: &str = "release/examples/testbed";

pub fn build() -> Result {
    run(cargo().args(BUILD))
}

const START_LIMIT: Duration = Duration::from_secs(30);
/// Longer than any drain deadline the testbed has.
const STOP_LIMIT: Duration = Duration::from_secs(15);
const ANNOUNCEMENT: &str = "listening on ";

/// A running testbed; dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts the testbed on a free port; it writes its errors to `log`.
    pub fn start(testbed: &Path, adapter: &str, log: &Path) -> Result<Self> {
        Self::start_with(testbed, adapter, &[], &[], log)
    }

    /// The same, with further arguments and environment.
    pub fn start_with(
        testbed: &Path,
        adapter: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        log: &Path,
    ) -> Result<Self> {
        let errors = File::create(log)
            .map_err(|error| format!("could not write {}: {error}", log.display()))?;
        let mut child = Command::new(testbed)
            .args(["--adapter", adapter, "--listen", "127.0.0.1:0", "--origin", "any"])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("could not start {}: {error}", testbed.display()))?;
        let output = child.stdout.take();
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let announced = output.and_then(address_from);
        server.address = announced.ok_or_else(|| {
            format!(
                "the testbed should print `{ANNOUNCEMENT}ADDRESS` within {} s; what it said is in {}",
                START_LIMIT.as_secs(),
                log.display()
            )
        })?;
        Ok(server)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and makes sure that it does.
    pub fn stop(mut self) -> Result {
        if let Some(status) = wait(&mut self.child, Duration::ZERO)? {
            return Err(format!(
                "the testbed ended during the run ({status}); it should outlive it"
            ));
        }
        run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        match wait(&mut self.child, STOP_LIMIT)? {
            None => Err(format!(
                "the testbed should end within {} s of SIGTERM and did not",
                STOP_LIMIT.as_secs()
            )),
            Some(status) if status.success() || ended_by_signal(status) => Ok(()),
            Some(status) => Err(format!("the testbed should end well after SIGTERM: {status}")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address it announces. What it prints later is read too, so that it never waits for us.
fn address_from(output: ChildStdout) -> Option<SocketAddr> {
    let (found, announced) = mpsc::channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = String::new();
        while output.read_line(&mut line).is_ok_and(|length| length > 0) {
            if let Some(address) = announced_address(&line) {
                // Nobody listens any more after the first.
                let _ = found.send(address);
                break;
            }
            line.clear();
        }
        let _ = io::copy(&mut output, &mut io::sink());
    });
    announced.recv_timeout(START_LIMIT).ok()
}

fn announced_address(line: &str) -> Option<SocketAddr> {
    line.trim().strip_prefix(ANNOUNCEMENT)?.parse().ok()
}

fn ended_by_signal(status: ExitStatus) -> bool {
    status.code().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announcement_carries_the_address() {
        let address = SocketAddr::from(([127, 0, 0, 1], 4321));
        assert_eq!(announced_address("listening on 127.0.0.1:4321\n"), Some(address));
        assert_eq!(announced_address("listening on nothing\n"), None);
        assert_eq!(announced_address("starting\n"), None);
    }
}
