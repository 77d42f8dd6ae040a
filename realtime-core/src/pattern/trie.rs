//! From a topic's name to the values of all patterns that match it.

use std::collections::HashMap;

use slab::Slab;

use super::{ANY, REST, TopicPattern};
use crate::topic::TopicName;

/// Values by pattern, several of one pattern allowed.
///
/// A lookup visits each node at most once, since a node is reached by one path only, and none that
/// is deeper than the name: its work is bounded by the nodes, however wildcards are mixed. Nothing
/// here recurses. Without patterns it holds nothing but the root.
#[derive(Debug)]
pub(crate) struct Trie<V> {
    nodes: Slab<Node<V>>,
    len: usize,
}

#[derive(Debug)]
struct Node<V> {
    /// The parent, and the token that leads here from it.
    parent: Option<(usize, Box<str>)>,
    children: HashMap<Box<str>, usize>,
    any: Option<usize>,
    /// Of patterns that end here.
    here: Slab<V>,
    /// Of patterns that end in `>` below this.
    rest: Slab<V>,
}

/// Slab gives out its keys from 0.
const ROOT: usize = 0;

/// Where a value stands, to be removed by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    node: usize,
    rest: bool,
    value: usize,
}

impl<V> Node<V> {
    fn new(parent: Option<(usize, Box<str>)>) -> Self {
        Self { parent, children: HashMap::new(), any: None, here: Slab::new(), rest: Slab::new() }
    }

    fn is_empty(&self) -> bool {
        let has_child = self.any.is_some() || !self.children.is_empty();
        !has_child && self.here.is_empty() && self.rest.is_empty()
    }

    fn values(&mut self, rest: bool) -> &mut Slab<V> {
        if rest { &mut self.rest } else { &mut self.here }
    }
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::new(None));
        Self { nodes, len: 0 }
    }
}

impl<V> Trie<V> {
    /// Whether it has no value.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a value for the topics that `pattern` matches.
    pub(crate) fn insert(&mut self, pattern: &TopicPattern, value: V) -> Place {
        self.len += 1;
        let mut at = ROOT;
        let mut rest = false;
        for token in pattern.as_str().split('.') {
            if token == REST {
                rest = true;
            } else {
                at = self.child(at, token);
            }
        }
        let value = self.nodes[at].values(rest).insert(value);
        Place { node: at, rest, value }
    }

    fn child(&mut self, at: usize, token: &str) -> usize {
        let node = &self.nodes[at];
        let there = if token == ANY { node.any } else { node.children.get(token).copied() };
        there.unwrap_or_else(|| {
            let child = self.nodes.insert(Node::new(Some((at, token.into()))));
            let node = &mut self.nodes[at];
            if token == ANY {
                node.any = Some(child);
            } else {
                node.children.insert(token.into(), child);
            }
            child
        })
    }

    /// Removes the value at a place where `insert` put it, and the nodes that only it needed.
    pub(crate) fn remove(&mut self, place: &Place) -> Option<V> {
        let values = self.nodes.get_mut(place.node)?.values(place.rest);
        let value = values.try_remove(place.value)?;
        trim(values);
        self.len -= 1;
        let mut at = place.node;
        while let Some(node) = self.nodes.get(at)
            && node.is_empty()
            && node.parent.is_some()
        {
            let Some((parent, token)) = self.nodes.remove(at).parent else { break };
            let node = &mut self.nodes[parent];
            if *token == *ANY {
                node.any = None;
            } else {
                node.children.remove(&token);
                if 4 * node.children.len() <= node.children.capacity() {
                    node.children.shrink_to_fit();
                }
            }
            at = parent;
        }
        trim(&mut self.nodes);
        Some(value)
    }

    /// Calls `found` with the value of every pattern that matches `topic`.
    pub(crate) fn for_each_match(&self, topic: &TopicName, mut found: impl FnMut(&V)) {
        if self.is_empty() {
            return;
        }
        let mut level = vec![ROOT];
        let mut next = Vec::new();
        for token in topic.as_str().split('.') {
            for node in level.drain(..).filter_map(|at| self.nodes.get(at)) {
                node.rest.iter().for_each(|(_, value)| found(value));
                next.extend(node.children.get(token));
                next.extend(node.any);
            }
            if next.is_empty() {
                return;
            }
            std::mem::swap(&mut level, &mut next);
        }
        for node in level.into_iter().filter_map(|at| self.nodes.get(at)) {
            node.here.iter().for_each(|(_, value)| found(value));
        }
    }

    /// Calls `found` with every value.
    pub(crate) fn for_each(&self, mut found: impl FnMut(&V)) {
        for (_, node) in &self.nodes {
            node.rest.iter().chain(&node.here).for_each(|(_, value)| found(value));
        }
    }

    /// Nodes, the root included.
    #[cfg(test)]
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Room for nodes, and for the root's children.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> (usize, usize) {
        (self.nodes.capacity(), self.nodes[ROOT].children.capacity())
    }
}

/// Gives memory back when most of it is empty, so that removing costs a constant on average.
fn trim<T>(slab: &mut Slab<T>) {
    if 4 * slab.len() <= slab.capacity() {
        slab.shrink_to_fit();
    }
}
