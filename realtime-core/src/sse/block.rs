//! One block of an event stream, field by field.

use std::{io::Write, time::Duration};

use memchr::memchr2;

use crate::event::EventName;

/// A block of an event stream (WHATWG HTML, "Interpreting an event stream").
///
/// A block with data dispatches an event, also when the data is empty; one without dispatches
/// nothing, but its id and retry count.
///
/// ```
/// use realtime_core::sse::Block;
///
/// let block = Block::new().event("tick".parse()?).id("42")?.data("a\nb");
/// assert_eq!(block.to_string(), "event: tick\nid: 42\ndata: a\ndata: b\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Block {
    comment: Option<String>,
    event: Option<EventName>,
    id: Option<String>,
    retry: Option<Duration>,
    data: Option<String>,
}

impl Block {
    /// A block without any field.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a comment, which clients ignore; each of its lines becomes one.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// Sets the event's type.
    pub fn event(mut self, name: EventName) -> Self {
        self.event = Some(name);
        self
    }

    /// Sets the id that the client presents when it reconnects. An empty one clears it.
    ///
    /// # Errors
    /// [`BlockIdError`] when it holds a control character.
    pub fn id(mut self, id: impl Into<String>) -> Result<Self, BlockIdError> {
        let id = id.into();
        if let Some((at, character)) = id.char_indices().find(|(_, c)| c.is_control()) {
            return Err(BlockIdError { character, at });
        }
        self.id = Some(id);
        Ok(self)
    }

    /// Sets the client's reconnection time; sent in whole milliseconds.
    pub fn retry(mut self, time: Duration) -> Self {
        self.retry = Some(time);
        self
    }

    /// Sets the data. Line ends of any kind, CRLF, CR and LF, arrive as LF.
    pub fn data(mut self, data: impl Into<String>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// Appends the block as it goes over the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Some(comment) = &self.comment {
            lines(out, "", comment.as_bytes());
        }
        if let Some(event) = &self.event {
            field(out, "event", event.as_str().as_bytes());
        }
        if let Some(id) = &self.id {
            field(out, "id", id.as_bytes());
        }
        if let Some(time) = self.retry {
            // Writing to a Vec can't fail.
            let _ = writeln!(out, "retry: {}", time.as_millis());
        }
        if let Some(data) = &self.data {
            lines(out, "data", data.as_bytes());
        }
        out.push(b'\n');
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::new();
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

/// An id that a client could not present: browsers send a control character back raw in a header,
/// servers answer 400 to that, and the `EventSource` gives up for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id must not contain {character:?} (at byte {at})")]
pub struct BlockIdError {
    character: char,
    at: usize,
}

/// One line for each line of `text`, split where the client would: at CRLF, CR and LF. Empty text is
/// one empty line, since a block without a `data` line dispatches nothing.
pub(super) fn lines(out: &mut Vec<u8>, name: &str, mut text: &[u8]) {
    while let Some(end) = memchr2(b'\r', b'\n', text) {
        field(out, name, &text[..end]);
        let is_pair = text[end] == b'\r' && text.get(end + 1) == Some(&b'\n');
        text = &text[end + if is_pair { 2 } else { 1 }..];
    }
    field(out, name, text);
}

/// One line. The space is always there: the client takes one away, and one only.
pub(super) fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
