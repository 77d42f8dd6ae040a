//! Connections that are lost, and what is told late.

use super::*;

/// A loss that is told before what is visible has got there has every parked subscriber spin in its
/// poll until the hub advances: on a runtime whose threads all do, for ever.
#[test]
fn a_subscriber_does_not_spin_while_a_loss_is_not_visible() {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::new();
            let hub = hub(&server);
            let mut subscription = hub.subscribe("x").unwrap();
            ready(&mut subscription).await;
            let task = tokio::spawn(async move { next(&mut subscription).await });
            settle().await;
            server.lock().down = true;
            server.cut();
            settle().await;
            let lost = server.publish("x", "lost");
            server.trim("x", lost.sequence);
            server
                .lock()
                .read_delay
                .insert(TopicName::control().to_string(), Duration::from_millis(100));
            server.lock().down = false;
            let told = task.await.unwrap();
            assert!(matches!(told, Delivery::Gap(_)), "{told:?}");
        });
        let _ = done.send(());
    });
    is_done.recv_timeout(Duration::from_secs(20)).expect("the runtime's only thread is not stuck");
}

/// The topics that are found for a pattern are not asked for by name.
#[tokio::test(start_paused = true)]
async fn a_topic_that_was_found_comes_when_its_pattern_has_gone() {
    let server = Server::new();
    server.publish("news.a", "1");
    let hub = hub(&server);
    let mut pattern = hub.subscribe(Subscribe::pattern("news.*").start(Start::Last(1))).unwrap();
    assert_eq!(text(&mut pattern).await, "1");
    let mut named = hub.subscribe("news.a").unwrap();
    ready(&mut named).await;
    drop(pattern);
    settle().await;
    server.publish("news.a", "2");
    assert_eq!(text(&mut named).await, "2");
}

/// The last subscriber leaves and another comes while there is no connection.
#[tokio::test(start_paused = true)]
async fn a_subscription_starts_whose_topic_was_left_and_joined_in_an_outage() {
    let server = Server::new();
    let hub = hub(&server);
    let mut first = hub.subscribe("x").unwrap();
    ready(&mut first).await;
    server.lock().down = true;
    server.cut();
    settle().await;
    drop(first);
    let mut second = hub.subscribe("x").unwrap();
    server.lock().down = false;
    well(&hub).await;
    ready(&mut second).await;
}

/// What the hub has asked for and has not been looked at, since the server has yet to answer, goes with the
/// connection.
#[tokio::test(start_paused = true)]
async fn what_was_asked_for_outlives_the_connection() {
    let server = Server::new();
    let hub = hub(&server);
    well(&hub).await;
    server.shut("subscribe");
    let _a = hub.subscribe("a").unwrap();
    settle().await;
    let mut b = hub.subscribe("b").unwrap();
    settle().await;
    server.cut();
    server.open("subscribe");
    well(&hub).await;
    ready(&mut b).await;
}

/// A disconnect that is looked at by a connection which fails before it is well.
#[tokio::test(start_paused = true)]
async fn a_disconnect_outlives_a_connection_that_fails_at_its_begin() {
    let server = Server::new();
    let hub = hub(&server);
    well(&hub).await;
    server.lock().down = true;
    server.cut();
    settle().await;
    hub.disconnect("bob", "revoked");
    server.lock().fail_next_subscribe = 1;
    server.lock().down = false;
    well(&hub).await;
    sleep(Duration::from_secs(5)).await;
    let told = server.lock().events.iter().any(|it| {
        it.topic == TopicName::control() && it.event.data().as_text().unwrap().contains("bob")
    });
    assert!(told, "the others are told");
}

/// The mark of a subscription that was taken back establishes the next one.
#[tokio::test(start_paused = true)]
async fn a_stale_mark_establishes_nothing() {
    let server = Server::new();
    let hub = hub(&server);
    well(&hub).await;
    server.hold_feed();
    let first = hub.subscribe("x").unwrap();
    settle().await; // Subscribed; the mark is on its way.
    drop(first);
    settle().await; // Unsubscribed.
    server.shut("subscribe");
    let mut second = hub.subscribe("x").unwrap();
    settle().await; // Not subscribed yet.
    server.release_feed();
    settle().await;
    let started = timeout(Duration::from_millis(100), second.ready()).await.is_ok();
    server.publish("x", "1");
    server.open("subscribe");
    settle().await;
    server.publish("x", "2");
    ready(&mut second).await;
    if started {
        assert_eq!(text(&mut second).await, "1", "it had started");
    }
}

