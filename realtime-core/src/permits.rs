//! Who is connected: permits for connections in all, of each client's network, and of each identity.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::{
    client_ip::ClientIp,
    fanout::lock,
    limits::{Limits, Transport},
    stats::Counters,
};

mod networks;
mod principal;
mod subjects;

use networks::Networks;
pub(crate) use principal::{Principal, PrincipalEnd};
pub(crate) use subjects::NotEstablished;
pub use subjects::RevocationWatch;
use subjects::Subjects;

/// The tables behind the permits; nothing of them is left when no connection is.
#[derive(Debug)]
pub(crate) struct Permits {
    counters: Arc<Counters>,
    networks: Mutex<Networks>,
    subjects: Mutex<Subjects>,
}

impl Permits {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, networks: Mutex::default(), subjects: Mutex::default() }
    }

    /// A permit for one more connection of `client`, whose address may not be known.
    pub(crate) fn admit(
        self: &Arc<Self>,
        transport: Transport,
        client: Option<ClientIp>,
        limits: &Limits,
        now: Instant,
    ) -> Result<Permit, LimitReached> {
        let is_counted = match client {
            Some(client) => lock(&self.networks).enter(client.network(), limits, now)?,
            None => false,
        };
        let max = limits.connections;
        let open = &self.counters.connections;
        let taken = open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < max).then_some(open + 1)
        });
        if taken.is_err() {
            if let Some(client) = client.filter(|_| is_counted) {
                lock(&self.networks).leave(client.network());
            }
            return Err(LimitReached::Connections { max });
        }
        transport.gauge(&self.counters).fetch_add(1, Ordering::Relaxed);
        Ok(Permit { permits: Arc::clone(self), transport, client, is_counted })
    }
}

/// One of the connections that are allowed; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
    transport: Transport,
    client: Option<ClientIp>,
    /// Whether it counts as one of its client's network.
    is_counted: bool,
}

impl Permit {
    /// Whose connection it is.
    pub(crate) fn client(&self) -> Option<ClientIp> {
        self.client
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let counters = &self.permits.counters;
        counters.connections.fetch_sub(1, Ordering::Relaxed);
        self.transport.gauge(counters).fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = self.client.filter(|_| self.is_counted) {
            lock(&self.permits.networks).leave(client.network());
        }
    }
}

/// A limit on connections is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitReached {
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
}

#[cfg(test)]
mod tests;
