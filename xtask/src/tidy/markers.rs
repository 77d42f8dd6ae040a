//! Exceptions on the spot: a comment that names the rule and the reason, on the line or just above.
//!
//! ```text
//! // tidy: allow(adapter-policy): hyper wants its header timeout at construction
//! ```

use crate::tidy::{finding::Finding, source::comments};

pub const RULE: &str = "marker";

const START: &str = "tidy: allow(";

/// Takes away what a marker allows; adds what is wrong with the markers themselves.
pub fn apply(path: &str, text: &str, findings: Vec<Finding>, rules: &[&str]) -> Vec<Finding> {
    let markers = markers(path, text);
    let (allowed, mut left): (Vec<Finding>, Vec<Finding>) = findings
        .into_iter()
        .partition(|finding| markers.iter().any(|marker| marker.allows(finding)));
    for marker in &markers {
        let message = if !rules.contains(&marker.rule) {
            format!("`{}` is no rule; the rules are {}", marker.rule, rules.join(", "))
        } else if !marker.has_reason {
            format!("give the reason: `{START}{}): why it has to be here`", marker.rule)
        } else if !allowed.iter().any(|finding| marker.allows(finding)) {
            format!("nothing here needs `{START}{})`; remove it", marker.rule)
        } else {
            continue;
        };
        left.push(Finding::new(RULE, path, marker.line, message));
    }
    left
}

struct Marker<'a> {
    line: usize,
    rule: &'a str,
    has_reason: bool,
    /// Nothing else is on its line, so it speaks of the next one.
    stands_alone: bool,
}

impl Marker<'_> {
    fn allows(&self, finding: &Finding) -> bool {
        let line = if self.stands_alone { self.line + 1 } else { self.line };
        self.has_reason && self.rule == finding.rule && finding.line == line
    }
}

fn markers<'a>(path: &str, text: &'a str) -> Vec<Marker<'a>> {
    if path.ends_with(".rs") {
        let comments = comments(text);
        let lines = text.lines().zip(comments.lines()).enumerate();
        return lines
            .filter_map(|(index, (line, comment))| {
                let comment = &line[comment.len() - comment.trim_start().len()..];
                // `///` and `//!` are documentation, which may show what a marker looks like.
                let body = comment.strip_prefix("// ")?;
                marker(index + 1, body, line.trim_start().starts_with("//"))
            })
            .collect();
    }
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            // Shell, TOML and the like; prose that explains markers has no comment sign.
            let at = line.find("# ").filter(|at| line[at + 2..].starts_with(START))?;
            marker(index + 1, &line[at + 2..], line[..at].trim().is_empty())
        })
        .collect()
}

fn marker(line: usize, body: &str, stands_alone: bool) -> Option<Marker<'_>> {
    let (rule, rest) = body.strip_prefix(START)?.split_once(')')?;
    let has_reason = rest.strip_prefix(':').is_some_and(|reason| !reason.trim().is_empty());
    Some(Marker { line, rule, has_reason, stands_alone })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left over of one finding of rule `a` on line 2.
    fn left(path: &str, text: &str) -> Vec<&'static str> {
        let findings = vec![Finding::new("a", path, 2, "no")];
        apply(path, text, findings, &["a", "b"]).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_marker_with_a_reason_allows_its_line_or_the_next() {
        for text in [
            "\nbad(); // tidy: allow(a): because",
            "// tidy: allow(a): because\nbad();",
            "\nlet é = bad(\"ü\"); // tidy: allow(a): because",
        ] {
            assert_eq!(left("x.rs", text), [""; 0], "{text}");
        }
        assert_eq!(left("x.toml", "# tidy: allow(a): because\nbad"), [""; 0]);
        assert_eq!(left("x.sh", "\nbad # tidy: allow(a): because"), [""; 0]);
    }

    #[test]
    fn a_marker_needs_a_reason_a_known_rule_and_a_use() {
        for (text, rules) in [
            ("\nbad(); // tidy: allow(a)", vec!["a", RULE]),
            ("\nbad(); // tidy: allow(a): ", vec!["a", RULE]),
            ("\nbad(); // tidy: allow(c): because", vec!["a", RULE]),
            ("\nbad(); // tidy: allow(b): because", vec!["a", RULE]),
            ("fine(); // tidy: allow(a): because\nbad();", vec!["a", RULE]),
        ] {
            assert_eq!(left("x.rs", text), rules, "{text}");
        }
    }

    #[test]
    fn text_that_shows_a_marker_is_none() {
        for text in
            ["/// tidy: allow(a): because\nbad();", "\nbad(\"// tidy: allow(a): because\");"]
        {
            assert_eq!(left("x.rs", text), ["a"], "{text}");
        }
        assert_eq!(left("x.md", "`// tidy: allow(a): because`\nbad"), ["a"]);
    }
}
