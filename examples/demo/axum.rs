//! The app on axum.

use std::io;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRef, Path, Query, State},
    http::{StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use realtime::axum::{Refused, Sse, WebSocketUpgrade, serve};
use tokio::net::TcpListener;

use crate::app::{About, App, Shutdown};
use crate::{chat, firehose, metrics, page, stats};

type Answer = Result<Response, Refused>;

pub(crate) async fn run(app: App, listener: TcpListener, shutdown: Shutdown) -> io::Result<()> {
    let hub = app.hub.clone();
    let routes = Router::new()
        .route("/about", get(async || Json(About::new("axum"))))
        .route("/metrics", get(async |sse: Sse| sse.stream(metrics::subscribe())))
        .route("/stats", get(async |sse: Sse| sse.stream(stats::subscribe())))
        .route("/firehose", get(async |sse: Sse| sse.stream(firehose::subscribe())))
        .route("/chat/{room}", get(join_room))
        .route("/jobs", post(start_job))
        .route("/jobs/{id}", get(watch_job))
        .fallback(get_page)
        .method_not_allowed_fallback(get_page);
    serve(listener, &hub, routes.with_state(app), shutdown).await?;
    Ok(())
}

async fn join_room(room: Path<String>, guest: Query<chat::Guest>, ws: WebSocketUpgrade) -> Answer {
    ws.subscribe(chat::subscribe(&room)).run(|socket| chat::talk(socket, room.0, guest.0))
}

async fn start_job(app: State<App>, body: Bytes) -> Answer {
    let accepted = app.jobs.start(&body).await?;
    Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
}

async fn watch_job(app: State<App>, id: Path<String>, sse: Sse) -> Answer {
    sse.stream(app.jobs.subscribe(&id)?)
}

async fn get_page(uri: Uri) -> Answer {
    let (content_type, text) = page::file(uri.path())?;
    Ok(([(CONTENT_TYPE, content_type)], text).into_response())
}

impl FromRef<App> for realtime::Hub {
    fn from_ref(app: &App) -> Self {
        app.hub.clone()
    }
}
