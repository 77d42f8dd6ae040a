//! Authentication by JSON Web Token (RFC 7519): [`Jwt`].
//!
//! The cryptography is that of the crate `jsonwebtoken`. What a token's claims have to be is decided
//! here, by one pure function of token and time, because that crate lets an `aud` pass that is
//! neither text nor a list when no audience is expected, does not look at `crit`, and overflows on
//! a huge leeway.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use crate::auth::{AuthenticateError, Credentials, Identity};

mod claims;
mod key;
#[cfg(test)]
mod tests;

pub use claims::JwtClaims;
pub use key::{JwtError, JwtKey};

/// The longest token that is looked at: more than any header with other fields beside it can carry.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Finds out by JSON Web Token whose credentials are presented.
///
/// A token is let in when it is a JWS in compact form of at most 8 KiB that is signed with one of
/// the keys, by exactly the algorithm of that key, has no `crit` header, and has these claims:
/// - `exp`, not in the past, unless [`allow_without_expiry`](Self::allow_without_expiry);
/// - `nbf`, if there is one, not in the future;
/// - `iss`, one of [`issuer`](Self::issuer), if any are given;
/// - `aud`, naming one of [`audience`](Self::audience). Without an audience given, a token that has
///   an `aud` is for somebody else (RFC 7519 §4.1.3);
/// - `sub`, 1 to 255 bytes without control characters. It becomes [`Identity::subject`].
///
/// Of claims that occur more than once the last one counts. The identity expires when the token does
/// and [the leeway](Self::leeway) is over, and carries all claims as [`JwtClaims`].
///
/// # Which key
/// A token with a `kid` goes to the key with that [`id`](JwtKey::id), one without to the keys without
/// id. With only one key, and that without id, the `kid` is ignored. A token that finds no key is
/// refused.
///
/// # Example
/// ```
/// use realtime_core::jwt::{Jwt, JwtClaims};
///
/// # fn main() -> Result<(), realtime_core::jwt::JwtError> {
/// let authenticate = Jwt::hs256("32 random bytes, or an attacker guesses them")?
///     .issuer(["https://login.example.com"])
///     .audience(["realtime"]);
/// # let _ = authenticate;
/// # Ok(())
/// # }
/// // Later, in an `Authorize`:
/// fn is_admin(identity: &realtime_core::Identity) -> bool {
///     identity.get::<JwtClaims>().and_then(|claims| claims.get("admin")?.as_bool()) == Some(true)
/// }
/// ```
#[derive(Clone)]
pub struct Jwt(Arc<Rules>);

#[derive(Clone, Debug)]
struct Rules {
    keys: Vec<JwtKey>,
    issuers: Vec<String>,
    audiences: Vec<String>,
    leeway: Duration,
    expiry_required: bool,
}

