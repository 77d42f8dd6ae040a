//! The examples as processes.

use std::{env, net::SocketAddr, path::PathBuf, process::Stdio};

use realtime_testkit::{
    DEADLINE,
    http::{Request, Response, exchange},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::Adapter;

/// An example that listens on a free port; killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    addr: SocketAddr,
    _program: Program,
}

impl Server {
    pub(crate) async fn demo(adapter: Adapter) -> Self {
        Self::start("demo", adapter, "listening on http://").await
    }

    pub(crate) async fn testbed(adapter: Adapter) -> Self {
        Self::start("testbed", adapter, "listening on ").await
    }

    /// An example that is written for one framework.
    pub(crate) async fn example(name: &str) -> Self {
        Self::run(name, &[], "listening on http://").await
    }

    /// The example whose tokens live for some seconds, with seconds enough for a slow machine and
    /// few enough to wait for their end.
    pub(crate) async fn short_tokens() -> Self {
        Self::run("auth_token", &["--lifetime", "4"], "listening on http://").await
    }

    async fn start(example: &str, adapter: Adapter, ready: &str) -> Self {
        Self::run(example, &["--adapter", adapter.name()], ready).await
    }

    async fn run(example: &str, arguments: &[&str], ready: &str) -> Self {
        let mut command = Command::new(built(example));
        command.args(arguments).args(["--listen", "127.0.0.1:0"]);
        let started = Program::start(command, ready).await;
        let (program, addr) = started.unwrap_or_else(|| panic!("{example} ended: run `{BUILD}`"));
        Self { addr: addr.parse().unwrap(), _program: program }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of a page.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The hub's counters, of an example that serves them.
    pub(crate) async fn stats(&self) -> Value {
        serde_json::from_str(&call(self.addr, Request::get("/stats")).await.text()).unwrap()
    }
}

/// Sends a request, and expects that it succeeds.
pub(crate) async fn call(addr: SocketAddr, request: Request) -> Response {
    let request = request.header("Host", addr.to_string()).header("Connection", "close");
    let response = exchange(addr, request.bytes()).await;
    assert!((200..300).contains(&response.status), "{}: {}", response.status, response.text());
    response
}

/// A `POST` with this body.
pub(crate) fn post(target: &str, body: &str) -> Request {
    let length = body.len().to_string();
    Request::get(target).method("POST").header("Content-Length", length).body(body)
}

/// A program that tells on its standard output when it is ready; killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    _child: Child,
    /// Left open: what it still writes must not fail.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts it and waits for a line that contains `ready`; returns what follows in that line, or
    /// nothing if it ends before.
    pub(crate) async fn start(mut command: Command, ready: &str) -> Option<(Self, String)> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let rest = timeout(DEADLINE, async {
            while let Some(line) = stdout.next_line().await.unwrap() {
                if let Some((_, rest)) = line.split_once(ready) {
                    return Some(rest.to_owned());
                }
            }
            None
        });
        let rest = rest.await.unwrap_or_else(|_| panic!("{program} did not say `{ready}`"))?;
        Some((Self { _child: child, _stdout: stdout }, rest))
    }
}

/// Also where a build with fewer features has put another program in its place.
const BUILD: &str = "cargo build --examples --all-features";

/// The example's program, beside the folder of this test's own.
fn built(example: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(example);
    assert!(program.is_file(), "{} is missing: run `{BUILD}`", program.display());
    program
}
