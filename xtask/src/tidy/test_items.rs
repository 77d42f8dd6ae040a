//! Finding `#[cfg(test)]` items in code whose comments and literals are blank already.

use crate::tidy::source::{self, is_word};

/// Blanks each item that only a test build has.
pub fn blank(code: String) -> String {
    let mut bytes = code.into_bytes();
    let mut at = 0;
    while let Some(offset) = bytes[at..].iter().position(|byte| *byte == b'#') {
        let start = at + offset;
        at = start + 1;
        let Some(attribute) = Attribute::at(&bytes, start) else { continue };
        if attribute.is_test {
            let end =
                if attribute.is_inner { bytes.len() } else { item_end(&bytes, attribute.end) };
            source::blank(&mut bytes[start..end]);
            at = end;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Attribute {
    end: usize,
    is_inner: bool,
    is_test: bool,
}

impl Attribute {
    /// The attribute whose `#` stands here.
    fn at(code: &[u8], start: usize) -> Option<Self> {
        let mut open = skip_blank(code, start + 1);
        let is_inner = code.get(open) == Some(&b'!');
        if is_inner {
            open = skip_blank(code, open + 1);
        }
        if code.get(open) != Some(&b'[') {
            return None;
        }
        let end = group_end(code, open);
        let text: Vec<u8> =
            code[open..end].iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let is_test = text.starts_with(b"[cfg(test)") || text.starts_with(b"[cfg(all(test");
        Some(Self { end, is_inner, is_test })
    }
}

/// Where the item, field, variant or statement after an attribute ends.
fn item_end(code: &[u8], mut at: usize) -> usize {
    at = skip_blank(code, at);
    while code.get(at) == Some(&b'#') {
        match Attribute::at(code, at) {
            Some(next) => at = skip_blank(code, next.end),
            None => return at,
        }
    }
    let ending = Ending::of(code, at);
    while let Some(byte) = code.get(at) {
        match byte {
            b'(' | b'[' => at = group_end(code, at),
            b'{' => {
                at = group_end(code, at);
                if ending == Ending::Brace {
                    return at;
                }
            }
            b';' => return at + 1,
            b',' if ending == Ending::Comma => return at + 1,
            b')' | b']' | b'}' => return at,
            _ => at += 1,
        }
    }
    code.len()
}

/// What ends an item, besides a semicolon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Brace,
    Comma,
    Semicolon,
}

impl Ending {
    fn of(code: &[u8], at: usize) -> Self {
        if code.get(at) == Some(&b'{') {
            return Self::Brace;
        }
        let (mut word, mut after) = word_at(code, at);
        if word == b"pub" {
            let mut next = skip_blank(code, after);
            if code.get(next) == Some(&b'(') {
                next = skip_blank(code, group_end(code, next));
            }
            (word, after) = word_at(code, next);
        }
        match word {
            b"const" => match word_at(code, skip_blank(code, after)).0 {
                b"fn" | b"async" | b"unsafe" | b"extern" => Self::Brace,
                _ => Self::Semicolon,
            },
            b"static" | b"type" | b"use" | b"let" => Self::Semicolon,
            b"mod" | b"fn" | b"impl" | b"struct" | b"enum" | b"union" | b"trait" | b"async"
            | b"unsafe" | b"extern" | b"macro_rules" | b"if" | b"for" | b"while" | b"loop"
            | b"match" => Self::Brace,
            _ => Self::Comma,
        }
    }
}

fn word_at(code: &[u8], at: usize) -> (&[u8], usize) {
    let rest = code.get(at..).unwrap_or_default();
    let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
    (&rest[..length], at + length)
}

fn skip_blank(code: &[u8], at: usize) -> usize {
    let rest = code.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len())
}

/// The end of the bracketed group that opens here.
fn group_end(code: &[u8], open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code[open..].iter().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return open + offset + 1;
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_test_item_is_blank() {
        for (text, left) in [
            ("#[cfg(test)] mod tests { fn a() { b } } fn c() {}", "fn c() {}"),
            ("#[cfg(test)] mod tests; fn a() {}", "fn a() {}"),
            ("#[cfg(all(test, unix))] #[allow(x)] fn a<B, C>(d: [u8; 2]) { e } f", "f"),
            ("#[cfg(test)] pub(crate) fn a() -> u8 { 1 } b", "b"),
            ("#[cfg(test)] use a::{b, c}; d", "d"),
            ("#[cfg(test)] const A: B = B { c: 1 }; d", "d"),
            ("#[cfg(test)] const fn a() { b } c", "c"),
            ("struct A { #[cfg(test)] b: B, c: C }", "struct A { c: C }"),
            ("A { #[cfg(test)] b: B { c }, d }", "A { d }"),
            ("A { #[cfg(test)] b }", "A { }"),
            ("{ #[cfg(test)] a(b, c); d }", "{ d }"),
            ("{ #[cfg(test)] { a } b }", "{ b }"),
            ("#![cfg(test)] fn a() {}", ""),
            ("#[cfg(unix)] fn a() {}", "#[cfg(unix)] fn a() {}"),
            ("#[cfg(not(test))] fn a() {}", "#[cfg(not(test))] fn a() {}"),
            ("#[cfg(test)] mod never { closed", ""),
            ("#[cfg(test)]", ""),
            ("#", "#"),
        ] {
            let words: Vec<String> =
                blank(text.to_owned()).split_whitespace().map(str::to_owned).collect();
            assert_eq!(words.join(" "), left, "{text}");
        }
    }
}
