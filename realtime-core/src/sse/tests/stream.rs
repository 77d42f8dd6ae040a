//! When bytes come, and how many at once.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_first_bytes_are_there_at_once_and_dispatch_nothing() {
    let hub = Hub::new();
    let last = publish(&hub, "other", Event::text("x"));
    let mut client = Client::open(&hub, "a");
    let bytes = client.poll().expect("bytes before any event");
    assert_eq!(client.parser.feed(&bytes), []);
    assert_eq!(client.parser.last_event_id(), last.to_string(), "a cut here resumes too");
    let retry = client.parser.retry().unwrap();
    assert_eq!(bytes, format!("retry: {retry}\nid: {last}\n\n"));
}

#[test]
fn retry_is_jittered_between_half_and_one_and_a_half() {
    let hub = Hub::new();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..500 {
        let head = Head::get();
        let mut client = Client::with(&hub, &head, "a", |config| config.retry = 2 * SECOND);
        client.see();
        seen.insert(client.parser.retry().unwrap());
    }
    assert!(*seen.first().unwrap() >= 1000 && *seen.last().unwrap() <= 3000, "{seen:?}");
    assert!(*seen.first().unwrap() < 1200 && *seen.last().unwrap() > 2800, "{seen:?}");
    assert!(seen.len() > 100);
}

#[test]
fn a_heartbeat_comes_at_exactly_the_silence_and_only_then() {
    let hub = Hub::new();
    let mut client = Client::with(&hub, &Head::get(), "a", |config| config.heartbeat = 15 * SECOND);
    client.poll_at(SECOND).unwrap();
    assert_eq!(client.stream.deadline(), client.start + 16 * SECOND, "from the last bytes on");
    assert_eq!(client.poll_at(16 * SECOND - Duration::from_nanos(1)), None);
    let heartbeat = client.poll_at(16 * SECOND).unwrap();
    assert_eq!(heartbeat, ":\n\n");
    assert_eq!(client.parser.feed(&heartbeat), []);
    assert_eq!(client.parser.comments(), 1);

    assert_eq!(client.poll_at(30 * SECOND), None);
    publish(&hub, "a", Event::text("x"));
    assert!(client.poll_at(30 * SECOND).is_some());
    assert_eq!(client.poll_at(31 * SECOND), None, "an event is a sign of life too");
    assert_eq!(client.poll_at(45 * SECOND), Some(Bytes::from_static(b":\n\n")));

    publish(&hub, "a", Event::text("y"));
    let late = client.poll_at(80 * SECOND).unwrap();
    assert!(late.starts_with(b"id: "), "no heartbeat where an event is due as well");
}

#[test]
fn times_without_end_are_no_panic() {
    let hub = Hub::new();
    let mut client = Client::with(&hub, &Head::get(), "a", |config| {
        config.heartbeat = Duration::MAX;
        config.retry = Duration::MAX;
    });
    assert!(client.poll().is_some());
    assert_eq!(client.poll_at(10_000 * SECOND), None);
}

#[test]
fn everything_pending_comes_in_one_piece_shared_by_all_streams() {
    let hub = Hub::new();
    let mut clients = [Client::open(&hub, "a"), Client::open(&hub, ["b", "a"])];
    clients.iter_mut().for_each(|client| drop(client.see()));
    for n in 0..100 {
        publish(&hub, "a", Event::text(n.to_string()));
    }
    let pieces = clients.each_mut().map(|client| client.poll().unwrap());
    assert_eq!(pieces[0].as_ptr(), pieces[1].as_ptr(), "the same bytes, not a copy");
    for (client, piece) in clients.iter_mut().zip(pieces) {
        assert_eq!(client.parser.feed(&piece).len(), 100);
        assert_eq!(client.poll(), None);
    }
}

#[test]
fn several_topics_come_in_one_piece_too() {
    let hub = Hub::new();
    let mut client = Client::open(&hub, ["a", "b"]);
    for n in 0..10 {
        publish(&hub, ["a", "b"][n % 2], Event::text(n.to_string()));
    }
    let piece = client.poll().unwrap();
    let seen = client.parser.feed(&piece);
    let data: Vec<usize> = seen.iter().map(|seen| seen.data.parse().unwrap()).collect();
    assert_eq!(data, (0..10).collect::<Vec<usize>>(), "preamble and both topics, in order");
    assert_eq!(client.poll(), None);
}

#[test]
fn a_piece_has_at_most_64_kib_and_one_event() {
    let hub = Hub::new();
    let mut client = Client::open(&hub, "a");
    let text = "x".repeat(10_000);
    for _ in 0..40 {
        publish(&hub, "a", Event::text(text.as_str()));
    }
    let (mut pieces, mut events) = (0, 0);
    while let Some(piece) = client.poll() {
        assert!(piece.len() <= CHUNK_BYTES + 10_100, "{}", piece.len());
        pieces += 1;
        events += client.parser.feed(&piece).len();
    }
    assert_eq!(events, 40);
    assert!(pieces <= 8, "{pieces}");
}

