//! Who is there, and what they may do: [`Identity`], [`Authenticate`], [`Authorize`].

use std::{any::Any, borrow::Cow, fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

use bytestring::ByteString;

use crate::topic::TopicName;

mod authentication;
mod credentials;
mod turns;

pub use authentication::Authentication;
pub(crate) use credentials::SUBPROTOCOL_PREFIX;
pub(crate) use turns::{Turn, Turns};

/// Whose connection it is.
///
/// A cheap handle: clones share what they hold.
#[derive(Clone)]
pub struct Identity(Arc<Claims>);

#[derive(Clone)]
struct Claims {
    subject: ByteString,
    expires_at: Option<SystemTime>,
    details: Option<Arc<dyn Any + Send + Sync>>,
}

impl Identity {
    /// The identity of `subject`: what limits per identity, [`Hub::disconnect`](crate::Hub) and
    /// refreshes go by. Use what does not change while the user stays the same, like a primary key.
    pub fn new(subject: impl Into<ByteString>) -> Self {
        Self(Arc::new(Claims { subject: subject.into(), expires_at: None, details: None }))
    }

    /// The same identity until `at`; its connections are closed then. Default: it does not expire.
    ///
    /// How long that is is measured once, when the connection gets the identity, and then kept by a
    /// clock that only goes forward: setting the machine's clock later changes nothing, and while the
    /// machine is suspended that clock may stand, so that connections last longer by as much.
    #[must_use]
    pub fn expires_at(mut self, at: SystemTime) -> Self {
        Arc::make_mut(&mut self.0).expires_at = Some(at);
        self
    }

    /// The same identity with what the application knows of it, like roles; in place of what was
    /// there.
    #[must_use]
    pub fn with<T: Any + Send + Sync>(mut self, details: T) -> Self {
        Arc::make_mut(&mut self.0).details = Some(Arc::new(details));
        self
    }

    /// Whose.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// When it expires, `None` for never.
    pub fn expiry(&self) -> Option<SystemTime> {
        self.0.expires_at
    }

    /// What the application knows of it, if that is a `T`.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.details.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("subject", &self.0.subject)
            .field("expires_at", &self.0.expires_at)
            .finish_non_exhaustive()
    }
}

/// A secret that proves an identity. What prints it prints `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(ByteString);

impl Token {
    /// Takes the secret.
    pub fn new(secret: impl Into<ByteString>) -> Self {
        Self(secret.into())
    }

    /// The secret. Keep it out of logs and errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What a client presents to prove who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// The secret.
    pub token: Token,
    /// How it came.
    pub source: CredentialSource,
}

impl Credentials {
    /// A secret, and how it came.
    pub fn new(token: Token, source: CredentialSource) -> Self {
        Self { token, source }
    }
}

/// How credentials came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialSource {
    /// A cookie, which a browser sends whatever page asks.
    Cookie,
    /// `Authorization: Bearer` (RFC 6750 §2.1).
    Bearer,
    /// A subprotocol `base64url.bearer.<token>` in `Sec-WebSocket-Protocol`.
    Subprotocol,
    /// A parameter of the query (RFC 6750 §2.3).
    Query,
    /// A WebSocket message, the first one or a later one that refreshes.
    Message,
}

/// Finds out whose credentials are presented.
///
/// A closure is one: `async |credentials: Credentials| Ok(Identity::new("alice"))`.
pub trait Authenticate: Send + Sync + 'static {
    /// The identity, known now or later.
    ///
    /// A future that does not end in time is dropped, and the client told to come back later; so is one
    /// whose client has gone. Let nothing depend on its coming to an end.
    fn authenticate(&self, credentials: Credentials) -> Authenticated;
}

impl<F, R> Authenticate for F
where
    F: Fn(Credentials) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Identity, AuthenticateError>> + Send + 'static,
{
    fn authenticate(&self, credentials: Credentials) -> Authenticated {
        Authenticated::Later(Box::pin(self(credentials)))
    }
}

/// The outcome of [`Authenticate::authenticate`]: known at once, or later.
#[non_exhaustive]
pub enum Authenticated {
    /// Known.
    Now(Result<Identity, AuthenticateError>),
    /// To be awaited.
    Later(Pin<Box<dyn Future<Output = Result<Identity, AuthenticateError>> + Send>>),
}

impl fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(outcome) => f.debug_tuple("Now").field(outcome).finish(),
            Self::Later(_) => f.debug_tuple("Later").finish(),
        }
    }
}

/// Why credentials prove no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthenticateError {
    /// They are not valid; the client is told this reason, so keep secrets out of it.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// It can't be found out now; the client is told to come back later, the log why.
    #[error("credentials can't be checked now: {0}")]
    Unavailable(String),
}

impl AuthenticateError {
    /// Credentials that are not valid, and why, in words for the client.
    pub fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(reason.into())
    }

    /// An error of what credentials are checked with, like a database.
    pub fn unavailable(error: impl fmt::Display) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Decides what an identity may do with a topic.
///
/// It is asked when a connection subscribes, when a pattern comes to match a topic, for every
/// [`Socket::publish`](crate::ws::Socket::publish), and for all of a connection's topics when its
/// identity is refreshed. Nothing is asked again when only your data changes: for that there is
/// [`Hub::disconnect`](crate::Hub::disconnect).
///
/// Following a pattern asks for each topic of the hub that it matches, until more are permitted than
/// [`Limits::topics_per_subscription`](crate::Limits::topics_per_subscription): for `>` and somebody
/// who may have little, up to [`Limits::topics`](crate::Limits::topics) times. Nothing in the hub is
/// held up meanwhile, but the connection's thread is, so be quick, and let clients choose among patterns
/// with a prefix of theirs. It must not panic and must not block: load what it needs in
/// [`Authenticate`], into [`Identity::with`]. A closure is one: `|identity: Option<&Identity>, action, topic| …`.
pub trait Authorize: Send + Sync + 'static {
    /// Whether `identity`, `None` for a connection without, may do `action` with `topic`.
    fn authorize(&self, identity: Option<&Identity>, action: Action, topic: &TopicName) -> bool;
}

impl<F> Authorize for F
where
    F: Fn(Option<&Identity>, Action, &TopicName) -> bool + Send + Sync + 'static,
{
    fn authorize(&self, identity: Option<&Identity>, action: Action, topic: &TopicName) -> bool {
        self(identity, action, topic)
    }
}

/// What is done with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Its events are received.
    Subscribe,
    /// Events are published to it.
    Publish,
}

/// A shared [`Authorize`].
#[derive(Clone)]
pub struct Authorizer(Arc<dyn Authorize>);

impl Authorizer {
    /// Shares `authorize`.
    pub fn new(authorize: impl Authorize) -> Self {
        Self(Arc::new(authorize))
    }
}

impl Authorize for Authorizer {
    fn authorize(&self, identity: Option<&Identity>, action: Action, topic: &TopicName) -> bool {
        self.0.authorize(identity, action, topic)
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer").finish_non_exhaustive()
    }
}
