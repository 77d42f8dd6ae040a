//! Looking for names in code.

use crate::tidy::source::is_word;

/// Where a token stands as whole words.
pub fn find(code: &str, token: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let starts_with_word = token.bytes().next().is_some_and(is_word);
    let ends_with_word = token.bytes().last().is_some_and(is_word);
    code.match_indices(token)
        .map(|(start, _)| start)
        .filter(|start| {
            let before = start.checked_sub(1).and_then(|at| bytes.get(at).copied());
            let after = bytes.get(start + token.len()).copied();
            let is_tail = starts_with_word && before.is_some_and(is_word);
            let is_head = ends_with_word && after.is_some_and(is_word);
            !is_tail && !is_head
        })
        .collect()
}

/// What is named right below a path's root, inside of groups too: for `crate`, the text
/// `use crate::{a::B, c::{D, E}}` names `a` and `c`.
pub fn below<'a>(code: &'a str, root: &str) -> Vec<(usize, &'a str)> {
    let mut names = Vec::new();
    for start in find(code, root) {
        let after = skip_blank(code, start + root.len());
        if !code[after..].starts_with("::") {
            continue;
        }
        let at = skip_blank(code, after + 2);
        if code[at..].starts_with('{') {
            names.extend(group(code, at));
        } else {
            names.extend(name(code, at));
        }
    }
    names
}

/// The first name of each element of the group that opens here.
fn group(code: &str, open: usize) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for (offset, byte) in code[open..].bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(byte, b'{' | b',') {
            names.extend(name(code, skip_blank(code, open + offset + 1)));
        }
    }
    names
}

fn name(code: &str, at: usize) -> Option<(usize, &str)> {
    let rest = &code[at..];
    let length = rest.bytes().position(|byte| !is_word(byte)).unwrap_or(rest.len());
    (length > 0).then(|| (at, &rest[..length]))
}

fn skip_blank(code: &str, at: usize) -> usize {
    code.len() - code[at..].trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_whole_words() {
        assert_eq!(find("sleep sleepy asleep _sleep x.sleep()", "sleep"), [0, 29]);
        assert_eq!(find("timeout( my_timeout( timeout (", "timeout("), [0]);
        assert_eq!(find("a::Limits { Limits }", "Limits {"), [3]);
    }

    #[test]
    fn names_below_a_root_are_found_in_groups_too() {
        let names = |code| -> Vec<&str> {
            below(code, "crate").into_iter().map(|(_, name)| name).collect()
        };
        assert_eq!(names("use crate::a::B; crate::c();"), ["a", "c"]);
        assert_eq!(names("use crate::{\n a::{B, C}, d,\n e as f,\n};"), ["a", "d", "e"]);
        assert_eq!(names("use crate :: { self, };"), ["self"]);
        assert_eq!(names("pub(crate) fn a() {}"), [""; 0]);
        assert_eq!(names("use crate::{"), [""; 0]);
        assert_eq!(names("use crate::*;"), [""; 0]);
    }
}
