//! Who may do what with which topic.

use realtime::{Action, Identity, TopicName};

use crate::users::{Role, User};

/// Everybody reads and writes here.
pub(crate) const CHAT: &str = "chat";

/// Everybody reads, editors write.
pub(crate) const NEWS: &str = "news";

/// What only this user reads.
pub(crate) fn notifications_of(user: &str) -> String {
    format!("user.{user}")
}

/// Asked for each topic of a subscription, and for each event that a socket publishes. What the
/// service itself publishes with `Hub::publish` is not asked for.
pub(crate) fn allow(identity: Option<&Identity>, action: Action, topic: &TopicName) -> bool {
    let Some(identity) = identity else { return false };
    let is_editor = identity.get::<User>().is_some_and(|user| user.role == Role::Editor);
    match (action, topic.as_str()) {
        (Action::Subscribe | Action::Publish, CHAT) | (Action::Subscribe, NEWS) => true,
        (Action::Publish, NEWS) => is_editor,
        (Action::Subscribe, topic) => topic == notifications_of(identity.subject()),
        _ => false,
    }
}
