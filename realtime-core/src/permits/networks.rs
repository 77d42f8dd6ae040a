//! Connections and handshakes of each client's network, and of the block around it.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::LimitReached;
use crate::{
    client_ip::ClientIp,
    limits::Limits,
    rate::{Bucket, Rate},
};

/// The most networks that are remembered. A newcomer beyond them counts in its block only.
const MAX_NETWORKS: usize = 65_536;

/// The most blocks that are remembered, a quarter of an IPv6 /32. Whoever has so many is not held by a
/// limit of each; newcomers of further ones come in below the limit of all connections, rather than be
/// kept out together.
const MAX_BLOCKS: usize = 16_384;

/// Below this size a table is not swept.
const SWEEP_FLOOR: usize = 1024;

/// Each network counts by itself and as a part of its block. A block that has what it may is refused
/// before a newcomer is entered, so that none fills the table of networks.
#[derive(Debug)]
pub(super) struct Networks {
    networks: Table,
    blocks: Table,
}

/// Where a connection was counted, which is where it leaves: a table that was full may have room by
/// then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    network: bool,
    block: bool,
}

impl Default for Networks {
    fn default() -> Self {
        Self::with_room(MAX_NETWORKS, MAX_BLOCKS)
    }
}

impl Networks {
    fn with_room(networks: usize, blocks: usize) -> Self {
        Self { networks: Table::new(networks), blocks: Table::new(blocks) }
    }

    /// Counts a handshake and a connection.
    pub(super) fn enter(
        &mut self,
        client: ClientIp,
        limits: &Limits,
        now: Instant,
    ) -> Result<Counted, LimitReached> {
        let (network, block) = (client.network(), client.block());
        let rate = limits.handshakes_per_ip;
        let of_block = rate.times(limits.networks_per_block);
        // A network that is over its own limits uses up nothing of its neighbours'.
        let max = limits.connections_per_ip;
        self.networks.check(network, max, LimitReached::ConnectionsPerIp { max }, now)?;
        let max = max.saturating_mul(limits.networks_per_block);
        self.blocks.check(block, max, LimitReached::ConnectionsPerBlock { max }, now)?;
        Ok(Counted {
            network: self.networks.count(network, rate, now),
            block: self.blocks.count(block, of_block, now),
        })
    }

    pub(super) fn leave(&mut self, client: ClientIp, counted: Counted) {
        if counted.network {
            self.networks.leave(client.network());
        }
        if counted.block {
            self.blocks.leave(client.block());
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.networks.by_address.len()
    }

    #[cfg(test)]
    pub(super) fn connections(&self) -> u32 {
        self.networks.by_address.values().map(|entry| entry.connections).sum()
    }
}

/// An entry is remembered while it has connections, and after that until its bucket is full again.
#[derive(Debug)]
struct Table {
    by_address: HashMap<IpAddr, Entry>,
    max: usize,
    sweep_at: usize,
    swept_at: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    connections: u32,
    handshakes: Bucket,
    /// When it last took a token.
    seen_at: Instant,
}

impl Table {
    fn new(max: usize) -> Self {
        Self { by_address: HashMap::new(), max, sweep_at: SWEEP_FLOOR, swept_at: None }
    }

    /// Takes a handshake's token, and refuses what is over a limit. An address that is not there is
    /// over none.
    fn check(
        &mut self,
        address: IpAddr,
        max: u32,
        reached: LimitReached,
        now: Instant,
    ) -> Result<(), LimitReached> {
        let Some(entry) = self.by_address.get_mut(&address) else { return Ok(()) };
        let taken = entry.handshakes.take(1, now);
        taken.map_err(|retry_after| LimitReached::Handshakes { retry_after })?;
        entry.seen_at = now;
        if entry.connections < max { Ok(()) } else { Err(reached) }
    }

    /// Counts a connection that was checked; whether it has, there being room for its address.
    fn count(&mut self, address: IpAddr, rate: Rate, now: Instant) -> bool {
        if let Some(entry) = self.by_address.get_mut(&address) {
            entry.connections += 1;
            return true;
        }
        if !self.has_room(rate.refill(), now) {
            return false;
        }
        let handshakes = Bucket::new(rate, now);
        // The token that could not be taken before; a new bucket has it.
        let _ = handshakes.take(1, now);
        self.by_address.insert(address, Entry { connections: 1, handshakes, seen_at: now });
        true
    }

    fn leave(&mut self, address: IpAddr) {
        if let Some(entry) = self.by_address.get_mut(&address) {
            entry.connections = entry.connections.saturating_sub(1);
        }
    }

    /// Whether there is room for another entry. Forgets those without connections whose buckets are
    /// full when the table has doubled, so that sweeping costs a constant per entry, and when it
    /// can't grow any more, a few times in the time that a bucket takes to fill.
    fn has_room(&mut self, refill: Duration, now: Instant) -> bool {
        let length = self.by_address.len();
        if length < self.sweep_at.min(self.max) {
            return true;
        }
        let is_due = |at: Instant| now.saturating_duration_since(at) >= refill / 4;
        if length >= self.max && !self.swept_at.is_none_or(is_due) {
            return false;
        }
        self.swept_at = Some(now);
        self.by_address.retain(|_, entry| {
            entry.connections > 0 || now.saturating_duration_since(entry.seen_at) < refill
        });
        self.by_address.shrink_to(SWEEP_FLOOR);
        self.sweep_at = (self.by_address.len() * 2).max(SWEEP_FLOOR);
        self.by_address.len() < self.max
    }
}

#[cfg(test)]
mod tests;
