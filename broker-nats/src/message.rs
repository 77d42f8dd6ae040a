//! An event as it lies in the stream and comes live: headers and payload.
//!
//! `Realtime-Kind` is `text`, `json` or `binary`; `Realtime-Name` and `Realtime-Key` are percent-encoded
//! where they hold anything but printable ASCII. Each may be missing: a bare payload is an event too.

use async_nats::{HeaderMap, Message};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use realtime_core::{Data, Event, EventKey, EventName};
use serde_json::value::RawValue;

const KIND: &str = "Realtime-Kind";
const NAME: &str = "Realtime-Name";
const KEY: &str = "Realtime-Key";

/// Blanks too: those at the ends of a header are cut off on the way.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// What is no event: somebody else has written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the subject is no topic's, or no mark's")]
    Subject,
    #[error("the server has not said its stream and sequence")]
    Position,
    #[error("its name or its key is none")]
    Event,
    #[error("expected a mark's token")]
    Mark,
}

/// Where the server says that a live message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) stream: &'a str,
    pub(crate) sequence: u64,
    /// The sequence of what was stored before it on its subject and is still there; 0 when nothing is.
    pub(crate) previous: u64,
}

/// Where the server says that a message read from the stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    /// When it was stored, in nanoseconds since 1970.
    pub(crate) time: u64,
    /// How many of those asked for come after it.
    pub(crate) pending: u64,
}

/// The headers of an event.
pub(crate) fn headers(event: &Event) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let kind = match event.data() {
        Data::Binary(_) => "binary",
        Data::Text(_) if event.is_json() => "json",
        Data::Text(_) => "text",
    };
    headers.insert(KIND, kind);
    let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    if let Some(name) = event.name() {
        headers.insert(NAME, encoded(name.as_str()));
    }
    if let Some(key) = event.key() {
        headers.insert(KEY, encoded(key.as_str()));
    }
    headers
}

/// The event of a message.
pub(crate) fn event(message: &Message) -> Result<Event, Malformed> {
    let data = &message.payload;
    let text = || std::str::from_utf8(data);
    let mut event = match (header(message, KIND), text()) {
        (Some("binary"), _) | (_, Err(_)) => Event::binary(data.to_vec()),
        (Some("json"), Ok(text)) => json(text)?,
        (_, Ok(text)) => Event::text(text),
    };
    let decoded = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map(|text| text.into_owned()).map_err(|_| Malformed::Event)
    };
    if let Some(name) = header(message, NAME).filter(|name| !name.is_empty()) {
        let name = EventName::new(decoded(name)?).map_err(|_| Malformed::Event)?;
        event = event.named(name).map_err(|_| Malformed::Event)?;
    }
    if let Some(key) = header(message, KEY).filter(|key| !key.is_empty()) {
        let key = EventKey::new(decoded(key)?).map_err(|_| Malformed::Event)?;
        event = event.keyed(key).map_err(|_| Malformed::Event)?;
    }
    Ok(event)
}

/// An event of JSON text. What claims to be and is none stays the text that it is.
fn json(text: &str) -> Result<Event, Malformed> {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) => Event::json(value).map_err(|_| Malformed::Event),
        Err(_) => Ok(Event::text(text)),
    }
}

/// The last of a name: the server's own come after those that were published.
fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    Some(message.headers.as_ref()?.get_last(name)?.as_str())
}

impl<'a> Place<'a> {
    pub(crate) fn of(message: &'a Message) -> Result<Self, Malformed> {
        let number = |name| header(message, name).and_then(decimal);
        let place = || {
            let stream = header(message, "Nats-Stream")?;
            let sequence = number("Nats-Sequence")?;
            Some(Self { stream, sequence, previous: number("Nats-Last-Sequence")? })
        };
        place().filter(|place| place.previous < place.sequence).ok_or(Malformed::Position)
    }
}

impl Stored {
    /// What a reply subject says: `$JS.ACK.[domain.account.]STREAM.CONSUMER.DELIVERED.SEQUENCE.COUNT.TIME.PENDING`,
    /// and a token more with a domain.
    pub(crate) fn of(message: &Message) -> Option<Self> {
        let mut tokens = message.reply.as_ref()?.as_str().strip_prefix("$JS.ACK.")?.split('.');
        if tokens.clone().count() > 7 {
            tokens.nth(1)?;
        }
        let mut numbers = tokens.skip(3).map(decimal);
        let sequence = numbers.next()??;
        let time = numbers.nth(1)??;
        Some(Self { sequence, time, pending: numbers.next()?? })
    }
}

/// Digits alone: `parse` would take a sign.
pub(crate) fn decimal(digits: &str) -> Option<u64> {
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests;
