//! Many streams on one hub that take what is published.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use futures_util::{FutureExt, Stream, StreamExt};
use realtime::{Event, Hub, driver, ws};

use crate::head::Head;
use tokio::sync::broadcast;

/// Enters a runtime, whose timers the streams set; it is never driven.
pub(crate) fn enter_runtime() -> tokio::runtime::EnterGuard<'static> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = Box::leak(Box::new(runtime.expect("a runtime")));
    runtime.enter()
}

/// Takes what a stream has and tells how many bytes it was.
type TakePending = Box<dyn FnMut(&mut Context<'_>) -> usize>;

/// Streams of one topic, each giving the bytes that its client would get.
pub(crate) struct Streams {
    hub: Hub,
    streams: Vec<TakePending>,
}

impl Streams {
    /// Event streams.
    #[allow(dead_code, reason = "each benchmark uses one of the two")]
    pub(crate) fn sse(count: usize) -> Self {
        Self::new(count, |hub| {
            let request = driver::accept_event_stream(hub, &Head::default()).now_or_never();
            let request = request.expect("nothing to wait for").expect("a valid request");
            let (_, mut body) = driver::Body::open(request, "bench").expect("a valid topic");
            Box::new(move |cx| take(&mut body, cx))
        })
    }

    /// WebSocket connections.
    #[allow(dead_code, reason = "each benchmark uses one of the two")]
    pub(crate) fn websocket(count: usize, format: ws::Format) -> Self {
        Self::new(count, |hub| {
            let request = driver::attach(hub).expect("room for a connection");
            let request = request.format(format).subscribe("bench");
            let (_, session) = driver::open(request).expect("a valid topic");
            let input = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
            let mut stream =
                driver::ByteStream::<_, driver::LocalBoxHandler>::new(input, session, None);
            Box::new(move |cx| take(&mut stream, cx))
        })
    }

    /// Publishes one event, and every stream gives its bytes.
    pub(crate) fn round(&mut self, data: &str) -> usize {
        let published = self.hub.publish("bench", Event::text(data));
        published.now_or_never().expect("the embedded broker answers at once").expect("published");
        self.take()
    }

    fn new(count: usize, make: impl Fn(&Hub) -> TakePending) -> Self {
        let hub = Hub::new();
        let streams = (0..count).map(|_| make(&hub)).collect();
        let mut streams = Self { hub, streams };
        streams.take();
        streams
    }

    fn take(&mut self) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        self.streams.iter_mut().map(|stream| stream(&mut cx)).sum()
    }
}

/// What one writes without the library: a receiver per connection, which encodes what it gets.
pub(crate) struct Receivers {
    sender: broadcast::Sender<bytes::Bytes>,
    receivers: Vec<broadcast::Receiver<bytes::Bytes>>,
}

impl Receivers {
    pub(crate) fn new(count: usize) -> Self {
        let (sender, _) = broadcast::channel(1024);
        let receivers = (0..count).map(|_| sender.subscribe()).collect();
        Self { sender, receivers }
    }

    /// Sends data, and every receiver takes it, encodes it and waits again.
    pub(crate) fn round(&mut self, data: &bytes::Bytes, encode: &mut dyn FnMut(bytes::Bytes)) {
        self.sender.send(data.clone()).expect("there are receivers");
        let mut cx = Context::from_waker(Waker::noop());
        for receiver in &mut self.receivers {
            while let Poll::Ready(data) = pin!(receiver.recv()).poll(&mut cx) {
                encode(data.expect("no receiver lags"));
            }
        }
    }
}

fn take(stream: &mut (impl Stream<Item = bytes::Bytes> + Unpin), cx: &mut Context<'_>) -> usize {
    let mut taken = 0;
    while let Poll::Ready(Some(bytes)) = stream.poll_next_unpin(cx) {
        taken += bytes.len();
    }
    taken
}
