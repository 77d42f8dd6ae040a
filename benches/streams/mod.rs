//! Many streams on one hub that take what is published.

use std::task::{Context, Poll, Waker};

use futures_util::{FutureExt, Stream, StreamExt};
use realtime::{Event, Hub, driver, ws};

use crate::head::Head;

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
    #[allow(dead_code, reason = "not every benchmark publishes by these")]
    hub: Hub,
    streams: Vec<TakePending>,
}

impl Streams {
    /// Event streams.
    #[allow(dead_code, reason = "not every benchmark uses both")]
    pub(crate) fn sse(count: usize) -> Self {
        Self::new(Hub::new(), count, |hub| {
            let request = driver::accept_event_stream(hub, &Head::default()).now_or_never();
            let request = request.expect("nothing to wait for").expect("a valid request");
            let (_, mut body) = driver::Body::open(request, "bench").expect("a valid topic");
            Box::new(move |cx| take(&mut body, cx))
        })
    }

    /// WebSocket connections.
    #[allow(dead_code, reason = "not every benchmark uses both")]
    pub(crate) fn websocket(count: usize, format: ws::Format) -> Self {
        Self::websockets_of(&Hub::new(), count, format)
    }

    /// WebSocket connections of one hub, to which others may belong, too.
    #[allow(dead_code, reason = "not every benchmark shares a hub")]
    pub(crate) fn websockets_of(hub: &Hub, count: usize, format: ws::Format) -> Self {
        Self::new(hub.clone(), count, |hub| {
            let request = driver::attach(hub).expect("room for a connection");
            let request = request.format(format).subscribe("bench");
            let (_, session) = driver::open(request).expect("a valid topic");
            let input = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
            let mut stream =
                driver::ByteStream::<_, driver::LocalBoxHandler>::new(input, session, None);
            Box::new(move |cx| take(&mut stream, cx))
        })
    }

    /// Publishes one event.
    #[allow(dead_code, reason = "not every benchmark publishes by these")]
    pub(crate) fn publish(&self, data: &str) {
        let published = self.hub.publish("bench", Event::text(data));
        published.now_or_never().expect("the embedded broker answers at once").expect("published");
    }

    fn new(hub: Hub, count: usize, make: impl Fn(&Hub) -> TakePending) -> Self {
        let streams = (0..count).map(|_| make(&hub)).collect();
        let mut streams = Self { hub, streams };
        streams.take();
        streams
    }

    /// Every stream gives the bytes that it has; returns how many.
    pub(crate) fn take(&mut self) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        self.streams.iter_mut().map(|stream| stream(&mut cx)).sum()
    }
}

fn take(stream: &mut (impl Stream<Item = bytes::Bytes> + Unpin), cx: &mut Context<'_>) -> usize {
    let mut taken = 0;
    while let Poll::Ready(Some(bytes)) = stream.poll_next_unpin(cx) {
        taken += bytes.len();
    }
    taken
}
