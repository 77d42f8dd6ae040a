//! Where it is published: a [`TopicName`].

use std::fmt;

use bytestring::ByteString;

use crate::event::{check_string, validated_string};

validated_string! {
    /// The name of a topic: 1 to 255 bytes, no control character, tokens separated by `.`.
    ///
    /// A token that is exactly `*` or `>` is refused: these are the wildcards of patterns. So is what
    /// starts with `$realtime.`, where the instances of a service talk to each other.
    ///
    /// ```
    /// use realtime_core::TopicName;
    ///
    /// let topic: TopicName = "orders.eu".parse()?;
    /// assert!(TopicName::new("orders.*").is_err());
    /// # Ok::<(), realtime_core::TopicNameError>(())
    /// ```
    TopicName,
    /// Why a string is no [`TopicName`].
    TopicNameError, "a topic name", max 255, check |value| {
        if value.is_empty() {
            return Err(TopicNameError::Empty);
        }
        check_string!(TopicNameError, value, TopicName::MAX_BYTES, |c| !c.is_control());
        let is_wildcard = |token| token == "*" || token == ">";
        if value.split('.').any(is_wildcard) || value.starts_with(RESERVED_PREFIX) {
            return Err(TopicNameError::Reserved(value.to_owned()));
        }
        Ok(())
    }
}

/// The prefix of the names of topics that are the library's own.
const RESERVED_PREFIX: &str = "$realtime.";

impl TopicName {
    /// The topic on which the instances of a service talk to each other; for brokers.
    pub fn control() -> Self {
        Self(ByteString::from_static("$realtime.control"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_line_ends_nul_and_wildcards() {
        assert_eq!(TopicName::new(""), Err(TopicNameError::Empty));
        for bad in ["a\nb", "a\rb", "a\0b", "a\u{7f}", "a\u{85}b"] {
            assert!(
                matches!(TopicName::new(bad), Err(TopicNameError::Character { .. })),
                "{bad:?}"
            );
        }
        for bad in ["*", ">", "a.*", "a.*.b", "a.>", "$realtime.control", "$realtime."] {
            assert_eq!(TopicName::new(bad), Err(TopicNameError::Reserved(bad.into())));
        }
        for good in ["a", "room/1", "a*b", "a.b>c", "ä.ö", "with space"] {
            assert!(TopicName::new(good).is_ok(), "{good:?}");
        }
    }
}