#[test]
fn a_stream_is_woken_by_what_is_published() {
    struct Flag(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let hub = Hub::new();
    let mut client = Client::open(&hub, "a");
    let flag = Arc::new(Flag(false.into()));
    let waker = Arc::clone(&flag).into();
    let start = client.start;
    // With the preamble it is ready, and yet what comes next must wake.
    assert!(client.stream.poll_next(&mut Context::from_waker(&waker), start).is_ready());
    assert!(client.stream.poll_next(&mut Context::from_waker(&waker), start).is_pending());
    publish(&hub, "b", Event::text("x"));
    assert!(!flag.0.load(std::sync::atomic::Ordering::SeqCst));
    publish(&hub, "a", Event::text("x"));
    assert!(flag.0.load(std::sync::atomic::Ordering::SeqCst));
}

#[test]
fn admission_refuses_in_the_way_the_client_understands() {
    let hub = Hub::builder().limits(|limits| limits.connections = 1).build().unwrap();
    let mut post = Head::get();
    post.method = "POST".into();
    let refused = Request::let_in(&hub, &post).unwrap_err();
    assert_eq!(refused.status(), 405);
    assert!(refused.headers().any(|header| header == ("allow", "GET")));

    let open = Client::open(&hub, "a");
    assert_eq!(hub.stats().connections_sse, 1);
    let refused = Request::let_in(&hub, &Head::get()).unwrap_err();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().any(|(name, _)| name == "retry-after"));

    let browser = Head::get().with("accept", "text/event-stream").with("sec-fetch-mode", "cors");
    let refused = Request::let_in(&hub, &browser).unwrap_err();
    assert_eq!(refused.status(), 200, "an EventSource gives up for good at anything else");
    let mut parser = Parser::new();
    assert_eq!(names(&parser.feed(refused.body())), ["realtime.bye"]);
    assert!((1500..=4500).contains(&parser.retry().unwrap()));
    assert_eq!(hub.stats().rejected, 3);

    drop(open);
    assert!(Request::let_in(&hub, &Head::get()).is_ok(), "the permit came back");
    assert_eq!(hub.stats().connections_sse, 0);
}

#[test]
fn a_full_table_is_told_like_any_overload() {
    let hub = Hub::builder().limits(|limits| limits.topics = 1).build().unwrap();
    let _only = Client::open(&hub, "only");
    let refused = |head: Head| {
        let request = Request::let_in(&hub, &head).unwrap();
        request.open("another", Instant::now()).unwrap_err()
    };
    let client = refused(Head::get());
    assert_eq!(client.status(), 503);
    assert!(client.headers().any(|(name, _)| name == "retry-after"));
    let browser = Head::get().with("accept", "text/event-stream").with("sec-fetch-mode", "cors");
    let browser = refused(browser);
    assert_eq!(browser.status(), 200, "an EventSource gives up for good at anything else");
    assert_eq!(names(&Parser::new().feed(browser.body())), ["realtime.bye"]);
    assert_eq!(hub.stats().rejected, 2);
}

#[test]
fn a_pattern_that_brings_too_many_topics_ends_the_stream() {
    let hub = Hub::builder().limits(|limits| limits.topics_per_subscription = 2).build().unwrap();
    let mut client = Client::open(&hub, Subscribe::pattern("a.*"));
    publish(&hub, "a.1", Event::text("x"));
    assert_eq!(names(&client.see()), ["message"]);
    publish(&hub, "a.2", Event::text("x"));
    let seen = client.see();
    assert_eq!(names(&seen), ["realtime.bye"]);
    assert!(seen[0].data.contains("too many topics"), "{:?}", seen[0].data);
    assert!(client.has_ended());
    drop(client);
    let request = Request::let_in(&hub, &Head::get()).unwrap();
    let refused = request.open(Subscribe::pattern("no wildcard"), Instant::now()).unwrap_err();
    assert_eq!(refused.status(), 400);
}

#[test]
fn a_fresh_id_never_comes_without_the_reset() {
    let hub = Hub::new();
    publish(&hub, "a", Event::text("missed"));
    let presents = Head::get().with("last-event-id", "1-1");
    // Cut behind the first block, and let go before anything was taken.
    let mut cut = Client::with(&hub, &presents, "a", |_| {});
    let mut told_to_go = Client::with(&hub, &presents, "a", |_| {});
    let bytes = cut.poll().unwrap();
    let first = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap() + 2;
    assert_eq!(cut.parser.feed(&bytes[..first]), []);
    assert_eq!(cut.parser.last_event_id(), "", "it still presents the old id");
    assert!(cut.parser.retry().is_some());
    assert_eq!(names(&cut.parser.feed(&bytes[first..])), ["realtime.reset"]);
    assert_ne!(cut.parser.last_event_id(), "");

    hub.start_drain();
    let bytes = told_to_go.poll_at(SECOND).unwrap();
    assert_eq!(names(&told_to_go.parser.feed(&bytes)), ["realtime.bye"]);
    assert_eq!(told_to_go.parser.last_event_id(), "");
}
