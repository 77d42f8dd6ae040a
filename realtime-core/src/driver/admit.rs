//! Letting requests in at the time of now, and finding out whose they are.

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use super::now;
use crate::{
    admission::{Admits, Candidate, Established},
    auth::{AuthenticateError, Authenticated, Authentication, Credentials, Identity},
    head::RequestHead,
    hub::Hub,
    rejection::Rejection,
    sse, ws,
};

/// Lets a request for an event stream in; see [`sse::Request::accept`]. What the head has to tell
/// is read before this returns.
///
/// # Errors
/// See [`sse::Request::accept`]; also 401 when the credentials are not valid, 429 when their
/// identity has as many connections as it may, 503 when they can't be checked.
///
/// # Cancel safety
/// Dropping the future refuses the request.
pub fn accept_event_stream(hub: &Hub, head: &impl RequestHead) -> Admitting<sse::Request> {
    admit(sse::Request::accept(hub, head, now()))
}

/// Lets a WebSocket handshake in; see [`ws::Request::accept`]. What the head has to tell is read
/// before this returns.
///
/// # Errors
/// See [`ws::Request::accept`]; also 401 when the credentials are not valid, 429 when their identity
/// has as many connections as it may, 503 when they can't be checked.
///
/// # Cancel safety
/// Dropping the future refuses the handshake.
pub fn accept_websocket(hub: &Hub, head: &impl RequestHead) -> Admitting<ws::Request> {
    admit(ws::Request::accept(hub, head, now()))
}

/// A request that is being let in: ready at once, unless what it presents has to be checked.
#[must_use = "nobody is let in before this is awaited"]
pub struct Admitting<R>(State<R>);

enum State<R> {
    Known(Option<Result<R, Rejection>>),
    Checking(Pin<Box<dyn Future<Output = Result<R, Rejection>> + Send>>),
}

fn admit<R>(candidate: Result<Candidate<R>, Rejection>) -> Admitting<R>
where
    R: Admits + Send + 'static,
{
    Admitting(match candidate {
        Err(rejection) => State::Known(Some(Err(rejection))),
        Ok(Candidate { request, credentials: None }) => State::Known(Some(Ok(request))),
        Ok(Candidate { mut request, credentials: Some(credentials) }) => {
            let checking = authenticate(request.admission().hub().clone(), credentials);
            State::Checking(Box::pin(async {
                let established = checking.await;
                request.established(established)
            }))
        }
    })
}

impl<R: Unpin> Future for Admitting<R> {
    type Output = Result<R, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Known(outcome) => Poll::Ready(
                outcome.take().unwrap_or_else(|| Err(Rejection::new(500, "polled after it ended"))),
            ),
            State::Checking(checking) => checking.as_mut().poll(cx),
        }
    }
}

impl<R> fmt::Debug for Admitting<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitting").finish_non_exhaustive()
    }
}

macro_rules! identify {
    ($request:ty) => {
        impl $request {
            /// Gives the connection the identity that the application has found out by itself, in
            /// place of another: for limits, permissions, expiry, and
            /// [`Hub::disconnect`](crate::Hub::disconnect).
            ///
            /// # Errors
            /// A [`Rejection`] with 429 when the identity has as many connections as it may, and
            /// with 401 when it has expired.
            pub fn identify(self, identity: Identity) -> Result<Self, Rejection> {
                let checking = self.hub().permits().check();
                let expires_at = deadline(&identity);
                self.established(expires_at.map(|expires_at| Established {
                    identity,
                    expires_at,
                    checking,
                }))
            }
        }
    };
}
identify!(sse::Request);
identify!(ws::Request);

/// A check under way.
pub(super) type Checking =
    Pin<Box<dyn Future<Output = Result<Established, AuthenticateError>> + Send>>;

/// Finds out whose credentials they are: within a time, and not more at once than allowed. A panic
/// in the user's code is an error of the server.
pub(super) async fn authenticate(
    hub: Hub,
    credentials: Credentials,
) -> Result<Established, AuthenticateError> {
    let Some(authentication) = hub.config().authentication.clone() else {
        return Err(AuthenticateError::unavailable("the hub has no authentication"));
    };
    // What is revoked from here on is not let in, however long the check takes.
    let checking = hub.permits().check();
    let checked = guarded(check(&authentication, credentials));
    let identity = within(authentication.timeout, checked).await.inspect_err(|error| {
        if let AuthenticateError::Unavailable(error) = error {
            tracing::warn!(%error, "credentials can't be checked");
        }
    })?;
    let expires_at = deadline(&identity)?;
    Ok(Established { identity, expires_at, checking })
}

async fn check(
    authentication: &Authentication,
    credentials: Credentials,
) -> Result<Identity, AuthenticateError> {
    let _slot = authentication.slots.acquire().await.map_err(AuthenticateError::unavailable)?;
    match authentication.authenticate.authenticate(credentials) {
        Authenticated::Now(outcome) => outcome,
        Authenticated::Later(outcome) => outcome.await,
    }
}

/// `future`, whose panics are errors.
async fn guarded<F>(future: F) -> Result<Identity, AuthenticateError>
where
    F: Future<Output = Result<Identity, AuthenticateError>>,
{
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| {
        // A future that panicked is not looked at again.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| {
            Poll::Ready(Err(AuthenticateError::unavailable("the authentication panicked")))
        })
    })
    .await
}

#[expect(clippy::disallowed_methods, reason = "the one place where core waits for time")]
async fn within<F>(time: Duration, future: F) -> Result<Identity, AuthenticateError>
where
    F: Future<Output = Result<Identity, AuthenticateError>>,
{
    let outcome = tokio::time::timeout(time, future).await;
    outcome.unwrap_or_else(|_| {
        Err(AuthenticateError::unavailable(format_args!("the check took more than {time:?}")))
    })
}

/// When an identity expires, by the clock that deadlines go by.
///
/// # Errors
/// When it has expired.
#[expect(clippy::disallowed_methods, reason = "the one place where core reads a clock")]
fn deadline(identity: &Identity) -> Result<Option<Instant>, AuthenticateError> {
    let Some(at) = identity.expiry() else { return Ok(None) };
    let left = at.duration_since(SystemTime::now());
    let left = left.map_err(|_| AuthenticateError::invalid("expired"))?;
    Ok(now().checked_add(left))
}

/// The peer's identification in the course of a connection: checks what messages present.
#[derive(Default)]
pub(super) struct Identifying(Option<Checking>);

impl Identifying {
    /// Starts a check when one is due, and tells the session its outcome.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, session: &mut ws::Session, now: Instant) {
        loop {
            if let Some(credentials) = session.presented() {
                self.0 = Some(Box::pin(authenticate(session.hub().clone(), credentials)));
            }
            let Some(checking) = &mut self.0 else { return };
            let Poll::Ready(outcome) = checking.as_mut().poll(cx) else { return };
            self.0 = None;
            session.authenticated(outcome, now);
        }
    }
}
