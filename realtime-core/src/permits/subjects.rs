//! Connections of each identity, and the way to end them.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytestring::ByteString;
use slab::Slab;

use super::{LimitReached, Permits, give_room_back};
use crate::{
    fanout::{keep, lock},
    sync::Mutex,
};

/// How many revocations are remembered while identities are being found out. A watch that is older
/// than what was forgotten is refused as an overload.
const MAX_REMEMBERED: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Subjects {
    by_name: HashMap<ByteString, Slab<Arc<Revocation>>>,
    /// Counts revocations.
    revoked: u64,
    /// How many watches there are, one for each identity that is being found out now.
    watches: usize,
    /// Revocations since the oldest of these watches may have begun.
    remembered: VecDeque<(u64, ByteString)>,
    /// Revocations up to here have been forgotten though a watch may be older.
    forgotten: u64,
}

impl Subjects {
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.by_name.capacity()
    }
}

impl Permits {
    /// Remembers revocations from here on, while an identity is being found out.
    pub(crate) fn watch(self: &Arc<Self>) -> RevocationWatch {
        let mut subjects = lock(&self.subjects);
        subjects.watches += 1;
        RevocationWatch { permits: Arc::clone(self), since: subjects.revoked }
    }

    /// Revokes every connection of `subject`, and those that are about to be established. Returns
    /// how many were there.
    pub(crate) fn revoke(&self, subject: &str, reason: &ByteString) -> usize {
        let mut subjects = lock(&self.subjects);
        subjects.revoked += 1;
        if subjects.watches > 0 {
            let revocation = (subjects.revoked, subject.into());
            subjects.remembered.push_back(revocation);
            if subjects.remembered.len() > MAX_REMEMBERED
                && let Some((number, _)) = subjects.remembered.pop_front()
            {
                subjects.forgotten = number;
            }
        }
        let connections: Vec<_> = subjects
            .by_name
            .get(subject)
            .map(|connections| connections.iter().map(|(_, it)| Arc::clone(it)).collect())
            .unwrap_or_default();
        drop(subjects);
        connections.iter().for_each(|connection| connection.revoke(reason));
        connections.len()
    }

    /// How many identities are connected.
    pub(crate) fn subjects(&self) -> usize {
        lock(&self.subjects).by_name.len()
    }
}

/// Knows whom [`Hub::disconnect`](crate::Hub::disconnect) has revoked since this was made.
///
/// [`Hub::watch_revocations`](crate::Hub::watch_revocations) makes it, before an application looks up
/// whose a request is; `identify_since` of the request takes it with what was found out. Drop it when
/// nothing was. The hub remembers 1024 revocations for all watches together; of a watch from before
/// these it can't tell any more, and the request is refused with 503.
#[must_use = "hand it to `identify_since`"]
pub struct RevocationWatch {
    permits: Arc<Permits>,
    since: u64,
}

impl RevocationWatch {
    /// Whether it knows of the revocations that `permits` are subject to.
    pub(crate) fn is_of(&self, permits: &Arc<Permits>) -> bool {
        Arc::ptr_eq(&self.permits, permits)
    }

    /// A permit for one more connection of `subject`, unless it has `max` or has been revoked since
    /// the watch began.
    pub(crate) fn establish(
        self,
        subject: &str,
        max: u32,
    ) -> Result<SubjectPermit, NotEstablished> {
        let mut subjects = lock(&self.permits.subjects);
        let is_revoked =
            |(number, name): &(u64, ByteString)| *number > self.since && **name == *subject;
        if subjects.remembered.iter().any(is_revoked) {
            return Err(NotEstablished::Revoked);
        }
        if subjects.forgotten > self.since {
            return Err(NotEstablished::TooOld);
        }
        let name = match subjects.by_name.get_key_value(subject) {
            Some((_, connections)) if connections.len() >= max as usize => {
                return Err(LimitReached::ConnectionsPerSubject { max }.into());
            }
            Some((name, _)) => name.clone(),
            None => ByteString::from(subject),
        };
        let revocation: Arc<Revocation> = Arc::default();
        let connections = subjects.by_name.entry(name.clone()).or_default();
        let slot = connections.insert(Arc::clone(&revocation));
        drop(subjects);
        let permits = Arc::clone(&self.permits);
        Ok(SubjectPermit { permits, subject: name, slot, revocation })
    }
}

impl Drop for RevocationWatch {
    fn drop(&mut self) {
        let mut subjects = lock(&self.permits.subjects);
        subjects.watches -= 1;
        if subjects.watches == 0 {
            subjects.remembered = VecDeque::new();
        }
    }
}

impl fmt::Debug for RevocationWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationWatch").finish_non_exhaustive()
    }
}

/// Why an identity that was found out is not established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotEstablished {
    #[error("revoked while it was being checked")]
    Revoked,
    /// Whether it has been revoked since the watch began is no longer known.
    #[error("so much was revoked while it was being checked that it has to be checked again")]
    TooOld,
    #[error(transparent)]
    Limit(#[from] LimitReached),
}

/// One of the connections that an identity may have; given back when dropped.
#[derive(Debug)]
pub(crate) struct SubjectPermit {
    permits: Arc<Permits>,
    subject: ByteString,
    slot: usize,
    revocation: Arc<Revocation>,
}

impl SubjectPermit {
    /// Whether the identity has been revoked.
    pub(crate) fn is_revoked(&self) -> bool {
        lock(&self.revocation.state).reason.is_some()
    }

    /// Ready, with the reason, once the identity has been revoked; until then the task is woken by
    /// it.
    pub(crate) fn poll_revoked(&self, cx: &Context<'_>) -> Poll<ByteString> {
        self.revocation.poll(cx)
    }
}

impl Drop for SubjectPermit {
    fn drop(&mut self) {
        let mut subjects = lock(&self.permits.subjects);
        let Some(connections) = subjects.by_name.get_mut(&self.subject) else { return };
        connections.try_remove(self.slot);
        if connections.is_empty() {
            subjects.by_name.remove(&self.subject);
            give_room_back(&mut subjects.by_name);
        }
    }
}

/// Tells one connection that its identity has been revoked.
#[derive(Debug, Default)]
struct Revocation {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reason: Option<ByteString>,
    waker: Option<Waker>,
}

impl Revocation {
    /// Ready, with the reason, once it has been revoked; until then the task is woken by it.
    fn poll(&self, cx: &Context<'_>) -> Poll<ByteString> {
        let mut state = lock(&self.state);
        if let Some(reason) = &state.reason {
            return Poll::Ready(reason.clone());
        }
        let before = keep(&mut state.waker, cx.waker());
        drop(state);
        drop(before);
        Poll::Pending
    }

    fn revoke(&self, reason: &ByteString) {
        let mut state = lock(&self.state);
        state.reason.get_or_insert_with(|| reason.clone());
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
