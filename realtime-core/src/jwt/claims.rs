use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value};

use super::{Refused, Rules};
use crate::auth::Identity;

const LONGEST_SUBJECT: usize = 255;

/// The end of the year 9999, which every clock can tell. An `exp` after it is taken for it, as far as it
/// is less than 2^64; from there on it is no date, and the token malformed.
const LATEST: Duration = Duration::from_secs(253_402_300_799);

/// The claims of a token that was let in: `identity.get::<JwtClaims>()`.
///
/// What prints it prints the claims' names only.
#[derive(Clone, PartialEq, Eq)]
pub struct JwtClaims(Map<String, Value>);

impl JwtClaims {
    /// The claim of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All claims, by name.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(super) fn parse(json: &[u8]) -> Result<Self, Refused> {
        serde_json::from_slice(json).map(Self).map_err(|_| Refused::Malformed)
    }

    /// The identity that the claims make, if they are what the rules ask for.
    pub(super) fn identity(self, rules: &Rules, now: Duration) -> Result<Identity, Refused> {
        let expiry = self.check_times(rules, now)?;
        self.check_issuer(rules)?;
        self.check_audience(rules)?;
        let mut identity = Identity::new(self.subject()?);
        if let Some(at) = expiry {
            // Never too late for a `SystemTime`; if it ever were, refusing is the safe side.
            let at = SystemTime::UNIX_EPOCH.checked_add(at).ok_or(Refused::Malformed)?;
            identity = identity.expires_at(at);
        }
        Ok(identity.with(self))
    }

    /// When the token's time is over, leeway included.
    fn check_times(&self, rules: &Rules, now: Duration) -> Result<Option<Duration>, Refused> {
        if let Some(not_before) = self.date("nbf")?
            && not_before > now.saturating_add(rules.leeway)
        {
            return Err(Refused::NotYetValid);
        }
        let Some(expiry) = self.date("exp")? else {
            return if rules.expiry_required { Err(Refused::NoExpiry) } else { Ok(None) };
        };
        // The identity ends at the same instant as the token, so that no connection is closed
        // right after it was let in.
        let end = expiry.saturating_add(rules.leeway).min(LATEST);
        if end <= now { Err(Refused::Expired) } else { Ok(Some(end)) }
    }

    /// A `NumericDate` (RFC 7519 §2): seconds since the epoch, perhaps with a fraction.
    fn date(&self, name: &str) -> Result<Option<Duration>, Refused> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let date = match (value.as_u64(), value.as_f64()) {
            (Some(seconds), _) => Duration::from_secs(seconds),
            (None, Some(seconds)) => {
                Duration::try_from_secs_f64(seconds).map_err(|_| Refused::Malformed)?
            }
            (None, None) => return Err(Refused::Malformed),
        };
        Ok(Some(date))
    }

    fn check_issuer(&self, rules: &Rules) -> Result<(), Refused> {
        let found = |issuer| rules.issuers.iter().any(|allowed| allowed == issuer);
        let passes = rules.issuers.is_empty()
            || self.0.get("iss").and_then(Value::as_str).is_some_and(found);
        if passes { Ok(()) } else { Err(Refused::WrongIssuer) }
    }

    fn check_audience(&self, rules: &Rules) -> Result<(), Refused> {
        let is_ours = |name: &Value| {
            name.as_str().is_some_and(|name| rules.audiences.iter().any(|ours| ours == name))
        };
        let passes = match self.0.get("aud") {
            None => rules.audiences.is_empty(),
            // All have to be text, so that nothing is let in that a stricter reader would refuse.
            Some(Value::Array(names)) => {
                names.iter().all(Value::is_string) && names.iter().any(is_ours)
            }
            Some(name) => is_ours(name),
        };
        if passes { Ok(()) } else { Err(Refused::WrongAudience) }
    }

    fn subject(&self) -> Result<&str, Refused> {
        let subject = self.0.get("sub").ok_or(Refused::NoSubject)?;
        let subject = subject.as_str().ok_or(Refused::BadSubject)?;
        let is_good = (1..=LONGEST_SUBJECT).contains(&subject.len())
            && !subject.chars().any(char::is_control);
        if is_good { Ok(subject) } else { Err(Refused::BadSubject) }
    }
}

impl fmt::Debug for JwtClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
