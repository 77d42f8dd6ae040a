//! On raw hyper.

use std::io;

use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use realtime::{
    DrainReport, Hub,
    hyper::{Body, Refused, Sse, WebSocketUpgrade},
    shutdown_signal,
    ws::Format,
};
use tokio::net::TcpListener;

use crate::app;

pub(crate) async fn serve(listener: TcpListener, hub: Hub) -> io::Result<DrainReport> {
    let route_hub = hub.clone();
    let route = move |request| route(route_hub.clone(), request);
    realtime::hyper::serve(listener, &hub, route, shutdown_signal(&hub)?).await
}

async fn route(hub: Hub, mut request: Request<Incoming>) -> Result<Response<Body>, Refused> {
    match (request.method(), request.uri().path()) {
        (_, "/ws") => WebSocketUpgrade::from_request(&hub, &mut request)
            .await?
            .format(Format::Raw)
            .subscribe(app::BENCH)
            .run(app::publish_all),
        (_, "/echo") => WebSocketUpgrade::from_request(&hub, &mut request)
            .await?
            .limits(app::echo_limits)
            .run(app::echo),
        (_, "/messages") => {
            let topics = app::topics(request.uri().query());
            WebSocketUpgrade::from_request(&hub, &mut request)
                .await?
                .subscribe(topics)
                .run(app::ignore)
        }
        (_, "/events") => {
            Sse::from_request(&hub, &request).await?.stream(app::topics(request.uri().query()))
        }
        (_, "/whoami") => whoami(hub, request).await,
        (&Method::POST, "/publish") => publish(hub, request).await,
        (&Method::GET, "/stats") => Ok(Response::new(Body::new(app::stats(&hub)))),
        (&Method::GET, "/healthz") => Ok(Response::new(Body::new(app::health(&hub)))),
        _ => Err(Refused::new(404, "no such path")),
    }
}

/// A WebSocket or an event stream, as the client asks for.
async fn whoami(hub: Hub, mut request: Request<Incoming>) -> Result<Response<Body>, Refused> {
    if request.headers().contains_key(header::UPGRADE) {
        let hello = app::says_hello(request.uri().query());
        let upgrade = WebSocketUpgrade::from_request(&hub, &mut request).await?;
        return upgrade.run(move |socket| app::whoami(socket, hello));
    }
    let sse = Sse::from_request(&hub, &request).await?;
    let topic = app::whoami_stream(&hub, sse.identity(), request.uri().query()).await;
    sse.stream(topic.map_err(|error| Refused::new(503, error.to_string()))?)
}

async fn publish(hub: Hub, request: Request<Incoming>) -> Result<Response<Body>, Refused> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, app::max_body(&hub)).collect().await.map_err(|error| {
        let status = if error.is::<LengthLimitError>() { 413 } else { 400 };
        Refused::new(status, error.to_string())
    })?;
    let published = app::publish(&hub, head.uri.query(), body.to_bytes().into()).await;
    let position = published.map_err(|(status, error)| Refused::new(status, error))?;
    Ok(Response::new(Body::new(position)))
}