impl Jwt {
    /// Tokens signed with this secret by HMAC with SHA-256; see [`JwtKey::hs256`].
    ///
    /// # Errors
    /// [`JwtError`] when the secret is empty.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, JwtError> {
        Self::with_keys([JwtKey::hs256(secret)?])
    }

    /// Tokens signed with the key of this public RSA key by PKCS #1 v1.5 with SHA-256.
    ///
    /// # Errors
    /// [`JwtError`] when `pem` is no public RSA key of 2048 to 8192 bits.
    pub fn rs256_pem(pem: impl AsRef<[u8]>) -> Result<Self, JwtError> {
        Self::with_keys([JwtKey::rs256_pem(pem)?])
    }

    /// Tokens signed with the key of this public P-256 key by ECDSA with SHA-256.
    ///
    /// # Errors
    /// [`JwtError`] when `pem` is no public P-256 key.
    pub fn es256_pem(pem: impl AsRef<[u8]>) -> Result<Self, JwtError> {
        Self::with_keys([JwtKey::es256_pem(pem)?])
    }

    /// Tokens signed with the key of this public Ed25519 key.
    ///
    /// # Errors
    /// [`JwtError`] when `pem` is no public Ed25519 key.
    pub fn eddsa_pem(pem: impl AsRef<[u8]>) -> Result<Self, JwtError> {
        Self::with_keys([JwtKey::eddsa_pem(pem)?])
    }

    /// Tokens signed with one of several keys, like the old and the new one while keys are rotated.
    ///
    /// Give each an [`id`](JwtKey::id): a token without `kid` is tried with every key without id.
    ///
    /// # Errors
    /// [`JwtError`] when there is no key or two have the same id.
    pub fn with_keys(keys: impl IntoIterator<Item = JwtKey>) -> Result<Self, JwtError> {
        let keys: Vec<JwtKey> = keys.into_iter().collect();
        if keys.is_empty() {
            return Err(JwtError::NoKeys);
        }
        for (at, key) in keys.iter().enumerate() {
            if let Some(id) = key.key_id()
                && keys[..at].iter().any(|before| before.key_id() == Some(id))
            {
                return Err(JwtError::DuplicateId(id.to_owned()));
            }
        }
        Ok(Self(Arc::new(Rules {
            keys,
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway: Duration::from_secs(5),
            expiry_required: true,
        })))
    }

    /// Only tokens whose `iss` is one of these. Default: none given, the issuer is not looked at,
    /// since whoever has the key is trusted.
    #[must_use]
    pub fn issuer<I>(mut self, issuers: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.rules().issuers = issuers.into_iter().map(Into::into).collect();
        self
    }

    /// Only tokens whose `aud` names at least one of these. Default: none given, and only tokens
    /// without `aud` are let in, since the others name whom they are for and that is not this server.
    #[must_use]
    pub fn audience<I>(mut self, audiences: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.rules().audiences = audiences.into_iter().map(Into::into).collect();
        self
    }

    /// How long a token is valid before its `nbf` and after its `exp`. Default: 5 s, what clocks
    /// that are set by NTP are apart at the worst; a stolen token lives no longer for it to speak of.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules().leeway = leeway;
        self
    }

    /// Also tokens without `exp`. Default: refused, since such a token, once stolen, is good until
    /// the key changes. The `exp` of those that have one still counts.
    #[must_use]
    pub fn allow_without_expiry(mut self) -> Self {
        self.rules().expiry_required = false;
        self
    }

    fn rules(&mut self) -> &mut Rules {
        Arc::make_mut(&mut self.0)
    }

    /// Whose token it is, at `now` since the Unix epoch.
    pub(crate) fn authenticate_at(
        &self,
        credentials: &Credentials,
        now: Duration,
    ) -> Result<Identity, AuthenticateError> {
        let outcome = self.check(credentials.token.expose(), now);
        outcome.map_err(|refused| AuthenticateError::invalid(refused.reason()))
    }

    /// Whose token it is, at `now` since the Unix epoch.
    fn check(&self, token: &str, now: Duration) -> Result<Identity, Refused> {
        if token.len() > LONGEST_TOKEN {
            return Err(Refused::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Refused::Malformed)?;
        let header = decode(header)?;
        let header = Header::parse(&header)?;
        if header.crit {
            return Err(Refused::Critical);
        }
        self.check_signature(&header, message.as_bytes(), &decode(signature)?)?;
        // Nothing of the payload is looked at before the signature has been found good. A fourth
        // part would be in it, and a dot is not base64url.
        let claims = JwtClaims::parse(&decode(payload)?)?;
        claims.identity(&self.0, now)
    }

    fn check_signature(
        &self,
        header: &Header<'_>,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> Result<(), Refused> {
        let keys = &self.0.keys;
        let id = match &keys[..] {
            [only] if only.key_id().is_none() => None,
            _ => header.kid.as_deref(),
        };
        let mut refused = Refused::NoSuchKey;
        for key in keys.iter().filter(|key| key.key_id() == id) {
            // The key says which algorithm it is for, never the token: else a public RSA key, which
            // everybody has, would serve as the secret of an HMAC.
            if !key.is_for(&header.alg) {
                refused = refused.max(Refused::WrongAlgorithm);
            } else if key.verifies(message, signature) {
                return Ok(());
            } else {
                refused = Refused::BadSignature;
            }
        }
        Err(refused)
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { keys, issuers, audiences, leeway, expiry_required } = &*self.0;
        f.debug_struct("Jwt")
            .field("keys", keys)
            .field("issuers", issuers)
            .field("audiences", audiences)
            .field("leeway", leeway)
            .field("expiry_required", expiry_required)
            .finish()
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed)
}

/// What counts of a token's header; a member that occurs twice is an error.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    kid: Option<String>,
    /// Extensions that have to be understood, of which there is none here (RFC 7515 §4.1.11).
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

impl<'a> Header<'a> {
    fn parse(json: &'a [u8]) -> Result<Self, Refused> {
        // Serde would take a list of the members as well.
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(Refused::Malformed);
        }
        serde_json::from_slice(json).map_err(|_| Refused::Malformed)
    }
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Why a token is refused; of keys, the later one says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Refused {
    TooLong,
    Malformed,
    Critical,
    NoSuchKey,
    WrongAlgorithm,
    BadSignature,
    NoExpiry,
    Expired,
    NotYetValid,
    WrongIssuer,
    WrongAudience,
    NoSubject,
    BadSubject,
}

impl Refused {
    /// The words for the client, with nothing of the token in them.
    fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "token too long",
            Self::Malformed => "malformed token",
            Self::Critical => "critical header not understood",
            Self::NoSuchKey => "no such key",
            Self::WrongAlgorithm => "wrong algorithm",
            Self::BadSignature => "bad signature",
            Self::NoExpiry => "no expiry",
            Self::Expired => "expired",
            Self::NotYetValid => "not valid yet",
            Self::WrongIssuer => "wrong issuer",
            Self::WrongAudience => "wrong audience",
            Self::NoSubject => "no subject",
            Self::BadSubject => "bad subject",
        }
    }
}
