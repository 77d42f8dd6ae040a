//! A server under test and its hub, with what most cases do with them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use realtime_core::{Event, Hub, HubStats, Limits, Position, Rate};
use serde_json::Value;

use super::Server;
use crate::{
    http::{self, Request, Response},
    net::Dial,
    sse::Client,
    wait,
    ws::{self, Peer, Received},
};

/// A running server and the hub that it was started with.
#[derive(Debug)]
pub struct Served {
    server: Server,
    hub: Hub,
}

impl Served {
    pub(super) fn new(server: Server, hub: Hub) -> Self {
        Self { server, hub }
    }

    /// The server's address.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Asks the server to stop.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Waits until the server has stopped.
    pub async fn stopped(&self) {
        wait::until("the server has stopped", || self.server.has_stopped()).await;
    }

    /// The hub's counters.
    pub fn stats(&self) -> HubStats {
        self.hub.stats()
    }

    /// Whether the server bounds the time for a request's head.
    pub fn has_header_deadline(&self) -> bool {
        self.server.has_header_deadline()
    }

    /// Opens a WebSocket.
    pub async fn ws(&self, path: &str) -> Peer {
        Peer::connect(self.addr(), path, &[]).await
    }

    /// Opens an event stream.
    ///
    /// # Panics
    ///
    /// When the answer is not 200.
    pub async fn sse(&self, path: &str) -> Client {
        self.sse_with(path, &[]).await
    }

    /// Opens an event stream with these headers.
    ///
    /// # Panics
    ///
    /// When the answer is not 200.
    pub async fn sse_with(&self, path: &str, headers: &[(&str, &str)]) -> Client {
        let client = Client::connect(self.addr(), path, headers).await.expect("a response");
        assert_eq!(client.status, 200, "{path}: {:?}", client.headers);
        client
    }

    /// A right handshake, to be made wrong.
    pub fn handshake(&self, path: &str) -> Request {
        ws::request(self.addr(), path)
    }

    /// A right request for an event stream, to be made wrong.
    pub fn request(&self, path: &str) -> Request {
        Request::get(path)
            .header("Host", self.addr().to_string())
            .header("Accept", "text/event-stream")
    }

    /// Opens a WebSocket by this request.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub async fn open(&self, request: &Request) -> Peer {
        Peer::open(self.addr(), request)
            .await
            .unwrap_or_else(|response| panic!("refused\n{response:?}"))
    }

    /// Opens an event stream by this request.
    ///
    /// # Panics
    ///
    /// When the answer is not 200.
    pub async fn stream(&self, request: &Request) -> Client {
        let client = Client::send(self.addr(), request).await.expect("a response");
        let sent = request.bytes();
        assert_eq!(client.status, 200, "{}\n{:?}", sent.escape_ascii(), client.headers);
        client
    }

    /// Sends a request from another address, which must be refused with this status.
    ///
    /// # Panics
    ///
    /// When the answer is another.
    pub async fn refused_from(&self, ip: Ipv4Addr, status: u16, request: &Request) -> Response {
        let response = http::exchange(self.from(ip), request.bytes()).await;
        assert_eq!(response.status, status, "{response:?}");
        response
    }

    /// The way to the server from another address of the loopback interface.
    pub fn from(&self, ip: Ipv4Addr) -> Dial {
        Dial::to(self.addr()).from_ip(ip.into())
    }

    /// Sends a request and reads the whole response.
    pub async fn exchange(&self, request: &Request) -> Response {
        http::exchange(self.addr(), request.bytes()).await
    }

    /// Sends a request that must be refused with this status, by one line of text or by none.
    ///
    /// # Panics
    ///
    /// When the answer is another.
    pub async fn refused(&self, status: u16, request: &Request) -> Response {
        let response = self.exchange(request).await;
        let sent = request.bytes();
        assert_eq!(response.status, status, "{}\n{response:?}", sent.escape_ascii());
        assert!(response.text().lines().count() <= 1, "{response:?}");
        response
    }

    /// Publishes text.
    pub async fn publish(&self, topic: &str, text: &str) -> Position {
        self.publish_event(topic, Event::text(text)).await
    }

    /// Publishes an event.
    ///
    /// # Panics
    ///
    /// When the hub does not take it.
    pub async fn publish_event(&self, topic: &str, event: Event) -> Position {
        self.hub.publish(topic, event).await.expect("an event that can be published")
    }

    /// Waits until the hub has let go of everything that connections held.
    pub async fn released(&self) {
        wait::until("all connections, identities and subscriptions are released", || {
            let stats = self.stats();
            let HubStats { connections_sse, connections_websocket, .. } = stats;
            connections_sse + connections_websocket + stats.identities + stats.subscriptions == 0
        })
        .await;
    }

    /// Waits for the same, of a hub on which nothing was published: not even a topic's name is left.
    pub async fn untouched(&self) {
        self.released().await;
        wait::until("no topic is left", || self.stats().topics == 0).await;
        assert_eq!(self.stats().delivered, 0);
    }
}

/// Lets clients send as fast as they can.
pub(super) fn unpaced(limits: &mut Limits) {
    limits.messages = Rate::per_second(u32::MAX);
    limits.inbound_bytes = Rate::per_second(u32::MAX);
}

/// Lets clients connect as often as they can.
pub(super) fn unthrottled(limits: &mut Limits) {
    limits.handshakes_per_ip = Rate::per_second(u32::MAX);
}

/// The next message, which must be a text of JSON.
pub(super) async fn message(peer: &mut Peer) -> Value {
    match peer.recv().await {
        Received::Text(text) => serde_json::from_str(&text).expect("JSON"),
        other => panic!("expected a message, got {other}"),
    }
}

/// Receives the message that tells where the connection starts, and returns its id.
pub(super) async fn ready(peer: &mut Peer) -> String {
    let message = message(peer).await;
    assert_eq!(message["event"], "realtime.ready", "{message}");
    message["id"].as_str().expect("an id").to_owned()
}

/// Receives an event with this data, and returns its id.
pub(super) async fn event(peer: &mut Peer, data: &str) -> String {
    let message = message(peer).await;
    assert_eq!(message["data"], data, "{message}");
    message["id"].as_str().expect("an id").to_owned()
}

/// Whether `attempt` is through within `PROMPT`, at least one time in a few: what takes long by
/// design takes long each time, what takes long by chance does not.
pub(super) async fn promptly(what: &str, mut attempt: impl AsyncFnMut() -> Duration) {
    let mut took = Vec::new();
    for _ in 0..ATTEMPTS {
        took.push(attempt().await);
        if took.last().is_some_and(|took| *took < PROMPT) {
            return;
        }
    }
    panic!("{what} took {took:?}, {PROMPT:?} is enough");
}

/// How long `work` takes.
pub(super) async fn timed(work: impl Future<Output = ()>) -> Duration {
    let began = Instant::now();
    work.await;
    began.elapsed()
}

/// More than the kernel's 200 ms for a FIN that it lost or, short of memory, held back; less than
/// what a framework takes that lingers.
const PROMPT: Duration = Duration::from_millis(500);
const ATTEMPTS: usize = 4;