/// A read that was answered for an earlier subscription to the topic.
#[tokio::test(start_paused = true)]
async fn a_stale_read_does_not_complete_a_topic() {
    let server = Server::new();
    let hub = hub(&server);
    well(&hub).await;
    let before = server.publish("y", "0");
    server.shut("read");
    let mut first = hub.subscribe(Subscribe::to("x").after(id(before))).unwrap();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut keep = hub.subscribe("z").unwrap();
    ready(&mut keep).await;
    for _ in 0..20 {
        let _ = first.poll_ready(&mut cx, Instant::now());
        settle().await;
    }
    // Not known to be complete yet: makes `x` ask.
    let mut older =
        hub.subscribe(Subscribe::to("x").after(id(At { sequence: 0, ..before }))).unwrap();
    for _ in 0..20 {
        let _ = older.poll_ready(&mut cx, Instant::now());
        settle().await;
    }
    assert!(server.lock().reads.iter().any(|(topic, _)| topic == "x"), "it is being read");
    drop((first, older));
    settle().await;
    let missed = server.publish("x", "1");
    let mut again = hub
        .subscribe(Subscribe::to("x").after(id(At { sequence: missed.sequence - 1, ..missed })))
        .unwrap();
    for _ in 0..20 {
        let _ = again.poll_ready(&mut cx, Instant::now());
        settle().await;
    }
    server.open("read");
    let came = next(&mut again).await;
    assert!(
        matches!(&came, Delivery::Event(it) if it.event().data().as_text() == Some("1")),
        "{came:?}"
    );
}

/// What has been delivered is known to have been stored.
#[tokio::test(start_paused = true)]
async fn hello_says_what_was_delivered() {
    let server = Server::new();
    let hub = hub(&server);
    let mut subscription = hub.subscribe("x").unwrap();
    ready(&mut subscription).await;
    sleep(Duration::from_millis(100)).await;
    let at = server.publish("x", "1");
    assert_eq!(text(&mut subscription).await, "1");
    server.cut();
    settle().await;
    well(&hub).await;
    let hello = *server.lock().hellos.last().unwrap();
    assert!(hello.is_some_and(|seen| seen.sequence >= at.sequence), "{hello:?}, delivered {at:?}");
}

/// A topic that came up in an outage, and of which only the newest is left.
#[tokio::test(start_paused = true)]
async fn a_loss_of_a_new_topic_is_told_to_who_follows_it() {
    let server = Server::new();
    let hub = hub(&server);
    let mut pattern = hub.subscribe(Subscribe::pattern("news.*")).unwrap();
    ready(&mut pattern).await;
    server.lock().down = true;
    server.cut();
    settle().await;
    let lost = server.publish("news.a", "1");
    server.publish("news.a", "2");
    server.trim("news.a", lost.sequence);
    server.lock().down = false;
    let came = next(&mut pattern).await;
    assert!(matches!(came, Delivery::Gap(_)), "{came:?}");
}

/// A topic that a pattern has brought leaves the table before the subscription has started.
#[tokio::test(start_paused = true)]
async fn a_topic_that_is_retired_keeps_nobody_from_starting() {
    let server = Server::new();
    let hub = hub(&server);
    well(&hub).await;
    server.hold_feed();
    let named = hub.subscribe("room.a").unwrap();
    let mut pattern = hub.subscribe(Subscribe::pattern("room.*")).unwrap();
    drop(named);
    settle().await;
    server.release_feed();
    ready(&mut pattern).await;
}

/// A pattern's topic that has left the table since the pattern's topics were found.
#[tokio::test(start_paused = true)]
async fn a_topic_that_has_gone_is_missed_by_who_resumes() {
    let server = Server::new();
    let hub = hub_with(&server, Retention::default().age(Duration::from_secs(1)));
    let start = server.publish("other", "0");
    let mut first = hub.subscribe(Subscribe::pattern("news.*").after(id(start))).unwrap();
    ready(&mut first).await;
    let one = server.publish("news.a", "1");
    assert_eq!(text(&mut first).await, "1");
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(first.poll_recv_many(&mut cx, &mut Vec::new(), 9, Instant::now()).is_pending());
    settle().await;
    // Its events are past their age here.
    let later = Instant::now() + Duration::from_secs(100);
    for n in 0..5 {
        let _ = hub.subscribe_at("unrelated", later + Duration::from_secs(n * 100));
    }
    let _ = first.poll_recv_many(&mut cx, &mut Vec::new(), 9, later);
    assert_eq!(first.topics().count(), 0, "it has been retired");
    let before = id(At { sequence: one.sequence - 1, ..one });
    let mut second = hub.subscribe(Subscribe::pattern("news.*").after(before)).unwrap();
    let came = timeout(Duration::from_secs(5), second.next()).await;
    let is_told = matches!(&came, Ok(Some(Delivery::Reset(_) | Delivery::Event(_))));
    assert!(is_told, "{came:?}");
}
