//! Topics and patterns as subjects, and back.
//!
//! A subject's tokens may not be empty, hold blanks, or be wildcards in part. So in each token of a topic the
//! bytes of `*`, `>`, `%` and of whitespace are written as `%` and two hexadecimal digits, and an empty token
//! as `%` alone. One topic has one subject.
//!
//! Whitespace is what Unicode calls so: clients split the lines of the protocol there, this one too.

use realtime_core::{TopicName, TopicPattern};

/// The subject of a topic, under `prefix`.
pub(crate) fn of_topic(prefix: &str, topic: &TopicName) -> String {
    written(prefix, topic.as_str(), |_| false)
}

/// The subject with wildcards of a pattern, under `prefix`.
pub(crate) fn of_pattern(prefix: &str, pattern: &TopicPattern) -> String {
    written(prefix, pattern.as_str(), |token| token == "*" || token == ">")
}

/// The topic of a subject under `prefix`; nothing when it is no topic's.
pub(crate) fn topic(prefix: &str, subject: &str) -> Option<TopicName> {
    let encoded = subject.strip_prefix(prefix)?;
    let mut name = Vec::with_capacity(encoded.len());
    for (i, token) in encoded.split('.').enumerate() {
        if i > 0 {
            name.push(b'.');
        }
        read_token(token, &mut name)?;
    }
    let name = String::from_utf8(name).ok()?;
    // That one only brokers may name.
    let control = TopicName::control();
    if name == control.as_str() { Some(control) } else { TopicName::new(name).ok() }
}

fn written(prefix: &str, name: &str, is_wildcard: impl Fn(&str) -> bool) -> String {
    let mut subject = String::with_capacity(prefix.len() + name.len() + 8);
    subject.push_str(prefix);
    for (i, token) in name.split('.').enumerate() {
        if i > 0 {
            subject.push('.');
        }
        if is_wildcard(token) {
            subject.push_str(token);
        } else if token.is_empty() {
            subject.push('%');
        } else {
            write_token(token, &mut subject);
        }
    }
    subject
}

fn is_encoded(c: char) -> bool {
    matches!(c, '*' | '>' | '%') || c.is_whitespace()
}

fn write_token(token: &str, subject: &mut String) {
    for c in token.chars() {
        if is_encoded(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                subject.push('%');
                subject.extend(
                    [byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])),
                );
            }
        } else {
            subject.push(c);
        }
    }
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

fn read_token(token: &str, name: &mut Vec<u8>) -> Option<()> {
    if token == "%" {
        return Some(());
    }
    let from = name.len();
    name.extend(percent_encoding::percent_decode_str(token));
    // One topic has one subject: what would be written otherwise is none.
    let decoded = std::str::from_utf8(name.get(from..)?).ok()?;
    let mut again = String::with_capacity(token.len());
    write_token(decoded, &mut again);
    (!token.is_empty() && again == token).then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn subjects_are_what_they_are_documented_to_be() {
        for (name, expected) in [
            ("prices", "p.t.prices"),
            ("a..b", "p.t.a.%.b"),
            (".", "p.t.%.%"),
            ("a b*c>d%.", "p.t.a%20b%2Ac%3Ed%25.%"),
            ("größe", "p.t.größe"),
            ("\u{3000}", "p.t.%E3%80%80"),
        ] {
            assert_eq!(of_topic("p.t.", &TopicName::new(name).unwrap()), expected);
        }
        let control = TopicName::control();
        assert_eq!(topic("p.t.", &of_topic("p.t.", &control)), Some(control));
        let pattern = TopicPattern::new("a*.*..>").unwrap();
        assert_eq!(of_pattern("p.t.", &pattern), "p.t.a%2A.*.%.>");
        for none in
            ["p.t.", "p.t.a%", "p.t.a%2", "p.t.%41", "p.t.a%2a", "p.t.a..b", "q.t.a", "p.t.%2A"]
        {
            assert_eq!(topic("p.t.", none), None, "{none}");
        }
    }

    /// What a server does.
    fn matches(pattern: &str, subject: &str) -> bool {
        let (mut patterns, mut tokens) = (pattern.split('.'), subject.split('.'));
        loop {
            match (patterns.next(), tokens.next()) {
                (None, None) => return true,
                (Some(">"), Some(_)) => return true,
                (Some("*"), Some(_)) => {}
                (Some(a), Some(b)) if a == b => {}
                _ => return false,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_valid(name in "[ab.*> %é\u{3000}\u{a0}]{1,12}") {
            let Ok(name) = TopicName::new(name) else { return Ok(()) };
            let subject = of_topic("p.t.", &name);
            prop_assert!(subject.split('.').all(|token| !token.is_empty()));
            prop_assert!(!subject.contains(['*', '>']), "{}", subject);
            prop_assert_eq!(subject.split_whitespace().count(), 1);
            prop_assert_eq!(topic("p.t.", &subject), Some(name));
        }

        #[test]
        fn what_is_read_is_written_the_same(subject in "p\\.t\\.[ab.%2A0]{0,10}") {
            if let Some(name) = topic("p.t.", &subject) {
                prop_assert_eq!(of_topic("p.t.", &name), subject);
            }
        }

        #[test]
        fn patterns_match_the_same(pattern in "([ab*]{0,2}\\.){0,3}[a*>]", name in "[ab.*]{1,6}") {
            let (Ok(pattern), Ok(name)) = (TopicPattern::new(pattern), TopicName::new(name)) else {
                return Ok(());
            };
            let expected = pattern.matches(&name);
            prop_assert_eq!(matches(&of_pattern("", &pattern), &of_topic("", &name)), expected);
        }
    }
}
