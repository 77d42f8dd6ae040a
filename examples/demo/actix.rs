//! The app on actix-web.

use std::io;

use actix_web::{
    App as Routes, HttpResponse, HttpServer,
    http::Uri,
    web::{self, Bytes, Data, Json, Path, Query},
};
use realtime::actix::{Refused, Sse, WebSocketUpgrade, configure};
use tokio::net::TcpListener;

use crate::app::{About, App, Shutdown};
use crate::{chat, firehose, metrics, page, stats};

type Answer = Result<HttpResponse, Refused>;

pub(crate) async fn run(app: App, listener: TcpListener, shutdown: Shutdown) -> io::Result<()> {
    let hub = app.hub.clone();
    let routes = move || {
        Routes::new()
            .app_data(app.hub.clone())
            .app_data(Data::new(app.clone()))
            .route("/about", web::get().to(async || Json(About::new("actix"))))
            .route("/metrics", web::get().to(async |sse: Sse| sse.stream(metrics::subscribe())))
            .route("/stats", web::get().to(async |sse: Sse| sse.stream(stats::subscribe())))
            .route("/firehose", web::get().to(async |sse: Sse| sse.stream(firehose::subscribe())))
            .route("/chat/{room}", web::get().to(join_room))
            .route("/jobs", web::post().to(start_job))
            .route("/jobs/{id}", web::get().to(watch_job))
            .default_service(web::to(get_page))
    };
    let server = configure(HttpServer::new(routes), &hub).listen(listener.into_std()?)?;
    realtime::actix::run(server.shutdown_signal(shutdown).run(), &hub).await?;
    Ok(())
}

async fn join_room(room: Path<String>, guest: Query<chat::Guest>, ws: WebSocketUpgrade) -> Answer {
    let (room, guest) = (room.into_inner(), guest.into_inner());
    ws.subscribe(chat::subscribe(&room)).run(|socket| chat::talk(socket, room, guest))
}

async fn start_job(app: Data<App>, body: Bytes) -> Answer {
    let accepted = app.jobs.start(&body).await?;
    Ok(HttpResponse::Accepted().json(accepted))
}

async fn watch_job(app: Data<App>, id: Path<String>, sse: Sse) -> Answer {
    sse.stream(app.jobs.subscribe(&id)?)
}

async fn get_page(uri: Uri) -> Answer {
    let (content_type, text) = page::file(uri.path())?;
    Ok(HttpResponse::Ok().content_type(content_type).body(text))
}
