//! Strings with rules of their own, each in memory of its own size.

use bytes::Bytes;
use bytestring::ByteString;

/// Text that shares its memory with nothing else and has no room to spare: it may be retained for
/// long, and its length is what counts.
pub(crate) fn exact_text(text: String) -> ByteString {
    let text: Box<str> =
        if is_roomy(text.len(), text.capacity()) { (*text).into() } else { text.into_boxed_str() };
    text.into()
}

/// The same of bytes.
pub(crate) fn exact_bytes(bytes: Vec<u8>) -> Bytes {
    let is_roomy = is_roomy(bytes.len(), bytes.capacity());
    let bytes: Box<[u8]> = if is_roomy { (*bytes).into() } else { bytes.into_boxed_slice() };
    bytes.into()
}

/// Whether to copy rather than to shrink. What is shrunk stays where it is, in the place of a large
/// buffer, which is then too small for the next one: the server's memory would grow by a buffer with
/// each event that is retained out of one.
fn is_roomy(length: usize, capacity: usize) -> bool {
    capacity - length > length / 4 + 64
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
            pub fn new(value: impl Into<String>) -> Result<Self, $error> {
                let value = value.into();
                let check: fn(&str) -> Result<(), $error> = $check;
                check(&value)?;
                Ok(Self($crate::event::strings::exact_text(value)))
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
