//! The server's globs for our patterns.

use realtime_core::TopicPattern;

/// A glob, for what follows `channels`, that matches at least what `pattern` does.
///
/// It has one `*`, in place of everything from the first wildcard to the last: with several of them a
/// server tries very many ways to match. What matches beside is passed over where it arrives.
pub(crate) fn glob(channels: &str, pattern: &TopicPattern) -> String {
    let tokens: Vec<&str> = pattern.as_str().split('.').collect();
    let first = tokens.iter().position(is_wildcard).unwrap_or(tokens.len());
    let last = tokens.iter().rposition(is_wildcard).unwrap_or(first);
    let mut glob = String::new();
    escape(channels, &mut glob);
    for token in tokens.iter().take(first) {
        escape(token, &mut glob);
        glob.push('.');
    }
    glob.push('*');
    for token in tokens.iter().skip(last + 1) {
        glob.push('.');
        escape(token, &mut glob);
    }
    glob
}

fn is_wildcard(token: &&str) -> bool {
    matches!(*token, "*" | ">")
}

fn escape(literal: &str, glob: &mut String) {
    for c in literal.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            glob.push('\\');
        }
        glob.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_star_stands_for_all_wildcards_and_the_rest_is_escaped() {
        for (pattern, expected) in [
            (">", "{p}:t:*"),
            ("*", "{p}:t:*"),
            ("rooms.>", "{p}:t:rooms.*"),
            ("rooms.*.chat", "{p}:t:rooms.*.chat"),
            ("a.*.b.*.c", "{p}:t:a.*.c"),
            ("*.*", "{p}:t:*"),
            ("a*.[b-c]?.\\.*", "{p}:t:a\\*.\\[b\\-c\\]\\?.\\\\.*"),
        ] {
            assert_eq!(glob("{p}:t:", &TopicPattern::new(pattern).unwrap()), expected);
        }
    }
}
