//! What the hub has asked for and the bridge has not looked at yet: [`Wishes`].

use std::collections::{HashMap, VecDeque};

use realtime_core::{TopicName, TopicPattern};

use crate::{control::Command, link::Interest};

/// What is to be told other instances and has not been; more than that, and the oldest is forgotten.
const COMMANDS: usize = 10_000;

/// What the hub has asked for. What is asked for twice is there once, so it is bounded by the hub's topics
/// and patterns.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// The last that was said of each.
    pub(crate) interests: HashMap<Interest, bool>,
    /// The past of topics.
    pub(crate) reads: HashMap<TopicName, Past>,
    /// The topics of patterns.
    pub(crate) finds: HashMap<TopicPattern, Past>,
    /// How often it was asked where the sequence is.
    pub(crate) catch_ups: u64,
    /// What the other instances are to be told.
    pub(crate) commands: VecDeque<Command>,
}

/// What is wanted of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) after: u64,
    pub(crate) limit: usize,
}

impl Past {
    /// What has all that is in both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { after: self.after.min(other.after), limit: self.limit.max(other.limit) }
    }

    /// Whether all of `other` is in it.
    pub(crate) fn has(self, other: Self) -> bool {
        self.and(other) == self
    }
}

impl Wishes {
    pub(crate) fn tell(&mut self, command: Command) {
        if self.commands.len() >= COMMANDS {
            tracing::error!("other instances could not be told of a disconnect for too long: one is forgotten");
            self.commands.pop_front();
        }
        self.commands.push_back(command);
    }

    pub(crate) fn read(&mut self, topic: &TopicName, past: Past) {
        let wanted = self.reads.entry(topic.clone()).or_insert(past);
        *wanted = wanted.and(past);
    }

    pub(crate) fn find(&mut self, pattern: &TopicPattern, past: Past) {
        let wanted = self.finds.entry(pattern.clone()).or_insert(past);
        *wanted = wanted.and(past);
    }
}
