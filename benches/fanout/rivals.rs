//! What one writes without realtime: a `tokio::sync::broadcast`, and two tasks or a stream for each
//! client, as in axum's chat example.
//!
//! One task with a `select!` of both directions is five times slower for single messages: tungstenite
//! clears 128 KiB whenever it looks whether something has come.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use actix_web::{HttpRequest, HttpResponse, HttpServer, web};
use axum::{
    Router,
    extract::{State, WebSocketUpgrade, ws},
    response::{IntoResponse, Response, Sse, sse},
    routing::get,
    serve::ListenerExt,
};
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::{SinkExt, Stream, StreamExt};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_stream::wrappers::BroadcastStream;

use crate::server::{Task, block_on, obey};

/// Far above the messages in flight.
const CAPACITY: usize = 1024;

/// Is that server, if it is one of these.
pub(crate) fn serve(name: &str, task: &Task) -> bool {
    match name {
        "axum-broadcast" => axum(task, false),
        "axum-forward" => axum(task, true),
        "actix-broadcast" => actix(task),
        "tungstenite" => tungstenite(task),
        _ => return false,
    }
    true
}

/// What is received, those left out that came too fast.
fn received<T: Clone + Send + 'static>(
    from: &broadcast::Sender<T>,
) -> impl Stream<Item = T> + use<T> {
    BroadcastStream::new(from.subscribe()).filter_map(async |it| it.ok())
}

/// The next message, also where some were lost.
async fn next<T: Clone>(from: &mut broadcast::Receiver<T>) -> Option<T> {
    loop {
        match from.recv().await {
            Ok(message) => return Some(message),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

/// Reads until the client has left.
async fn ended<T, E>(mut stream: impl Stream<Item = Result<T, E>> + Unpin) {
    while let Some(Ok(_)) = stream.next().await {}
}

fn axum(task: &Task, is_forwarded: bool) {
    type Sender = broadcast::Sender<ws::Utf8Bytes>;

    async fn websocket(upgrade: WebSocketUpgrade, State(from): State<Sender>) -> Response {
        let mut from = from.subscribe();
        upgrade.on_upgrade(async move |socket| {
            let (mut sink, stream) = socket.split();
            let sends = tokio::spawn(async move {
                while let Some(message) = next(&mut from).await {
                    if sink.send(ws::Message::Text(message)).await.is_err() {
                        return;
                    }
                }
            });
            ended(stream).await;
            sends.abort();
        })
    }
    /// Writes when nothing more is there, or when tungstenite's buffer is full.
    async fn forwarded(upgrade: WebSocketUpgrade, State(from): State<Sender>) -> Response {
        let messages = received(&from).map(|it| Ok(ws::Message::Text(it)));
        upgrade.on_upgrade(async move |socket| {
            let (sink, stream) = socket.split();
            let sends = tokio::spawn(messages.forward(sink));
            ended(stream).await;
            sends.abort();
        })
    }
    async fn events(State(from): State<Sender>) -> Response {
        let events =
            received(&from).map(|it| Ok::<_, Infallible>(sse::Event::default().data(it.as_str())));
        Sse::new(events).keep_alive(sse::KeepAlive::default()).into_response()
    }

    let (orders, bytes) = (task.orders(), task.bytes);
    block_on(async {
        let (sender, _) = broadcast::channel(CAPACITY);
        let router = Router::new()
            .route("/ws", if is_forwarded { get(forwarded) } else { get(websocket) })
            .route("/events", get(events))
            .with_state(sender.clone());
        // It fails only while nobody is there.
        tokio::spawn(obey(orders, bytes, async move |it| drop(sender.send(it.into()))));
        let listener = task.listener().tap_io(|socket| {
            socket.set_nodelay(true).expect("no delay");
        });
        axum::serve(listener, router).await.expect("it serves");
    });
}

fn actix(task: &Task) {
    type Sender = broadcast::Sender<ByteString>;

    async fn websocket(
        request: HttpRequest,
        body: web::Payload,
        from: web::Data<Sender>,
    ) -> actix_web::Result<HttpResponse> {
        let (response, mut session, messages) = actix_ws::handle(&request, body)?;
        let mut from = from.subscribe();
        let sends = actix_web::rt::spawn(async move {
            while let Some(message) = next(&mut from).await {
                if session.text(message).await.is_err() {
                    return;
                }
            }
        });
        actix_web::rt::spawn(async move {
            ended(messages).await;
            sends.abort();
        });
        Ok(response)
    }
    async fn events(from: web::Data<Sender>) -> HttpResponse {
        let events =
            received(&from).map(|it| Ok::<_, Infallible>(Bytes::from(format!("data: {it}\n\n"))));
        HttpResponse::Ok().content_type("text/event-stream").streaming(events)
    }

    let (sender, _) = broadcast::channel(CAPACITY);
    let data = web::Data::new(sender);
    let orders = Arc::new(Mutex::new(Some(task.orders())));
    let bytes = task.bytes;
    let server = HttpServer::new(move || {
        // Each worker makes its app, and there is one: who publishes is on its thread.
        if let Some(orders) = orders.lock().expect("nobody panics").take() {
            let sender = Sender::clone(&data);
            actix_web::rt::spawn(obey(orders, bytes, async move |it| drop(sender.send(it.into()))));
        }
        actix_web::App::new()
            .app_data(data.clone())
            .route("/ws", web::get().to(websocket))
            .route("/events", web::get().to(events))
    });
    let listener = task.listener.try_clone().expect("a descriptor");
    actix_web::rt::System::new().block_on(async {
        let server = server.workers(1).tcp_nodelay(true).disable_signals();
        server.listen(listener).expect("it listens").run().await.expect("it serves");
    });
}

fn tungstenite(task: &Task) {
    type Sender = broadcast::Sender<tungstenite::Utf8Bytes>;

    async fn websocket(socket: tokio::net::TcpStream, sender: Sender) {
        let mut from = sender.subscribe();
        let Ok(socket) = tokio_tungstenite::accept_async(socket).await else { return };
        let (mut sink, stream) = socket.split();
        let sends = tokio::spawn(async move {
            while let Some(message) = next(&mut from).await {
                if sink.send(tungstenite::Message::Text(message)).await.is_err() {
                    return;
                }
            }
        });
        ended(stream).await;
        sends.abort();
    }

    let (orders, bytes) = (task.orders(), task.bytes);
    block_on(async {
        let (sender, _) = broadcast::channel(CAPACITY);
        let publisher = sender.clone();
        tokio::spawn(obey(orders, bytes, async move |it| drop(publisher.send(it.into()))));
        let listener = task.listener();
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).expect("no delay");
            tokio::spawn(websocket(socket, sender.clone()));
        }
    });
}
