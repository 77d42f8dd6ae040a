//! One process of the service.

use std::{
    error::Error,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    process,
    time::Duration,
};

use axum::{
    Router,
    response::{Html, Response},
    routing::get,
};
use realtime::{
    Event, Hub,
    axum::{Refused, Sse, serve},
    shutdown_signal,
};
use socket2::{Domain, Socket, Type};
use tokio::{net::TcpListener, time::sleep};

pub(super) async fn run(listen: SocketAddr) -> Result<(), Box<dyn Error>> {
    let hub = Hub::builder()
        .drain(|drain| {
            // Shorter than in a service, so that there is something to see.
            drain.deadline = Duration::from_secs(5);
            drain.reconnects_per_second = 50;
            drain.retry = Duration::from_millis(200);
        })
        .build()?;
    let app = Router::new()
        .route("/", get(Html(include_str!("page/index.html"))))
        .route("/events", get(events))
        .with_state(hub.clone());
    let socket = bind(listen)?;
    socket.listen(1024)?;
    let listener = TcpListener::from_std(socket.into())?;
    let shutdown = shutdown_signal(&hub)?;
    let id = process::id();
    writeln!(io::stdout(), "process {id} listens")?;
    tokio::spawn(count(hub.clone()));
    std::thread::spawn(end_with_the_orchestrator);
    let report = serve(listener, &hub, app, shutdown).await?;
    let (closed, cut) = (report.closed, report.forced);
    writeln!(io::stdout(), "process {id}: {closed} closed, {cut} cut, in {:.0?}", report.took)?;
    Ok(())
}

/// A socket beside those of the processes before and after. The system gives each new connection to
/// one of those that listen.
pub(super) fn bind(listen: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(listen), Type::STREAM, None)?;
    // Or the port stays taken for as long as old connections are remembered.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    Ok(socket)
}

async fn events(sse: Sse) -> Result<Response, Refused> {
    sse.stream("counts")
}

async fn count(hub: Hub) {
    for number in 1_u64.. {
        let event = Event::text(format!("{} {number}", process::id()));
        if hub.publish("counts", event).await.is_err() {
            // Drained.
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Ends the process when the orchestrator is gone, which holds the other end.
fn end_with_the_orchestrator() {
    let _ = io::stdin().read(&mut [0]);
    process::exit(1);
}
