//! Many topics at once: a [`TopicPattern`], and the trie in which a hub looks up who wants a topic.

use std::fmt;

use bytestring::ByteString;

use crate::{
    event::{check_string, string_value},
    topic::TopicName,
};

mod trie;

pub(crate) use trie::{Place, Trie};

string_value! {
    /// A set of topics: 1 to 255 bytes, no control character, tokens separated by `.`, of which at
    /// least one is a wildcard.
    ///
    /// `*` stands for exactly one token; `>` for one or more, and only as the last. Everything else
    /// stands for itself, `a*` too. As in names, a token may be empty: `a.*` matches `a.`, whose
    /// second token is the empty one, but not `a`.
    ///
    /// ```
    /// use realtime_core::{TopicName, TopicPattern};
    ///
    /// let rooms: TopicPattern = "rooms.*.chat".parse()?;
    /// assert!(rooms.matches(&TopicName::new("rooms.7.chat")?));
    /// assert!(!rooms.matches(&TopicName::new("rooms.7.calls")?));
    ///
    /// let all: TopicPattern = "rooms.>".parse()?;
    /// assert!(all.matches(&TopicName::new("rooms.7.chat")?));
    /// assert!(!all.matches(&TopicName::new("rooms")?));
    ///
    /// assert!(TopicPattern::new("rooms.7.chat").is_err(), "that is a topic name");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    TopicPattern, TopicPatternError, max TopicName::MAX_BYTES, check |value| {
        if value.is_empty() {
            return Err(TopicPatternError::Empty);
        }
        check_string!(TopicPatternError, value, TopicPattern::MAX_BYTES, |c| !c.is_control());
        if value.split('.').rev().skip(1).any(|token| token == REST) {
            return Err(TopicPatternError::RestNotLast(value.to_owned()));
        }
        if !value.split('.').any(|token| token == ANY || token == REST) {
            return Err(TopicPatternError::NoWildcard(value.to_owned()));
        }
        Ok(())
    }
}

/// The token that stands for any one.
const ANY: &str = "*";
/// The token that stands for one or more.
const REST: &str = ">";

impl TopicPattern {
    /// Whether it stands for `topic`, among others.
    pub fn matches(&self, topic: &TopicName) -> bool {
        let mut tokens = topic.as_str().split('.');
        for expected in self.as_str().split('.') {
            match (expected, tokens.next()) {
                (_, None) => return false,
                (REST, Some(_)) => return true,
                (ANY, Some(_)) => {}
                (expected, Some(token)) if expected == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }

    /// What every topic that it matches starts with: all before the first wildcard.
    pub(crate) fn prefix(&self) -> &str {
        let is_wildcard = |token: &&str| *token == ANY || *token == REST;
        let literal = self.as_str().split('.').take_while(|token| !is_wildcard(token));
        // Each literal token has a separator behind it, since a wildcard follows.
        let length = literal.map(|token| token.len() + 1).sum();
        self.as_str().get(..length).unwrap_or_default()
    }
}

/// Why a string is no [`TopicPattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicPatternError {
    /// It is empty.
    #[error("a topic pattern must not be empty")]
    Empty,
    /// It is longer than the limit.
    #[error("a topic pattern must be at most {max} bytes long, this one has {length}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// It holds a character that is not allowed.
    #[error("a topic pattern must not contain {character:?} (at byte {at})")]
    Character {
        /// The character.
        character: char,
        /// Where it stands, in bytes from the start.
        at: usize,
    },
    /// It has no wildcard.
    #[error(
        "a topic pattern must have a token `*` or `>`, and {0:?} has none: use it as a topic name"
    )]
    NoWildcard(String),
    /// `>` is not its last token.
    #[error("`>` must be the last token of a topic pattern, and in {0:?} it is not: use `*` there")]
    RestNotLast(String),
}

#[cfg(test)]
mod tests;
