//! How large the futures of a connection are on hyper, so that it is noticed when something grows.

#![cfg(target_pointer_width = "64")]

use realtime_core::{
    Hub,
    driver::{Attached, BoxHandler, Connection},
    ws::Socket,
};
use realtime_hyper::{Body, Sse, Transport, WebSocketUpgrade};
use tokio::net::TcpStream;

#[test]
fn what_a_connection_has_does_not_grow() {
    let sizes = [
        ("a WebSocket's task", size_of::<Connection<TcpStream, BoxHandler>>(), 912),
        ("an answer's body", size_of::<Body>(), 32),
        ("an attached socket", of(|it: Attached<Transport<TcpStream>>| it.stream("a")), 1184),
        ("the same with a handler", of(|it: Attached<Transport<TcpStream>>| it.run(ignore)), 1184),
        (
            "letting a WebSocket in",
            of(|(hub, mut request): (Hub, http::Request<()>)| {
                WebSocketUpgrade::from_request(&hub, &mut request)
            }),
            1256,
        ),
        (
            "letting an event stream in",
            of(|(hub, request): (Hub, http::Request<()>)| Sse::from_request(&hub, &request)),
            360,
        ),
    ];
    for (what, is, most) in sizes {
        assert!(is <= most, "{what} takes {is} bytes, and should take no more than {most}");
    }
}

async fn ignore(_: Socket) {}

/// The size of the future that a function gives.
fn of<A, F: Future>(_: fn(A) -> F) -> usize {
    size_of::<F>()
}
