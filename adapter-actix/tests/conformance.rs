//! The conformance suite against a server that `configure` has set up.

#![allow(clippy::expect_used, reason = "test code")]

use actix_web::{
    App, Error, HttpRequest, HttpResponse, HttpServer,
    rt::{System, spawn},
    web::{Data, Payload, ServiceConfig, get, resource},
};
use realtime_actix::{Refused, Sse, WebSocketUpgrade, attach, configure};
use realtime_core::{
    Hub, Subscribe,
    ws::{Format, Socket},
};
use realtime_testkit::conformance::{Server, Stop, routes};

realtime_testkit::conformance_tests!(start);

fn start(hub: Hub) -> Server {
    Server::on_thread(move |listener, stop| {
        System::new().block_on(async move {
            let app = {
                let hub = hub.clone();
                move || App::new().app_data(Data::new(hub.clone())).configure(router)
            };
            let server = configure(HttpServer::new(app), &hub).workers(1).disable_signals();
            run(server.listen(listener).expect("a listener").run(), hub, stop).await;
        });
    })
}

/// Dropped with its runtimes.
mod dropped {
    use super::*;

    realtime_testkit::dropped_server_tests!(start);

    fn start(hub: Hub) -> Server {
        Server::on_thread(move |listener, stop| {
            let system = System::new();
            system.block_on(async move {
                let app = {
                    let hub = hub.clone();
                    move || App::new().app_data(Data::new(hub.clone())).configure(router)
                };
                let server = configure(HttpServer::new(app), &hub).workers(1).disable_signals();
                let server = server.listen(listener).expect("a listener").run();
                spawn(async move { realtime_actix::run(server, &hub).await });
                stop.await;
            });
            System::current().stop();
            system.run().expect("a system that stops");
        })
    }
}

/// Behind a Unix socket.
mod unix_socket {
    use super::*;

    realtime_testkit::unix_socket_tests!(start);

    fn start(hub: Hub) -> Server {
        Server::on_unix_socket(move |listener, stop| {
            System::new().block_on(async move {
                let app = {
                    let hub = hub.clone();
                    move || App::new().app_data(Data::new(hub.clone())).configure(router)
                };
                let server = configure(HttpServer::new(app), &hub).workers(1).disable_signals();
                run(server.listen_uds(listener).expect("a listener").run(), hub, stop).await;
            });
        })
    }
}

/// As actix-web tells it of a server that speaks TLS itself.
mod over_tls {
    use actix_http::HttpService;
    use actix_service::map_config;
    use actix_web::dev::{AppConfig, Server as Servers};

    use super::*;

    realtime_testkit::https_tests!(start);

    fn start(hub: Hub) -> Server {
        Server::on_thread(move |listener, stop| {
            System::new().block_on(async move {
                let addr = listener.local_addr().expect("an address");
                let app_hub = hub.clone();
                let http = move || {
                    let config = AppConfig::__priv_test_new(true, addr.to_string(), addr);
                    let app = App::new().app_data(Data::new(app_hub.clone())).configure(router);
                    HttpService::build()
                        .client_disconnect_timeout(Default::default())
                        .h1_allow_half_closed(false)
                        .finish(map_config(app, move |_| config.clone()))
                        .tcp()
                };
                let server = Servers::build().workers(1).disable_signals();
                run(server.listen("tls", listener, http).expect("a listener").run(), hub, stop)
                    .await;
            });
        })
    }
}

/// Runs a server until `stop` is ready.
async fn run(server: actix_web::dev::Server, hub: Hub, stop: Stop) {
    let handle = server.handle();
    spawn(async move {
        stop.await;
        hub.start_drain();
        spawn(async move { hub.drain().await });
        handle.stop(true).await;
    });
    server.await.expect("a server");
}

fn router(app: &mut ServiceConfig) {
    app.service(resource("/events").to(events))
        .route("/ws", get().to(websocket))
        .route("/raw", get().to(raw))
        .service(resource("/echo").to(echo))
        .route("/chat", get().to(chat))
        .route("/topics", get().to(async |it: WebSocketUpgrade| it.run(routes::topics)))
        .route("/whoami", get().to(async |it: WebSocketUpgrade| it.run(routes::whoami)))
        .route("/identified", get().to(identified))
        .route("/mine", get().to(mine))
        .route("/mine-identified", get().to(mine_identified))
        .route("/refresh", get().to(async |it: WebSocketUpgrade| it.run(routes::refresh)))
        .route("/publish", get().to(async |it: WebSocketUpgrade| it.run(routes::publish)))
        .route("/done", get().to(async |it: WebSocketUpgrade| it.run(routes::done)))
        .route("/error", get().to(async |it: WebSocketUpgrade| it.run(routes::error)))
        .route("/panic", get().to(async |it: WebSocketUpgrade| it.run(routes::panic)))
        .route("/close4404", get().to(async |it: WebSocketUpgrade| it.run(routes::close4404)))
        .route("/ended", get().to(ended))
        .route("/ended-ws", get().to(ended_websocket))
        .route("/attached", get().to(attached));
}

fn topics(request: &HttpRequest) -> Subscribe {
    routes::subscribe(request.query_string())
}

async fn events(sse: Sse, request: HttpRequest) -> Result<HttpResponse, Refused> {
    sse.stream(topics(&request))
}

async fn websocket(
    upgrade: WebSocketUpgrade,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    upgrade.stream(topics(&request))
}

async fn raw(upgrade: WebSocketUpgrade, request: HttpRequest) -> Result<HttpResponse, Refused> {
    upgrade.format(Format::Raw).stream(topics(&request))
}

async fn echo(upgrade: WebSocketUpgrade) -> Result<HttpResponse, Refused> {
    upgrade.protocols(&["echo.example"]).run(routes::echo)
}

async fn chat(upgrade: WebSocketUpgrade) -> Result<HttpResponse, Refused> {
    upgrade.subscribe("chat").run(async |mut socket: Socket| {
        while let Some(message) = socket.recv().await {
            let _ = socket.hub().publish("chat", message.into()).await;
        }
    })
}

async fn identified(
    upgrade: WebSocketUpgrade,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    upgrade.identify(routes::identity(request.query_string()))?.run(routes::whoami)
}

async fn mine(sse: Sse) -> Result<HttpResponse, Refused> {
    let topic = sse.identity().map(routes::topic_of);
    sse.stream(topic.ok_or_else(|| Refused::new(403, "who are you?"))?)
}

async fn mine_identified(sse: Sse, request: HttpRequest) -> Result<HttpResponse, Refused> {
    mine(sse.identify(routes::identity(request.query_string()))?).await
}

async fn ended(sse: Sse, request: HttpRequest) -> Result<HttpResponse, Refused> {
    sse.on_close(routes::on_close(request.query_string())).stream(topics(&request))
}

async fn ended_websocket(
    upgrade: WebSocketUpgrade,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    let upgrade = upgrade.on_close(routes::on_close(request.query_string()));
    upgrade.subscribe(topics(&request)).run(routes::commands)
}

async fn attached(
    hub: Data<Hub>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let topics = topics(&request);
    let (response, session, messages) = actix_ws::handle(&request, payload)?;
    let attached = attach(&hub, session, messages)?;
    spawn(attached.subscribe(topics).run_local(routes::commands));
    Ok(response)
}
