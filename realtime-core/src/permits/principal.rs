//! Whose a connection is, while it lasts.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use bytestring::ByteString;

use super::subjects::SubjectPermit;
use crate::auth::Identity;

/// A connection's identity, and what ends it.
#[derive(Debug)]
pub(crate) struct Principal {
    identity: Identity,
    /// When the identity expires.
    expires_at: Option<Instant>,
    permit: SubjectPermit,
}

/// Why an identity no longer stands for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PrincipalEnd {
    Expired,
    Revoked(ByteString),
}

impl Principal {
    pub(crate) fn new(
        identity: Identity,
        expires_at: Option<Instant>,
        permit: SubjectPermit,
    ) -> Self {
        Self { identity, expires_at, permit }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.permit.is_revoked()
    }

    /// Puts off the end. The caller has seen to it that the subject is the same.
    pub(crate) fn refresh(&mut self, identity: Identity, expires_at: Option<Instant>) {
        self.identity = identity;
        self.expires_at = expires_at;
    }

    /// Ready when the identity has been revoked, of which the task is woken, or has expired, for
    /// which it has to look again at [`expires_at`](Self::expires_at).
    pub(crate) fn poll_end(&self, cx: &Context<'_>, now: Instant) -> Poll<PrincipalEnd> {
        if let Poll::Ready(reason) = self.permit.poll_revoked(cx) {
            return Poll::Ready(PrincipalEnd::Revoked(reason));
        }
        match self.expires_at {
            Some(at) if now >= at => Poll::Ready(PrincipalEnd::Expired),
            _ => Poll::Pending,
        }
    }
}
