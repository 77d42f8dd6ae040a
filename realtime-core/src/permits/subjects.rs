//! Connections of each identity, and the way to end them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytestring::ByteString;
use slab::Slab;

use super::{LimitReached, Permits};
use crate::fanout::lock;

/// How many revocations are remembered while identities are being checked. A check that is older than
/// what was forgotten is refused as an overload.
const MAX_REMEMBERED: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Subjects {
    by_name: HashMap<ByteString, Slab<Arc<Revocation>>>,
    /// Counts revocations.
    revoked: u64,
    /// Identities that are being checked now.
    checking: usize,
    /// Revocations since the oldest of these checks may have begun.
    remembered: VecDeque<(u64, ByteString)>,
    /// Revocations up to here have been forgotten though a check may be older.
    forgotten: u64,
}

impl Permits {
    /// Begins to check an identity: what is revoked from here on is not established.
    pub(crate) fn check(self: &Arc<Self>) -> Checking {
        let mut subjects = lock(&self.subjects);
        subjects.checking += 1;
        Checking { permits: Arc::clone(self), since: subjects.revoked }
    }

    /// Revokes every connection of `subject`, and those that are about to be established. Returns
    /// how many were there.
    pub(crate) fn revoke(&self, subject: &str, reason: &ByteString) -> usize {
        let mut subjects = lock(&self.subjects);
        subjects.revoked += 1;
        if subjects.checking > 0 {
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

/// An identity while it is being checked.
#[derive(Debug)]
pub(crate) struct Checking {
    permits: Arc<Permits>,
    since: u64,
}

impl Checking {
    /// A permit for one more connection of `subject`, unless it has `max` or has been revoked since
    /// the check began.
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

impl Drop for Checking {
    fn drop(&mut self) {
        let mut subjects = lock(&self.permits.subjects);
        subjects.checking -= 1;
        if subjects.checking == 0 {
            subjects.remembered = VecDeque::new();
        }
    }
}

/// Why a checked identity is not established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotEstablished {
    #[error("revoked while it was being checked")]
    Revoked,
    /// Whether it has been revoked since the check began is no longer known.
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
        let before = match &mut state.waker {
            Some(waker) if waker.will_wake(cx.waker()) => None,
            waker => waker.replace(cx.waker().clone()),
        };
        drop(state);
        // A waker may run anything when dropped.
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
