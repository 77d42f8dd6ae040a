//! What a hub's keys and channels on a server begin with: [`Prefix`].

/// The prefix of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(String);

/// A text that is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a prefix of 1 to {max} letters, digits or `-`, `_`, `.`, `:`, got {0:?}",
    max = MAX_BYTES
)]
pub struct PrefixError(String);

const MAX_BYTES: usize = 64;

impl Default for Prefix {
    fn default() -> Self {
        Self("realtime".to_owned())
    }
}

impl Prefix {
    pub(crate) fn new(prefix: &str) -> Result<Self, PrefixError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        if prefix.is_empty() || prefix.len() > MAX_BYTES || !prefix.bytes().all(allowed) {
            return Err(PrefixError(prefix.chars().take(2 * MAX_BYTES).collect()));
        }
        Ok(Self(prefix.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The set of topics with something stored.
    pub(crate) fn topics(&self) -> String {
        format!("{{{}}}:topics", self.0)
    }

    /// What each topic's channel begins with.
    pub(crate) fn channels(&self) -> String {
        format!("{{{}}}:t:", self.0)
    }

    /// The channel of an instance's marks.
    pub(crate) fn marks(&self, instance: &str) -> String {
        format!("{{{}}}:m:{instance}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_would_break_out_of_the_hash_tag_or_be_a_glob() {
        for bad in ["", "a}b", "{", "a b", "a*", "ä", "a\n", &"x".repeat(65)] {
            assert!(Prefix::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Prefix::new(Prefix::default().as_str()), Ok(Prefix::default()));
        for good in ["realtime", "a-b_c.d:e", &"x".repeat(64)] {
            assert!(Prefix::new(good).is_ok(), "{good:?}");
        }
    }
}
