//! Who waits to start, and where they do.

use super::*;

/// A catch-up that goes with its connection.
#[tokio::test(start_paused = true)]
async fn a_catch_up_is_asked_for_again_after_an_outage() {
    let server = Server::new();
    let hub = hub(&server);
    let mut keep = hub.subscribe("x").unwrap();
    ready(&mut keep).await;
    server.shut("mark");
    let ahead = At { epoch: 9, sequence: 1_000_000 };
    let mut subscription = hub.subscribe(Subscribe::to("x").after(id(ahead))).unwrap();
    let task = tokio::spawn(async move { next(&mut subscription).await });
    settle().await;
    server.cut();
    server.open("mark");
    well(&hub).await;
    let came = timeout(LONG, task).await.expect("it is answered").unwrap();
    assert!(matches!(came, Delivery::Reset(_)), "{came:?}");
}

/// One topic that can't be read.
#[tokio::test(start_paused = true)]
async fn one_topic_that_cannot_be_read_does_not_keep_the_rest_away() {
    let server = Server::new();
    let hub = hub(&server);
    let mut good = hub.subscribe(Subscribe::to("good").and("bad")).unwrap();
    ready(&mut good).await;
    server.lock().down = true;
    server.cut();
    settle().await;
    server.publish("good", "1");
    server.lock().refuse_reads_of.insert("bad".into());
    server.lock().down = false;
    well(&hub).await;
    let _ = next(&mut good).await;
}

/// A pattern goes and a topic that it had brought is asked for by name, in one change.
#[tokio::test(start_paused = true)]
async fn nothing_is_missed_between_a_pattern_and_a_name() {
    let server = Server::new();
    let hub = hub(&server);
    let mut pattern = hub.subscribe(Subscribe::pattern("news.*")).unwrap();
    ready(&mut pattern).await;
    server.shut("subscribe");
    server.shut("subscribe news.a");
    let _busy = hub.subscribe("busy").unwrap();
    settle().await; // The bridge waits for an answer.
    server.publish("news.a", "1");
    assert_eq!(text(&mut pattern).await, "1");
    let mut named = hub.subscribe("news.a").unwrap();
    ready(&mut named).await;
    drop(pattern);
    settle().await;
    server.open("subscribe");
    settle().await;
    server.publish("news.a", "2");
    server.open("subscribe news.a");
    settle().await;
    server.publish("news.a", "3");
    assert_eq!(text(&mut named).await, "2");
}

/// Questions that nobody could be asked push out what must be told.
#[tokio::test(start_paused = true)]
async fn questions_do_not_push_out_a_disconnect() {
    let server = Server::new();
    let hub = hub(&server);
    well(&hub).await;
    server.lock().down = true;
    server.cut();
    settle().await;
    hub.disconnect("bob", "revoked");
    for _ in 0..10_000 {
        let mut counting = hub.occupancy(&topic("x"));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = counting.as_mut().poll(&mut cx);
    }
    server.lock().down = false;
    well(&hub).await;
    sleep(Duration::from_secs(5)).await;
    let told = server.lock().events.iter().any(|it| {
        it.topic == TopicName::control() && it.event.data().as_text().unwrap().contains("bob")
    });
    assert!(told, "the others are told");
}

/// Everybody who waits is woken by everything that is said.
#[tokio::test(start_paused = true)]
async fn those_who_wait_are_not_woken_for_others() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };
    let server = Server::new();
    let hub = hub(&server);
    let start = server.publish("start", "0");
    well(&hub).await;
    let polls = Arc::new(AtomicUsize::new(0));
    let count = 500;
    for n in 0..count {
        server.lock().read_delay.insert(format!("t{n}"), Duration::from_millis(n as u64));
    }
    // So that there is a past to be read.
    server.publish("start", "1");
    let mut tasks = Vec::new();
    for n in 0..count {
        let mut subscription =
            hub.subscribe(Subscribe::to(format!("t{n}")).after(id(start))).unwrap();
        let polls = Arc::clone(&polls);
        tasks.push(tokio::spawn(async move {
            std::future::poll_fn(|cx| {
                polls.fetch_add(1, Relaxed);
                subscription.poll_ready(cx, Instant::now())
            })
            .await;
        }));
    }
    for task in tasks {
        timeout(LONG, task).await.unwrap().unwrap();
    }
    let polls = polls.load(Relaxed);
    assert!(polls < 20 * count, "{polls} polls of {count} subscriptions");
}

/// More topics come by a pattern than the hub may have.
#[tokio::test(start_paused = true)]
async fn an_event_for_which_there_is_no_topic_is_told() {
    let server = Server::new();
    let bridge = Bridge::new(server.clone(), Options::default());
    let hub = Hub::builder().limits(|it| it.topics = 2).broker(bridge).build().unwrap();
    let mut pattern = hub.subscribe(Subscribe::pattern("news.*")).unwrap();
    ready(&mut pattern).await;
    for n in 0..3 {
        server.publish(&format!("news.{n}"), "1");
    }
    settle().await;
    let mut last = None;
    while let Some(delivery) = timeout(LONG, pattern.next()).await.expect("it ends") {
        last = Some(delivery);
    }
    let expected = realtime_bridge::core::Disconnected::TooManyTopics { max: 2 };
    assert!(matches!(&last, Some(Delivery::Disconnected(it)) if *it == expected), "{last:?}");
}

