//! The app on raw hyper.

use std::io;

use http_body_util::{BodyExt, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE};
use realtime::hyper::{Body, Refused, Sse, WebSocketUpgrade, serve};
use tokio::net::TcpListener;

use crate::app::{About, App, Shutdown};
use crate::{chat, firehose, jobs, metrics, page, stats};

type Answer = Result<Response<Body>, Refused>;

pub(crate) async fn run(app: App, listener: TcpListener, shutdown: Shutdown) -> io::Result<()> {
    let hub = app.hub.clone();
    serve(listener, &hub, move |request| route(app.clone(), request), shutdown).await?;
    Ok(())
}

async fn route(app: App, mut request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    match *path.split('/').skip(1).collect::<Vec<_>>() {
        ["about"] => json(StatusCode::OK, &About::new("hyper")),
        ["metrics"] => Sse::from_request(&app.hub, &request).await?.stream(metrics::subscribe()),
        ["stats"] => Sse::from_request(&app.hub, &request).await?.stream(stats::subscribe()),
        ["firehose"] => Sse::from_request(&app.hub, &request).await?.stream(firehose::subscribe()),
        ["chat", room] => {
            let (room, guest) = (page::decode(room), chat::Guest::new(request.uri().query()));
            WebSocketUpgrade::from_request(&app.hub, &mut request)
                .await?
                .subscribe(chat::subscribe(&room))
                .run(|socket| chat::talk(socket, room, guest))
        }
        ["jobs"] if request.method() == Method::POST => {
            let body = Limited::new(request.into_body(), jobs::MAX_BODY).collect().await;
            let body = body.map_err(|error| Refused::new(413, error.to_string()))?;
            json(StatusCode::ACCEPTED, &app.jobs.start(&body.to_bytes()).await?)
        }
        ["jobs", id] => {
            Sse::from_request(&app.hub, &request).await?.stream(app.jobs.subscribe(id)?)
        }
        _ => {
            let (content_type, text) = page::file(&path)?;
            answer(StatusCode::OK, content_type, text)
        }
    }
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    let text =
        serde_json::to_string(value).map_err(|error| Refused::new(500, error.to_string()))?;
    answer(status, "application/json", text)
}

fn answer(status: StatusCode, content_type: &str, text: impl Into<bytes::Bytes>) -> Answer {
    let response = Response::builder().status(status).header(CONTENT_TYPE, content_type);
    response.body(Body::new(text)).map_err(|error| Refused::new(500, error.to_string()))
}
