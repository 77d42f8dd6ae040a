//! Who is logged in: sessions, and the cookie that carries a session's id.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use axum::http::{HeaderMap, header};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use cookie::{Cookie, SameSite};
use realtime::{Authenticate, AuthenticateError, Authenticated, Credentials, Identity};

use crate::users::User;

pub(crate) const COOKIE: &str = "session";

/// How long a session lasts.
const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

const MAX_SESSIONS: usize = 10_000;

/// The sessions, by their ids; a cheap handle.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<String, Session>>>);

#[derive(Clone, Copy)]
struct Session {
    user: &'static User,
    ends_at: SystemTime,
}

impl Sessions {
    /// Begins a session and returns its id, which nobody can guess.
    pub(crate) fn begin(&self, user: &'static User) -> Result<String, Box<dyn Error>> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)?;
        let id = BASE64_URL_SAFE_NO_PAD.encode(random);
        let now = SystemTime::now();
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.ends_at > now);
        if sessions.len() >= MAX_SESSIONS {
            return Err("too many people are logged in; try again later".into());
        }
        sessions.insert(id.clone(), Session { user, ends_at: now + LIFETIME });
        Ok(id)
    }

    /// Ends all sessions of a user.
    pub(crate) fn end_all_of(&self, user: &User) {
        self.lock().retain(|_, session| session.user != user);
    }

    /// Who sent a request that is neither an event stream nor a WebSocket.
    pub(crate) fn user_of(&self, headers: &HeaderMap) -> Option<&'static User> {
        let values = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
        let mut cookies = values.flat_map(Cookie::split_parse).flatten();
        let session = cookies.find(|cookie| cookie.name() == COOKIE)?;
        self.find(session.value()).map(|session| session.user)
    }

    fn find(&self, id: &str) -> Option<Session> {
        let found = self.lock().get(id).copied();
        found.filter(|session| session.ends_at > SystemTime::now())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the hub asks for each connection. With the sessions in a database, this is a closure:
/// `Authentication::new(async |credentials: Credentials| …)`.
impl Authenticate for Sessions {
    fn authenticate(&self, credentials: Credentials) -> Authenticated {
        let session = self.find(credentials.token.expose());
        let identity = session.map(|Session { user, ends_at }| {
            Identity::new(user.name).with(*user).expires_at(ends_at)
        });
        Authenticated::Now(identity.ok_or(AuthenticateError::invalid("no such session")))
    }
}

/// The cookie for a session's id.
///
/// `HttpOnly`: no script reads it, one that was smuggled into the page neither. `SameSite=Lax`: it
/// is not sent when pages of other sites make requests in the background. `Secure`: never over a
/// connection that others can listen to. That is left out on this machine alone, which has no TLS:
/// not every browser keeps a `Secure` cookie that comes by `http://localhost`.
pub(crate) fn cookie(id: String, is_local: bool) -> Cookie<'static> {
    Cookie::build((COOKIE, id))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(!is_local)
        .path("/")
        .build()
}

/// What makes the browser forget it.
pub(crate) fn removal() -> Cookie<'static> {
    let mut cookie = Cookie::build(COOKIE).path("/").build();
    cookie.make_removal();
    cookie
}
