//! On actix-web.

use std::{error::Error, net::TcpListener};

use actix_web::{
    App, FromRequest, HttpRequest, HttpResponse, HttpServer,
    http::{StatusCode, header},
    rt::System,
    web,
};
use realtime::{
    DrainReport, Hub,
    actix::{Refused, Sse, WebSocketUpgrade, configure, run},
    shutdown_signal,
    ws::Format,
};

use crate::app;

pub(crate) fn serve(
    listener: TcpListener,
    hub: Hub,
    threads: usize,
) -> Result<DrainReport, Box<dyn Error>> {
    let max_body = app::max_body(&hub);
    let data = web::Data::new(hub.clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(web::PayloadConfig::new(max_body))
            .route("/ws", web::get().to(ws))
            .route("/echo", web::get().to(echo))
            .route("/messages", web::get().to(messages))
            .route("/events", web::get().to(events))
            .route("/whoami", web::get().to(whoami))
            .route("/publish", web::post().to(publish))
            .route("/stats", web::get().to(async |hub: web::Data<Hub>| app::stats(&hub)))
            .route("/healthz", web::get().to(async |hub: web::Data<Hub>| app::health(&hub)))
    });
    System::new().block_on(async {
        let server = configure(server, &hub)
            .max_connections(app::MAX_CONNECTIONS)
            .workers(threads)
            .shutdown_signal(shutdown_signal(&hub)?)
            .listen(listener)?;
        Ok(run(server.run(), &hub).await?)
    })
}

async fn ws(upgrade: WebSocketUpgrade) -> Result<HttpResponse, Refused> {
    upgrade.format(Format::Raw).subscribe(app::BENCH).run(app::publish_all)
}

async fn echo(upgrade: WebSocketUpgrade) -> Result<HttpResponse, Refused> {
    upgrade.limits(app::echo_limits).run(app::echo)
}

async fn messages(
    upgrade: WebSocketUpgrade,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    upgrade.subscribe(app::topics(request.uri().query())).run(app::ignore)
}

async fn events(sse: Sse, request: HttpRequest) -> Result<HttpResponse, Refused> {
    sse.stream(app::topics(request.uri().query()))
}

/// A WebSocket or an event stream, as the client asks for.
async fn whoami(
    request: HttpRequest,
    hub: web::Data<Hub>,
    payload: web::Payload,
) -> Result<HttpResponse, Refused> {
    let query = request.uri().query();
    if request.headers().contains_key(header::UPGRADE) {
        let hello = app::says_hello(query);
        let upgrade = WebSocketUpgrade::from_request(&request, &mut payload.into_inner()).await?;
        return upgrade.run(move |socket| app::whoami(socket, hello));
    }
    let sse = Sse::extract(&request).await?;
    let topic = app::whoami_stream(&hub, sse.identity(), query).await;
    sse.stream(topic.map_err(|error| Refused::new(503, error.to_string()))?)
}

async fn publish(request: HttpRequest, hub: web::Data<Hub>, body: web::Bytes) -> HttpResponse {
    match app::publish(&hub, request.uri().query(), body.into()).await {
        Ok(position) => HttpResponse::Ok().body(position),
        Err((status, error)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            HttpResponse::build(status).body(error)
        }
    }
}
