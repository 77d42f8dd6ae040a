//! What a hub's subjects on a server begin with, and its stream: [`Prefix`].

/// The prefix of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(String);

/// A text that is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a prefix of 1 to {max} letters, digits or `-`, `_`, got {0:?}", max = MAX_BYTES)]
pub struct PrefixError(String);

const MAX_BYTES: usize = 64;

impl Default for Prefix {
    fn default() -> Self {
        Self("realtime".to_owned())
    }
}

impl Prefix {
    /// A prefix is one token: with several, one hub's topics could be another's.
    pub(crate) fn new(prefix: &str) -> Result<Self, PrefixError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if prefix.is_empty() || prefix.len() > MAX_BYTES || !prefix.bytes().all(allowed) {
            return Err(PrefixError(prefix.chars().take(2 * MAX_BYTES).collect()));
        }
        Ok(Self(prefix.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What each topic's subject in the stream begins with.
    pub(crate) fn stored(&self) -> String {
        format!("{}.t.", self.0)
    }

    /// What each topic's subject of live events begins with.
    pub(crate) fn live(&self) -> String {
        format!("{}.live.t.", self.0)
    }

    /// The subject in the stream of an instance's marks.
    pub(crate) fn stored_marks(&self, instance: &str) -> String {
        format!("{}.m.{instance}", self.0)
    }

    /// The subject on which an instance's marks come.
    pub(crate) fn live_marks(&self, instance: &str) -> String {
        format!("{}.live.m.{instance}", self.0)
    }

    /// The stream of an epoch. That the name tells the epoch makes each message and each answer of the
    /// server tell it.
    pub(crate) fn stream(&self, epoch: u64) -> String {
        format!("{}-{epoch:x}", self.0)
    }

    /// The epoch of a stream, if it is one of this hub's.
    pub(crate) fn epoch(&self, stream: &str) -> Option<u64> {
        let digits = stream.strip_prefix(&self.0)?.strip_prefix('-')?;
        let epoch = u64::from_str_radix(digits, 16).ok()?;
        // One epoch has one name.
        (self.stream(epoch) == stream).then_some(epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_one_token() {
        for bad in ["", "a.b", "*", ">", "a b", "ä", "a\n", "$JS", &"x".repeat(65)] {
            assert!(Prefix::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Prefix::new(Prefix::default().as_str()), Ok(Prefix::default()));
        assert!(Prefix::new(&"x".repeat(64)).is_ok());
    }

    #[test]
    fn streams_tell_their_epoch() {
        let prefix = Prefix::new("a-b").unwrap();
        for epoch in [0, 1, 0x1f, u64::MAX] {
            assert_eq!(prefix.epoch(&prefix.stream(epoch)), Some(epoch));
        }
        for other in ["a-b", "a-b-", "a-b-01", "a-b-x", "a-b-1F", "a-b-+1", "a-1", "b-1"] {
            assert_eq!(prefix.epoch(other), None, "{other}");
        }
    }
}
