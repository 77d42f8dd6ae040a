//! The standard's "interpreting an event stream".

use super::utf8::Decoder;

/// An event as an EventSource dispatches it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The type, `message` unless the block names another.
    pub event: String,
    /// The data lines, joined by LF.
    pub data: String,
    /// The last event id at this point, from this block or an earlier one.
    pub last_event_id: String,
    /// The id which this very block carries.
    pub block_id: Option<String>,
}

/// An incremental event stream parser: bytes in, dispatched events out.
///
/// However the bytes are cut, the events are the same, and each is out with the byte that ends it.
#[derive(Debug)]
pub struct Parser {
    decoder: Decoder,
    line: String,
    /// The last character was a CR; an LF after it belongs to the same line end.
    after_cr: bool,
    block: Block,
    /// The standard's buffer: an id counts at the empty line only, but outlives its block.
    pending_id: String,
    last_event_id: String,
    retry: Option<u64>,
    comments: usize,
    silent_blocks: usize,
}

#[derive(Debug, Default)]
struct Block {
    event: String,
    data: String,
    id: Option<String>,
    lines: usize,
}

impl Parser {
    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self {
            decoder: Decoder::new(),
            line: String::new(),
            after_cr: false,
            block: Block::default(),
            pending_id: String::new(),
            last_event_id: String::new(),
            retry: None,
            comments: 0,
            silent_blocks: 0,
        }
    }

    /// Takes the next bytes and returns the events that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new());
        let mut events = Vec::new();
        decoder.decode(bytes, |character| events.extend(self.character(character)));
        self.decoder = decoder;
        events
    }

    /// What a client would send as `Last-Event-ID` after a break at this point.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The last reconnection time that was set, in milliseconds; saturated beyond `u64`.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// How many comment lines there were.
    pub fn comments(&self) -> usize {
        self.comments
    }

    /// How many blocks with at least one field line ended without dispatching an event.
    pub fn silent_blocks(&self) -> usize {
        self.silent_blocks
    }

    fn character(&mut self, character: char) -> Option<Event> {
        let after_cr = std::mem::replace(&mut self.after_cr, character == '\r');
        match character {
            '\n' if after_cr => None,
            '\n' | '\r' => self.end_of_line(),
            _ => {
                self.line.push(character);
                None
            }
        }
    }

    fn end_of_line(&mut self) -> Option<Event> {
        if self.line.is_empty() {
            return self.dispatch();
        }
        let line = std::mem::take(&mut self.line);
        match line.split_once(':') {
            Some(("", _)) => self.comments += 1,
            Some((name, value)) => self.field(name, value.strip_prefix(' ').unwrap_or(value)),
            None => self.field(&line, ""),
        }
        None
    }

    fn field(&mut self, name: &str, value: &str) {
        self.block.lines += 1;
        match name {
            "event" => value.clone_into(&mut self.block.event),
            "data" => {
                self.block.data.push_str(value);
                self.block.data.push('\n');
            }
            "id" if !value.contains('\0') => {
                value.clone_into(&mut self.pending_id);
                self.block.id = Some(value.to_owned());
            }
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = Some(value.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<Event> {
        self.last_event_id.clone_from(&self.pending_id);
        let Block { event, mut data, id, lines } = std::mem::take(&mut self.block);
        // Every data line left an LF, an empty one too; the last is not part of the data.
        if data.pop().is_none() {
            self.silent_blocks += usize::from(lines > 0);
            return None;
        }
        Some(Event {
            event: if event.is_empty() { "message".into() } else { event },
            data,
            last_event_id: self.last_event_id.clone(),
            block_id: id,
        })
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}
