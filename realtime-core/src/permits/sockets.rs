//! TCP connections that a server has accepted, of which no request is known yet.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::{LimitReached, Permits, give_room_back};
use crate::{client_ip::ClientIp, fanout::lock, limits::Limits, stats::add};

/// Sockets in all, of each network and of each block. Its size is bounded by the sockets that there
/// may be, and no address is there without one.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    all: u64,
    by_network: HashMap<IpAddr, u32>,
    by_block: HashMap<IpAddr, u32>,
}

impl Permits {
    /// A permit for one more socket of `client`; of nobody in particular where it is a proxy.
    pub(crate) fn take_socket(
        self: &Arc<Self>,
        client: Option<ClientIp>,
        limits: &Limits,
    ) -> Result<SocketPermit, LimitReached> {
        let taken = lock(&self.sockets).enter(client, limits);
        if taken.is_err() {
            add(&self.counters.sockets_refused, 1);
        }
        taken.map(|()| SocketPermit { permits: Arc::clone(self), client })
    }

    /// How many sockets there are.
    pub(crate) fn sockets(&self) -> u64 {
        lock(&self.sockets).all
    }
}

/// One of the TCP connections that a server may hold; given back when dropped. See
/// [`Hub::take_socket`](crate::Hub::take_socket).
#[derive(Debug)]
#[must_use = "the socket counts for as long as this is held"]
pub struct SocketPermit {
    permits: Arc<Permits>,
    client: Option<ClientIp>,
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        lock(&self.permits.sockets).leave(self.client);
    }
}

impl Sockets {
    fn enter(&mut self, client: Option<ClientIp>, limits: &Limits) -> Result<(), LimitReached> {
        let max = limits.connections.saturating_add(limits.spare_sockets);
        if self.all >= max {
            return Err(LimitReached::Sockets { max });
        }
        if let Some(client) = client {
            let max = limits.connections_per_ip.saturating_add(limits.spare_sockets_per_ip);
            let of_block = max.saturating_mul(limits.networks_per_block);
            let has = |map: &HashMap<_, u32>, address| map.get(&address).copied().unwrap_or(0);
            if has(&self.by_network, client.network()) >= max {
                return Err(LimitReached::SocketsPerIp { max });
            }
            if has(&self.by_block, client.block()) >= of_block {
                return Err(LimitReached::SocketsPerIp { max: of_block });
            }
            *self.by_network.entry(client.network()).or_default() += 1;
            *self.by_block.entry(client.block()).or_default() += 1;
        }
        self.all += 1;
        Ok(())
    }

    fn leave(&mut self, client: Option<ClientIp>) {
        self.all -= 1;
        let Some(client) = client else { return };
        leave(&mut self.by_network, client.network());
        leave(&mut self.by_block, client.block());
    }

    #[cfg(test)]
    pub(super) fn addresses(&self) -> usize {
        self.by_network.len() + self.by_block.len()
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.by_network.capacity().max(self.by_block.capacity())
    }
}

fn leave(counts: &mut HashMap<IpAddr, u32>, address: IpAddr) {
    if let Some(count) = counts.get_mut(&address) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&address);
            give_room_back(counts);
        }
    }
}
