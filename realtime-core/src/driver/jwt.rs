//! The time that tokens are checked at.

use std::time::SystemTime;

use crate::{
    auth::{Authenticate, Authenticated, Credentials},
    jwt::Jwt,
};

impl Authenticate for Jwt {
    #[expect(clippy::disallowed_methods, reason = "the one place where core reads a clock")]
    fn authenticate(&self, credentials: Credentials) -> Authenticated {
        // Before 1970 no token is valid yet, and none has expired.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Authenticated::Now(self.authenticate_at(&credentials, now))
    }
}
