//! The framing vectors, typed.

mod raw;

use std::{fmt::Write as _, sync::OnceLock};

use sha2::{Digest as _, Sha256};

use super::{Event, Parser};

/// The framing vectors, which were checked against a browser.
#[derive(Debug)]
pub struct Vectors {
    /// Bytes on the wire, and what an EventSource makes of them.
    pub parse: Vec<ParseVector>,
    /// What is given to an encoder, and what the client must see.
    pub encode: Vec<EncodeVector>,
}

/// All vectors; read once.
pub fn vectors() -> &'static Vectors {
    static VECTORS: OnceLock<Vectors> = OnceLock::new();
    VECTORS.get_or_init(raw::read)
}

/// Bytes on the wire, and what an EventSource makes of them, however they are cut.
#[derive(Debug)]
pub struct ParseVector {
    /// A short unique name.
    pub name: String,
    /// What it is about, may be empty.
    pub note: String,
    /// The stream, from its first to its last byte.
    pub wire: Vec<u8>,
    /// The events which it dispatches.
    pub events: Vec<ExpectedEvent>,
    /// The last event id at the end.
    pub last_event_id: String,
    /// What then reaches a server as `Last-Event-ID`; empty stands for no header.
    pub last_event_id_header: String,
    /// The reconnection time at the end, in milliseconds.
    pub retry: Option<u64>,
    /// Whether the standard says what `retry` must be.
    pub retry_is_defined: bool,
}

/// An event that a client must see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedEvent {
    /// The type.
    pub event: String,
    /// The data.
    pub data: ExpectedData,
    /// The last event id after it.
    pub last_event_id: String,
    /// The id of that very block; the outer `None` where the vectors don't say.
    pub block_id: Option<Option<String>>,
}

/// The data that a client must see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedData {
    /// This text.
    Text(String),
    /// A long text.
    Digest {
        /// Its SHA-256 in lower-case hexadecimal.
        sha256: String,
        /// Its length in bytes.
        length: usize,
    },
}

/// What is given to an encoder, and what the client must see.
#[derive(Debug)]
pub struct EncodeVector {
    /// A short unique name.
    pub name: String,
    /// What it is about, may be empty.
    pub note: String,
    /// The fields to encode.
    pub input: EncodeInput,
    /// What the encoder must do.
    pub outcome: Outcome,
    /// What the client sees where the encoder accepts; `None` where it must not.
    pub client_sees: Option<Vec<ExpectedEvent>>,
}

/// The fields to encode; `None` means that there is no such line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodeInput {
    /// The type.
    pub event: Option<String>,
    /// The data.
    pub data: Option<String>,
    /// The id.
    pub id: Option<String>,
    /// The reconnection time in milliseconds.
    pub retry_ms: Option<u64>,
    /// A comment.
    pub comment: Option<String>,
}

/// What an encoder must do with its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Encode it.
    Ok,
    /// Refuse it with an error.
    Reject,
    /// Encode it rightly or refuse it.
    OkOrReject,
}

impl ParseVector {
    /// Compares what a parser made of [`wire`](Self::wire), however it was cut.
    ///
    /// # Errors
    ///
    /// The first difference.
    pub fn check(&self, events: &[Event], parser: &Parser) -> Result<(), String> {
        same_events(&self.events, events)?;
        same("last event id", &self.last_event_id.as_str(), &parser.last_event_id())?;
        if self.retry_is_defined {
            same("retry", &self.retry, &parser.retry())?;
        }
        Ok(())
    }
}

impl EncodeVector {
    /// Compares what an encoder made of [`input`](Self::input): bytes, or `None` for a refusal.
    ///
    /// # Errors
    ///
    /// The first difference.
    pub fn check(&self, wire: Option<&[u8]>) -> Result<(), String> {
        let Some(wire) = wire else {
            return match self.outcome {
                Outcome::Ok => Err("refused, must be encoded".into()),
                Outcome::Reject | Outcome::OkOrReject => Ok(()),
            };
        };
        let Some(expected) = &self.client_sees else {
            return Err(format!("encoded as \"{}\", must be refused", wire.escape_ascii()));
        };
        let mut parser = Parser::new();
        same_events(expected, &parser.feed(wire))?;
        same("retry", &self.input.retry_ms, &parser.retry())?;
        let id = self.input.id.as_deref().unwrap_or_default();
        same("last event id", &id, &parser.last_event_id())
    }
}

impl ExpectedEvent {
    /// Whether this is the event.
    pub fn matches(&self, event: &Event) -> bool {
        self.event == event.event
            && self.data.matches(&event.data)
            && self.last_event_id == event.last_event_id
            && self.block_id.as_ref().is_none_or(|id| *id == event.block_id)
    }
}

impl ExpectedData {
    /// Whether this is the data.
    pub fn matches(&self, data: &str) -> bool {
        match self {
            Self::Text(text) => text == data,
            Self::Digest { sha256, length } => *length == data.len() && *sha256 == hex_digest(data),
        }
    }
}

fn same_events(expected: &[ExpectedEvent], events: &[Event]) -> Result<(), String> {
    same("number of events", &expected.len(), &events.len())?;
    match expected.iter().zip(events).find(|(expected, event)| !expected.matches(event)) {
        Some((expected, event)) => {
            Err(format!("event: expected {expected:?}, found {}", shortened(event)))
        }
        None => Ok(()),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, found {found:?}"))
    }
}

fn shortened(event: &Event) -> String {
    let mut event = event.clone();
    let length = event.data.len();
    if let Some((cut, _)) = event.data.char_indices().nth(200) {
        event.data.truncate(cut);
    }
    format!("{event:?} (data of {length} bytes)")
}

fn hex_digest(data: &str) -> String {
    Sha256::digest(data).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
