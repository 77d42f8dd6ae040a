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
    admission::{Admits, Candidate, Established, NotAuthenticated},
    auth::{AuthenticateError, Authenticated, Authentication, Credentials, Identity, Turn},
    client_ip::ClientIp,
    head::RequestHead,
    hub::Hub,
    lifetime::later,
    permits::{LimitReached, RevocationWatch},
    rejection::Rejection,
    sse, ws,
};

/// Lets a request for an event stream in; see [`sse::Request::accept`]. What the head has to tell
/// is read before this returns.
///
/// # Errors
/// See [`sse::Request::accept`]; also 401 when the credentials are not valid, 429 when their
/// identity has as many connections as it may or too much of the client's network is being checked,
/// 503 when they can't be checked.
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
/// has as many connections as it may or too much of the client's network is being checked, 503 when
/// they can't be checked.
///
/// # Cancel safety
/// Dropping the future refuses the handshake.
pub fn accept_websocket(hub: &Hub, head: &impl RequestHead) -> Admitting<ws::Request> {
    admit(ws::Request::accept(hub, head, now()))
}

/// A request that is being let in: ready at once, unless what it presents has to be checked.
///
/// # Cancel safety
/// Dropping it refuses the request: the check is dropped, and its turn and the permit are given back.
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
            let admission = request.admission();
            match begin(admission.hub(), admission.client_ip(), credentials) {
                Check::Known(outcome) => State::Known(Some(request.established(outcome))),
                Check::Later(outcome) => State::Checking(Box::pin(async {
                    let outcome = outcome.await;
                    request.established(outcome)
                })),
            }
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
            /// [`Hub::disconnect`](crate::Hub::disconnect) from this call on; see
            /// [`identify_since`](Self::identify_since) for one that comes before it.
            ///
            /// # Errors
            /// A [`Rejection`] with 429 when the identity has as many connections as it may, and
            /// with 401 when it has expired.
            pub fn identify(self, identity: Identity) -> Result<Self, Rejection> {
                let watch = self.hub().watch_revocations();
                self.identify_since(watch, identity)
            }

            /// The same as [`identify`](Self::identify), and whoever was disconnected since `watch`
            /// began is refused: it begins before the application looks up who it is, so that
            /// nobody is let in by what was true before a revocation.
            ///
            /// # Errors
            /// A [`Rejection`] with 429 when the identity has as many connections as it may, with
            /// 401 when it has expired or been revoked, with 503 when so much was revoked
            /// meanwhile that nobody knows, and with 500 when `watch` is of another hub.
            pub fn identify_since(
                self,
                watch: RevocationWatch,
                identity: Identity,
            ) -> Result<Self, Rejection> {
                if !watch.is_of(self.hub().permits()) {
                    return Err(Rejection::new(500, "revocations were watched on another hub"));
                }
                let established = deadline(&identity).map(|expires_at| Established {
                    identity,
                    expires_at,
                    watch,
                });
                self.established(established.map_err(NotAuthenticated::from))
            }
        }
    };
}
identify!(sse::Request);
identify!(ws::Request);

/// A check under way.
type Checking = Pin<Box<dyn Future<Output = Result<Established, NotAuthenticated>> + Send>>;

/// A check that has begun.
enum Check {
    Known(Result<Established, NotAuthenticated>),
    Later(Checking),
}

/// Finds out whose credentials they are: within a time, and not more at once than allowed. A panic
/// in the user's code is an error of the server.
pub(super) async fn authenticate(
    hub: &Hub,
    client: Option<ClientIp>,
    credentials: Credentials,
) -> Result<Established, NotAuthenticated> {
    match begin(hub, client, credentials) {
        Check::Known(outcome) => outcome,
        Check::Later(outcome) => outcome.await,
    }
}

