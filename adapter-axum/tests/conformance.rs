//! The conformance suite against `axum::serve`, and against our `serve`.

#![allow(clippy::expect_used, reason = "test code")]

use std::net::SocketAddr;

use axum::{
    Router,
    extract::{RawQuery, State, ws},
    response::Response,
    routing::{any, get},
    serve::ListenerExt,
};
use realtime_axum::{Refused, Sse, WebSocketUpgrade, attach, configure_socket};
use realtime_core::{
    Hub, Subscribe,
    ws::{Format, Socket},
};
use realtime_testkit::conformance::{Server, routes};

/// As most users serve.
mod framework {
    use super::*;

    realtime_testkit::conformance_tests!(start);

    fn start(hub: Hub) -> Server {
        Server::on_tokio(async move |listener, stop| {
            let socket_hub = hub.clone();
            let listener = listener.tap_io(move |socket| configure_socket(socket, &socket_hub));
            let service = router(hub.clone()).into_make_service_with_connect_info::<SocketAddr>();
            let drained = hub.clone();
            let draining = async move {
                stop.await;
                hub.start_drain();
                tokio::spawn(async move { hub.drain().await });
            };
            let server = axum::serve(listener, service).with_graceful_shutdown(draining);
            // It waits for clients that take nothing, whatever the drain says.
            if let Some(served) = drained.run_until_drained(server.into_future()).await {
                served.expect("a server");
            }
            // It does not wait for sockets that were upgraded.
            drained.drain().await;
        })
        .without_header_deadline()
    }
}

/// As many users serve, too: then nobody knows where a request comes from.
mod without_connect_info {
    use realtime_testkit::conformance::{limits, run};

    use super::*;

    #[test]
    fn limits_hold_not_what_has_no_address() {
        run(start, limits::hold_not_what_has_no_address);
    }

    fn start(hub: Hub) -> Server {
        Server::on_tokio(async move |listener, stop| {
            tokio::select! {
                served = axum::serve(listener, router(hub)) => served.expect("a server"),
                () = stop => {}
            }
        })
    }
}

/// As we advise.
mod ours {
    use super::*;

    realtime_testkit::conformance_tests!(start);
    realtime_testkit::socket_limit_tests!(start);

    fn start(hub: Hub) -> Server {
        Server::on_tokio(async move |listener, stop| {
            let router = router(hub.clone());
            realtime_axum::serve(listener, &hub, router, stop).await.expect("a server");
        })
    }
}

/// Dropped with its runtime.
mod dropped {
    use super::*;

    realtime_testkit::dropped_server_tests!(start);

    fn start(hub: Hub) -> Server {
        Server::on_tokio(async move |listener, stop| {
            let router = router(hub.clone());
            tokio::select! {
                _ = realtime_axum::serve(listener, &hub, router, std::future::pending()) => {}
                () = stop => {}
            }
        })
    }
}

/// Behind a Unix socket.
mod unix_socket {
    use super::*;

    realtime_testkit::unix_socket_tests!(start);

    fn start(hub: Hub) -> Server {
        Server::on_tokio_unix_socket(async move |listener, stop| {
            tokio::select! {
                served = axum::serve(listener, router(hub)) => served.expect("a server"),
                () = stop => {}
            }
        })
    }
}

/// As a server that speaks TLS itself tells it.
mod over_tls {
    use axum::Extension;
    use realtime_core::Scheme;

    use super::*;

    realtime_testkit::https_tests!(start);

    fn start(hub: Hub) -> Server {
        Server::on_tokio(async move |listener, stop| {
            let router = router(hub.clone()).layer(Extension(Scheme::Https));
            realtime_axum::serve(listener, &hub, router, stop).await.expect("a server");
        })
    }
}

fn router(hub: Hub) -> Router {
    Router::new()
        .route("/events", any(async |sse: Sse, query: RawQuery| sse.stream(topics(query))))
        .route("/ws", get(async |it: WebSocketUpgrade, query: RawQuery| it.stream(topics(query))))
        .route("/raw", get(raw))
        .route("/echo", any(echo))
        .route("/chat", get(chat))
        .route("/topics", get(async |it: WebSocketUpgrade| it.run(routes::topics)))
        .route("/whoami", get(async |it: WebSocketUpgrade| it.run(routes::whoami)))
        .route("/identified", get(identified))
        .route("/mine", get(mine))
        .route("/mine-identified", get(mine_identified))
        .route("/refresh", get(async |it: WebSocketUpgrade| it.run(routes::refresh)))
        .route("/publish", get(async |it: WebSocketUpgrade| it.run(routes::publish)))
        .route("/done", get(async |it: WebSocketUpgrade| it.run(routes::done)))
        .route("/error", get(async |it: WebSocketUpgrade| it.run(routes::error)))
        .route("/panic", get(async |it: WebSocketUpgrade| it.run(routes::panic)))
        .route("/close4404", get(async |it: WebSocketUpgrade| it.run(routes::close4404)))
        .route("/ended", get(ended))
        .route("/ended-ws", get(ended_websocket))
        .route("/attached", get(attached))
        .with_state(hub)
}

fn topics(RawQuery(query): RawQuery) -> Subscribe {
    routes::subscribe(&query.unwrap_or_default())
}

async fn raw(upgrade: WebSocketUpgrade, query: RawQuery) -> Result<Response, Refused> {
    upgrade.format(Format::Raw).stream(topics(query))
}

async fn echo(upgrade: WebSocketUpgrade) -> Result<Response, Refused> {
    upgrade.protocols(&["echo.example"]).run(routes::echo)
}

async fn chat(upgrade: WebSocketUpgrade) -> Result<Response, Refused> {
    upgrade.subscribe("chat").run(async |mut socket: Socket| {
        while let Some(message) = socket.recv().await {
            let _ = socket.hub().publish("chat", message.into()).await;
        }
    })
}

async fn identified(
    upgrade: WebSocketUpgrade,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    upgrade.identify(routes::identity(&query.unwrap_or_default()))?.run(routes::whoami)
}

async fn mine(sse: Sse) -> Result<Response, Refused> {
    let topic = sse.identity().map(routes::topic_of);
    sse.stream(topic.ok_or_else(|| Refused::new(403, "who are you?"))?)
}

async fn mine_identified(sse: Sse, RawQuery(query): RawQuery) -> Result<Response, Refused> {
    mine(sse.identify(routes::identity(&query.unwrap_or_default()))?).await
}

async fn ended(sse: Sse, RawQuery(query): RawQuery) -> Result<Response, Refused> {
    let query = query.unwrap_or_default();
    sse.on_close(routes::on_close(&query)).stream(routes::subscribe(&query))
}

async fn ended_websocket(
    upgrade: WebSocketUpgrade,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    let query = query.unwrap_or_default();
    let upgrade = upgrade.on_close(routes::on_close(&query));
    upgrade.subscribe(routes::subscribe(&query)).run(routes::commands)
}

async fn attached(
    State(hub): State<Hub>,
    query: RawQuery,
    upgrade: ws::WebSocketUpgrade,
) -> Response {
    let topics = topics(query);
    upgrade.on_upgrade(async move |socket| {
        if let Ok(attached) = attach(&hub, socket) {
            let _ = attached.subscribe(topics).run(routes::commands).await;
        }
    })
}
