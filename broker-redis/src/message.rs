//! An event as it lies in a stream and comes over a channel: [`Message`].

use std::time::Duration;

use realtime_bridge::{At, Record};
use realtime_core::{Event, EventKey, EventName, TopicName};
use serde_json::value::RawValue;

/// The head of an event, and where the parts behind it are.
///
/// `functions.lua` writes it: `EPOCH(hex) SEQUENCE PREVIOUS TIME(ms) KIND LEN(name) LEN(key)\n`, name,
/// key, data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) at: At,
    pub(crate) previous: u64,
    /// When it was published, by the server's clock, in milliseconds since 1970.
    pub(crate) time: u64,
    kind: Kind,
    name: &'a [u8],
    key: &'a [u8],
    data: &'a [u8],
}

/// What its data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Json,
    Binary,
}

/// Bytes that are no message: somebody else has written them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the channel or its topic is not known")]
    Channel,
    #[error("expected a line of epoch, sequence, previous, time, kind and two lengths")]
    Head,
    #[error("the previous sequence is not below its own")]
    Order,
    #[error("it is shorter than its head says")]
    Short,
    #[error("name, key or text is none")]
    Event,
    #[error("expected a mark of epoch, sequence and token")]
    Mark,
}

/// Longer than any head: 16 + 4 * 20 + 6 digits and letters, and what separates them.
const MAX_HEAD: usize = 160;

impl Kind {
    pub(crate) fn of(event: &Event) -> Self {
        match event.data() {
            realtime_core::Data::Binary(_) => Self::Binary,
            realtime_core::Data::Text(_) if event.is_json() => Self::Json,
            realtime_core::Data::Text(_) => Self::Text,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Binary => "binary",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Text, Self::Json, Self::Binary].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl<'a> Message<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let head = bytes.get(..bytes.len().min(MAX_HEAD)).unwrap_or_default();
        let end = head.iter().position(|b| *b == b'\n').ok_or(Malformed::Head)?;
        let (head, body) = (head.get(..end), bytes.get(end + 1..));
        let head = std::str::from_utf8(head.unwrap_or_default()).map_err(|_| Malformed::Head)?;
        let mut fields = head.split(' ');
        let mut field = || fields.next().ok_or(Malformed::Head);
        let epoch = hexadecimal(field()?)?;
        let sequence = decimal(field()?)?;
        let previous = decimal(field()?)?;
        let time = decimal(field()?)?;
        let kind = Kind::parse(field()?).ok_or(Malformed::Head)?;
        let name = decimal(field()?)?;
        let key = decimal(field()?)?;
        if fields.next().is_some() {
            return Err(Malformed::Head);
        }
        if previous >= sequence {
            return Err(Malformed::Order);
        }
        let (name, rest) = split(body.unwrap_or_default(), name)?;
        let (key, data) = split(rest, key)?;
        Ok(Self { at: At { epoch, sequence }, previous, time, kind, name, key, data })
    }

    /// It as the bridge wants it.
    pub(crate) fn record(&self, topic: &TopicName, age: Duration) -> Result<Record, Malformed> {
        let Self { at, previous, .. } = *self;
        Ok(Record { topic: topic.clone(), at, previous, event: self.event()?, age })
    }

    fn event(&self) -> Result<Event, Malformed> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| Malformed::Event);
        let mut event = match self.kind {
            Kind::Binary => Event::binary(self.data),
            Kind::Text => Event::text(text(self.data)?),
            Kind::Json => json(text(self.data)?)?,
        };
        if !self.name.is_empty() {
            let name = EventName::new(text(self.name)?).map_err(|_| Malformed::Event)?;
            event = event.named(name).map_err(|_| Malformed::Event)?;
        }
        if !self.key.is_empty() {
            let key = EventKey::new(text(self.key)?).map_err(|_| Malformed::Event)?;
            event = event.keyed(key).map_err(|_| Malformed::Event)?;
        }
        Ok(event)
    }
}

/// An event of JSON text. What the server takes for JSON and is none, such as `NaN`, stays the text
/// that it is, so that nothing acknowledged is lost for it.
fn json(text: String) -> Result<Event, Malformed> {
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(value) => Event::json(value).map_err(|_| Malformed::Event),
        Err(_) => Ok(Event::text(text)),
    }
}

/// A mark: where the sequence is, and the token that was asked with.
pub(crate) fn mark(bytes: &[u8]) -> Result<(At, u64), Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Mark)?;
    let mut fields = text.split(' ');
    let mut field = || fields.next().ok_or(Malformed::Mark);
    let epoch = hexadecimal(field()?).map_err(|_| Malformed::Mark)?;
    let sequence = decimal(field()?).map_err(|_| Malformed::Mark)?;
    let token = decimal(field()?).map_err(|_| Malformed::Mark)?;
    match fields.next() {
        Some(_) => Err(Malformed::Mark),
        None => Ok((At { epoch, sequence }, token)),
    }
}

fn split(bytes: &[u8], at: u64) -> Result<(&[u8], &[u8]), Malformed> {
    usize::try_from(at).ok().and_then(|at| bytes.split_at_checked(at)).ok_or(Malformed::Short)
}

/// Digits alone: `parse` would take a sign.
fn decimal(digits: &str) -> Result<u64, Malformed> {
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number).ok_or(Malformed::Head)
}

fn hexadecimal(digits: &str) -> Result<u64, Malformed> {
    let is_number = digits.bytes().all(|b| b.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| is_number).ok_or(Malformed::Head)
}

#[cfg(test)]
mod tests;
