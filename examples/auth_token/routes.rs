//! The service's routes: tokens, the event stream, the WebSocket, the page.

use std::{error::Error, time::Duration};

use axum::{
    Json, Router,
    extract::{FromRef, Query, State},
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use realtime::{
    Authentication, Event, Hub,
    axum::{Refused, Sse, WebSocketUpgrade},
    ws::{Message, Socket},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::tokens::Tokens;

type Answer = Result<Response, Refused>;

/// The topic with something new once in a second.
const TICKS: &str = "ticks";

/// The state of the service: a cheap handle.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) hub: Hub,
    tokens: Tokens,
}

impl App {
    pub(crate) fn new(tokens: Tokens) -> Result<Self, Box<dyn Error>> {
        // `Authorization: Bearer …` and the subprotocol are always looked at; the first message,
        // like cookies and the query, has to be asked for.
        let authentication = Authentication::new(tokens.check()?).first_message();
        let hub = Hub::builder().authentication(authentication).build()?;
        Ok(Self { hub, tokens })
    }
}

impl FromRef<App> for Hub {
    fn from_ref(app: &App) -> Self {
        app.hub.clone()
    }
}

pub(crate) fn router(app: App) -> Router {
    const STYLE: &str = include_str!("../auth_cookie/page/style.css");
    Router::new()
        .route("/", get(async || file("text/html", include_str!("page/index.html"))))
        .route("/app.js", get(async || file("text/javascript", include_str!("page/app.js"))))
        .route("/style.css", get(async || file("text/css", STYLE)))
        .route("/token", post(give_token))
        // For clients that can set a header: in a browser `fetch`, not `EventSource`.
        .route("/events", get(async |sse: Sse| sse.stream(TICKS)))
        .route("/ws", get(connect))
        .with_state(app)
}

/// Publishes the seconds since the start.
pub(crate) async fn tell_time(hub: Hub) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    for seconds in 0u64.. {
        second.tick().await;
        // Nobody misses a second that could not be told.
        let _ = hub.publish(TICKS, Event::text(seconds.to_string())).await;
    }
}

/// The handler runs once it is known who it is, by whichever way. It sees no tokens: a message
/// `{"token":"…"}` is a refresh and goes to the hub.
async fn connect(upgrade: WebSocketUpgrade) -> Answer {
    upgrade.subscribe(TICKS).run(async |mut socket: Socket| {
        loop {
            let subject = socket.identity().map(|identity| identity.subject().to_owned());
            let hello = json!({ "event": "hello", "data": subject });
            if socket.send(Message::text(hello.to_string())).await.is_err() {
                return;
            }
            // Whatever the client says, it is told who it is.
            if socket.recv().await.is_none() {
                return;
            }
        }
    })
}

#[derive(Deserialize)]
struct Wanted {
    user: String,
}

#[derive(Serialize)]
struct Given {
    token: String,
    /// Seconds until the token expires.
    expires_in: u64,
}

/// `POST /token?user=NAME`: a token for whoever asks, which no real service gives.
async fn give_token(app: State<App>, wanted: Query<Wanted>) -> Answer {
    let token = app.tokens.issue(&wanted.user);
    let token = token.map_err(|error| Refused::new(500, error.to_string()))?;
    let given = Given { token, expires_in: app.tokens.lifetime().as_secs() };
    Ok(([(CACHE_CONTROL, "no-store")], Json(given)).into_response())
}

fn file(content_type: &str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, format!("{content_type}; charset=utf-8"))], text).into_response()
}
