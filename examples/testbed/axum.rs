//! On axum.

use std::io;

use axum::{
    Router,
    extract::{DefaultBodyLimit, RawQuery, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use realtime::{
    Hub,
    axum::{Refused, Sse, WebSocketUpgrade},
    ws::Format,
};
use tokio::net::TcpListener;

use crate::app;

pub(crate) async fn serve(listener: TcpListener, hub: Hub) -> io::Result<()> {
    let router = Router::new()
        .route("/ws", get(ws))
        .route("/echo", get(echo))
        .route("/events", get(events))
        .route("/publish", post(publish))
        .route("/stats", get(async |State(hub): State<Hub>| app::stats(&hub)))
        .route("/healthz", get("ok\n"))
        .layer(DefaultBodyLimit::max(app::max_body(&hub)))
        .with_state(hub.clone());
    realtime::axum::serve(listener, &hub, router, app::shutdown_signal()).await
}

async fn ws(upgrade: WebSocketUpgrade) -> Result<Response, Refused> {
    upgrade.format(Format::Raw).subscribe(app::BENCH).run(app::publish_all)
}

async fn echo(upgrade: WebSocketUpgrade) -> Result<Response, Refused> {
    upgrade.limits(app::echo_limits).run(app::echo)
}

async fn events(sse: Sse, RawQuery(query): RawQuery) -> Result<Response, Refused> {
    sse.stream(app::topics(query.as_deref()))
}

async fn publish(
    State(hub): State<Hub>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<String, (StatusCode, String)> {
    let published = app::publish(&hub, query.as_deref(), body.into()).await;
    published.map_err(|(status, error)| {
        (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error)
    })
}
