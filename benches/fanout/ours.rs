//! realtime, as one uses it, on each framework.

use std::time::Duration;

use actix_web::{HttpResponse, HttpServer, web};
use axum::{Router, response::Response, routing::get};
use http::Request;
use hyper::body::Incoming;
use realtime::{Event, Hub, OriginPolicy, Rate, actix, axum as on_axum, hyper as on_hyper};

use crate::server::{Task, block_on, obey};

const TOPIC: &str = "bench";

/// More than anybody has: all clients are on one machine.
const UNLIMITED: Rate = Rate::per_second(u32::MAX);

/// Far behind the end.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Is that server, if it is one of these.
pub(crate) fn serve(name: &str, task: &Task) -> bool {
    match name {
        "axum" => axum(task, hub(false)),
        "axum-bare" => axum(task, hub(true)),
        "hyper" => hyper(task, hub(false)),
        "hyper-bare" => hyper(task, hub(true)),
        "actix" => actix(task, hub(false)),
        "actix-bare" => actix(task, hub(true)),
        _ => return false,
    }
    true
}

/// As it is, but for limits of what comes from one address; bare: without all that configuration can
/// switch off or put off.
fn hub(is_bare: bool) -> Hub {
    let hub = Hub::builder().limits(|limits| {
        limits.connections = 1_000_000;
        limits.connections_per_ip = u32::MAX;
        limits.handshakes_per_ip = UNLIMITED;
        if is_bare {
            limits.networks_per_block = u32::MAX;
            limits.messages = UNLIMITED;
            limits.inbound_bytes = UNLIMITED;
            limits.header_deadline = LONG;
            limits.write_deadline = LONG;
            limits.stall_deadline = LONG;
            limits.log_bytes = u64::MAX;
        }
    });
    let hub = if is_bare {
        hub.origin(OriginPolicy::dangerously_allow_any_origin())
            .lag(realtime::LagLimit::default().events(u64::MAX).bytes(u64::MAX))
            .sse(|sse| sse.heartbeat = LONG)
            .websocket(|websocket| {
                (websocket.ping_interval, websocket.pong_deadline) = (LONG, LONG)
            })
    } else {
        hub
    };
    hub.build().expect("valid")
}

async fn publish(hub: &Hub, message: String) {
    hub.publish(TOPIC, Event::text(message)).await.expect("published");
}

fn axum(task: &Task, hub: Hub) {
    use on_axum::{Refused, Sse, WebSocketUpgrade};
    use realtime::ws::Format;

    async fn ws(upgrade: WebSocketUpgrade) -> Result<Response, Refused> {
        upgrade.format(Format::Raw).stream(TOPIC)
    }
    async fn events(sse: Sse) -> Result<Response, Refused> {
        sse.stream(TOPIC)
    }

    let (orders, bytes) = (task.orders(), task.bytes);
    block_on(async {
        let publisher = hub.clone();
        tokio::spawn(obey(orders, bytes, async move |message| publish(&publisher, message).await));
        let router = Router::new()
            .route("/ws", get(ws))
            .route("/events", get(events))
            .with_state(hub.clone());
        let never = std::future::pending();
        on_axum::serve(task.listener(), &hub, router, never).await.expect("it serves");
    });
}

fn hyper(task: &Task, hub: Hub) {
    use on_hyper::{Body, Refused, Sse, WebSocketUpgrade};
    use realtime::ws::Format;

    async fn route(
        hub: Hub,
        mut request: Request<Incoming>,
    ) -> Result<http::Response<Body>, Refused> {
        match request.uri().path() {
            "/ws" => {
                let upgrade = WebSocketUpgrade::from_request(&hub, &mut request).await?;
                upgrade.format(Format::Raw).stream(TOPIC)
            }
            "/events" => Sse::from_request(&hub, &request).await?.stream(TOPIC),
            _ => Err(Refused::new(404, "no such path")),
        }
    }

    let (orders, bytes) = (task.orders(), task.bytes);
    block_on(async {
        let publisher = hub.clone();
        tokio::spawn(obey(orders, bytes, async move |message| publish(&publisher, message).await));
        let route_hub = hub.clone();
        let route = move |request| route(route_hub.clone(), request);
        let never = std::future::pending();
        on_hyper::serve(task.listener(), &hub, route, never).await.expect("it serves");
    });
}

fn actix(task: &Task, hub: Hub) {
    use actix::{Refused, Sse, WebSocketUpgrade};
    use realtime::ws::Format;

    async fn ws(upgrade: WebSocketUpgrade) -> Result<HttpResponse, Refused> {
        upgrade.format(Format::Raw).stream(TOPIC)
    }
    async fn events(sse: Sse) -> Result<HttpResponse, Refused> {
        sse.stream(TOPIC)
    }

    let data = web::Data::new(hub.clone());
    let orders = std::sync::Arc::new(std::sync::Mutex::new(Some(task.orders())));
    let bytes = task.bytes;
    let server = HttpServer::new(move || {
        // Each worker makes its app, and there is one: who publishes is on its thread.
        if let Some(orders) = orders.lock().expect("nobody panics").take() {
            let hub = Hub::clone(&data);
            actix_web::rt::spawn(obey(orders, bytes, async move |it| publish(&hub, it).await));
        }
        actix_web::App::new()
            .app_data(data.clone())
            .route("/ws", web::get().to(ws))
            .route("/events", web::get().to(events))
    });
    let listener = task.listener.try_clone().expect("a descriptor");
    actix_web::rt::System::new().block_on(async {
        let server = actix::configure(server, &hub).workers(1).disable_signals();
        let server = server.listen(listener).expect("it listens").run();
        actix::run(server, &hub).await.expect("it serves");
    });
}
