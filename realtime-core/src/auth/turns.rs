//! Whose secret is checked when: a line for each client's network, and one for all.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns for checks, of which so many are had at once, and fewer of them by one network.
///
/// A network's checks wait in a line of their own until it has a turn free, and only then in that of
/// all: however many it has, no more of them than it may have turns are ahead of anybody else's.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    per_network: usize,
    lines: Mutex<HashMap<IpAddr, Line>>,
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
    /// `None` where no address is known: then there is only the line of all.
    line: Option<(IpAddr, Arc<Semaphore>)>,
    of_network: Option<OwnedSemaphorePermit>,
    of_all: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// `all` at once, `per_network` of them by one network.
    pub(super) fn new(all: usize, per_network: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), per_network, lines: Mutex::default() }
    }

    /// How many turns a network has at once.
    pub(crate) fn per_network(&self) -> usize {
        self.per_network
    }

    /// Joins the line of `network`.
    pub(crate) fn join(self: &Arc<Self>, network: Option<IpAddr>) -> Turn {
        let line = network.map(|network| {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let line = lines.entry(network).or_insert_with(|| Line {
                members: 0,
                turns: Arc::new(Semaphore::new(self.per_network)),
            });
            line.members += 1;
            (network, Arc::clone(&line.turns))
        });
        Turn { turns: Arc::clone(self), line, of_network: None, of_all: None }
    }
}

impl Turn {
    /// Takes the turn if it has come.
    pub(crate) fn try_take(&mut self) -> bool {
        if let Some((_, turns)) = self.line.as_ref().filter(|_| self.of_network.is_none()) {
            let Ok(permit) = Arc::clone(turns).try_acquire_owned() else { return false };
            self.of_network = Some(permit);
        }
        if self.of_all.is_none() {
            self.of_all = Arc::clone(&self.turns.all).try_acquire_owned().ok();
        }
        self.of_all.is_some()
    }

    /// Waits until the turn has come.
    ///
    /// # Cancel safety
    /// Of the two lines, what has been passed is passed.
    pub(crate) async fn take(&mut self) {
        // Neither semaphore is ever closed.
        if let Some((_, turns)) = self.line.as_ref().filter(|_| self.of_network.is_none()) {
            self.of_network = Arc::clone(turns).acquire_owned().await.ok();
        }
        if self.of_all.is_none() {
            self.of_all = Arc::clone(&self.turns.all).acquire_owned().await.ok();
        }
    }

    /// Whether it still waits for others of its network.
    pub(crate) fn is_behind_its_own(&self) -> bool {
        self.line.is_some() && self.of_network.is_none()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of_all = None;
        // Before the line is left, which may end it.
        self.of_network = None;
        let Some((network, _)) = self.line.take() else { return };
        let mut lines = self.turns.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get_mut(&network) {
            line.members -= 1;
            if line.members == 0 {
                lines.remove(&network);
            }
        }
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

    fn address(last: u8) -> Option<IpAddr> {
        Some([192, 0, 2, last].into())
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
        assert!(turns.lines.lock().unwrap().is_empty());
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
        assert!(turns.lines.lock().unwrap().is_empty());
        assert!(turns.join(address(1)).try_take());
    }
}
