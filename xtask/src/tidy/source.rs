//! Rust source as the rules see it: without comments, literals and test code.
//!
//! Every view has the length and the lines of the text it was made from; what a view leaves out is
//! blank there.

use crate::tidy::test_items;

/// The code of a Rust file: comments and literals are blank.
pub fn code(text: &str) -> String {
    view(text, &[Kind::Code])
}

/// The code of a Rust file without its `#[cfg(test)]` items.
pub fn production_code(text: &str) -> String {
    test_items::blank(code(text))
}

/// The comments of a Rust file.
pub fn comments(text: &str) -> String {
    view(text, &[Kind::Comment])
}

/// Whether a file holds tests only, by the workspace's naming.
pub fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests")
}

/// Whether this byte may be part of an identifier.
pub fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

fn view(text: &str, shown: &[Kind]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (start, end, kind) in spans(text.as_bytes()) {
        if !shown.contains(&kind) {
            blank(&mut bytes[start..end]);
        }
    }
    // A span starts and ends at an ASCII character or at the end, so no character was split.
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Overwrites everything but line ends with spaces.
pub fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

fn spans(text: &[u8]) -> Vec<(usize, usize, Kind)> {
    let mut spans = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (end, kind) = span(text, at);
        spans.push((at, end, kind));
        at = end;
    }
    spans
}

fn span(text: &[u8], at: usize) -> (usize, Kind) {
    let rest = &text[at..];
    if rest.starts_with(b"//") {
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        return (at + length, Kind::Comment);
    }
    if rest.starts_with(b"/*") {
        return (at + block_comment(rest), Kind::Comment);
    }
    if rest[0] == b'"' {
        return (at + quoted(rest, b'"'), Kind::Literal);
    }
    if rest[0] == b'\'' {
        return match character(rest) {
            Some(length) => (at + length, Kind::Literal),
            None => (at + 1, Kind::Code),
        };
    }
    if is_word(rest[0]) {
        // A whole word at once, so that the `r` of `r"…"` is told from the last letter of a name.
        let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        return match raw_string(word, after) {
            Some(raw) => (at + length + raw, Kind::Literal),
            None => (at + length, Kind::Code),
        };
    }
    (at + 1, Kind::Code)
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a character literal; `None` if this quote begins a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return Some(quoted(rest, b'\''));
    }
    let first = rest.get(1..)?;
    let width = 1 + first.iter().skip(1).take_while(|byte| (0x80..0xC0).contains(*byte)).count();
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

/// The length of a raw string's part after its prefix.
fn raw_string(word: &[u8], after: &[u8]) -> Option<usize> {
    if !matches!(word, b"r" | b"br" | b"cr") {
        return None;
    }
    let hashes = after.iter().take_while(|byte| **byte == b'#').count();
    if after.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut closing = vec![b'"'];
    closing.resize(hashes + 1, b'#');
    let body = &after[hashes + 1..];
    let length = body.windows(closing.len()).position(|window| window == closing.as_slice());
    Some(length.map_or(after.len(), |length| hashes + 1 + length + closing.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that are left of a view.
    fn words(view: &str) -> String {
        view.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_blank_in_code() {
        for (text, left) in [
            ("a // b\nc", "a c"),
            ("a /* b /* c */ d */ e", "a e"),
            (r#"a "b \" // c" d"#, "a d"),
            (r##"a r#"b "c" d"# e"##, "a e"),
            (r#"a br"\" b"#, "a b"),
            (r#"number"b" c"#, "number c"),
            ("a '\\'' b 'c' d", "a b d"),
            ("a '\"' b 'é' c", "a b c"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("r#type", "r#type"),
            ("/// doc\nfn f() {}", "fn f() {}"),
            ("a \"never closed", "a"),
            ("a /* never closed", "a"),
            ("a r#\"never closed\"", "a"),
        ] {
            assert_eq!(words(&code(text)), left, "{text}");
        }
    }

    #[test]
    fn views_keep_length_and_lines() {
        let text = "let a = \"é\n\"; // ü\nlet b = 'x';";
        for view in [code(text), comments(text), production_code(text)] {
            assert_eq!(view.len(), text.len());
            assert_eq!(view.lines().count(), text.lines().count());
        }
    }

    #[test]
    fn comments_are_seen_alone() {
        assert_eq!(words(&comments("a(\"// no\"); // yes")), "// yes");
    }

    #[test]
    fn test_files_are_known_by_name() {
        for path in ["core/src/log/tests.rs", "tests/a.rs", "testkit/tests/common/mod.rs"] {
            assert!(is_test_file(path), "{path}");
        }
        for path in ["core/src/log.rs", "testkit/src/tests_of.rs", "xtask/src/test.rs"] {
            assert!(!is_test_file(path), "{path}");
        }
    }
}
