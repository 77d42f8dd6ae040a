//! How clients prove who they are: [`Authentication`].

use std::{fmt, sync::Arc, time::Duration};

use bytestring::ByteString;
use tokio::sync::Semaphore;

use super::{Authenticate, CredentialSource, Credentials, Token, Turns, credentials};
use crate::head::RequestHead;

/// How clients prove who they are, and what checks it.
///
/// A client presents one secret: as `Authorization: Bearer …`, for a WebSocket also as the
/// subprotocol `base64url.bearer.<token>`, in base64url without padding, or as it is when it has a
/// dot, like a JWT; and in the ways that have to be asked for: a parameter of
/// the query, a cookie, the first WebSocket message. Of several, the first in that order counts, so
/// that what a page says goes before what its browser sends by itself.
///
/// ```
/// # use realtime_core::{Authentication, Credentials, Hub, Identity, AuthenticateError};
/// # async fn session(id: &str) -> Option<String> { None }
/// let hub = Hub::builder()
///     .authentication(
///         Authentication::new(async |credentials: Credentials| {
///             let user = session(credentials.token.expose()).await;
///             user.map(Identity::new).ok_or(AuthenticateError::invalid("no such session"))
///         })
///         .cookie("session"),
///     )
///     .build()?;
/// # Ok::<(), realtime_core::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Authentication {
    pub(crate) authenticate: Arc<dyn Authenticate>,
    pub(crate) cookie: Option<ByteString>,
    pub(crate) query: Option<ByteString>,
    pub(crate) first_message: Option<Duration>,
    pub(crate) optional: bool,
    pub(crate) timeout: Duration,
    concurrency: usize,
    concurrency_per_ip: Option<usize>,
    pub(crate) turns: Arc<Turns>,
}

impl Authentication {
    /// How long a client may take to send its first message where
    /// [`first_message`](Self::first_message) is not told otherwise.
    pub const FIRST_MESSAGE_DEADLINE: Duration = Duration::from_secs(10);

    /// Authentication of every connection by `authenticate`.
    pub fn new(authenticate: impl Authenticate) -> Self {
        Self {
            authenticate: Arc::new(authenticate),
            cookie: None,
            query: None,
            first_message: None,
            optional: false,
            timeout: Duration::from_secs(5),
            concurrency: 64,
            concurrency_per_ip: None,
            turns: Arc::new(Turns::new(64, 16)),
        }
    }

    /// Also takes the secret from the cookie `name`.
    ///
    /// Browsers send cookies whatever page asks, so such a request must come from a page that the
    /// [`OriginPolicy`](crate::OriginPolicy) allows. Set the cookie `HttpOnly`, `Secure` and
    /// `SameSite`. Default: none.
    pub fn cookie(mut self, name: impl Into<ByteString>) -> Self {
        self.cookie = Some(name.into());
        self
    }

    /// Also takes the secret from the parameter `name` of the query.
    ///
    /// Addresses end up in logs, of proxies and of middleware; what this library logs has none.
    /// Prefer any other way. Default: none.
    pub fn query(mut self, name: impl Into<ByteString>) -> Self {
        self.query = Some(name.into());
        self
    }

    /// Also lets a WebSocket in that presents nothing, and takes the secret from its first message,
    /// `{"token":"…"}`, that has to come within
    /// [10 s](Self::FIRST_MESSAGE_DEADLINE) or the connection closes with 4408.
    ///
    /// Before that nothing is subscribed and no handler runs. A later message of that form is a
    /// refresh: it replaces the identity by one of the same subject, and the handler does not see
    /// it. A bad token then closes the connection with 4401, one of another subject with 4403; one that
    /// can't be checked changes nothing. Default: off, also for refreshes.
    pub fn first_message(self) -> Self {
        self.first_message_within(Self::FIRST_MESSAGE_DEADLINE)
    }

    /// The same with another deadline.
    pub fn first_message_within(mut self, deadline: Duration) -> Self {
        self.first_message = Some(deadline);
        self
    }

    /// Lets in without an identity who presents nothing; what is presented must still be valid.
    /// Default: who presents nothing is refused with 401.
    ///
    /// For hubs with public endpoints too; the others ask for the extractor's `identity()`. Such a
    /// WebSocket is let in at once also with [`first_message`](Self::first_message), and its first
    /// token gives it an identity.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// How long checking a secret may take; the client is then told to come back later. Waiting for its
    /// turn is a part of it, and at most half of it. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many secrets are checked at once. Default: 64, so that a storm of reconnects does not
    /// become a storm of queries.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.min(Semaphore::MAX_PERMITS);
        self.with_turns()
    }

    /// How many of these are of one client network, an IPv4 address or the /64 of an IPv6 address.
    /// Default: a quarter, and at least one, so that no address keeps others from being checked. The
    /// block around it, a /24 or a /48, has half of all, and at least as many.
    ///
    /// More of them wait until others of their network are done. Whose turn among them has not come
    /// within half of the [`timeout`](Self::timeout) is refused with 429 and the time to come back, a
    /// WebSocket that says it in its first message with 4429; a refresh changes nothing then. Where no
    /// address is known there is no such limit: list your proxies in
    /// [`Config::trusted_proxies`](crate::Config::trusted_proxies), or all of their clients share one.
    pub fn concurrency_per_ip(mut self, concurrency: usize) -> Self {
        self.concurrency_per_ip = Some(concurrency.min(Semaphore::MAX_PERMITS));
        self.with_turns()
    }

    fn with_turns(mut self) -> Self {
        let per_network = self.concurrency_per_ip.unwrap_or((self.concurrency / 4).max(1));
        self.turns = Arc::new(Turns::new(self.concurrency, per_network));
        self
    }

    /// The field that is zero and must not be.
    pub(crate) fn zero_field(&self) -> Option<&'static str> {
        if self.timeout.is_zero() {
            return Some("authentication.timeout");
        }
        if self.concurrency == 0 {
            return Some("authentication.concurrency");
        }
        if self.concurrency_per_ip == Some(0) {
            return Some("authentication.concurrency_per_ip");
        }
        self.first_message.filter(Duration::is_zero).map(|_| "authentication.first_message")
    }

    /// What a request presents, `None` when it presents nothing.
    pub(crate) fn presented(
        &self,
        head: &impl RequestHead,
        is_websocket: bool,
    ) -> Result<Option<Credentials>, super::AuthenticateError> {
        let found = |token, source| Ok(Some(Credentials::new(token, source)));
        if let Some(token) = credentials::bearer(head)? {
            return found(token, CredentialSource::Bearer);
        }
        if is_websocket && let Some(token) = credentials::subprotocol(head)? {
            return found(token, CredentialSource::Subprotocol);
        }
        if let Some(name) = &self.query
            && let Some(token) = credentials::query(head, name)?
        {
            return found(token, CredentialSource::Query);
        }
        if let Some(name) = &self.cookie
            && let Some(token) = credentials::cookie(head, name)?
        {
            return found(token, CredentialSource::Cookie);
        }
        Ok(None)
    }

    /// Takes the secret of a message `{"token":"…"}`, `None` for any other.
    pub(crate) fn message(text: &str) -> Option<Credentials> {
        credentials::message(text)
            .map(|token| Credentials::new(Token::new(token), CredentialSource::Message))
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication")
            .field("cookie", &self.cookie)
            .field("query", &self.query)
            .field("first_message", &self.first_message)
            .field("optional", &self.optional)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("concurrency_per_ip", &self.turns.per_network())
            .finish_non_exhaustive()
    }
}
