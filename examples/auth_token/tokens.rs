//! Tokens: JSON Web Tokens that live for some seconds.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{EncodingKey, Header, encode};
use realtime::jwt::{Jwt, JwtError};
use serde::Serialize;

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "realtime";

/// Issues tokens, and says how they are checked; a cheap handle.
#[derive(Clone)]
pub(crate) struct Tokens(Arc<Issuer>);

struct Issuer {
    secret: [u8; 32],
    lifetime: Duration,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iss: &'a str,
    aud: &'a str,
    exp: u64,
}

impl Tokens {
    /// With a secret of its own: tokens from before a restart are no longer good.
    pub(crate) fn new(lifetime: Duration) -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self(Arc::new(Issuer { secret, lifetime })))
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.0.lifetime
    }

    /// A token for `user`. In a real service, one gets it for a password, or from an identity
    /// provider that signs with a key of which this server has only the public half.
    pub(crate) fn issue(&self, user: &str) -> Result<String, Box<dyn Error>> {
        let expires_at = SystemTime::now().duration_since(UNIX_EPOCH)? + self.0.lifetime;
        let claims = Claims { sub: user, iss: ISSUER, aud: AUDIENCE, exp: expires_at.as_secs() };
        Ok(encode(&Header::default(), &claims, &EncodingKey::from_secret(&self.0.secret))?)
    }

    /// What the hub checks tokens with.
    pub(crate) fn check(&self) -> Result<Jwt, JwtError> {
        // One clock issues and checks here, so nothing has to be forgiven. Between two machines
        // leave the default of some seconds.
        let jwt = Jwt::hs256(self.0.secret)?.leeway(Duration::ZERO);
        Ok(jwt.issuer([ISSUER]).audience([AUDIENCE]))
    }
}
