//! A WebSocket over a byte stream.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_message_is_echoed_and_the_connection_is_closed_with_tcp() {
    let hub = Hub::new();
    let (mut client, server) = connect(&hub, 1024, &[], echo);
    client.send(Sent::text("hello")).await;
    assert_eq!(client.next().await, Some(text("hello")));
    client.send(Sent::close(1000, "")).await;
    assert_eq!(client.next().await, Some(close(1000, "")));
    assert_eq!(client.next().await, None);
    assert!(matches!(server.await.unwrap(), CloseCause::Peer(Some(_))));
    assert_eq!(hub.stats().connections_websocket, 0);
    assert_eq!(hub.stats().subscriptions, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_published_reaches_all() {
    let hub = Hub::new();
    let mut clients: Vec<_> = (0..3).map(|_| connect(&hub, 64, &[], echo).0).collect();
    tokio::task::yield_now().await;
    for n in 0..100 {
        publish(&hub, &n.to_string()).await;
    }
    for client in &mut clients {
        for n in 0..100 {
            assert_eq!(client.next().await, Some(text(&n.to_string())));
        }
    }
}

/// While it is stalled it waits for its limit, and from then on for the next event again.
#[tokio::test(start_paused = true)]
async fn who_was_stalled_and_has_caught_up_gets_what_comes() {
    for events in [1, 2, 3, 8] {
        let hub = Hub::new();
        let (mut client, _server) = connect(&hub, 1024, &[], echo);
        for round in 0..3 {
            let large = "x".repeat(30_000);
            for _ in 0..events {
                publish(&hub, &large).await;
            }
            // It runs until it can't write.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            for _ in 0..events {
                assert_eq!(client.next().await, Some(text(&large)));
            }
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            publish(&hub, &round.to_string()).await;
            // A ping would say that it slept.
            assert_eq!(client.next().await, Some(text(&round.to_string())), "{events}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_handler_closes() {
    async fn with<F>(run: impl FnOnce(Socket) -> F, code: u16, reason: &str, expected: CloseCause)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let (mut client, server) = connect(&Hub::new(), 1024, &[], run);
        assert_eq!(client.next().await, Some(close(code, reason)));
        client.send(Sent::close(code, "")).await;
        assert_eq!(client.next().await, None);
        assert_eq!(server.await.unwrap(), expected);
    }
    with(async |_| (), 1000, "", CloseCause::Done).await;
    with(async |_| Ok::<_, String>(()), 1000, "", CloseCause::Done).await;
    let failed = || CloseCause::HandlerFailed;
    with(async |_| Err("no"), 1011, "internal error", failed()).await;
    with(
        |_| async {
            if true {
                panic!("on purpose")
            }
        },
        1011,
        "internal error",
        failed(),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_when_it_is_dropped_harms_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let (mut client, server) = connect(&Hub::new(), 1024, &[], async |socket| {
        let _bomb = Bomb;
        idle(socket).await;
    });
    client.send(Sent::close(1000, "")).await;
    assert_eq!(client.next().await, Some(close(1000, "")));
    assert_eq!(client.next().await, None);
    assert!(matches!(server.await.unwrap(), CloseCause::Peer(_)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_ends_the_handler() {
    let dropped = Dropped::default();
    let guard = dropped.guard();
    let (client, server) = connect(&Hub::new(), 1024, &[], async move |socket| {
        let _guard = guard;
        idle(socket).await;
    });
    tokio::task::yield_now().await;
    assert!(!dropped.is_dropped());
    drop(client);
    assert_eq!(server.await.unwrap(), CloseCause::Vanished);
    assert!(dropped.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn the_handler_is_dropped_when_the_session_ends_not_when_the_client_goes() {
    let dropped = Dropped::default();
    let guard = dropped.guard();
    let (mut client, server) = connect(&Hub::new(), 1024, &[], async move |socket| {
        let _guard = guard;
        idle(socket).await;
    });
    client.send(Sent::text("x").unmasked()).await;
    assert_eq!(client.next().await, Some(close(1002, "frame not masked")));
    assert_eq!(client.next().await, None);
    tokio::task::yield_now().await;
    assert!(dropped.is_dropped());
    assert!(!server.is_finished(), "it lingers");
}

#[tokio::test(start_paused = true)]
async fn a_frame_in_the_segment_of_the_handshake_is_seen() {
    let early = Sent::text("early").to_bytes();
    let (mut client, _server) = connect(&Hub::new(), 1024, &early, echo);
    assert_eq!(client.next().await, Some(text("early")));
}

#[tokio::test(start_paused = true)]
async fn early_frames_that_fill_the_inbox_keep_nothing_from_being_read() {
    // 256 messages fill the inbox; what follows ends within a frame.
    let mut early: Vec<u8> = (0..256).flat_map(|_| Sent::text("").to_bytes()).collect();
    let last = Sent::text("last").to_bytes();
    let (start, rest) = last.split_at(5);
    early.extend(start);
    let (mut client, _server) = connect(&Hub::new(), 10_000, &early, async |mut socket| {
        for _ in 0..256 {
            socket.recv().await.unwrap();
        }
        let last = socket.recv().await.unwrap();
        socket.send(last).await.unwrap();
        idle(socket).await;
    });
    tokio::task::yield_now().await;
    let began = Clock::now();
    client.io.write_all(rest).await.unwrap();
    assert_eq!(client.next().await, Some(text("last")));
    assert_eq!(began.elapsed(), Duration::ZERO, "at once, not with the next ping");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_slow_gets_every_message() {
    let (mut client, _server) = connect(&unpaced(), 4096, &[], async |mut socket| {
        for n in 0..2000 {
            if n % 300 == 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let expected = Message::text(format!("{n}"));
            assert_eq!(socket.recv().await, Some(expected));
        }
        socket.send(Message::text("all")).await.unwrap();
        idle(socket).await;
    });
    for n in 0..2000 {
        client.send(Sent::text(n.to_string())).await;
    }
    let began = Clock::now();
    assert_eq!(client.next().await, Some(text("all")));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_is_moved_to_another_task_works_there() {
    let hub = Hub::new();
    let (mut client, server) = connect(&hub, 1024, &[], async |mut socket| {
        let task = tokio::spawn(async move {
            for n in 0..3 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                socket.send(Message::text(n.to_string())).await.unwrap();
            }
            socket.subscribe("b").unwrap();
            assert_eq!(socket.recv().await, Some(Message::text("x")));
            socket.close(crate::ws::CloseCode::new(4000).unwrap(), Default::default());
        });
        task.await.unwrap();
        std::future::pending::<()>().await;
    });
    for n in 0..3 {
        assert_eq!(client.next().await, Some(text(&n.to_string())));
    }
    tokio::task::yield_now().await;
    hub.publish("b", Event::text("event")).await.unwrap();
    assert_eq!(client.next().await, Some(text("event")));
    client.send(Sent::text("x")).await;
    assert_eq!(client.next().await, Some(close(4000, "")));
    client.send(Sent::close(4000, "")).await;
    assert_eq!(client.next().await, None);
    assert_eq!(server.await.unwrap().as_str(), "handler");
}

#[tokio::test(start_paused = true)]
async fn answers_go_out_though_the_client_closed_its_half() {
    let (mut client, server) = connect(&Hub::new(), 1024, &[], async |mut socket| {
        let question = socket.recv().await.unwrap();
        socket.send(question).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
    let bytes = [Sent::text("?").to_bytes(), Sent::close(1000, "").to_bytes()].concat();
    client.io.write_all(&bytes).await.unwrap();
    client.io.shutdown().await.unwrap();
    assert_eq!(client.next().await, Some(text("?")));
    assert_eq!(client.next().await, Some(close(1000, "")));
    assert_eq!(client.next().await, None);
    assert!(matches!(server.await.unwrap(), CloseCause::Peer(Some(_))));
}

#[tokio::test(start_paused = true)]
async fn what_a_buffering_stream_holds_is_flushed() {
    let hub = Hub::new();
    let (io, server) = tokio::io::duplex(1024);
    let (session, socket) = session(&hub);
    let server = tokio::io::BufStream::new(server);
    tokio::spawn(Connection::new(server, &[], session, Some(boxed(echo(socket)))));
    let mut client = Client { io, bytes: Vec::new() };
    client.send(Sent::text("x")).await;
    assert_eq!(client.next().await, Some(text("x")));
    client.send(Sent::close(1000, "")).await;
    assert_eq!(client.next().await, Some(close(1000, "")));
}

/// A socket that always has something to read and takes everything.
#[derive(Default)]
struct Flood {
    frame: Vec<u8>,
    reads: usize,
}

impl tokio::io::AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.reads += 1;
        assert!(self.reads < 1000, "it must let others run");
        buffer.put_slice(&self.frame);
        Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_lets_other_tasks_run() {
    for frame in [Sent::text("x"), Sent::pong("x"), Sent::ping("x"), Sent::text("x").unmasked()] {
        let (session, socket) = session(&Hub::new());
        let io = Flood { frame: frame.to_bytes(), reads: 0 };
        let mut connection = Connection::new(io, &[], session, Some(boxed(echo(socket))));
        struct Woken(AtomicBool);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let woken = Arc::new(Woken(false.into()));
        let waker = Arc::clone(&woken).into();
        let polled = Pin::new(&mut connection).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        assert!(woken.0.load(Ordering::SeqCst), "and comes back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_a_handler_adds_at_the_end_is_left() {
    let hub = Hub::new();
    let (session, mut socket) = session(&hub);
    socket.subscribe("b").unwrap();
    drop(session);
    socket.subscribe("c").unwrap();
    drop(socket);
    assert_eq!(hub.stats().topics, 0);
}

/// A subscription that was not looked at, because direct messages filled the write, may have been woken.
#[tokio::test(start_paused = true)]
async fn what_is_published_beside_a_large_direct_message_is_written_at_once() {
    let hub = Hub::new();
    let (handed, handle) = tokio::sync::oneshot::channel();
    let (mut client, _server) = connect(&hub, 1024 * 1024, &[], async |socket: Socket| {
        assert!(handed.send(socket).is_ok(), "the test waits for it");
        std::future::pending::<()>().await;
    });
    let mut socket = handle.await.unwrap();
    tokio::task::yield_now().await;
    let large = "x".repeat(70 * 1024);
    let began = now();
    socket.send(Message::text(large)).await.unwrap();
    publish(&hub, "published").await;
    tokio::time::timeout(Duration::from_secs(1), async {
        while !client.bytes.ends_with(b"published") {
            client.io.read_buf(&mut client.bytes).await.unwrap();
        }
    })
    .await
    .expect("it waits for the next ping");
    assert_eq!(now(), began);
}
