//! The conformance suite against `serve`.

#![allow(clippy::expect_used, reason = "test code")]

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use realtime_core::{
    Hub,
    ws::{Format, Socket},
};
use realtime_hyper::{Body, Refused, Sse, WebSocketUpgrade, attach, serve};
use realtime_testkit::conformance::{Server, routes};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

realtime_testkit::conformance_tests!(start);
realtime_testkit::socket_limit_tests!(start);

fn start(hub: Hub) -> Server {
    Server::on_tokio(async move |listener, stop| {
        let handler = {
            let hub = hub.clone();
            move |request| route(hub.clone(), request)
        };
        serve(listener, &hub, handler, stop).await.expect("a server");
    })
}

/// Dropped with its runtime.
mod dropped {
    use super::*;

    realtime_testkit::dropped_server_tests!(start);

    fn start(hub: Hub) -> Server {
        Server::on_tokio(async move |listener, stop| {
            let handler = {
                let hub = hub.clone();
                move |request| route(hub.clone(), request)
            };
            tokio::select! {
                _ = serve(listener, &hub, handler, std::future::pending()) => {}
                () = stop => {}
            }
        })
    }
}

/// Behind a Unix socket, where our `serve` does not go.
mod unix_socket {
    use std::convert::Infallible;

    use hyper::{server::conn::http1, service::service_fn};

    use super::*;

    realtime_testkit::unix_socket_tests!(start);

    fn start(hub: Hub) -> Server {
        Server::on_tokio_unix_socket(async move |listener, stop| {
            let accepting = async {
                while let Ok((socket, _)) = listener.accept().await {
                    let hub = hub.clone();
                    let service = service_fn(move |request| {
                        let response = route(hub.clone(), request);
                        async {
                            Ok::<_, Infallible>(
                                response.await.unwrap_or_else(Refused::into_response),
                            )
                        }
                    });
                    let http = http1::Builder::new();
                    tokio::spawn(
                        http.serve_connection(TokioIo::new(socket), service).with_upgrades(),
                    );
                }
            };
            tokio::select! {
                () = accepting => {}
                () = stop => {}
            }
        })
    }
}

/// As a server that speaks TLS itself tells it.
mod over_tls {
    use realtime_core::Scheme;

    use super::*;

    realtime_testkit::https_tests!(start);

    fn start(hub: Hub) -> Server {
        Server::on_tokio(async move |listener, stop| {
            let handler = {
                let hub = hub.clone();
                move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(Scheme::Https);
                    route(hub.clone(), request)
                }
            };
            serve(listener, &hub, handler, stop).await.expect("a server");
        })
    }
}

async fn route(hub: Hub, mut request: Request<Incoming>) -> Result<Response<Body>, Refused> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let topics = routes::subscribe(&query);
    if path == "/events" {
        return Sse::from_request(&hub, &request).await?.stream(topics);
    }
    if path == "/mine" {
        return mine(Sse::from_request(&hub, &request).await?);
    }
    if path == "/mine-identified" {
        let sse = Sse::from_request(&hub, &request).await?;
        return mine(sse.identify(routes::identity(&query))?);
    }
    if path == "/ended" {
        let sse = Sse::from_request(&hub, &request).await?;
        return sse.on_close(routes::on_close(&query)).stream(topics);
    }
    if path == "/attached" {
        return attached(hub, request);
    }
    let upgrade = WebSocketUpgrade::from_request(&hub, &mut request).await?;
    match path.as_str() {
        "/ws" => upgrade.stream(topics),
        "/raw" => upgrade.format(Format::Raw).stream(topics),
        "/echo" => upgrade.protocols(&["echo.example"]).run(routes::echo),
        "/chat" => upgrade.subscribe("chat").run(chat),
        "/topics" => upgrade.run(routes::topics),
        "/whoami" => upgrade.run(routes::whoami),
        "/identified" => upgrade.identify(routes::identity(&query))?.run(routes::whoami),
        "/refresh" => upgrade.run(routes::refresh),
        "/publish" => upgrade.run(routes::publish),
        "/done" => upgrade.run(routes::done),
        "/error" => upgrade.run(routes::error),
        "/panic" => upgrade.run(routes::panic),
        "/ended-ws" => {
            upgrade.on_close(routes::on_close(&query)).subscribe(topics).run(routes::commands)
        }
        "/close4404" => upgrade.run(routes::close4404),
        _ => Err(Refused::new(404, "no such route")),
    }
}

fn mine(sse: Sse) -> Result<Response<Body>, Refused> {
    let topic = sse.identity().map(routes::topic_of);
    sse.stream(topic.ok_or_else(|| Refused::new(403, "who are you?"))?)
}

async fn chat(mut socket: Socket) {
    while let Some(message) = socket.recv().await {
        let _ = socket.hub().publish("chat", message.into()).await;
    }
}

fn attached(hub: Hub, mut request: Request<Incoming>) -> Result<Response<Body>, Refused> {
    let topics = routes::subscribe(request.uri().query().unwrap_or_default());
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    let key = key.ok_or_else(|| Refused::new(400, "no key"))?;
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()));
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let io = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        if let Ok(attached) = attach(&hub, socket) {
            let _ = attached.subscribe(topics).run(routes::commands).await;
        }
    });
    Ok(response.body(Body::empty()).expect("a response"))
}
