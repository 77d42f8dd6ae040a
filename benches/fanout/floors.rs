//! Frameworks that have accepted an event stream in which nothing ever happens.

use std::convert::Infallible;

use actix_web::{HttpResponse, HttpServer, web};
use axum::{
    Router,
    response::{Sse, sse},
    routing::get,
    serve::ListenerExt,
};
use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http_body_util::StreamBody;
use hyper::{body::Frame, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::server::{Task, block_on, obey};

/// Is that server, if it is one of these.
pub(crate) fn serve(name: &str, task: &Task) -> bool {
    match name {
        "hyper-floor" => hyper(task),
        "axum-floor" => axum(task),
        "actix-floor" => actix(task),
        _ => return false,
    }
    true
}

type Nothing = stream::Pending<Result<Frame<Bytes>, Infallible>>;

fn hyper(task: &Task) {
    async fn wait() -> Result<Response<StreamBody<Nothing>>, Infallible> {
        let response = Response::builder().header("content-type", "text/event-stream");
        Ok(response.body(StreamBody::new(stream::pending())).expect("a response"))
    }

    block_on(async {
        tokio::spawn(obey(task.orders(), task.bytes, async |_| {}));
        let listener = task.listener();
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).expect("no delay");
            tokio::spawn(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(socket), service_fn(|_| wait())),
            );
        }
    });
}

fn axum(task: &Task) {
    async fn wait() -> Sse<stream::Pending<Result<sse::Event, Infallible>>> {
        Sse::new(stream::pending())
    }

    block_on(async {
        tokio::spawn(obey(task.orders(), task.bytes, async |_| {}));
        let listener = task.listener().tap_io(|socket| {
            socket.set_nodelay(true).expect("no delay");
        });
        let router = Router::new().route("/events", get(wait));
        axum::serve(listener, router).await.expect("it serves");
    });
}

fn actix(task: &Task) {
    async fn wait() -> HttpResponse {
        let nothing = stream::pending::<Result<Bytes, Infallible>>();
        HttpResponse::Ok().content_type("text/event-stream").streaming(nothing)
    }

    let server = HttpServer::new(|| actix_web::App::new().route("/events", web::get().to(wait)));
    let listener = task.listener.try_clone().expect("a descriptor");
    actix_web::rt::System::new().block_on(async {
        actix_web::rt::spawn(obey(task.orders(), task.bytes, async |_| {}));
        let server = server.workers(1).tcp_nodelay(true).disable_signals();
        server.listen(listener).expect("it listens").run().await.expect("it serves");
    });
}
