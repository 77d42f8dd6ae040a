//! What is published: an [`Event`] with its data, name and key.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;

pub(crate) mod strings;

pub(crate) use strings::{check_string, string_value, validated_string};
use strings::{exact_bytes, exact_text};

/// One thing that happened: data, and optionally a name and a key.
///
/// Cloning is cheap: data, name and key are shared, never copied. Each lies in memory of its own and
/// of its size, so that an event which a topic retains keeps no larger buffer alive that it was cut
/// out of: a `String` or `Vec` without much spare capacity is taken as it is, as is a `Bytes` or
/// `ByteString` that nobody shares; anything else is copied, once.
///
/// ```
/// use realtime_core::Event;
///
/// let plain = Event::text("hello");
/// let named = Event::text("21.5").named("temperature")?.keyed("kitchen")?;
/// let typed = Event::json(&serde_json::json!({ "done": 3, "of": 10 }))?;
/// # Ok::<(), realtime_core::EventError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    data: Data,
    name: Option<EventName>,
    key: Option<EventKey>,
    json: bool,
}

/// The payload of an [`Event`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the wire has these two and no third")]
pub enum Data {
    /// UTF-8 text.
    Text(ByteString),
    /// Any bytes. Server-Sent Events can't carry them as they are; see
    /// [`BinaryData`](crate::sse::BinaryData).
    Binary(Bytes),
}

impl Event {
    /// An event of UTF-8 text.
    pub fn text(data: impl Into<String>) -> Self {
        Self { data: Data::Text(exact_text(data.into())), name: None, key: None, json: false }
    }

    /// An event of bytes.
    pub fn binary(data: impl Into<Vec<u8>>) -> Self {
        Self { data: Data::Binary(exact_bytes(data.into())), name: None, key: None, json: false }
    }

    /// An event whose text is `value` as JSON.
    ///
    /// In a WebSocket envelope ([`Format::Envelope`](crate::ws::Format::Envelope)) the value stands
    /// as JSON itself, not as a string that holds JSON.
    ///
    /// # Errors
    /// [`EventError::Json`] when `value` does not serialize, for example a map with keys that are
    /// no strings.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, EventError> {
        let text = serde_json::to_string(value)?;
        Ok(Self { json: true, ..Self::text(text) })
    }

    /// The same event under a name: the `event:` field of an SSE block, `event` in a WebSocket
    /// envelope. Without a name, browsers dispatch `message`.
    ///
    /// # Errors
    /// [`EventError::Name`] when the name is not a valid [`EventName`].
    pub fn named<N>(mut self, name: N) -> Result<Self, EventError>
    where
        N: TryInto<EventName>,
        EventError: From<N::Error>,
    {
        self.name = Some(name.try_into()?);
        Ok(self)
    }

    /// The same event under a key: under [`Overflow::Conflate`](crate::Overflow::Conflate) a slow
    /// subscriber gets the newest event of each key.
    ///
    /// # Errors
    /// [`EventError::Key`] when the key is not a valid [`EventKey`].
    pub fn keyed<K>(mut self, key: K) -> Result<Self, EventError>
    where
        K: TryInto<EventKey>,
        EventError: From<K::Error>,
    {
        self.key = Some(key.try_into()?);
        Ok(self)
    }

    /// The payload.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The name, if it has one.
    pub fn name(&self) -> Option<&EventName> {
        self.name.as_ref()
    }

    /// The key, if it has one.
    pub fn key(&self) -> Option<&EventKey> {
        self.key.as_ref()
    }

    /// Whether the data was made by [`Event::json`].
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Bytes of data, name and key together: what counts against a topic's retention.
    pub fn size(&self) -> usize {
        self.data.as_bytes().len()
            + self.name.as_ref().map_or(0, |name| name.as_str().len())
            + self.key.as_ref().map_or(0, |key| key.as_str().len())
    }
}

impl Data {
    /// The payload as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload as text, `None` when it is binary.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
}

