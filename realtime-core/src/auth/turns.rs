//! Whose secret is checked when: a line for each client's network, and one for all.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::client_ip::ClientIp;

/// Turns for checks, of which so many are had at once, and fewer of them by one network.
///
/// A network's checks wait in a line of their own until it has a turn free, then in that of the block of
/// networks around it, and only then in that of all: however many it has, no more of them than it may
/// have turns are ahead of anybody else's.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    /// By network, and by the block of networks around it.
    lines: [Lines; 2],
}

/// Lines, of which each has so many turns at once.
#[derive(Debug)]
struct Lines {
    turns: usize,
    by_address: Mutex<HashMap<IpAddr, Line>>,
}

#[derive(Debug)]
struct Line {
    /// Those that have a turn included.
    members: usize,
    turns: Arc<Semaphore>,
}

/// A place in line, and then a turn; left when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    /// Nothing where no address is known: then there is only the line of all.
    lines: Option<[Place; 2]>,
    of_all: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Place {
    address: IpAddr,
    turns: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// `all` at once, `per_network` of them by one network, and at most the half, but as many as a
    /// network may have, by a block.
    pub(super) fn new(all: usize, per_network: usize) -> Self {
        let lines = |turns| Lines { turns, by_address: Mutex::default() };
        let per_block = (all / 2).max(per_network).max(1);
        Self { all: Arc::new(Semaphore::new(all)), lines: [lines(per_network), lines(per_block)] }
    }

    /// How many turns a network has at once.
    pub(crate) fn per_network(&self) -> usize {
        self.lines[0].turns
    }

    /// Joins the lines of a client.
    pub(crate) fn join(self: &Arc<Self>, client: Option<ClientIp>) -> Turn {
        let [networks, blocks] = &self.lines;
        let lines = client.map(|it| [networks.join(it.network()), blocks.join(it.block())]);
        Turn { turns: Arc::clone(self), lines, of_all: None }
    }
}

impl Lines {
    fn join(&self, address: IpAddr) -> Place {
        let mut lines = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines
            .entry(address)
            .or_insert_with(|| Line { members: 0, turns: Arc::new(Semaphore::new(self.turns)) });
        line.members += 1;
        Place { address, turns: Arc::clone(&line.turns), permit: None }
    }

    fn leave(&self, place: Place) {
        let Place { address, permit, .. } = place;
        // Before the line is left, which may end it.
        drop(permit);
        let mut lines = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get_mut(&address) {
            line.members -= 1;
            if line.members == 0 {
                lines.remove(&address);
            }
        }
    }
}

impl Turn {
    /// Takes the turn if it has come.
    pub(crate) fn try_take(&mut self) -> bool {
        for place in self.lines.iter_mut().flatten().filter(|place| place.permit.is_none()) {
            let Ok(permit) = Arc::clone(&place.turns).try_acquire_owned() else { return false };
            place.permit = Some(permit);
        }
        if self.of_all.is_none() {
            self.of_all = Arc::clone(&self.turns.all).try_acquire_owned().ok();
        }
        self.of_all.is_some()
    }

    /// Waits until the turn has come.
    ///
    /// # Cancel safety
    /// Of the lines, what has been passed is passed.
    pub(crate) async fn take(&mut self) {
        // No semaphore is ever closed.
        for place in self.lines.iter_mut().flatten().filter(|place| place.permit.is_none()) {
            place.permit = Arc::clone(&place.turns).acquire_owned().await.ok();
        }
        if self.of_all.is_none() {
            self.of_all = Arc::clone(&self.turns.all).acquire_owned().await.ok();
        }
    }

    /// Whether it still waits for others of its network or block.
    pub(crate) fn is_behind_its_own(&self) -> bool {
        self.lines.iter().flatten().any(|place| place.permit.is_none())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of_all = None;
        let places = self.lines.take().into_iter().flatten();
        places.zip(&self.turns.lines).for_each(|(place, lines)| lines.leave(place));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    /// Of a block of its own.
    fn address(block: u8) -> Option<ClientIp> {
        Some(ClientIp::new([192, 0, block, 1].into()))
    }

    fn neighbour(last: u8) -> Option<ClientIp> {
        Some(ClientIp::new([198, 51, 100, last].into()))
    }

    fn is_empty(turns: &Turns) -> bool {
        turns.lines.iter().all(|lines| lines.by_address.lock().unwrap().is_empty())
    }

    #[test]
    fn a_block_has_its_share_too() {
        let turns = Arc::new(Turns::new(8, 2));
        let mut block: Vec<_> = (0..8).map(|last| turns.join(neighbour(last))).collect();
        assert_eq!(block.iter_mut().map(Turn::try_take).filter(|took| *took).count(), 4);
        assert!(block[4].is_behind_its_own());
        assert!(turns.join(address(1)).try_take());
        drop(block);
        assert!(is_empty(&turns));
        assert_eq!(turns.all.available_permits(), 8);
    }

    #[test]
    fn a_network_has_its_share_and_others_go_first() {
        let turns = Arc::new(Turns::new(3, 2));
        let mut one: Vec<_> = (0..10).map(|_| turns.join(address(1))).collect();
        let had = one.iter_mut().map(Turn::try_take).filter(|took| *took).count();
        assert_eq!(had, 2);
        assert!(one[2].is_behind_its_own());
        let (mut other, mut last) = (turns.join(address(2)), turns.join(address(3)));
        assert!(other.try_take());
        assert!(!last.try_take() && !last.is_behind_its_own(), "it waits for all");
        let mut nobody = turns.join(None);
        assert!(!nobody.try_take() && !nobody.is_behind_its_own());
        drop(other);
        assert!(nobody.try_take() && !one[2].try_take() && !last.try_take());
        drop(nobody);
        assert!(last.try_take());
        drop((one, last));
        assert!(is_empty(&turns));
        assert_eq!(turns.all.available_permits(), 3);
    }

    #[test]
    fn a_line_is_left_by_who_gives_up_and_is_gone_with_the_last() {
        let turns = Arc::new(Turns::new(1, 1));
        let mut first = turns.join(address(1));
        assert!(first.try_take());
        let mut second = turns.join(address(1));
        let mut cx = Context::from_waker(Waker::noop());
        {
            let mut waiting = pin!(second.take());
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
        }
        drop(first);
        {
            let mut waiting = pin!(second.take());
            assert!(waiting.as_mut().poll(&mut cx).is_ready());
        }
        drop(second);
        assert!(is_empty(&turns));
        assert!(turns.join(address(1)).try_take());
    }
}
