//! The handler's side: its socket, what it sends, and what it changes.

use std::time::Instant;

use super::{Phase, Session, WRITE_BYTES};
use crate::{
    close::CloseCause,
    limits::Limits,
    subscription::Permission,
    topic::TopicName,
    ws::socket::{Change, Counts, Shared, Socket},
};

impl Session {
    /// Makes the handler's end.
    pub(in crate::ws) fn socket(&mut self, limits: &Limits) -> Socket {
        let counts = Counts::of(&self.subscription);
        let permitted = self.subscription.permitted().clone();
        let hub = self.subscription.hub().clone();
        let (socket, shared) = Shared::pair(hub, self.client_ip(), limits, counts, permitted);
        shared.set_identity(self.admission.identity().cloned());
        self.shared = Some(shared);
        socket
    }

    /// Decides anew which topics may be followed, by the handler too; see
    /// [`Subscription::set_permission`].
    pub(super) fn set_permission(&mut self, permission: Option<Permission>) -> Vec<TopicName> {
        if let Some(shared) = &self.shared {
            shared.set_permission(permission.clone());
        }
        self.subscription.set_permission(permission)
    }

    pub(super) fn queue_direct(&mut self, now: Instant) {
        let Some(shared) = &self.shared else { return };
        let may_send = match &self.phase {
            Phase::Open => true,
            Phase::Closing(closing) => !closing.sent,
            Phase::Ended(_) => false,
        };
        while may_send && self.outgoing.len() < WRITE_BYTES {
            let Some(frame) = shared.outgoing() else { break };
            self.outgoing.push(frame);
            self.lifetime.active(now);
        }
    }

    /// Does what the handler has asked for. However often it has refreshed, what may be followed is
    /// decided once, when all is done, and it counts as one refresh.
    pub(super) fn apply_changes(&mut self, now: Instant) {
        let mut changed = false;
        let mut has_refreshed = false;
        while let Some(change) = self.shared.as_ref().and_then(|shared| shared.change()) {
            changed = true;
            match change {
                Change::Establish(principal) => self.adopt(principal, now),
                Change::Refresh(established) => {
                    has_refreshed = true;
                    self.refresh(*established, now);
                }
                Change::Join(joined) => self.subscription.attach(joined),
                Change::Leave(topic) => {
                    self.subscription.remove(&topic);
                }
                Change::Follow(following) => self.subscription.attach_pattern(following),
                Change::Unfollow(pattern) => {
                    self.subscription.remove_pattern(&pattern);
                }
            }
        }
        if has_refreshed && self.is_open() && self.is_refreshed_too_fast(now) {
            self.fail(CloseCause::TooFast, now);
        }
        self.permit_again_if_due(now);
        // Patterns bring topics without being asked.
        if (changed || self.subscription.patterns().next().is_some())
            && let Some(shared) = &self.shared
        {
            shared.set_counts(Counts::of(&self.subscription));
        }
    }
}
