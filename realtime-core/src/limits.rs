//! How much of anything there may be: [`Limits`], and the permit that a connection holds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::stats::Counters;

/// The bounds of a hub and of each of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Open connections, SSE and WebSocket together. Default: 16 384, below the descriptors that
    /// most systems allow a service.
    pub connections: u64,
    /// Topics in the table. Default: 65 536, some tens of MiB of empty topics.
    pub topics: usize,
    /// Topics of one subscription, its patterns and what they match included. Default: 128, since
    /// each is looked at when the subscription has nothing pending.
    pub topics_per_subscription: usize,
    /// Bytes of one event: data, name and key. Default: 64 KiB, so that no single event takes more
    /// than a sixteenth of a topic's default retention.
    pub event_bytes: usize,
    /// How long a client may take to send a request's head, where one of our `serve` helpers or
    /// `configure` sets up the server. Default: 10 s.
    pub header_deadline: Duration,
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
            topics: 65_536,
            topics_per_subscription: 128,
            event_bytes: 64 * 1024,
            header_deadline: Duration::from_secs(10),
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
    fn gauge(self, counters: &Counters) -> &AtomicU64 {
        match self {
            Self::Sse => &counters.connections_sse,
            Self::WebSocket => &counters.connections_websocket,
        }
    }
}

/// One of the connections that [`Limits::connections`] allows; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    counters: Arc<Counters>,
    transport: Transport,
}

impl Permit {
    /// A permit, unless `max` connections are open.
    pub(crate) fn acquire(
        counters: &Arc<Counters>,
        transport: Transport,
        max: u64,
    ) -> Result<Self, TooManyConnections> {
        let open = &counters.connections;
        let taken = open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < max).then_some(open + 1)
        });
        if taken.is_err() {
            return Err(TooManyConnections { max });
        }
        transport.gauge(counters).fetch_add(1, Ordering::Relaxed);
        Ok(Self { counters: Arc::clone(counters), transport })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counters.connections.fetch_sub(1, Ordering::Relaxed);
        self.transport.gauge(&self.counters).fetch_sub(1, Ordering::Relaxed);
    }
}

/// All connections that are allowed are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{max} connections are open, and no more are allowed: try again later")]
pub struct TooManyConnections {
    max: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_come_back_on_drop() {
        let counters = Arc::new(Counters::default());
        let one = Permit::acquire(&counters, Transport::Sse, 2).unwrap();
        let _two = Permit::acquire(&counters, Transport::WebSocket, 2).unwrap();
        assert!(Permit::acquire(&counters, Transport::Sse, 2).is_err());
        drop(one);
        assert_eq!(counters.connections_sse.load(Ordering::Relaxed), 0);
        assert_eq!(counters.connections_websocket.load(Ordering::Relaxed), 1);
        assert!(Permit::acquire(&counters, Transport::Sse, 2).is_ok());
    }
}
