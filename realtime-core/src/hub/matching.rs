//! The topics that patterns match, page by page.

use std::{
    collections::VecDeque,
    fmt,
    ops::Bound::{self, Excluded, Included, Unbounded},
    sync::Arc,
};

use super::table::{Table, Topics};
use crate::{fanout::Fanout, pattern::TopicPattern, topic::TopicName};

/// Names that are looked at under the table's lock at a time: some tens of microseconds.
const PAGE_NAMES: usize = 1024;

/// Topics that are found at a time; while they are here they can't leave the table.
const PAGE_TOPICS: usize = 64;

/// Goes through a table in the order of the names, each at most once and only those that share a
/// prefix with a pattern, and gives the topics that are matched.
///
/// No lock is held between one topic and the next, so foreign code may be asked about each, and who
/// has enough just stops. What is made or goes meanwhile may be given or not.
pub(crate) struct Matching<'a> {
    table: &'a Table,
    parts: VecDeque<Part<'a>>,
    page: VecDeque<Arc<Fanout>>,
}

/// The names with a prefix, and the patterns that match none without it.
struct Part<'a> {
    prefix: &'a str,
    patterns: Vec<&'a TopicPattern>,
    /// Where to go on.
    from: Bound<TopicName>,
}

impl<'a> Matching<'a> {
    pub(super) fn new(table: &'a Table, patterns: impl Iterator<Item = &'a TopicPattern>) -> Self {
        let mut patterns: Vec<_> = patterns.map(|pattern| (pattern.prefix(), pattern)).collect();
        // What starts with a prefix stands right behind it.
        patterns.sort_unstable();
        let mut parts: VecDeque<Part<'_>> = VecDeque::new();
        for (prefix, pattern) in patterns {
            match parts.back_mut() {
                Some(part) if prefix.starts_with(part.prefix) => part.patterns.push(pattern),
                _ => {
                    // The empty prefix is no name, and begins before all of them.
                    let from = TopicName::new(prefix).map_or(Unbounded, Included);
                    parts.push_back(Part { prefix, patterns: vec![pattern], from });
                }
            }
        }
        Self { table, parts, page: VecDeque::new() }
    }
}

impl Matching<'_> {
    /// The topics that are held and have not been given.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = Arc<Fanout>> {
        self.page.into_iter()
    }
}

impl Part<'_> {
    /// Looks at some more names; tells whether there may be others.
    fn look(&mut self, topics: &Topics, found: &mut VecDeque<Arc<Fanout>>) -> bool {
        let names = topics.in_order.range((self.from.as_ref(), Unbounded));
        let mut names = names.take_while(|name| name.as_str().starts_with(self.prefix));
        let mut last = None;
        for name in names.by_ref().take(PAGE_NAMES) {
            last = Some(name);
            if self.patterns.iter().any(|pattern| pattern.matches(name)) {
                found.extend(topics.by_name.get(name).cloned());
                if found.len() >= PAGE_TOPICS {
                    break;
                }
            }
        }
        let is_over = names.next().is_none();
        if let Some(last) = last {
            self.from = Excluded(last.clone());
        }
        !is_over
    }
}

impl Iterator for Matching<'_> {
    type Item = Arc<Fanout>;

    fn next(&mut self) -> Option<Arc<Fanout>> {
        loop {
            if let Some(topic) = self.page.pop_front() {
                return Some(topic);
            }
            let part = self.parts.front_mut()?;
            let page = &mut self.page;
            if !self.table.look(|topics| part.look(topics, page)) {
                self.parts.pop_front();
            }
        }
    }
}

impl fmt::Debug for Matching<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matching").field("page", &self.page.len()).finish_non_exhaustive()
    }
}
