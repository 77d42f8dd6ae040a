//! Where in the hub's one sequence an event stands: [`Position`], and its claim from outside,
//! [`LastEventId`].

use std::fmt;

/// The place of an event in its hub's sequence.
///
/// All events of a hub are numbered with one sequence, so a position orders events across topics.
/// `epoch` changes when the numbers start anew, because a bare number could match an event of
/// another life: a client that saw 1, 2, 3, slept through a restart and came back with "3" must not
/// be given the new 4 as if nothing were missing.
///
/// Only a [`Broker`](crate::Broker) makes positions. What a client claims to have seen is a
/// [`LastEventId`]. The text form, `<epoch in hex>-<sequence>`, is the event id on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    epoch: u64,
    sequence: u64,
}

impl Position {
    /// The life of the sequence that the number belongs to.
    pub fn epoch(self) -> u64 {
        self.epoch
    }

    /// The number in the sequence. The first event of an epoch has 1.
    pub fn sequence(self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.sequence)
    }
}

/// Makes the positions of one epoch; the right to do so belongs to brokers.
#[derive(Clone, Copy, Debug)]
pub struct PositionIssuer {
    epoch: u64,
}

impl PositionIssuer {
    /// An issuer for the epoch `epoch`, which must differ from that of every earlier life of the
    /// same sequence.
    pub fn new(epoch: u64) -> Self {
        Self { epoch }
    }

    /// The epoch.
    pub fn epoch(self) -> u64 {
        self.epoch
    }

    /// The position with the number `sequence`; 0 stands before the first event.
    pub fn at(self, sequence: u64) -> Position {
        Position { epoch: self.epoch, sequence }
    }
}

/// What a client says was the last event that it saw: the `Last-Event-ID` header or the
/// `last_event_id` query parameter.
///
/// It is a claim, not a [`Position`]: it may be of another life of the hub, ahead of the head, or
/// invented. [`Subscribe::after`](crate::Subscribe::after) checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LastEventId {
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
}

impl LastEventId {
    /// The longest text form, in bytes: 16 hexadecimal digits, a hyphen, 20 decimal digits.
    pub const MAX_BYTES: usize = 37;

    /// Reads the text form as it came over the wire.
    ///
    /// # Errors
    /// [`LastEventIdError`] when the bytes are anything but the text form of a [`Position`]: a
    /// `Last-Event-ID` may hold any UTF-8, and bytes that are none.
    pub fn parse(text: &[u8]) -> Result<Self, LastEventIdError> {
        let parsed = || -> Option<Self> {
            if text.len() > Self::MAX_BYTES {
                return None;
            }
            let text = std::str::from_utf8(text).ok()?;
            let (epoch, sequence) = text.split_once('-')?;
            let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            if !is_canonical(epoch, hexadecimal) || !is_canonical(sequence, |b| b.is_ascii_digit())
            {
                return None;
            }
            let epoch = u64::from_str_radix(epoch, 16).ok()?;
            Some(Self { epoch, sequence: sequence.parse().ok()? })
        };
        parsed().ok_or(LastEventIdError)
    }
}

/// One number has one text, so that an id that comes back is the id that went out.
fn is_canonical(number: &str, digit: impl Fn(u8) -> bool) -> bool {
    !number.is_empty()
        && number.bytes().all(digit)
        && (number.len() == 1 || !number.starts_with('0'))
}

impl From<Position> for LastEventId {
    fn from(position: Position) -> Self {
        Self { epoch: position.epoch, sequence: position.sequence }
    }
}

impl std::str::FromStr for LastEventId {
    type Err = LastEventIdError;
    fn from_str(text: &str) -> Result<Self, LastEventIdError> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for LastEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.sequence)
    }
}

/// A text that is not the id of an event of any hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an event id: expected `<epoch in hex>-<sequence>`, like `9f3a1c02-42`")]
pub struct LastEventIdError;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn malformed_ids_are_refused() {
        for bad in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "01-1",
            "1-01",
            "+1-1",
            "1-+1",
            "1--1",
            "A-1",
            "g-1",
            " 1-1",
            "1-1 ",
            "1-1-1",
            "1-18446744073709551616",
            "10000000000000000-1",
            "é-1",
        ] {
            assert_eq!(LastEventId::parse(bad.as_bytes()), Err(LastEventIdError), "{bad:?}");
        }
        assert!(LastEventId::parse(b"\xff-1").is_err());
        assert!(LastEventId::parse(&[b'1'; 10_000]).is_err());
    }

    proptest! {
        #[test]
        fn text_form_round_trips(epoch: u64, sequence: u64) {
            let position = PositionIssuer::new(epoch).at(sequence);
            let text = position.to_string();
            prop_assert!(text.len() <= LastEventId::MAX_BYTES);
            prop_assert_eq!(text.parse::<LastEventId>().unwrap(), LastEventId::from(position));
        }

        #[test]
        fn any_bytes_parse_or_fail_and_what_parses_prints_the_same(
            bytes in proptest::collection::vec(any::<u8>(), 0..48),
        ) {
            if let Ok(id) = LastEventId::parse(&bytes) {
                prop_assert_eq!(id.to_string().into_bytes(), bytes);
            }
        }
    }
}
