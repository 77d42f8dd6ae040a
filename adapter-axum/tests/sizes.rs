//! How large the futures of a connection are on axum, so that it is noticed when something grows.

#![cfg(target_pointer_width = "64")]

use axum::{extract::FromRequestParts, http::request::Parts};
use realtime_axum::{Sse, Transport, WebSocketUpgrade};
use realtime_core::{
    Hub,
    driver::{Attached, Body},
    ws::Socket,
};

#[test]
fn what_a_connection_has_does_not_grow() {
    // The task of a WebSocket that is not attached is hyper's.
    let sizes = [
        ("an event stream's body", size_of::<Body>(), 8),
        ("an attached socket", of(|it: Attached<Transport>| it.stream("a")), 1232),
        ("the same with a handler", of(|it: Attached<Transport>| it.run(ignore)), 1232),
        ("letting a WebSocket in", of_extractor::<WebSocketUpgrade>(), 1288),
        ("letting an event stream in", of_extractor::<Sse>(), 392),
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

/// The size of the future that takes this out of a request.
fn of_extractor<E: FromRequestParts<Hub>>() -> usize {
    of(|(parts, hub): (&'static mut Parts, &'static Hub)| E::from_request_parts(parts, hub))
}
