//! How large the futures of a connection are on actix, so that it is noticed when something grows.

#![cfg(target_pointer_width = "64")]

use actix_web::dev::Payload;
use realtime_actix::Transport;
use realtime_core::{
    driver::{Attached, Body, ByteStream, LocalBoxHandler},
    ws::Socket,
};

#[test]
fn what_a_connection_has_does_not_grow() {
    let sizes = [
        ("a WebSocket's body", size_of::<ByteStream<Payload, LocalBoxHandler>>(), 48),
        ("an event stream's body", size_of::<Body>(), 8),
        ("an attached socket", of(|it: Attached<Transport>| it.stream("a")), 1104),
        ("the same with a handler", of(|it: Attached<Transport>| it.run_local(ignore)), 1104),
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
