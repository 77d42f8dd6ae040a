//! Who is who in the cases about admission: an authentication with tokens that say what becomes of
//! them. They look like a JSON Web Token, which is three parts with dots between.

use std::{
    future::pending,
    panic::resume_unwind,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use realtime_core::{AuthenticateError, Authentication, Credentials, Hub, HubBuilder, Identity};

use super::{Served, Suite};
use crate::{http::Request, sse::Client, ws::Peer};

/// A token that is never good.
pub(super) const BAD: &str = "bad.nobody.signature";
/// A token whose check does not end.
pub(super) const SLOW: &str = "slow.nobody.signature";
/// A token whose check panics.
pub(super) const PANICS: &str = "panics.nobody.signature";
/// A token whose check panics before there is anything to wait for.
pub(super) const PANICS_AT_ONCE: &str = "panics-at-once.nobody.signature";
/// A token whose check fails for a reason that is none of the client's business.
pub(super) const UNAVAILABLE: &str = "unavailable.nobody.signature";
/// Why it fails.
pub(super) const CAUSE: &str = "10.1.2.3:5432 is down";
/// How long what [`soon`] names is good for; far more than letting a client in takes.
pub(super) const SOON: Duration = Duration::from_millis(800);

/// A good token of this subject.
pub(super) fn good(subject: &str) -> String {
    format!("good.{subject}.signature")
}

/// A token of this subject that expires soon after it was checked.
pub(super) fn soon(subject: &str) -> String {
    format!("soon.{subject}.signature")
}

/// A token of this subject that has expired.
pub(super) fn expired(subject: &str) -> String {
    format!("expired.{subject}.signature")
}

/// A good token of this subject, which then is a [`Guest`].
pub(super) fn guest(subject: &str) -> String {
    format!("guest.{subject}.signature")
}

/// What an application may know of an identity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest;

/// The message that presents a token.
pub(super) fn message(token: &str) -> String {
    format!(r#"{{"token":"{token}"}}"#)
}

/// Authentication by these tokens.
pub(super) fn authentication() -> Authentication {
    Authentication::new(|credentials: Credentials| {
        if credentials.token.expose() == PANICS_AT_ONCE {
            panic_quietly();
        }
        check(credentials)
    })
}

/// Without the hook that prints the panic.
fn panic_quietly() -> ! {
    resume_unwind(Box::new("as the client asked"))
}

async fn check(credentials: Credentials) -> Result<Identity, AuthenticateError> {
    let token = credentials.token.expose();
    let mut parts = token.split('.');
    let (kind, subject) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let identity = Identity::new(subject);
    match kind {
        "good" => Ok(identity),
        "guest" => Ok(identity.with(Guest)),
        "soon" => Ok(identity.expires_at(SystemTime::now() + SOON)),
        "expired" => Ok(identity.expires_at(SystemTime::now() - SOON)),
        "slow" => pending().await,
        "panics" => panic_quietly(),
        "unavailable" => Err(AuthenticateError::unavailable(CAUSE)),
        _ => Err(AuthenticateError::invalid("no such token")),
    }
}

/// The ways to present a token with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `Authorization: Bearer`.
    Bearer,
    /// A subprotocol with the token as it is.
    Subprotocol,
    /// A subprotocol with the token in base64url.
    Encoded,
    /// The parameter `token` of the query.
    Query,
    /// The cookie `session`.
    Cookie,
}

impl Way {
    /// Those that are there for both transports.
    pub(super) const BOTH: [Self; 3] = [Self::Bearer, Self::Query, Self::Cookie];
    /// Those of a WebSocket.
    pub(super) const WEBSOCKET: [Self; 5] =
        [Self::Bearer, Self::Subprotocol, Self::Encoded, Self::Query, Self::Cookie];

    /// Presents `token` with `request`.
    pub(super) fn present(self, request: Request, token: &str) -> Request {
        match self {
            Self::Bearer => request.header("Authorization", format!("Bearer {token}")),
            Self::Subprotocol => {
                request.header("Sec-WebSocket-Protocol", format!("base64url.bearer.{token}"))
            }
            Self::Encoded => {
                let token = URL_SAFE_NO_PAD.encode(token);
                request.header("Sec-WebSocket-Protocol", format!("base64url.bearer.{token}"))
            }
            Self::Query => request.query(&format!("token={token}")),
            Self::Cookie => request.header("Cookie", format!("a=1; session={token}; b=2")),
        }
    }
}

/// Authentication in all ways but by message.
pub(super) fn all_ways() -> Authentication {
    authentication().cookie("session").query("token")
}

/// A server with this authentication and pages of the origin that its own has.
pub(super) fn served(suite: Suite, authentication: Authentication) -> Served {
    served_with(suite, authentication, |hub| hub)
}

/// The same, changed further.
pub(super) fn served_with(
    suite: Suite,
    authentication: Authentication,
    configure: impl FnOnce(HubBuilder) -> HubBuilder,
) -> Served {
    suite.start_with(|hub| configure(hub.authentication(authentication)))
}

/// A handshake of a page of the server's own, which is what cookies need.
pub(super) fn handshake(served: &Served, path: &str) -> Request {
    served.handshake(path).header("Origin", format!("http://{}", served.addr()))
}

/// A WebSocket of this subject, let in by a token in its header.
pub(super) async fn ws_of(served: &Served, subject: &str, path: &str) -> Peer {
    served.open(&Way::Bearer.present(served.handshake(path), &good(subject))).await
}

/// An event stream of this subject, let in by a token in its header.
pub(super) async fn sse_of(served: &Served, subject: &str, path: &str) -> Client {
    served.stream(&Way::Bearer.present(served.request(path), &good(subject))).await
}

/// How many connections are open.
pub(super) fn open(hub: &Hub) -> u64 {
    let stats = hub.stats();
    stats.connections_sse + stats.connections_websocket
}
