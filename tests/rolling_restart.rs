//! The example's processes, replaced under its clients.
//!
//! What a drain promises is tested by the conformance suite, on every adapter; here it is processes that
//! follow each other, signals and one port.
#![cfg(unix)]
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken expectation ends the test"
)]

use std::{
    env,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use realtime_testkit::{http::End, sse::Client, wait};
use tokio::{task::JoinSet, time::sleep};

/// No client is left behind: each comes to the next process, is told that its place is none there, gets
/// one that is, and from then on every event.
#[tokio::test]
async fn every_client_comes_to_the_next_process_and_is_told() {
    let (service, addr) = start();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(follow(addr));
    }
    while let Some(client) = clients.join_next().await {
        client.expect("a client that was told at every restart");
    }
    drop(service);
    // The processes end with it.
    wait::until_async("nobody listens any more", async || {
        Client::connect(addr, "/", &[]).await.is_err()
    })
    .await;
}

async fn follow(addr: SocketAddr) {
    let (mut id, mut process, mut number) = (String::new(), String::new(), 0);
    for restart in 0..=RESTARTS {
        let resumed = [("Last-Event-ID", &*id)];
        let headers = if id.is_empty() { &[] } else { &resumed[..] };
        let mut client = loop {
            match Client::connect(addr, "/events", headers).await {
                Ok(client) if client.status == 200 => break client,
                // It had been given to the process that was about to go: as a browser does.
                _ => sleep(Duration::from_millis(50)).await,
            }
        };
        if restart > 0 {
            let reset = client.expect_event().await;
            assert_eq!(reset.event, "realtime.reset");
            assert_ne!(epoch(&reset.block_id.expect("a fresh id")), epoch(&id));
            (process, number) = (String::new(), 0);
        }
        if restart == RESTARTS {
            return client.close().await;
        }
        loop {
            let event = client.expect_event().await;
            if event.event == "realtime.bye" {
                break;
            }
            let (by, counted) = event.data.split_once(' ').expect("a process and a number");
            let counted: u64 = counted.parse().expect("a number");
            if !process.is_empty() {
                assert_eq!((by, counted), (&*process, number + 1));
            }
            (process, number) = (by.to_owned(), counted);
        }
        assert_eq!(client.expect_end().await, End::Clean);
        client.last_event_id().clone_into(&mut id);
        sleep(Duration::from_millis(client.retry().expect("a reconnection time"))).await;
    }
}

fn epoch(id: &str) -> &str {
    id.split('-').next().unwrap_or_default()
}

/// Kills it when it is dropped.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start() -> (Service, SocketAddr) {
    let test = env::current_exe().expect("the test's path");
    let profile = test.ancestors().nth(2).expect("a folder of builds");
    let program = profile.join("examples/rolling_restart");
    let started = Command::new(&program)
        .args(["--listen", "127.0.0.1:0", "--every", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = started.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    let addr = line.trim().strip_prefix("listening on http://").and_then(|it| it.parse().ok());
    // What it still writes must not fail.
    thread::spawn(move || output.lines().for_each(drop));
    (Service(child), addr.unwrap_or_else(|| panic!("expected an address, got {line:?}")))
}

const CLIENTS: usize = 30;
const RESTARTS: usize = 3;
