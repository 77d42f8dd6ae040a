//! Connections and handshakes of each client's network.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::LimitReached;
use crate::{limits::Limits, rate::Bucket};

/// Below this size the table is not swept.
const SWEEP_FLOOR: usize = 1024;

/// The most networks that are remembered. Whoever has so many is not held by a limit of each; newcomers
/// then come in uncounted, below the limit of all connections, rather than be kept out.
const MAX_NETWORKS: usize = 65_536;

/// A network is remembered while it has connections, and after that until its bucket is full again.
#[derive(Debug)]
pub(super) struct Networks {
    by_address: HashMap<IpAddr, Network>,
    sweep_at: usize,
    swept_at: Option<Instant>,
}

impl Default for Networks {
    fn default() -> Self {
        Self { by_address: HashMap::new(), sweep_at: SWEEP_FLOOR, swept_at: None }
    }
}

#[derive(Debug)]
struct Network {
    connections: u32,
    handshakes: Bucket,
    seen_at: Instant,
}

impl Networks {
    /// Counts a handshake and a connection; whether it has, there being room for the network.
    pub(super) fn enter(
        &mut self,
        address: IpAddr,
        limits: &Limits,
        now: Instant,
    ) -> Result<bool, LimitReached> {
        let is_known = self.by_address.contains_key(&address);
        if !is_known && !self.has_room(limits.handshakes_per_ip.refill(), now) {
            return Ok(false);
        }
        let network = self.by_address.entry(address).or_insert_with(|| Network {
            connections: 0,
            handshakes: Bucket::new(limits.handshakes_per_ip, now),
            seen_at: now,
        });
        let taken = network.handshakes.take(1, now);
        taken.map_err(|retry_after| LimitReached::Handshakes { retry_after })?;
        network.seen_at = now;
        let max = limits.connections_per_ip;
        if network.connections >= max {
            return Err(LimitReached::ConnectionsPerIp { max });
        }
        network.connections += 1;
        Ok(true)
    }

    pub(super) fn leave(&mut self, address: IpAddr) {
        if let Some(network) = self.by_address.get_mut(&address) {
            network.connections = network.connections.saturating_sub(1);
        }
    }

    /// Whether there is room for another network. Forgets those without connections whose buckets are
    /// full when the table has doubled, so that sweeping costs a constant per network, and when it
    /// can't grow any more, a few times in the time that a bucket takes to fill.
    fn has_room(&mut self, refill: Duration, now: Instant) -> bool {
        let length = self.by_address.len();
        if length < self.sweep_at.min(MAX_NETWORKS) {
            return true;
        }
        let is_due = |at: Instant| now.saturating_duration_since(at) >= refill / 4;
        if length >= MAX_NETWORKS && !self.swept_at.is_none_or(is_due) {
            return false;
        }
        self.swept_at = Some(now);
        self.by_address.retain(|_, network| {
            network.connections > 0 || now.saturating_duration_since(network.seen_at) < refill
        });
        self.by_address.shrink_to(SWEEP_FLOOR);
        self.sweep_at = (self.by_address.len() * 2).max(SWEEP_FLOOR);
        self.by_address.len() < MAX_NETWORKS
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    #[cfg(test)]
    pub(super) fn connections(&self) -> u32 {
        self.by_address.values().map(|network| network.connections).sum()
    }
}
