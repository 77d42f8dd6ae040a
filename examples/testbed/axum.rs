//! On axum.

use std::io;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, RawQuery, Request, State},
    http::{StatusCode, header},
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use realtime::{
    DrainReport, Hub,
    axum::{Refused, Sse, WebSocketUpgrade},
    shutdown_signal,
    ws::Format,
};
use tokio::net::TcpListener;

use crate::app;

pub(crate) async fn serve(listener: TcpListener, hub: Hub) -> io::Result<DrainReport> {
    let router = Router::new()
        .route("/ws", get(ws))
        .route("/echo", get(echo))
        .route("/messages", get(messages))
        .route("/events", get(events))
        .route("/whoami", get(whoami))
        .route("/publish", post(publish))
        .route("/stats", get(async |State(hub): State<Hub>| app::stats(&hub)))
        .route("/healthz", get(async |State(hub): State<Hub>| app::health(&hub)))
        .layer(DefaultBodyLimit::max(app::max_body(&hub)))
        .with_state(hub.clone());
    realtime::axum::serve(listener, &hub, router, shutdown_signal(&hub)?).await
}

async fn ws(upgrade: WebSocketUpgrade) -> Result<Response, Refused> {
    upgrade.format(Format::Raw).subscribe(app::BENCH).run(app::publish_all)
}

async fn echo(upgrade: WebSocketUpgrade) -> Result<Response, Refused> {
    upgrade.limits(app::echo_limits).run(app::echo)
}

async fn messages(
    upgrade: WebSocketUpgrade,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    upgrade.subscribe(app::topics(query.as_deref())).run(app::ignore)
}

async fn events(sse: Sse, RawQuery(query): RawQuery) -> Result<Response, Refused> {
    sse.stream(app::topics(query.as_deref()))
}

/// A WebSocket or an event stream, as the client asks for.
async fn whoami(State(hub): State<Hub>, request: Request) -> Result<Response, Refused> {
    let (mut head, _) = request.into_parts();
    let query = head.uri.query().map(str::to_owned);
    if head.headers.contains_key(header::UPGRADE) {
        let hello = app::says_hello(query.as_deref());
        let upgrade = WebSocketUpgrade::from_request_parts(&mut head, &hub).await?;
        return upgrade.run(move |socket| app::whoami(socket, hello));
    }
    let sse = Sse::from_request_parts(&mut head, &hub).await?;
    let topic = app::whoami_stream(&hub, sse.identity(), query.as_deref()).await;
    sse.stream(topic.map_err(|error| Refused::new(503, error.to_string()))?)
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
