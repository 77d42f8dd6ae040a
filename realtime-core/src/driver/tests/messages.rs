//! A WebSocket that a framework has made.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::*;
use crate::ws::{CloseCode, CloseFrame, CloseReason, Incoming};

/// A framework's socket, of which a test holds the other end.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    incoming: VecDeque<Option<Incoming>>,
    /// The peer sends this again and again.
    flood: Option<Incoming>,
    sent: Vec<Outgoing>,
    unflushed: usize,
    most_unflushed: usize,
    is_full: bool,
    is_stuck: bool,
    close_is_stuck: bool,
    closes: usize,
    waker: Option<Waker>,
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    fn client(&self, incoming: Incoming) {
        self.change(|state| state.incoming.push_back(Some(incoming)));
    }

    fn sent(&self) -> Vec<Outgoing> {
        std::mem::take(&mut self.lock().sent)
    }

    fn wait<T>(&self, cx: &Context<'_>, ready: impl FnOnce(&mut State) -> Option<T>) -> Poll<T> {
        let mut state = self.lock();
        match ready(&mut state) {
            Some(value) => Poll::Ready(value),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl MessageTransport for Fake {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        self.wait(cx, |state| {
            state.incoming.pop_front().or_else(|| Some(Some(state.flood.clone()?)))
        })
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.wait(cx, |state| (!state.is_full).then_some(Ok(())))
    }

    fn send(&mut self, outgoing: Outgoing) -> Result<(), Closed> {
        let mut state = self.lock();
        assert!(!state.is_full, "it was not ready");
        state.unflushed += 1;
        state.most_unflushed = state.most_unflushed.max(state.unflushed);
        state.sent.push(outgoing);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.wait(cx, |state| {
            (!state.is_stuck).then(|| {
                state.unflushed = 0;
                Ok(())
            })
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wait(cx, |state| {
            state.closes += 1;
            (!state.close_is_stuck).then_some(())
        })
    }
}

fn attach<F>(hub: &Hub, run: impl FnOnce(Socket) -> F) -> (Fake, JoinHandle<CloseCause>)
where
    F: Future<Output: Outcome> + Send + 'static,
{
    let fake = Fake::default();
    let (session, socket) = session(hub);
    let messages = Messages::new(fake.clone(), session, Some(boxed(run(socket))));
    (fake, tokio::spawn(messages))
}

/// Lets the connection do all that it can without time.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn out(text: &str) -> Outgoing {
    Outgoing::Message(Message::text(text))
}

fn closing(code: u16, reason: &str) -> CloseFrame {
    CloseFrame::new(CloseCode::new(code).unwrap(), CloseReason::new(reason).unwrap())
}

fn out_close(code: u16, reason: &str) -> Outgoing {
    Outgoing::Close(Some(closing(code, reason)))
}

#[tokio::test(start_paused = true)]
async fn everything_goes_both_ways() {
    let hub = Hub::new();
    let (fake, server) = attach(&hub, echo);
    fake.client(Incoming::Message(Message::text("text")));
    fake.client(Incoming::Message(Message::binary(&b"binary"[..])));
    fake.client(Incoming::Ping(Bytes::from_static(b"!")));
    settle().await;
    let expected = [
        out("text"),
        Outgoing::Message(Message::binary(&b"binary"[..])),
        Outgoing::Pong(Bytes::from_static(b"!")),
    ];
    assert_eq!(fake.sent(), expected);
    publish(&hub, "event").await;
    settle().await;
    assert_eq!(fake.sent(), [out("event")]);
    fake.client(Incoming::Close(Some(closing(1000, "bye"))));
    assert_eq!(server.await.unwrap(), CloseCause::Peer(Some(closing(1000, "bye"))));
    assert_eq!(fake.sent(), [out_close(1000, "")]);
    assert!(fake.lock().closes > 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_handler_or_the_socket_ends_it() {
    let (fake, server) = attach(&Hub::new(), async |_| Err("no"));
    settle().await;
    assert_eq!(fake.sent(), [out_close(1011, "internal error")]);
    fake.client(Incoming::Close(None));
    assert_eq!(server.await.unwrap(), CloseCause::HandlerFailed);

    let dropped = Dropped::default();
    let guard = dropped.guard();
    let (fake, server) = attach(&Hub::new(), async move |socket| {
        let _guard = guard;
        idle(socket).await;
    });
    fake.change(|state| state.incoming.push_back(None));
    assert_eq!(server.await.unwrap(), CloseCause::Vanished);
    assert!(dropped.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_pinged_and_then_left() {
    let (fake, server) = attach(&Hub::new(), idle);
    let start = Clock::now();
    assert_eq!(server.await.unwrap(), CloseCause::PongDeadline);
    assert_eq!(start.elapsed().as_secs(), 40);
    assert_eq!(fake.sent(), [Outgoing::Ping(Bytes::new())]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_took_its_time_is_forgotten() {
    let hub = Hub::new();
    let (fake, server) = attach(&hub, idle);
    fake.change(|state| state.is_stuck = true);
    publish(&hub, "x").await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    fake.change(|state| state.is_stuck = false);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!server.is_finished(), "all was written in time");
    fake.client(Incoming::Pong);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!server.is_finished());
    assert_eq!(fake.sent(), [out("x")]);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_takes_nothing_ends_at_the_write_deadline() {
    for is_full in [true, false] {
        let hub = Hub::new();
        let (fake, server) = attach(&hub, idle);
        fake.change(|state| (state.is_full, state.is_stuck) = (is_full, !is_full));
        settle().await;
        let start = Clock::now();
        publish(&hub, "x").await;
        assert_eq!(server.await.unwrap(), CloseCause::WriteDeadline);
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unbounded_socket_is_not_filled() {
    let hub = Hub::builder().overflow(crate::Overflow::DropOldest).build().unwrap();
    let (fake, _server) = attach(&hub, idle);
    settle().await;
    fake.change(|state| state.is_stuck = true);
    let data = "x".repeat(10_000);
    for _ in 0..100 {
        publish(&hub, &data).await;
        settle().await;
    }
    assert_eq!(fake.lock().most_unflushed, 1, "nothing more until it is flushed");
    fake.change(|state| state.is_stuck = false);
    settle().await;
    assert!(fake.lock().most_unflushed <= 7, "64 KiB at a time");
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_closed_with_nothing_else() {
    let hub = Hub::new();
    let (fake, server) = attach(&hub, idle);
    settle().await;
    fake.change(|state| state.is_full = true);
    for n in 0..600 {
        publish(&hub, "x").await;
        if n % 100 == 0 {
            settle().await;
        }
    }
    settle().await;
    fake.change(|state| state.is_full = false);
    settle().await;
    assert_eq!(fake.sent(), [out_close(1013, "slow consumer")]);
    fake.client(Incoming::Close(None));
    assert_eq!(server.await.unwrap(), CloseCause::SlowConsumer);
}

#[tokio::test(start_paused = true)]
async fn closing_the_socket_is_awaited_with_a_bound() {
    let (fake, server) = attach(&Hub::new(), idle);
    fake.change(|state| state.close_is_stuck = true);
    fake.client(Incoming::Close(None));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!server.is_finished());
    assert!(fake.lock().closes >= 1);
    fake.change(|state| state.close_is_stuck = false);
    assert_eq!(server.await.unwrap(), CloseCause::Peer(None));

    let (fake, server) = attach(&Hub::new(), idle);
    fake.change(|state| state.close_is_stuck = true);
    fake.client(Incoming::Close(None));
    let start = Clock::now();
    assert_eq!(server.await.unwrap(), CloseCause::Peer(None));
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_socket_does_not_keep_the_handler_from_being_heard() {
    let hub = Hub::builder().limits(|limits| limits.topics_per_subscription = 1).build().unwrap();
    let subscribed = Arc::new(AtomicBool::new(false));
    let is_subscribed = Arc::clone(&subscribed);
    let (fake, _server) = attach(&hub, async move |mut socket| {
        socket.recv().await.unwrap();
        socket.unsubscribe("a").unwrap();
        tokio::task::yield_now().await;
        is_subscribed.store(socket.subscribe("b").is_ok(), Ordering::SeqCst);
        idle(socket).await;
    });
    fake.change(|state| state.is_full = true);
    publish(&hub, "x").await;
    settle().await;
    fake.client(Incoming::Message(Message::text("change")));
    settle().await;
    assert!(subscribed.load(Ordering::SeqCst), "what it left is left though nothing is written");
    fake.change(|state| state.is_full = false);
    settle().await;
    assert_eq!(fake.sent(), [out("x")]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_lets_other_tasks_run() {
    let (fake, server) = attach(&unpaced(), echo);
    fake.change(|state| state.flood = Some(Incoming::Message(Message::text("x"))));
    settle().await;
    assert!(fake.sent().len() > 10);
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
}

/// Dropped midway, the connection is gone, with its permit, its subscription and its handler.
#[tokio::test(start_paused = true)]
async fn of_a_run_that_is_dropped_nothing_is_left() {
    let hub = Hub::new();
    let fake = Fake::default();
    let attached = || Attached::new(crate::driver::attach(&hub).unwrap(), fake.clone());
    let (dropped, local) = (Dropped::default(), Dropped::default());
    let (guard, local_guard) = (dropped.guard(), local.guard());
    let mut stream = Box::pin(attached().stream("a"));
    let mut run = Box::pin(attached().subscribe("a").run(async move |socket: Socket| {
        let _guard = guard;
        idle(socket).await;
    }));
    let mut run_local =
        Box::pin(attached().subscribe("a").run_local(async move |socket: Socket| {
            let _guard = local_guard;
            idle(socket).await;
        }));
    for _ in 0..2 {
        assert!((&mut stream).now_or_never().is_none());
        assert!((&mut run).now_or_never().is_none());
        assert!((&mut run_local).now_or_never().is_none());
    }
    let open = || (hub.stats().connections_websocket, hub.stats().subscriptions);
    assert_eq!(open(), (3, 3));
    assert!(!dropped.is_dropped() && !local.is_dropped());
    drop((stream, run, run_local));
    assert_eq!(open(), (0, 0));
    assert!(dropped.is_dropped() && local.is_dropped());
}
