//! Request heads that are too large or too slow.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{Served, Suite};
use crate::http;

/// 431, and nothing of it reaches the hub.
pub async fn refuses_a_header_section_that_is_too_large(suite: Suite) {
    let served = suite.start();
    let request = http::Request::get("/events?topic=a")
        .header("Host", "localhost")
        .header("Padding", "x".repeat(1 << 20));
    let response = served.exchange(&request).await;
    assert_eq!(response.status, 431, "{response:?}");
    assert_eq!(served.stats().connections_sse, 0);
}

/// A connection that asks for nothing is not kept, but by a server that is said to.
pub async fn cuts_a_client_that_sends_nothing(suite: Suite) {
    let served = with_deadline(suite);
    let mut stream = TcpStream::connect(served.addr()).await.expect("a connection");
    if !served.has_header_deadline() {
        assert!(!ends(&mut stream, 4 * DEADLINE).await, "this server is said to wait for ever");
        return;
    }
    let began = Instant::now();
    assert!(ends(&mut stream, LONG).await, "still open after {:?}", began.elapsed());
}

/// Each byte in time is not enough: the whole head counts.
pub async fn cuts_a_head_that_comes_slowly(suite: Suite) {
    let served = with_deadline(suite);
    let mut stream = TcpStream::connect(served.addr()).await.expect("a connection");
    stream
        .write_all(b"GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\nX: ")
        .await
        .expect("sent");
    let began = Instant::now();
    while began.elapsed() < LONG {
        // The answer may be a 408, or none.
        if ends(&mut stream, DRIP).await || stream.write_all(b"x").await.is_err() {
            assert!(served.has_header_deadline(), "this server is said to wait for ever");
            return;
        }
        if !served.has_header_deadline() && began.elapsed() > 4 * DEADLINE {
            return;
        }
    }
    panic!("still open after {:?}", began.elapsed());
}

fn with_deadline(suite: Suite) -> Served {
    suite.start_with(|hub| hub.limits(|limits| limits.header_deadline = DEADLINE))
}

/// Reads to the end of the connection, which has to come within `patience`.
async fn ends(stream: &mut TcpStream, patience: Duration) -> bool {
    let mut seen = Vec::new();
    timeout(patience, stream.read_to_end(&mut seen)).await.is_ok()
}

const DEADLINE: Duration = Duration::from_millis(150);
/// Frameworks look at their clocks about once in a second.
const LONG: Duration = Duration::from_secs(4);
const DRIP: Duration = Duration::from_millis(20);
