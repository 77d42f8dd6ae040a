//! Futures that are dropped before they are ready, as `select!` and timeouts do.

use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::{
    Authentication, Broker, BrokerError, Credentials, Delivery, Drain, Identity, Inlet, Position,
    Published, Token, TopicName, sse,
};

/// Polls `future` once, which is not ready, and drops it.
async fn is_dropped(future: impl Future) {
    // Whatever runs beside it has its turn.
    tokio::task::yield_now().await;
    assert!(future.now_or_never().is_none(), "it waits");
}

fn data(delivery: Option<Delivery>) -> String {
    let Some(Delivery::Event(entry)) = delivery else { panic!("{delivery:?}") };
    entry.event().data().as_text().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn of_a_subscription_nothing_is_lost() {
    let hub = Hub::new();
    let mut subscription = hub.subscribe("a").unwrap();
    let mut out = Vec::new();
    for text in ["1", "2", "3"] {
        is_dropped(subscription.next()).await;
        is_dropped(subscription.recv_many(&mut out, 8)).await;
        is_dropped(StreamExt::next(&mut subscription)).await;
        assert!(out.is_empty());
        publish(&hub, text).await;
        assert_eq!(data(subscription.next().await), text);
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_body_and_a_stream_of_bytes_nothing_is_lost_and_then_nothing_is_left() {
    let hub = Hub::new();
    let mut body = Body::open(sse::Request::let_in(&hub, &Head::get()).unwrap(), "a").unwrap().1;
    body.next().await;
    let (session, socket) = session(&hub);
    let (handler, dropped) = (idle(socket), Dropped::default());
    let guard = dropped.guard();
    let handler = boxed(async move {
        let _guard = guard;
        handler.await;
    });
    let input = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let mut stream = ByteStream::new(input, session, Some(handler));
    for text in ["first", "second"] {
        is_dropped(body.next()).await;
        is_dropped(stream.next()).await;
        publish(&hub, text).await;
        let block = body.next().await.unwrap();
        assert!(str::from_utf8(&block).unwrap().contains(&format!("data: {text}\n")));
        assert!(stream.next().await.unwrap().ends_with(text.as_bytes()));
    }
    drop((body, stream));
    let stats = hub.stats();
    assert_eq!(
        (stats.connections_sse, stats.connections_websocket, stats.subscriptions),
        (0, 0, 0)
    );
    assert!(dropped.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn of_a_sockets_messages_none_is_lost_or_sent_by_halves() {
    let limits = |limits: &mut Limits| limits.outbox_bytes = 16;
    let hub = Hub::builder().limits(limits).build().unwrap();
    let (mut client, _server) = connect(&hub, 16, &[], async |mut socket: Socket| {
        assert!(socket.recv().now_or_never().is_none());
        assert_eq!(socket.recv().await.unwrap().as_text(), Some("come"));
        // The last one finds the outbox full, and is dropped.
        let mut sent = 0;
        while socket.send(Message::text(format!("{sent:0>10}"))).now_or_never().is_some() {
            sent += 1;
        }
        socket.send(Message::text(format!("{sent} were sent"))).await.unwrap();
    });
    tokio::task::yield_now().await;
    client.send(Sent::text("come")).await;
    let mut got = 0;
    loop {
        let message = client.next().await.unwrap();
        if message == text(&format!("{got} were sent")) {
            break;
        }
        assert_eq!(message, text(&format!("{got:0>10}")));
        got += 1;
    }
    assert!(got > 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_refresh_nothing_has_changed_and_its_turn_is_free() {
    let authentication = Authentication::new(async |credentials: Credentials| {
        if credentials.token.expose() == "slow" {
            std::future::pending::<()>().await;
        }
        Ok(Identity::new(credentials.token.expose()))
    });
    let hub = Hub::builder().authentication(authentication.concurrency(1)).build().unwrap();
    let head = Head::websocket().with("authorization", "Bearer alice");
    let request = accept_websocket(&hub, &head).await.unwrap();
    let (_, session, mut socket) = open_with_socket(request).unwrap();
    is_dropped(socket.refresh(Token::new("slow"))).await;
    assert_eq!(socket.identity().unwrap().subject(), "alice");
    assert_eq!(socket.refresh(Token::new("alice")).await.unwrap().subject(), "alice");
    // Of who was to be let in, too.
    let slow = Head::websocket().with("authorization", "Bearer slow");
    is_dropped(accept_websocket(&hub, &slow)).await;
    is_dropped(accept_event_stream(&hub, &slow)).await;
    drop((session, socket));
    let stats = hub.stats();
    assert_eq!((stats.connections_sse, stats.connections_websocket, stats.identities), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn of_a_drain_it_goes_on_and_nobody_is_cut() {
    let at_once = |drain: &mut Drain| drain.deadline = Duration::from_secs(3);
    let hub = Hub::builder().drain(at_once).build().unwrap();
    let (mut client, server) = connect(&hub, 1024, &[], idle);
    tokio::task::yield_now().await;
    is_dropped(hub.drain()).await;
    is_dropped(hub.drain_beside(std::future::pending())).await;
    is_dropped(hub.run_until_drained(std::future::pending::<()>())).await;
    assert_eq!(client.next().await.unwrap().0, opcode::CLOSE);
    assert_eq!(hub.stats().connections_websocket, 1);
    client.send(Sent::close(1012, "")).await;
    server.await.unwrap();
    assert_eq!(hub.drain().await.closed, 1);
}

/// Takes an event at once, and tells of it later.
#[derive(Debug, Default)]
struct Later(std::sync::Mutex<Vec<Event>>);

impl Broker for Later {
    fn epoch(&self) -> u64 {
        1
    }

    fn start(&self, _: Inlet) -> Result<(), BrokerError> {
        Ok(())
    }

    fn publish(&self, _: &TopicName, event: Event, _: Instant) -> Published {
        self.0.lock().unwrap().push(event);
        Published::Later(Box::pin(std::future::pending::<Result<Position, BrokerError>>()))
    }
}

#[tokio::test(start_paused = true)]
async fn of_what_is_published_nothing_is_taken_back() {
    let broker = Arc::new(Later::default());
    let hub = Hub::builder().broker(Arc::clone(&broker)).build().unwrap();
    is_dropped(hub.publish("a", Event::text("x"))).await;
    assert_eq!(broker.0.lock().unwrap().len(), 1);
    let hub = Hub::new();
    let mut subscription = hub.subscribe("a").unwrap();
    drop(hub.publish("a", Event::text("x")));
    assert_eq!(data(subscription.next().await), "x");
}

#[tokio::test(start_paused = true)]
async fn of_a_handler_that_was_not_polled_nothing_is_called() {
    let (called, hub) = (Arc::new(AtomicBool::new(false)), Hub::new());
    let (session, socket) = session(&hub);
    let calls = Arc::clone(&called);
    drop(handler(async move |_| calls.store(true, Ordering::SeqCst), socket));
    assert!(!called.load(Ordering::SeqCst));
    drop(session);
    let error = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
    is_dropped(after_accept_error(&error)).await;
}