/// What was repaired and is not visible yet is given to who subscribes just then, or its id is above.
#[tokio::test(start_paused = true)]
async fn who_subscribes_during_a_repair_gets_what_follows_its_id() {
    let server = Server::new();
    let hub = hub(&server);
    let mut keep = hub.subscribe("x").unwrap();
    ready(&mut keep).await;
    server.lock().down = true;
    server.cut();
    settle().await;
    let at = server.publish("x", "1");
    server.lock().read_delay.insert(TopicName::control().to_string(), Duration::from_secs(2));
    server.lock().down = false;
    sleep(Duration::from_secs(1)).await;
    assert!(!hub.broker_health().is_well(), "it repairs");
    let mut second = hub.subscribe("x").unwrap();
    ready(&mut second).await;
    let announced = second.last_event_id();
    well(&hub).await;
    server.publish("x", "2");
    if sequence(announced) < at.sequence {
        assert_eq!(text(&mut second).await, "1", "it starts after {announced}");
    }
}

/// An id that is announced is followed by everything that comes after it.
#[tokio::test(start_paused = true)]
async fn an_id_that_is_announced_skips_nothing() {
    let server = Server::new();
    let hub = hub(&server);
    let mut keep = hub.subscribe("a").unwrap();
    ready(&mut keep).await;
    server.shut("subscribe");
    let mut both = hub.subscribe(Subscribe::to("a").and("b")).unwrap();
    settle().await;
    server.publish("a", "1");
    let b = server.publish("b", "2");
    server.open("subscribe");
    ready(&mut both).await;
    let announced = both.last_event_id();
    server.publish("b", "3");
    if sequence(announced) < b.sequence {
        assert_eq!(text(&mut both).await, "1", "it starts after {announced}");
        assert_eq!(text(&mut both).await, "2", "it starts after {announced}");
    }
    assert_eq!(text(&mut both).await, "3");
}

/// Topics that have been found leave the table before they are joined.
#[tokio::test(start_paused = true)]
async fn topics_that_were_found_stay_until_they_are_joined() {
    let server = Server::new();
    let start = server.publish("other", "0");
    for n in 0..3 {
        server.publish(&format!("news.{n}"), "1");
    }
    let hub = hub(&server);
    let mut keep = Vec::new();
    for n in 0..1023 {
        keep.push(hub.subscribe(format!("keep.{n}")).unwrap());
    }
    well(&hub).await;
    let mut pattern = hub.subscribe(Subscribe::pattern("news.*").after(id(start))).unwrap();
    let mut came = Vec::new();
    let _ = timeout(LONG, async {
        while came.len() < 3 {
            came.push(next(&mut pattern).await);
        }
    })
    .await;
    let is_reset = matches!(came.first(), Some(Delivery::Reset(_)));
    assert!(is_reset || came.len() == 3, "{came:?}");
}

/// A repair that fails after it has told a loss is done again.
#[tokio::test(start_paused = true)]
async fn a_loss_is_told_once() {
    let server = Server::new();
    let hub = hub(&server);
    let mut subscription = hub.subscribe("x").unwrap();
    ready(&mut subscription).await;
    server.lock().down = true;
    server.cut();
    settle().await;
    let lost = server.publish("x", "1");
    server.publish("x", "2");
    server.trim("x", lost.sequence);
    // Later than the deadline, the first time.
    server.lock().read_delay.insert(TopicName::control().to_string(), Duration::from_secs(60));
    server.lock().down = false;
    sleep(Duration::from_secs(3)).await;
    server.lock().read_delay.clear();
    well(&hub).await;
    let last = server.publish("x", "3");
    let mut came = Vec::new();
    loop {
        came.push(next(&mut subscription).await);
        if let Some(Delivery::Event(it)) = came.last()
            && it.position().sequence() == last.sequence
        {
            break;
        }
    }
    let kinds: Vec<_> = came.iter().map(|it| matches!(it, Delivery::Gap(_))).collect();
    assert_eq!(kinds, [true, false, false], "{came:?}");
}

/// What nobody wants any more is taken back, though the connection was lost while that waited.
#[tokio::test(start_paused = true)]
async fn interest_that_was_taken_back_does_not_come_again() {
    let server = Server::new();
    let hub = hub(&server);
    let mut x = hub.subscribe("x").unwrap();
    ready(&mut x).await;
    server.shut("subscribe");
    let _a = hub.subscribe("a").unwrap();
    settle().await;
    drop(x);
    settle().await;
    server.cut();
    server.open("subscribe");
    well(&hub).await;
    sleep(Duration::from_secs(10)).await;
    let state = server.lock();
    let last = state.subscribed.last().unwrap();
    let is_back = state.unsubscribed.iter().flatten().any(|it| *it == Interest::Topic(topic("x")));
    assert!(!last.contains(&Interest::Topic(topic("x"))) || is_back, "{last:?}");
}

fn sequence(id: LastEventId) -> u64 {
    id.to_string().rsplit('-').next().unwrap().parse().unwrap()
}

/// The numbers begin anew while a subscription waits for one of its topics.
#[tokio::test(start_paused = true)]
async fn who_waits_while_the_numbers_begin_anew_is_not_cut() {
    let server = Server::new();
    let hub = hub(&server);
    let mut keep = hub.subscribe("a").unwrap();
    ready(&mut keep).await;
    server.shut("subscribe");
    let mut both = hub.subscribe(Subscribe::to("a").and("b")).unwrap();
    settle().await;
    server.publish("a", "1");
    assert_eq!(text(&mut keep).await, "1");
    {
        let mut state = server.lock();
        (state.epoch, state.sequence) = (10, 0);
        state.events.clear();
        state.last.clear();
    }
    server.cut();
    server.open("subscribe");
    while hub.broker_stats().resets == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    well(&hub).await;
    server.publish("a", "2");
    assert_eq!(text(&mut both).await, "2", "from where its topics have been established");
}
