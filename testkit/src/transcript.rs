//! What was exchanged so far, for the message of a failing test.

use std::{collections::VecDeque, fmt};

use tokio::time::Instant;

/// The last lines of a dialogue, with the time since it began.
#[derive(Debug)]
pub(crate) struct Transcript {
    began: Instant,
    lines: VecDeque<String>,
    forgotten: usize,
}

impl Transcript {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), lines: VecDeque::new(), forgotten: 0 }
    }

    pub(crate) fn sent(&mut self, what: impl fmt::Display) {
        self.line("sent", &what);
    }

    pub(crate) fn got(&mut self, what: impl fmt::Display) {
        self.line("got ", &what);
    }

    fn line(&mut self, direction: &str, what: &dyn fmt::Display) {
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
            self.forgotten += 1;
        }
        let at = self.began.elapsed().as_millis();
        self.lines.push_back(format!("{at:>7} ms  {direction} {what}"));
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "transcript:")?;
        if self.forgotten > 0 {
            writeln!(f, "  ({} earlier lines left out)", self.forgotten)?;
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// `bytes` as printable ASCII with their number, the middle left out if there are many.
pub(crate) fn preview(bytes: &[u8]) -> String {
    let length = bytes.len();
    if length <= 2 * SHOWN_PER_END {
        return format!("\"{}\" ({length} bytes)", bytes.escape_ascii());
    }
    let head = bytes[..SHOWN_PER_END].escape_ascii();
    let tail = bytes[length - SHOWN_PER_END..].escape_ascii();
    format!("\"{head}\" … \"{tail}\" ({length} bytes)")
}

/// Enough to see how a dialogue came to its end; a flood must not fill the terminal.
const KEPT_LINES: usize = 100;
const SHOWN_PER_END: usize = 512;
