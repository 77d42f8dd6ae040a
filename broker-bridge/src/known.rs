//! What a bridge knows beyond one connection: [`Known`].

use std::collections::HashMap;

use realtime_core::TopicName;

use crate::link::{At, Interest};

/// What a bridge knows beyond one connection.
#[derive(Debug)]
pub(crate) struct Known {
    /// Everything up to here that the hub wants has been delivered.
    pub(crate) head: Option<At>,
    /// What the hub wants, and whether it has been told that this comes.
    pub(crate) wanted: HashMap<Interest, bool>,
    /// The newest sequence of the topics that it wants by name and that come.
    pub(crate) last: HashMap<TopicName, u64>,
}

impl Default for Known {
    /// Nothing, and that what instances tell each other is wanted.
    fn default() -> Self {
        let wanted = HashMap::from([(Interest::Topic(TopicName::control()), false)]);
        Self { head: None, wanted, last: HashMap::new() }
    }
}

impl Known {
    /// The numbers begin anew.
    pub(crate) fn begin(&mut self, at: At) {
        self.head = Some(at);
        self.last.clear();
        self.wanted.values_mut().for_each(|is_established| *is_established = false);
    }

    /// Notes that everything comes that is published to `interest` after the sequence `after`.
    pub(crate) fn establish(&mut self, interest: &Interest, after: u64) {
        let Some(is_established) = self.wanted.get_mut(interest) else { return };
        *is_established = true;
        if let Interest::Topic(topic) = interest {
            self.last.insert(topic.clone(), after);
        }
    }

    /// Notes that the hub wants it no longer; tells whether it did.
    pub(crate) fn forget(&mut self, interest: &Interest) -> bool {
        if let Interest::Topic(topic) = interest {
            self.last.remove(topic);
        }
        self.wanted.remove(interest).is_some()
    }

    /// Those that come, or do not yet.
    pub(crate) fn interests(&self, established: bool) -> Vec<Interest> {
        let such = self.wanted.iter().filter(|(_, it)| **it == established);
        such.map(|(interest, _)| interest.clone()).collect()
    }
}
