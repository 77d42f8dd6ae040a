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
    /// Where a client's address is not known there is no such limit: list your proxies in
    /// [`Config::trusted_proxies`](crate::Config::trusted_proxies), and on axum serve with
    /// `realtime::axum::serve` or `into_make_service_with_connect_info`.
    pub connections_per_ip: u32,
    /// Open connections of one identity's subject. Default: 64, some tabs on some devices.
    pub connections_per_subject: u32,
    /// Handshakes of one client network, those included that are then refused for their origin,
    /// their credentials or a limit; malformed ones cost next to nothing and do not count. Default: 64
    /// per second and 1 024 at once, so that an office comes back after a deploy.
    pub handshakes_per_ip: Rate,
    /// Topics in the table. Default: 65 536, some tens of MiB of empty topics.
    pub topics: usize,
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
    /// `configure` sets up the server; `axum::serve` alone waits for ever. Until the head has come, a
    /// connection counts nowhere but in the descriptors. Default: 10 s.
    pub header_deadline: Duration,
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
    /// read from the socket. One message always fits. Default: 64 KiB.
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
            connections_per_subject: 64,
            handshakes_per_ip: Rate::per_second(64).burst(1024),
            topics: 65_536,
            topics_per_subscription: 128,
            patterns_per_subscription: 8,
            event_bytes: 64 * 1024,
            header_deadline: Duration::from_secs(10),
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
