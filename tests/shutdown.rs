//! The testbed's processes, asked to stop twice.
//!
//! The first signal drains; who is asked again does not wait any longer.
#![cfg(unix)]
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken expectation ends the test"
)]

use std::{
    env,
    io::{BufRead as _, BufReader, Lines},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use realtime_testkit::{
    DEADLINE, Dial,
    http::{self, Request},
    sse::Client,
    wait,
    ws::Peer,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// One test for each adapter and each pair of signals.
macro_rules! second_signals {
    ($($adapter:ident)*) => {$(
        mod $adapter {
            use super::*;

            #[tokio::test]
            async fn a_second_sigterm_ends_it_at_once() {
                end_at_once(stringify!($adapter), [Signal::TERM, Signal::TERM]).await;
            }

            #[tokio::test]
            async fn sigterm_after_sigint_ends_it_at_once() {
                end_at_once(stringify!($adapter), [Signal::INT, Signal::TERM]).await;
            }

            #[tokio::test]
            async fn sigint_beside_sigterm_is_a_second_one() {
                end_together(stringify!($adapter)).await;
            }

            #[tokio::test]
            async fn the_first_one_lets_it_finish_what_was_asked() {
                answer_what_was_asked(stringify!($adapter)).await;
            }
        }
    )*};
}

second_signals!(axum actix hyper);

/// Clients that don't go would be waited for longer than any test; at the second signal they are cut, and
/// counted.
async fn end_at_once(adapter: &str, [first, second]: [Signal; 2]) {
    let mut service = Service::start(adapter);
    let mut websockets = Vec::new();
    for _ in 0..3 {
        websockets.push(Peer::connect(service.addr, "/messages?topic=a", &[]).await);
    }
    let stalled = service.stalled_stream().await;
    service.signal(first);
    // It is being drained, and nobody goes: the drain has hours.
    service.takes_nobody().await;
    assert_eq!(service.ended(), None);
    service.signal(second);
    let (status, report) = service.end().await;
    assert!(status.success(), "{status}");
    assert_eq!(report["forced"], 4, "{report}");
    assert_eq!(report["closed"], 0, "{report}");
    drop((websockets, stalled));
}

/// Two signals that come together are two.
async fn end_together(adapter: &str) {
    let service = Service::start(adapter);
    let peer = Peer::connect(service.addr, "/messages?topic=a", &[]).await;
    // A process that stands still gets both before it looks.
    service.signal(Signal::STOP);
    service.signal(Signal::INT);
    service.signal(Signal::TERM);
    service.signal(Signal::CONT);
    let (status, report) = service.end().await;
    assert!(status.success(), "{status}");
    assert_eq!(report["forced"], 1, "{report}");
    drop(peer);
}

/// What was asked before is answered, though no connection of the hub's is left to wait for.
async fn answer_what_was_asked(adapter: &str) {
    let mut service = Service::start(adapter);
    let mut client = TcpStream::connect(service.addr).await.expect("a connection");
    let head =
        "POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).await.expect("sent");
    // It is asked, and somebody waits for the rest (RFC 9110, section 10.1.1).
    let mut goes_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    let read = tokio::time::timeout(DEADLINE, client.read_exact(&mut goes_on)).await;
    read.expect("word in time").expect("word that it goes on");
    assert_eq!(goes_on.as_slice(), b"HTTP/1.1 100 Continue\r\n\r\n");
    service.signal(Signal::TERM);
    service.takes_nobody().await;
    assert_eq!(service.ended(), None);
    client.write_all(b"hello").await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, client.read_to_end(&mut answer)).await;
    read.expect("an end in time").expect("an end");
    assert!(answer.starts_with(b"HTTP/1.1 "), "{}", answer.escape_ascii());
    let (status, report) = service.end().await;
    assert!(status.success(), "{status}");
    assert_eq!((&report["closed"], &report["forced"]), (&0.into(), &0.into()));
}

/// A testbed of its own, which is killed when this is dropped.
struct Service {
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
    addr: SocketAddr,
}

impl Service {
    fn start(adapter: &str) -> Self {
        let test = env::current_exe().expect("the test's path");
        let profile = test.ancestors().nth(2).expect("a folder of builds");
        let program = profile.join("examples/testbed");
        let started = Command::new(&program)
            .args(["--adapter", adapter, "--listen", "127.0.0.1:0", "--threads", "2"])
            .args(["--drain-deadline", "36000000", "--overflow", "drop-oldest"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = started.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let output = process.stdout.take().expect("its output");
        let mut output = BufReader::new(output).lines();
        let line = output.next().expect("a line").expect("text");
        let addr = line.strip_prefix("listening on ").and_then(|it| it.parse().ok());
        let addr = addr.unwrap_or_else(|| panic!("expected an address, got {line:?}"));
        Self { process, output, addr }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("a process of ours");
    }

    /// An event stream that its client does not read: not even its end can be written.
    async fn stalled_stream(&self) -> Client {
        let small = Dial::to(self.addr).recv_buffer(4096);
        let stream = Client::connect(small, "/events?topic=b", &[]).await.expect("a stream");
        let publish = Request::get("/publish?topic=b")
            .method("POST")
            .header("Host", self.addr.to_string())
            .header("Content-Length", EVENT_BYTES.to_string())
            .body([b'x'; EVENT_BYTES]);
        let stats = Request::get("/stats").header("Host", self.addr.to_string());
        wait::until_async("it lags", async || {
            http::exchange(self.addr, publish.bytes()).await;
            let stats = http::exchange(self.addr, stats.bytes()).await;
            let stats: Value = serde_json::from_str(&stats.text()).expect("JSON");
            stats["max_lag"].as_u64() > Some(8)
        })
        .await;
        stream
    }

    /// Waits until it has begun to stop.
    async fn takes_nobody(&self) {
        wait::until_async("it takes nobody any more", async || {
            Client::connect(self.addr, "/healthz", &[]).await.is_err()
        })
        .await;
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("a child of ours")
    }

    /// How it ends, long before its drain does, and what it tells then.
    async fn end(mut self) -> (ExitStatus, Value) {
        let mut status = None;
        wait::until("the process has ended", || {
            status = self.ended();
            status.is_some()
        })
        .await;
        let report = self.output.next().expect("a report").expect("text");
        let report =
            serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {report}"));
        (status.expect("it has ended"), report)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const EVENT_BYTES: usize = 60_000;
