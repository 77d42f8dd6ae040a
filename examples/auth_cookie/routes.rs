//! The service's routes: login and logout, the event stream, the WebSocket, the page.

use axum::{
    Json, Router,
    extract::{FromRef, State},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_TYPE, HOST, SET_COOKIE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use realtime::{
    Authentication, ConfigError, Event, Hub, HubStats, Identity, Start, Subscribe,
    axum::{Refused, Sse, WebSocketUpgrade},
};
use serde::{Deserialize, Serialize};

use crate::{
    chat,
    permissions::{self, CHAT, NEWS},
    sessions::{self, Sessions},
    users,
};

type Answer = Result<Response, Refused>;

/// The state of the service: a cheap handle.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) hub: Hub,
    sessions: Sessions,
}

impl App {
    pub(crate) fn new() -> Result<Self, ConfigError> {
        let sessions = Sessions::default();
        // That only pages of the same origin connect is the default, and what a cookie needs:
        // browsers send it along whatever page opens the connection.
        let hub = Hub::builder()
            .authentication(Authentication::new(sessions.clone()).cookie(sessions::COOKIE))
            .authorize(permissions::allow)
            .build()?;
        Ok(Self { hub, sessions })
    }
}

impl FromRef<App> for Hub {
    fn from_ref(app: &App) -> Self {
        app.hub.clone()
    }
}

pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(async || file("text/html", include_str!("page/index.html"))))
        .route("/app.js", get(async || file("text/javascript", include_str!("page/app.js"))))
        .route("/style.css", get(async || file("text/css", include_str!("page/style.css"))))
        .route("/session", get(who_is_it).post(log_in).delete(log_out))
        .route("/events", get(events))
        .route("/chat", get(join_chat))
        .route("/stats", get(stats))
        .with_state(app)
}

/// What is new for this user, and for everybody.
async fn events(sse: Sse) -> Answer {
    let user = required(sse.identity())?;
    let own = permissions::notifications_of(user.subject());
    sse.stream([own.as_str(), NEWS])
}

async fn join_chat(upgrade: WebSocketUpgrade) -> Answer {
    upgrade.subscribe(Subscribe::to(CHAT).start(Start::Last(50))).run(chat::talk)
}

/// The authentication is not optional, so nobody comes as far as this without an identity.
fn required(identity: Option<&Identity>) -> Result<&Identity, Refused> {
    identity.ok_or_else(|| Refused::new(401, "log in first"))
}

#[derive(Deserialize)]
struct Login {
    user: String,
    password: String,
}

#[derive(Serialize)]
struct WhoIsIt {
    user: Option<String>,
}

/// `POST /session`. A service that people can reach also limits how often one may try.
///
/// Only JSON is taken: a page of another origin can't send that, nor a `DELETE`, without asking the
/// server first, which does not answer such questions. `SameSite` alone is no help against a page
/// from another port of the same host, which is the same site.
async fn log_in(app: State<App>, headers: HeaderMap, Json(login): Json<Login>) -> Answer {
    let user = users::log_in(&login.user, &login.password)
        .ok_or_else(|| Refused::new(401, "the name or the password is wrong"))?;
    let id = app.sessions.begin(user).map_err(|error| Refused::new(503, error.to_string()))?;
    let news = Event::text(format!("{} is here", user.name)).named("news");
    let news = news.map_err(|error| Refused::new(500, error.to_string()))?;
    // Nobody is kept out because the others could not be told.
    let _ = app.hub.publish(NEWS, news).await;
    let cookie = sessions::cookie(id, is_local(&headers)).to_string();
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

/// `DELETE /session`: ends all the user's sessions, and what is open with them on any device.
async fn log_out(app: State<App>, headers: HeaderMap) -> Response {
    if let Some(user) = app.sessions.user_of(&headers) {
        // In this order, so that nothing comes back in between.
        app.sessions.end_all_of(user);
        app.hub.disconnect(user.name, "logged out");
    }
    let cookie = sessions::removal().to_string();
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response()
}

/// `GET /session`: for the page, which can't see the cookie.
async fn who_is_it(app: State<App>, headers: HeaderMap) -> Json<WhoIsIt> {
    let user = app.sessions.user_of(&headers);
    Json(WhoIsIt { user: user.map(|user| user.name.to_owned()) })
}

/// Counts only, nothing of anybody's.
async fn stats(app: State<App>) -> Json<HubStats> {
    Json(app.hub.stats())
}

/// Whether the browser came to this very machine, where no TLS is needed.
fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    ["localhost", "127.0.0.1", "[::1]"].contains(&name)
}

fn file(content_type: &str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, format!("{content_type}; charset=utf-8"))], text).into_response()
}
