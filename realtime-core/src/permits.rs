//! Who is connected: permits for sockets and connections in all, of each client's network and the
//! block around it, and of each identity.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::{
    client_ip::ClientIp,
    drain::{Draining, Guard},
    fanout::lock,
    limits::{Limits, Transport},
    stats::Counters,
    sync::Mutex,
};

mod networks;
mod principal;
mod sockets;
mod subjects;

use networks::{Counted, Networks};
pub(crate) use principal::{Principal, PrincipalEnd};
pub use sockets::SocketPermit;
use sockets::Sockets;
pub(crate) use subjects::NotEstablished;
pub use subjects::RevocationWatch;
use subjects::Subjects;

/// The tables behind the permits; nothing of them is left when no connection is.
#[derive(Debug)]
pub(crate) struct Permits {
    counters: Arc<Counters>,
    draining: Arc<Draining>,
    sockets: Mutex<Sockets>,
    networks: Mutex<Networks>,
    subjects: Mutex<Subjects>,
}

impl Permits {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self {
            counters,
            draining: Arc::default(),
            sockets: Mutex::default(),
            networks: Mutex::default(),
            subjects: Mutex::default(),
        }
    }

    /// Whether connections are to go.
    pub(crate) fn draining(&self) -> &Draining {
        &self.draining
    }

    /// A permit for one more connection of `client`, whose address may not be known.
    pub(crate) fn admit(
        self: &Arc<Self>,
        transport: Transport,
        client: Option<ClientIp>,
        limits: &Limits,
        now: Instant,
    ) -> Result<Permit, LimitReached> {
        let guard = self.draining.enter().ok_or(LimitReached::Draining)?;
        let client = match client {
            Some(client) => Some((client, lock(&self.networks).enter(client, limits, now)?)),
            None => None,
        };
        let max = limits.connections;
        let open = &self.counters.connections;
        let taken = open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < max).then_some(open + 1)
        });
        if taken.is_err() {
            if let Some((client, counted)) = client {
                lock(&self.networks).leave(client, counted);
            }
            return Err(LimitReached::Connections { max });
        }
        transport.gauge(&self.counters).fetch_add(1, Ordering::Relaxed);
        Ok(Permit { permits: Arc::clone(self), transport, client, guard })
    }
}

/// One of the connections that are allowed; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
    transport: Transport,
    client: Option<(ClientIp, Counted)>,
    guard: Guard,
}

impl Permit {
    /// Whose connection it is.
    pub(crate) fn client(&self) -> Option<ClientIp> {
        self.client.map(|(client, _)| client)
    }

    /// The connection's part in a drain.
    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The connection's part in a drain.
    pub(crate) fn guard_mut(&mut self) -> &mut Guard {
        &mut self.guard
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let counters = &self.permits.counters;
        counters.connections.fetch_sub(1, Ordering::Relaxed);
        self.transport.gauge(counters).fetch_sub(1, Ordering::Relaxed);
        if let Some((client, counted)) = self.client {
            lock(&self.permits.networks).leave(client, counted);
        }
    }
}

/// Below this size a table keeps its room.
const ROOM_FLOOR: usize = 1024;

/// Gives the room of a table back that a storm has left nearly empty; at such steps that it costs a
/// constant for each entry that has gone.
fn give_room_back<K: Eq + Hash, V>(table: &mut HashMap<K, V>) {
    if table.capacity() > ROOM_FLOOR && table.len() < table.capacity() / 8 {
        table.shrink_to(table.len() * 2);
    }
}

/// A limit on connections is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitReached {
    /// The hub is being drained; see [`Hub::drain`](crate::Hub::drain).
    #[error("the server is about to stop: try again")]
    Draining,
    /// [`Limits::connections`].
    #[error("{max} connections are open, and no more are allowed: try again later")]
    Connections {
        /// The limit.
        max: u64,
    },
    /// [`Limits::connections_per_ip`].
    #[error("{max} connections are open from this address, and no more are allowed")]
    ConnectionsPerIp {
        /// The limit.
        max: u32,
    },
    /// [`Limits::connections_per_ip`], [`Limits::networks_per_block`] times.
    #[error("{max} connections are open from addresses around this one, and no more are allowed")]
    ConnectionsPerBlock {
        /// The limit.
        max: u32,
    },
    /// [`Limits::spare_sockets`] beyond [`Limits::connections`].
    #[error("{max} sockets are open, and no more are allowed: try again later")]
    Sockets {
        /// The limit.
        max: u64,
    },
    /// [`Limits::spare_sockets_per_ip`] beyond [`Limits::connections_per_ip`], of a network or, so
    /// many times, of a block.
    #[error("{max} sockets are open from this address, and no more are allowed")]
    SocketsPerIp {
        /// The limit.
        max: u32,
    },
    /// [`Limits::connections_per_subject`].
    #[error("{max} connections are open for this identity, and no more are allowed")]
    ConnectionsPerSubject {
        /// The limit.
        max: u32,
    },
    /// [`Limits::handshakes_per_ip`].
    #[error("too many handshakes from this address: try again in {} s", .retry_after.as_secs() + 1)]
    Handshakes {
        /// When the next one passes.
        retry_after: Duration,
    },
    /// [`Authentication::concurrency_per_ip`](crate::Authentication::concurrency_per_ip), for half of
    /// the time that a check may take.
    #[error(
        "too many credentials from this address are to be checked, {max} at once are: try again later"
    )]
    Checks {
        /// The limit.
        max: usize,
    },
}

#[cfg(test)]
mod tests;
