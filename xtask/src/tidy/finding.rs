//! What a rule has to say about a line.

use std::fmt;

/// One broken rule at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    /// From 1.
    pub line: usize,
    pub rule: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
    pub weight: Weight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Printed.
    Warning,
    /// Printed, and tidy fails.
    Failure,
}

impl Finding {
    pub fn new(rule: &'static str, path: &str, line: usize, message: impl Into<String>) -> Self {
        let (path, message) = (path.to_owned(), message.into());
        Self { path, line, rule, message, weight: Weight::Failure }
    }

    pub fn warning(self) -> Self {
        Self { weight: Weight::Warning, ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = if self.weight == Weight::Warning { "warning: " } else { "" };
        write!(f, "{}:{}: {weight}{}: {}", self.path, self.line, self.rule, self.message)
    }
}

/// The line, from 1, on which this byte stands.
pub fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_like_a_compiler_message() {
        let finding = Finding::new("rule", "a.rs", line_of("x\ny", 2), "do that");
        assert_eq!(finding.to_string(), "a.rs:2: rule: do that");
        assert_eq!(finding.warning().to_string(), "a.rs:2: warning: rule: do that");
    }
}
