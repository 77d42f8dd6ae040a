//! How often a connection on which nothing happens is polled.

use std::{pin::pin, sync::atomic::AtomicUsize};

use futures_util::{Stream, StreamExt};

use super::*;
use crate::sse;

const HEARTBEATS: usize = 10;

#[tokio::test(start_paused = true)]
async fn an_idle_websocket_is_polled_for_its_pings_and_their_pongs_alone() {
    let (session, _socket) = session(&Hub::new());
    let (io, server) = tokio::io::duplex(64);
    let mut client = Client { io, bytes: Vec::new() };
    let mut connection = Connection::<_, BoxHandler>::new(server, &[], session, None);
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    tokio::spawn(poll_fn(move |cx| {
        counted.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut connection).poll(cx)
    }));
    for _ in 0..HEARTBEATS {
        assert_eq!(client.next().await, Some((opcode::PING, Vec::new())));
        client.send(Sent::pong("")).await;
    }
    let polls = polls.load(Ordering::SeqCst);
    assert!(polls <= 1 + 2 * HEARTBEATS, "{polls}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_event_stream_is_polled_for_its_heartbeats_alone() {
    // The default is fifteen, and half of the default stall deadline thirty.
    for seconds in [5, 15, 30] {
        let heartbeat = Duration::from_secs(seconds);
        let hub = Hub::builder().sse(|sse| sse.heartbeat = heartbeat).build().unwrap();
        let request = sse::Request::let_in(&hub, &Head::get()).unwrap();
        let (_, mut body) = Body::open(request, "a").unwrap();
        body.next().await.unwrap();
        let mut polls = 0;
        for _ in 0..HEARTBEATS {
            let given = poll_fn(|cx| {
                polls += 1;
                pin!(&mut body).poll_next(cx)
            });
            assert_eq!(given.await.unwrap(), ":\n\n");
        }
        // Once for nothing and once for the heartbeat.
        assert_eq!(polls, 2 * HEARTBEATS, "every {seconds} s");
    }
}

/// Does more in one poll than tokio lets a task do, which then lets no timer be set.
async fn busy_once(socket: Socket) {
    for _ in 0..200 {
        tokio::task::coop::consume_budget().await;
    }
    idle(socket).await;
}

/// Nobody else would ever find out that its peer has gone.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_handler_was_busy_is_pinged_too() {
    let (mut client, _server) = connect(&Hub::new(), 64, &[], busy_once);
    let pinged = tokio::time::timeout(Duration::from_secs(60), client.next()).await;
    assert_eq!(pinged.expect("no ping came"), Some((opcode::PING, Vec::new())));
}

#[tokio::test(start_paused = true)]
async fn a_byte_stream_whose_handler_was_busy_is_pinged_too() {
    let (session, socket) = session(&Hub::new());
    let input = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let mut stream = ByteStream::new(input, session, Some(boxed(busy_once(socket))));
    let pinged = tokio::spawn(async move { stream.next().await });
    let pinged = tokio::time::timeout(Duration::from_secs(60), pinged).await;
    assert!(pinged.expect("no ping came").unwrap().is_some());
}
