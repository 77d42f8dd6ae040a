use proptest::prelude::*;

use super::*;

fn pattern(pattern: &str) -> TopicPattern {
    TopicPattern::new(pattern).unwrap()
}

fn topic(topic: &str) -> TopicName {
    TopicName::new(topic).unwrap()
}

#[test]
fn refuses_what_is_no_pattern_and_says_why() {
    assert_eq!(TopicPattern::new(""), Err(TopicPatternError::Empty));
    let long = format!("{}.*", "x".repeat(254));
    assert_eq!(TopicPattern::new(long), Err(TopicPatternError::TooLong { length: 256, max: 255 }));
    for bad in ["a.*\n", "\0.>", "a.\u{85}.*"] {
        let refused = TopicPattern::new(bad);
        assert!(matches!(refused, Err(TopicPatternError::Character { .. })), "{bad:?}");
    }
    for bad in [">.a", "a.>.b", ">.>", "*.>.*", ">."] {
        assert_eq!(TopicPattern::new(bad), Err(TopicPatternError::RestNotLast(bad.into())));
    }
    for bad in ["a", "a.b", "a*", "a.b>", ".", "a..b", "**"] {
        let error = TopicPattern::new(bad).unwrap_err();
        assert_eq!(error, TopicPatternError::NoWildcard(bad.into()));
        assert!(error.to_string().contains("topic name"), "{error}");
    }
}

#[test]
fn what_a_pattern_refuses_for_want_of_a_wildcard_is_a_name_and_the_reverse() {
    for text in ["a", "a.b", "a*", "*", ">", "a.*", "*.a", "a.>", ".", "..", ".*", "a.*."] {
        assert_ne!(TopicName::new(text).is_ok(), TopicPattern::new(text).is_ok(), "{text:?}");
    }
}

#[test]
fn matches_by_token() {
    for (of, matching, others) in [
        ("*", &["a", "*a"][..], &["a.b", "a.", "."][..]),
        (">", &["a", "a.b", ".", "a.."], &[]),
        ("a.*", &["a.b", "a.", "a.a*"], &["a", "a.b.c", "b.a", "a..", "ab.c"]),
        ("a.>", &["a.b", "a.b.c", "a.", "a.."], &["a", "b.a", "ab"]),
        ("*.b", &["a.b", ".b"], &["b", "a.b.b", "a.bb"]),
        ("*.*", &["a.b", "."], &["a", "a.b.c"]),
        ("*.>", &["a.b", "a.b.c", "."], &["a"]),
        ("a..*", &["a..b", "a.."], &["a.b.c", "a."]),
    ] {
        for name in matching {
            assert!(pattern(of).matches(&topic(name)), "{of} {name}");
        }
        for name in others {
            assert!(!pattern(of).matches(&topic(name)), "{of} {name}");
        }
    }
}

#[test]
fn every_match_starts_with_the_prefix() {
    for (of, prefix) in [("*", ""), (">", ""), ("a.b.*", "a.b."), ("a.*.b", "a."), (".>", ".")] {
        assert_eq!(pattern(of).prefix(), prefix);
    }
}

/// Recursive, and slow: what `matches` says in other words.
fn naive(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        ([">"], rest) => !rest.is_empty(),
        (["*", pattern @ ..], [_, topic @ ..]) => naive(pattern, topic),
        ([a, pattern @ ..], [b, topic @ ..]) => a == b && naive(pattern, topic),
        _ => false,
    }
}

fn tokens(of: &str) -> Vec<&str> {
    of.split('.').collect()
}

fn any_pattern() -> impl Strategy<Value = TopicPattern> {
    let token = prop_oneof![Just("a"), Just("b"), Just(""), Just("*"), Just("*")];
    let last = prop_oneof![Just(">"), Just("*"), Just("a")];
    (prop::collection::vec(token, 0..4), last).prop_filter_map("no pattern", |(tokens, last)| {
        let all: Vec<_> = tokens.into_iter().chain([last]).collect();
        TopicPattern::new(all.join(".")).ok()
    })
}

