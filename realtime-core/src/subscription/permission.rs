//! Which topics a subscription may follow.

use std::{fmt, sync::Arc};

use super::SubscribeError;
use crate::topic::TopicName;

/// Decides whether a topic may be followed. It is foreign code: it never runs under a lock.
pub(crate) type Permission = Arc<dyn Fn(&TopicName) -> bool + Send + Sync>;

/// What a [`Permission`] allows; without one, everything.
#[derive(Clone, Default)]
pub(crate) struct Permitted(Option<Permission>);

impl Permitted {
    pub(super) const ALL: &Self = &Self(None);

    pub(crate) fn by(permission: Option<Permission>) -> Self {
        Self(permission)
    }

    /// Whether it allows everything, without being asked.
    pub(super) fn is_all(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn allows(&self, topic: &TopicName) -> bool {
        self.0.as_ref().is_none_or(|permission| permission(topic))
    }

    /// Refuses a topic that was asked for by its name and is not allowed.
    pub(crate) fn check(&self, topic: &TopicName) -> Result<(), SubscribeError> {
        if self.allows(topic) {
            return Ok(());
        }
        Err(SubscribeError::Forbidden { topic: topic.clone() })
    }
}

impl fmt::Debug for Permitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Permitted(by a permission)" } else { "Permitted(all)" })
    }
}
