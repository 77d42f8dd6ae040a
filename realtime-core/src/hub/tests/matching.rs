//! What patterns find in the table.

use proptest::prelude::*;

use super::*;
use crate::{TopicPattern, hub::table::SWEEP_FLOOR};

fn token(wildcards: bool) -> impl Strategy<Value = &'static str> {
    const TOKENS: [&str; 8] = ["", "a", "a!", "ab", "b", "é", "*", ">"];
    prop::sample::select(if wildcards { &TOKENS[..] } else { &TOKENS[..6] })
}

fn joined(wildcards: bool) -> impl Strategy<Value = String> {
    prop::collection::vec(token(wildcards), 1..4).prop_map(|tokens| tokens.join("."))
}

proptest! {
    /// Exactly what any of them matches, each once and in order, however their prefixes overlap.
    #[test]
    fn patterns_find_what_they_match(
        names in prop::collection::vec(joined(false), 0..40),
        patterns in prop::collection::vec(joined(true), 0..6),
    ) {
        let hub = Hub::new();
        let names: Vec<_> = names.into_iter().filter_map(|name| TopicName::new(name).ok()).collect();
        let patterns: Vec<_> =
            patterns.into_iter().filter_map(|pattern| TopicPattern::new(pattern).ok()).collect();
        let start = Instant::now();
        for name in &names {
            publish_at(&hub, name.as_str(), Event::text("x"), start).unwrap();
        }
        let found: Vec<_> =
            hub.matching(patterns.iter()).map(|topic| topic.topic().clone()).collect();
        let mut expected = names;
        expected.retain(|name| patterns.iter().any(|pattern| pattern.matches(name)));
        expected.sort();
        expected.dedup();
        prop_assert_eq!(found, expected);
    }
}

/// The names in order are those of the table, whichever way a topic goes.
#[test]
fn what_has_gone_is_not_looked_at_any_more() {
    let start = Instant::now();
    let hub = Hub::new();
    let names = || {
        hub.inner.table.look(|topics| {
            assert!(topics.in_order.iter().all(|name| topics.by_name.contains_key(name)));
            assert_eq!(topics.in_order.len(), topics.by_name.len());
            topics.in_order.len()
        })
    };
    for n in 0..SWEEP_FLOOR {
        publish_at(&hub, &format!("a.{n}"), Event::text("x"), start).unwrap();
    }
    let later = start + hub.config().retention.age * 2;
    let some = hub.matched(&TopicPattern::new("a.*").unwrap());
    hub.retire(some[..10].iter(), 1, later);
    drop(some);
    assert_eq!(names(), SWEEP_FLOOR - 10);
    for n in 0..20 {
        publish_at(&hub, &format!("b.{n}"), Event::text("x"), later).unwrap();
    }
    assert_eq!(names(), 20, "the others were swept");
}

/// Whoever is asked about a topic may use the hub; what goes and comes meanwhile takes nothing away
/// from the rest.
#[test]
fn topics_may_be_made_and_go_while_patterns_look() {
    let start = Instant::now();
    let hub = Hub::new();
    for n in 0..5_000 {
        publish_at(&hub, &format!("a.{n:04}"), Event::text("x"), start).unwrap();
    }
    let later = start + hub.config().retention.age * 2;
    let all = TopicPattern::new("a.*").unwrap();
    let mut found = Vec::new();
    for topic in hub.matching(std::iter::once(&all)) {
        let name = topic.topic().as_str().to_owned();
        if found.len() == 100 {
            // The next pages' first ones go, and one that is past comes again.
            let going: Vec<_> = hub.matched(&TopicPattern::new("a.*").unwrap());
            hub.retire(going[1000..2000].iter(), 1, later);
            hub.retire(going[..1].iter(), 1, later);
            drop(going);
            publish_at(&hub, "a.0000", Event::text("x"), start).unwrap();
        }
        found.push(name);
    }
    assert!(found.is_sorted_by(|a, b| a < b), "each once");
    let expected = (0..5_000).filter(|n| !(1000..2000).contains(n)).map(|n| format!("a.{n:04}"));
    assert!(found.iter().cloned().eq(expected), "{}", found.len());
}