fn any_topic() -> impl Strategy<Value = TopicName> {
    let token = prop_oneof![Just("a"), Just("b"), Just(""), Just("c")];
    prop::collection::vec(token, 1..6)
        .prop_filter_map("no name", |tokens| TopicName::new(tokens.join(".")).ok())
}

proptest! {
    #[test]
    fn the_trie_finds_what_matches_and_gives_all_memory_back(
        patterns in prop::collection::vec(any_pattern(), 0..20),
        removed in prop::collection::vec(any::<bool>(), 20),
        topics in prop::collection::vec(any_topic(), 1..20),
    ) {
        let mut trie = Trie::default();
        let mut places: Vec<_> = patterns.iter().zip(0..).map(|(pattern, n)| {
            Some(trie.insert(pattern, n))
        }).collect();
        for round in 0..2 {
            for topic in &topics {
                let mut found = Vec::new();
                trie.for_each_match(topic, |&n: &usize| found.push(n));
                found.sort_unstable();
                let mut expected = Vec::new();
                for (n, pattern) in patterns.iter().enumerate() {
                    let matches = pattern.matches(topic);
                    let agrees = naive(&tokens(pattern.as_str()), &tokens(topic.as_str()));
                    prop_assert_eq!(matches, agrees, "{} {}", pattern, topic);
                    prop_assert!(!matches || topic.as_str().starts_with(pattern.prefix()));
                    if matches && places[n].is_some() {
                        expected.push(n);
                    }
                }
                prop_assert_eq!(found, expected, "{}", topic);
            }
            for (n, place) in places.iter_mut().enumerate() {
                if (round == 1 || removed[n]) && let Some(place) = place.take() {
                    prop_assert_eq!(trie.remove(&place), Some(n));
                    prop_assert_eq!(trie.remove(&place), None);
                }
            }
        }
        prop_assert!(trie.is_empty());
        prop_assert_eq!(trie.nodes(), 1);
        prop_assert!(trie.capacity().0 <= 4);
        prop_assert_eq!(trie.capacity().1, 0);
    }
}

/// All mixtures of `*` and `a`, and names that follow each of them to its end: the work is that of
/// the nodes, which are there because somebody asked for them.
#[test]
fn mixtures_of_wildcards_cost_no_more_than_the_trie_has_nodes() {
    let mut trie = Trie::default();
    let mixture = |bits: u32, last: &str| {
        let tokens = (0..10).map(|bit| if bits >> bit & 1 == 1 { "*" } else { "a" });
        pattern(&tokens.chain([last, "*"]).collect::<Vec<_>>().join("."))
    };
    for bits in 0..1024 {
        trie.insert(&mixture(bits, "b"), bits);
    }
    let near = topic(&["a"; 12].join("."));
    let hit = topic(&format!("{}.b.c", ["a"; 10].join(".")));
    let mut found = 0;
    for _ in 0..100 {
        trie.for_each_match(&near, |_| found += 1);
    }
    assert_eq!(found, 0);
    trie.for_each_match(&hit, |_| found += 1);
    assert_eq!(found, 1024);
    assert!(trie.nodes() < 5 * 1024);
}

#[test]
fn the_longest_patterns_and_names_are_nothing_special() {
    let mut trie = Trie::default();
    let stars = pattern(&["*"; 128].join("."));
    let dots = topic(&".".repeat(255));
    let letters = topic(&["a"; 128].join("."));
    let mut places = vec![trie.insert(&stars, "*")];
    for length in 1..128 {
        let tokens = ["*"; 128][..length].join(".");
        places.push(trie.insert(&pattern(&format!("{tokens}.>")), ">"));
    }
    let count = |trie: &Trie<&str>, topic| {
        let mut found = 0;
        trie.for_each_match(topic, |_| found += 1);
        found
    };
    assert_eq!(stars.as_str().len(), 255);
    assert_eq!(count(&trie, &letters), 128);
    assert_eq!(count(&trie, &dots), 127, "256 tokens");
    for place in &places {
        assert!(trie.remove(place).is_some());
    }
    assert_eq!(trie.nodes(), 1);
}
