//! The testbed, as a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// Builds the testbed as released; where it lies.
pub(crate) fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--example", "testbed", "--features", "full"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.expect("cargo").success(), "the testbed is to be built");
    let bench = std::env::current_exe().expect("this program");
    let target = bench.ancestors().nth(3).expect("release/deps in the target folder");
    target.join("release/examples/testbed")
}

/// A running testbed; dropping it kills it.
pub(crate) struct Server {
    child: Child,
    addr: SocketAddr,
}

impl Server {
    pub(crate) fn start(testbed: &PathBuf, adapter: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(testbed)
            .args(["--adapter", adapter, "--listen", "127.0.0.1:0", "--origin", "any"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a testbed");
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("what it says");
        BufReader::new(output).read_line(&mut line).expect("where it listens");
        let addr = line.trim().strip_prefix("listening on ").and_then(|it| it.parse().ok());
        Self { child, addr: addr.expect("an address") }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).expect("a server that lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
        line.and_then(|kib| kib.trim().parse::<f64>().ok()).expect("a number") / 1024.0
    }

    /// What the hub counts.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let mut socket = TcpStream::connect(self.addr).expect("a connection");
        let request = "GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let stats: serde_json::Value = serde_json::from_str(body).expect("JSON");
        stats[name].as_u64().expect("a number")
    }

    pub(crate) fn connections(&self) -> u64 {
        self.stat("connections_websocket") + self.stat("connections_sse")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
