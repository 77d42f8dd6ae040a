//! How much of anything there may be: [`Limits`].

use std::{sync::atomic::AtomicU64, time::Duration};

use crate::{rate::Rate, stats::Counters};

/// The bounds of a hub and of each of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Open connections, SSE and WebSocket together. Default: 16 384, below the descriptors that
    /// most systems allow a service.
    pub connections: u64,
    /// Open connections of one client network: an IPv4 address, or the /64 of an IPv6 address.
    /// Default: 1 024, so that the many people behind one address of an office all fit.
    ///
    /// 65 536 networks are remembered, each while it has connections and until its
    /// [`handshakes_per_ip`](Self::handshakes_per_ip) have come back. While there is no room for
    /// another, it counts in its block alone, see
    /// [`networks_per_block`](Self::networks_per_block). Of blocks 16 384 are remembered; who finds no
    /// room there either is let in below [`connections`](Self::connections) alone.
    ///
    /// Where a client's address is not known there is no such limit: list your proxies in
    /// [`Config::trusted_proxies`](crate::Config::trusted_proxies), and on axum serve with
    /// `realtime::axum::serve` or `into_make_service_with_connect_info`.
    pub connections_per_ip: u32,
    /// How many networks' worth of connections, handshakes and sockets a block of networks has: the
    /// /24 of an IPv4 address, the /48 of an IPv6 address, which is the most that one customer commonly
    /// gets: its 65 536 networks are not as many clients. Default: 4, with which a block has at most a
    /// quarter of all connections; where many clients share one, as those of a mobile carrier do, raise
    /// it with the connections in all. `u32::MAX` is no such limit.
    pub networks_per_block: u32,
    /// TCP connections that one of our `serve` helpers holds at a time beyond as many as
    /// [`connections`](Self::connections), whatever they are for and whether or not they have sent
    /// anything; a WebSocket counts as a connection only, once it is one. One more is reset at once,
    /// without an answer, and counts in
    /// [`HubStats::sockets_refused`](crate::HubStats::sockets_refused). Default: 8 192.
    ///
    /// `axum::serve` has no such limit, and actix-web another: `HttpServer::max_connections` of each
    /// worker, beyond which it accepts nobody.
    pub spare_sockets: u64,
    /// The same of one client network, beyond [`connections_per_ip`](Self::connections_per_ip).
    /// Default: 1 024, so that an office can load pages next to its event streams.
    ///
    /// A peer in [`Config::trusted_proxies`](crate::Config::trusted_proxies) has no such limit.
    pub spare_sockets_per_ip: u32,
    /// Open connections of one identity's subject. Default: 64, some tabs on some devices.
    pub connections_per_subject: u32,
    /// Handshakes of one client network, those included that are then refused for their origin,
    /// their credentials or a limit; malformed ones cost next to nothing and do not count. Default: 64
    /// per second and 1 024 at once, so that an office comes back after a deploy.
    pub handshakes_per_ip: Rate,
    /// Topics in the table. Default: 65 536, some tens of MiB of empty topics.
    pub topics: usize,
    /// Memory of all topics' logs together, in bytes: events, what each takes beside its bytes
    /// (some 300 of them), and encoded copies. Default: 256 MiB. At least 64 KiB, and four times
    /// [`Retention::bytes`](crate::Retention::bytes), which is room for one topic of events that are not
    /// much smaller than what they take beside their bytes; a topic of smaller ones retains fewer.
    ///
    /// When it is nearly used up, encoded copies go first, and then what topics retain, beginning with
    /// those published to the longest ago: as if it were past its retention, so that whoever has yet
    /// to take it is told of a gap or a reset. [`HubStats::evicted`](crate::HubStats::evicted) counts
    /// such events.
    pub log_bytes: u64,
    /// Topics of one subscription, its patterns and what they match included. Default: 128, since
    /// each is looked at when the subscription has nothing pending.
    pub topics_per_subscription: usize,
    /// Patterns of one subscription. Default: 8: each is looked up in the whole table of topics when
    /// it is followed and at every refresh of the identity, and one wide pattern mostly does what
    /// many narrow ones would. 0 for none.
    pub patterns_per_subscription: usize,
    /// Bytes of one event: data, name and key. Default: 64 KiB, so that no single event takes more
    /// than a sixteenth of a topic's default retention.
    pub event_bytes: usize,
    /// How long a client may take to send a request's head, where one of our `serve` helpers or
    /// `configure` sets up the server; `axum::serve` alone waits for ever. Meanwhile it counts in
    /// [`spare_sockets`](Self::spare_sockets). Default: 10 s.
    pub header_deadline: Duration,
    /// How long a client's socket may take no byte of what is to be written. Default: 10 s.
    ///
    /// A client that reads a byte a second takes none: its system tells of room by the segment, or by half
    /// of its buffer, which at that pace is minutes away. So is one cut that has dropped off the network,
    /// once there is something to write; what says so on a silent connection is a ping or a heartbeat.
    ///
    /// It holds for every WebSocket on axum and hyper, and for all that goes over sockets which one of
    /// our `serve` helpers, actix's `configure` or `configure_socket` has set up, or over IO that is
    /// wrapped in [`WriteDeadline`](crate::driver::WriteDeadline).
    pub write_deadline: Duration,
    /// How many bytes that are not sent yet the kernel takes for a connection before it calls the
    /// socket full (`TCP_NOTSENT_LOWAT`), where a socket is set up by us. Default: 16 KiB. With the
    /// kernel's own, megabytes, a client that reads steadily but slowly would look for a long time as
    /// if it took nothing, and what it gets would be old.
    pub unsent_bytes: u32,
    /// How long a framework may sit on a response's body without asking it for more. Then the client
    /// can't have taken what it was given, at most 64 KiB or one event and what the framework itself
    /// buffers, and the stream's subscription and permits are given back; so they are when the
    /// subscription lags past its limit meanwhile. Default: 60 s, so that a client which takes 2 KiB
    /// per second is left alone, and one that takes a byte per second is not.
    ///
    /// It is for what a write deadline can't reach: event streams, and WebSockets on actix.
    pub stall_deadline: Duration,
    /// How long a connection may carry no event and no message, in either direction; heartbeats, pings
    /// and pongs don't count. Then a WebSocket closes with 1001, an event stream ends. Default:
    /// [`Duration::MAX`], never: most topics are silent now and then.
    pub idle_timeout: Duration,
    /// How long a connection may last, give or take a tenth, so that those made together don't end
    /// together. Then a WebSocket closes with 1001, an event stream ends, and the client comes back,
    /// perhaps to another server. Default: [`Duration::MAX`], for ever.
    pub max_age: Duration,
    /// Bytes of a request's headers and query. Default: 16 KiB, room for cookies.
    pub header_bytes: usize,
    /// Bytes of the first WebSocket message where that has to authenticate. Default: 8 KiB, the
    /// longest token that headers have room for.
    pub first_message_bytes: usize,
    /// Inbound WebSocket messages of one connection, pings and pongs included. Default: 256 per
    /// second and 1 024 at once; whoever sends more is closed with 4429.
    pub messages: Rate,
    /// Bytes that one WebSocket connection sends, framing included. Default: 1 MiB per second and
    /// 4 MiB at once; whoever sends more is closed with 4429.
    pub inbound_bytes: Rate,
    /// Refreshes of one WebSocket connection's identity: messages that carry a token, and polls of a
    /// handler that refreshes. Each asks [`Authenticate`](crate::Authenticate), and then
    /// [`Authorize`](crate::Authorize) for all that the connection follows. Default: 1 per second and
    /// 5 at once; whoever sends more is closed with 4429.
    pub refreshes: Rate,
    /// Bytes of one inbound WebSocket message, all fragments together. Default: 64 KiB.
    pub message_bytes: usize,
    /// Fragments of one inbound WebSocket message. Default: 1 024: a client that sends more is
    /// wasting our time, often on purpose.
    pub message_fragments: u32,
    /// Bytes of inbound messages that wait for the handler; when they are reached, nothing more is
    /// read from the socket. One message always fits. Default: 64 KiB. A handler that takes nothing
    /// out of a full one is given up, by 1011, after one to two times
    /// [`ping_interval`](crate::WebSocketConfig::ping_interval) and
    /// [`pong_deadline`](crate::WebSocketConfig::pong_deadline) together.
    pub inbox_bytes: usize,
    /// Bytes of direct messages that wait for the socket; when they are reached,
    /// [`Socket::send`](crate::ws::Socket::send) waits. One message always fits. Default: 64 KiB.
    pub outbox_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_ip: 1024,
            networks_per_block: 4,
            spare_sockets: 8192,
            spare_sockets_per_ip: 1024,
            connections_per_subject: 64,
            handshakes_per_ip: Rate::per_second(64).burst(1024),
            topics: 65_536,
            log_bytes: 256 * 1024 * 1024,
            topics_per_subscription: 128,
            patterns_per_subscription: 8,
            event_bytes: 64 * 1024,
            header_deadline: Duration::from_secs(10),
            write_deadline: Duration::from_secs(10),
            idle_timeout: Duration::MAX,
            max_age: Duration::MAX,
            unsent_bytes: 16 * 1024,
            stall_deadline: Duration::from_secs(60),
            header_bytes: 16 * 1024,
            first_message_bytes: 8 * 1024,
            messages: Rate::per_second(256).burst(1024),
            inbound_bytes: Rate::per_second(1024 * 1024).burst(4 * 1024 * 1024),
            refreshes: Rate::per_second(1).burst(5),
            message_bytes: 64 * 1024,
            message_fragments: 1024,
            inbox_bytes: 64 * 1024,
            outbox_bytes: 64 * 1024,
        }
    }
}

/// How a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// Server-Sent Events.
    Sse,
    /// WebSocket.
    WebSocket,
}

impl Transport {
    pub(crate) fn gauge(self, counters: &Counters) -> &AtomicU64 {
        match self {
            Self::Sse => &counters.connections_sse,
            Self::WebSocket => &counters.connections_websocket,
        }
    }
}

#[cfg(test)]
impl Limits {
    /// Lets a peer send as fast as it can.
    pub(crate) fn unpace(&mut self) {
        self.messages = Rate::per_second(u32::MAX);
        self.inbound_bytes = Rate::per_second(u32::MAX);
        self.refreshes = Rate::per_second(u32::MAX);
    }
}
