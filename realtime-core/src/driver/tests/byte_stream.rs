//! A WebSocket over chunks in and chunks out.

use std::io;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use super::*;
use crate::{
    auth::{Authentication, Credentials, Identity},
    driver::byte_stream::QUIET,
};

/// Input that a test feeds.
struct Input(mpsc::UnboundedReceiver<Bytes>);

impl Stream for Input {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(Ok))
    }
}

/// The client of a byte stream, which is read here as a framework would.
struct Peer {
    input: Option<mpsc::UnboundedSender<Bytes>>,
    stream: ByteStream<Input, BoxHandler>,
    bytes: Vec<u8>,
}

impl Peer {
    fn new<F>(hub: &Hub, run: impl FnOnce(Socket) -> F) -> Self
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let (input, receiver) = mpsc::unbounded_channel();
        let (session, socket) = session(hub);
        let stream = ByteStream::new(Input(receiver), session, Some(boxed(run(socket))));
        Self { input: Some(input), stream, bytes: Vec::new() }
    }

    fn send(&mut self, frame: Sent) {
        let _ = self.input.as_ref().unwrap().send(frame.to_bytes().into());
    }

    /// The next frame; `None` at the end.
    async fn next(&mut self) -> Option<Written> {
        loop {
            if let Some(frame) = take_frame(&mut self.bytes) {
                return Some(frame);
            }
            self.bytes.extend(self.stream.next().await?);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_echoed_and_the_stream_ends_after_the_closes() {
    let hub = Hub::new();
    let mut peer = Peer::new(&hub, echo);
    peer.send(Sent::text("hello"));
    assert_eq!(peer.next().await, Some(text("hello")));
    publish(&hub, "event").await;
    assert_eq!(peer.next().await, Some(text("event")));
    let start = Clock::now();
    peer.send(Sent::close(1000, ""));
    assert_eq!(peer.next().await, Some(close(1000, "")));
    assert_eq!(peer.next().await, None);
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(peer);
    assert_eq!((hub.stats().connections_websocket, hub.stats().subscriptions), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_handler_closes() {
    let mut failing = Peer::new(&Hub::new(), async |_| Err("no"));
    assert_eq!(failing.next().await, Some(close(1011, "internal error")));
    let mut panicking = Peer::new(&Hub::new(), |_| async {
        if true {
            panic!("on purpose")
        }
    });
    assert_eq!(panicking.next().await, Some(close(1011, "internal error")));
    let mut done = Peer::new(&Hub::new(), async |_| ());
    assert_eq!(done.next().await, Some(close(1000, "")));
    let start = Clock::now();
    assert_eq!(done.next().await, None);
    assert_eq!(start.elapsed().as_secs(), 5, "the peer's Close has its bound");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_ends_stream_and_handler() {
    let dropped = Dropped::default();
    let guard = dropped.guard();
    let mut peer = Peer::new(&Hub::new(), async move |socket| {
        let _guard = guard;
        idle(socket).await;
    });
    peer.input = None;
    assert_eq!(peer.next().await, None);
    assert!(dropped.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_pinged_and_then_left() {
    let mut peer = Peer::new(&Hub::new(), idle);
    let start = Clock::now();
    assert_eq!(peer.next().await, Some((opcode::PING, Vec::new())));
    assert_eq!(start.elapsed().as_secs(), 30);
    peer.send(Sent::pong(""));
    assert_eq!(peer.next().await, Some((opcode::PING, Vec::new())));
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(peer.next().await, None);
    assert_eq!(start.elapsed().as_secs(), 70);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_stream_ends_when_the_client_is_quiet() {
    let mut peer = Peer::new(&Hub::new(), idle);
    peer.send(Sent::text("x").unmasked());
    assert_eq!(peer.next().await, Some(close(1002, "frame not masked")));
    let start = Clock::now();
    let input = peer.input.take().unwrap();
    let sender = tokio::spawn(async move {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(15)).await;
            let _ = input.send(Bytes::from_static(b"x"));
        }
        input
    });
    assert_eq!(peer.next().await, None);
    assert_eq!(start.elapsed(), Duration::from_millis(10 * 15) + QUIET);
    drop(sender.await);

    let mut peer = Peer::new(&Hub::new(), idle);
    peer.send(Sent::text("x").unmasked());
    assert_eq!(peer.next().await, Some(close(1002, "frame not masked")));
    peer.input = None;
    let start = Clock::now();
    assert_eq!(peer.next().await, None);
    assert_eq!(start.elapsed(), Duration::ZERO, "a client that is gone is not waited for");
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_a_client_that_never_stops_has_its_bound() {
    let mut peer = Peer::new(&Hub::new(), idle);
    peer.send(Sent::text("x").unmasked());
    assert_eq!(peer.next().await, Some(close(1002, "frame not masked")));
    let start = Clock::now();
    let input = peer.input.take().unwrap();
    tokio::spawn(async move {
        while input.send(Bytes::from_static(b"x")).is_ok() {
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    });
    assert_eq!(peer.next().await, None);
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_slow_gets_every_message() {
    let mut peer = Peer::new(&unpaced(), async |mut socket| {
        for n in 0..2000 {
            if n % 300 == 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(socket.recv().await, Some(Message::text(format!("{n}"))));
        }
        socket.send(Message::text("all")).await.unwrap();
        idle(socket).await;
    });
    for n in 0..2000 {
        peer.send(Sent::text(n.to_string()));
    }
    let start = Clock::now();
    assert_eq!(peer.next().await, Some(text("all")));
    assert!(start.elapsed() < Duration::from_secs(2));
}

/// Input without end.
struct Flood(Bytes, usize);

impl Stream for Flood {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.1 += 1;
        assert!(self.1 < 10_000, "it must let others run");
        Poll::Ready(Some(Ok(self.0.clone())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_stream_lets_other_tasks_run() {
    for frame in [Sent::pong("x"), Sent::binary(vec![0; 100])] {
        let (session, socket) = session(&Hub::new());
        drop(socket);
        let input = Flood(frame.to_bytes().into(), 0);
        let mut stream = ByteStream::<_, BoxHandler>::new(input, session, None);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(stream.poll_next_unpin(&mut cx).is_pending());
    }
    // Also while it waits for the end of what a broken client sends.
    let (session, _socket) = session(&Hub::new());
    let input = Flood(Sent::text("x").unmasked().to_bytes().into(), 0);
    let mut stream = ByteStream::<_, BoxHandler>::new(input, session, None);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(stream.poll_next_unpin(&mut cx), Poll::Ready(Some(_))), "the Close");
    assert!(stream.poll_next_unpin(&mut cx).is_pending());
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(matches!(stream.poll_next_unpin(&mut cx), Poll::Ready(None)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_asked_for_more_is_given_up_but_for_its_handler() {
    let hub = Hub::new();
    let dropped = Dropped::default();
    let guard = dropped.guard();
    let mut peer = Peer::new(&hub, async move |socket| {
        let _guard = guard;
        idle(socket).await;
    });
    publish(&hub, "x").await;
    assert_eq!(peer.next().await, Some(text("x")));
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(hub.stats().connections_websocket, 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((hub.stats().connections_websocket, hub.stats().subscriptions), (0, 0));
    assert!(!dropped.is_dropped(), "it stays on its thread");
    assert_eq!(peer.next().await, None);
    drop(peer);
    assert!(dropped.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_check_that_nobody_polls_gives_its_turn_back() {
    let check = async |presented: Credentials| {
        if presented.token.expose() == "slow" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(Identity::new("alice"))
    };
    let authentication = Authentication::new(check).concurrency(1).first_message();
    let hub = Hub::builder().authentication(authentication).build().unwrap();
    let request = Request::let_in(&hub, &Head::websocket()).unwrap();
    let (_, session, _socket) = request.open_with_socket(now()).unwrap();
    let (input, receiver) = mpsc::unbounded_channel();
    let mut stream = ByteStream::<_, BoxHandler>::new(Input(receiver), session, None);
    input.send(Sent::text(r#"{"token":"slow"}"#).to_bytes().into()).unwrap();
    assert!(stream.next().now_or_never().is_none());
    // The framework does not come back. In less than the time of a stalled body:
    tokio::time::sleep(Duration::from_secs(21)).await;
    let fast = Head::get().with("authorization", "Bearer fast");
    let other = accept_event_stream(&hub, &fast).await;
    assert!(other.is_ok(), "{other:?}");
}