/// Why an event could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The name is not valid.
    #[error(transparent)]
    Name(#[from] EventNameError),
    /// The key is not valid.
    #[error(transparent)]
    Key(#[from] EventKeyError),
    /// The value does not serialize.
    #[error("the value can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<std::convert::Infallible> for EventError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// The prefix of event names that the library itself sends (`realtime.gap`, `realtime.reset`, …).
pub(crate) const RESERVED_PREFIX: &str = "realtime.";

validated_string! {
    /// The name of an event: 1 to 255 bytes, no line end (CR, LF), not starting with `realtime.`.
    ///
    /// The WHATWG event stream has no way to carry a line end in a name; every other character
    /// arrives as it is.
    EventName,
    /// Why a string is no [`EventName`].
    EventNameError, "an event name", max 255, check |value| {
        if value.is_empty() {
            return Err(EventNameError::Empty);
        }
        check_string!(EventNameError, value, EventName::MAX_BYTES, |c| !matches!(c, '\r' | '\n'));
        if value.starts_with(RESERVED_PREFIX) {
            return Err(EventNameError::Reserved(value.to_owned()));
        }
        Ok(())
    }
}

validated_string! {
    /// The key of an event for conflation: 1 to 255 bytes of any text.
    EventKey,
    /// Why a string is no [`EventKey`].
    EventKeyError, "an event key", max 255, check |value| {
        if value.is_empty() {
            return Err(EventKeyError::Empty);
        }
        check_string!(EventKeyError, value, EventKey::MAX_BYTES, |_| true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn names_refuse_what_the_wire_cannot_carry() {
        for (name, expected) in [
            ("", EventNameError::Empty),
            ("a\nb", EventNameError::Character { character: '\n', at: 1 }),
            ("a\rb", EventNameError::Character { character: '\r', at: 1 }),
            ("realtime.gap", EventNameError::Reserved("realtime.gap".into())),
            (&"x".repeat(256), EventNameError::TooLong { length: 256, max: 255 }),
        ] {
            assert_eq!(EventName::new(name), Err(expected), "{name:?}");
        }
        assert!(EventName::new("größe µ").is_ok());
    }

    #[test]
    fn size_counts_data_name_and_key() {
        let event = Event::text("12345").named("ab").unwrap().keyed("c").unwrap();
        assert_eq!(event.size(), 8);
    }

    /// A buffer that says whether somebody still keeps it.
    struct Buffer {
        bytes: Vec<u8>,
        _kept: Arc<()>,
    }

    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    #[test]
    fn no_event_keeps_the_buffer_it_was_cut_out_of() {
        let kept = Arc::new(());
        let buffer = Buffer { bytes: vec![b'x'; 4096], _kept: Arc::clone(&kept) };
        let read = Bytes::from_owner(buffer);
        let text = || ByteString::try_from(read.slice(100..110)).unwrap();
        let binary = Event::binary(read.slice(5..10));
        let (name, key) = (EventName::new(text()).unwrap(), EventKey::new(text()).unwrap());
        let named = Event::text(text()).named(name).unwrap().keyed(key).unwrap();
        drop(read);
        assert_eq!(Arc::strong_count(&kept), 1);
        assert_eq!((binary.size(), named.size()), (5, 30));
    }

    #[test]
    fn no_event_keeps_room_to_spare() {
        let mut text = String::with_capacity(4096);
        text.push_str("text");
        let cut = bytes::BytesMut::from(&[b'x'; 4096][..]).freeze().split_off(4090);
        for (event, size) in [
            (Event::text(text.clone()), 4),
            (Event::binary(text.into_bytes()), 4),
            (Event::binary(cut), 6),
            (Event::json(&vec![0; 100]).unwrap(), 201),
        ] {
            let bytes = match event.data {
                Data::Text(text) => text.into_bytes(),
                Data::Binary(bytes) => bytes,
            };
            let vec = Vec::from(bytes);
            assert_eq!((vec.len(), vec.capacity()), (size, size));
        }
    }

    #[test]
    fn json_says_what_does_not_serialize() {
        let map = std::collections::BTreeMap::from([(vec![1], 2)]);
        assert!(Event::json(&map).unwrap_err().to_string().contains("JSON"));
    }
}