/// Begins a check, which is also its end where nothing has to be waited for.
fn begin(hub: &Hub, client: Option<ClientIp>, credentials: Credentials) -> Check {
    let Some(authentication) = hub.config().authentication.as_ref() else {
        return Check::Known(Err(unavailable("the hub has no authentication").into()));
    };
    // What is revoked from here on is not let in, however long the check takes.
    let watch = hub.permits().watch();
    let establish = |outcome: Result<Identity, NotAuthenticated>| {
        let identity = outcome?;
        let expires_at = deadline(&identity)?;
        Ok(Established { identity, expires_at, watch })
    };
    let mut turn = authentication.turns.join(client);
    if !turn.try_take() {
        let authentication = authentication.clone();
        return Check::Later(Box::pin(async move {
            establish(in_turn(&authentication, turn, credentials).await)
        }));
    }
    let timeout = authentication.timeout;
    match ask(authentication, credentials) {
        Authenticated::Now(outcome) => Check::Known(establish(told(outcome))),
        Authenticated::Later(outcome) => Check::Later(Box::pin(async move {
            let outcome = within(timeout, guarded(outcome)).await;
            drop(turn);
            establish(told(outcome.unwrap_or_else(|| Err(too_slow(timeout)))))
        })),
    }
}

/// A check that has to wait for its turn; the wait is a part of its time, at most the half, so that no
/// check begins whose end nobody waits for.
async fn in_turn(
    authentication: &Authentication,
    mut turn: Turn,
    credentials: Credentials,
) -> Result<Identity, NotAuthenticated> {
    let timeout = authentication.timeout;
    let identity = async {
        if within(timeout / 2, turn.take()).await.is_none() {
            let max = authentication.turns.per_network();
            return Err(if turn.is_behind_its_own() {
                LimitReached::Checks { max }.into()
            } else {
                unavailable(format_args!("no turn came in {:?}", timeout / 2)).into()
            });
        }
        let outcome = match ask(authentication, credentials) {
            Authenticated::Now(outcome) => outcome,
            Authenticated::Later(outcome) => guarded(outcome).await,
        };
        outcome.map_err(NotAuthenticated::from)
    };
    let outcome = within(timeout, identity).await;
    told(outcome.unwrap_or_else(|| Err(too_slow(timeout).into())))
}

/// Asks the user's code, whose panics are errors.
fn ask(authentication: &Authentication, credentials: Credentials) -> Authenticated {
    let ask = || authentication.authenticate.authenticate(credentials);
    let asked = catch_unwind(AssertUnwindSafe(ask));
    asked.unwrap_or_else(|_| Authenticated::Now(Err(unavailable(PANICKED))))
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
        polled.unwrap_or_else(|_| Poll::Ready(Err(unavailable(PANICKED))))
    })
    .await
}

/// The outcome of `future`, if it has one in time.
#[expect(clippy::disallowed_methods, reason = "the one place where core waits for time")]
async fn within<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(time, future).await.ok()
}

/// The outcome, of which the log is told when it is the server's fault.
fn told<E>(outcome: Result<Identity, E>) -> Result<Identity, NotAuthenticated>
where
    NotAuthenticated: From<E>,
{
    let outcome = outcome.map_err(NotAuthenticated::from);
    if let Err(NotAuthenticated::Authenticate(AuthenticateError::Unavailable(error))) = &outcome {
        tracing::warn!(%error, "credentials can't be checked");
    }
    outcome
}

fn too_slow(time: Duration) -> AuthenticateError {
    unavailable(format_args!("the check took more than {time:?}"))
}

fn unavailable(error: impl fmt::Display) -> AuthenticateError {
    AuthenticateError::unavailable(error)
}

const PANICKED: &str = "the authentication panicked";

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
pub(super) struct Identifying(Option<(Checking, Instant)>);

impl Identifying {
    /// Until when a check that is under way may take.
    pub(super) fn until(&self) -> Option<Instant> {
        self.0.as_ref().map(|(_, until)| *until)
    }

    /// Starts a check when one is due, and tells the session its outcome.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, session: &mut ws::Session, now: Instant) {
        loop {
            if let Some(credentials) = session.presented() {
                match begin(session.hub(), session.client_ip(), credentials) {
                    Check::Known(outcome) => session.authenticated(outcome, now),
                    Check::Later(checking) => {
                        let authentication = session.hub().config().authentication.as_ref();
                        let time = authentication.map_or(Duration::MAX, |it| it.timeout);
                        self.0 = Some((checking, later(now, time)));
                    }
                }
            }
            let Some((checking, _)) = &mut self.0 else { return };
            let Poll::Ready(outcome) = checking.as_mut().poll(cx) else { return };
            self.0 = None;
            session.authenticated(outcome, now);
        }
    }
}

impl fmt::Debug for Identifying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identifying").field("checking", &self.0.is_some()).finish_non_exhaustive()
    }
}
