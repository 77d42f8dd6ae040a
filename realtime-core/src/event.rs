//! What is published: an [`Event`] with its data, name and key.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;

/// One thing that happened: data, and optionally a name and a key.
///
/// Cloning is cheap: data, name and key are shared, never copied.
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
    pub fn text(data: impl Into<ByteString>) -> Self {
        Self { data: Data::Text(data.into()), name: None, key: None, json: false }
    }

    /// An event of bytes.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self { data: Data::Binary(data.into()), name: None, key: None, json: false }
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

/// Defines a validated, cheaply cloned string, whose error is defined elsewhere.
macro_rules! string_value {
    (
        $(#[$doc:meta])* $name:ident, $error:ident, max $max:expr, check $check:expr
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(ByteString);

        impl $name {
            /// The longest that it may be, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// Checks `value` and takes it.
            ///
            /// # Errors
            /// One variant for each way of being invalid; it names the limit or the byte.
            pub fn new(value: impl Into<ByteString>) -> Result<Self, $error> {
                let value = value.into();
                let check: fn(&str) -> Result<(), $error> = $check;
                check(&value)?;
                Ok(Self(value))
            }

            /// It as a string slice.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;
            fn from_str(value: &str) -> Result<Self, $error> {
                Self::new(value)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;
            fn try_from(value: &str) -> Result<Self, $error> {
                Self::new(value)
            }
        }

        impl TryFrom<&String> for $name {
            type Error = $error;
            fn try_from(value: &String) -> Result<Self, $error> {
                Self::new(value.as_str())
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;
            fn try_from(value: String) -> Result<Self, $error> {
                Self::new(value)
            }
        }

        impl From<&$name> for $name {
            fn from(value: &$name) -> Self {
                value.clone()
            }
        }

        impl From<std::convert::Infallible> for $error {
            fn from(never: std::convert::Infallible) -> Self {
                match never {}
            }
        }
    };
}
pub(crate) use string_value;

/// Defines a validated, cheaply cloned string with its error.
macro_rules! validated_string {
    (
        $(#[$doc:meta])* $name:ident, $(#[$error_doc:meta])* $error:ident, $what:literal,
        max $max:expr, check $check:expr
    ) => {
        $crate::event::string_value! {
            $(#[$doc])* $name, $error, max $max, check $check
        }

        $(#[$error_doc])*
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[non_exhaustive]
        pub enum $error {
            /// It is empty.
            #[error("{what} must not be empty", what = $what)]
            Empty,
            /// It is longer than the limit.
            #[error("{what} must be at most {max} bytes long, this one has {length}", what = $what)]
            TooLong {
                /// Its length in bytes.
                length: usize,
                /// The limit in bytes.
                max: usize,
            },
            /// It holds a character that is not allowed.
            #[error("{what} must not contain {character:?} (at byte {at})", what = $what)]
            Character {
                /// The character.
                character: char,
                /// Where it stands, in bytes from the start.
                at: usize,
            },
            /// It is reserved.
            #[error("{what} {0:?} is reserved: choose another", what = $what)]
            Reserved(String),
        }
    };
}
pub(crate) use validated_string;

/// Checks length and, for each character, `allowed`; the shared half of every validated string.
macro_rules! check_string {
    ($error:ident, $value:expr, $max:expr, $allowed:expr) => {{
        let value: &str = $value;
        let allowed: fn(char) -> bool = $allowed;
        if value.len() > $max {
            return Err($error::TooLong { length: value.len(), max: $max });
        }
        if let Some((at, character)) = value.char_indices().find(|(_, c)| !allowed(*c)) {
            return Err($error::Character { character, at });
        }
    }};
}
pub(crate) use check_string;

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

    #[test]
    fn json_says_what_does_not_serialize() {
        let map = std::collections::BTreeMap::from([(vec![1], 2)]);
        assert!(Event::json(&map).unwrap_err().to_string().contains("JSON"));
    }
}
