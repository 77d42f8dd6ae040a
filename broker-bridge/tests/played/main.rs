//! Findings of a review; each fails where what it says is broken.
#![allow(unreachable_pub, missing_docs, dead_code, unused_imports, clippy::all)]
mod engine;

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use engine::{Server, topic};
use realtime_bridge::{
    At, Bridge, Interest, Options,
    core::{
        Delivery, Event, Hub, LastEventId, Retention, Start, Subscribe, Subscription, TopicName,
    },
};
use tokio::time::{sleep, timeout};

const LONG: Duration = Duration::from_secs(60);

fn hub(server: &Server) -> Hub {
    Hub::builder().broker(Bridge::new(server.clone(), Options::default())).build().unwrap()
}

fn hub_with(server: &Server, retention: Retention) -> Hub {
    let bridge = Bridge::new(server.clone(), Options::default());
    Hub::builder().retention(retention).broker(bridge).build().unwrap()
}

async fn ready(subscription: &mut Subscription) {
    timeout(LONG, subscription.ready()).await.expect("it starts");
}

async fn settle() {
    sleep(Duration::from_millis(50)).await;
}

async fn well(hub: &Hub) {
    for _ in 0..10_000 {
        if hub.broker_health().is_well() {
            return settle().await;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", hub.broker_health());
}

async fn next(subscription: &mut Subscription) -> Delivery {
    timeout(LONG, subscription.next()).await.expect("something comes").expect("it goes on")
}

async fn text(subscription: &mut Subscription) -> String {
    match next(subscription).await {
        Delivery::Event(entry) => entry.event().data().as_text().unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn id(at: At) -> LastEventId {
    format!("{}", realtime_position(at)).parse().unwrap()
}

fn realtime_position(at: At) -> String {
    realtime_bridge::core::PositionIssuer::new(at.epoch).at(at.sequence).to_string()
}

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
    let mut older = hub
        .subscribe(Subscribe::to("x").after(LastEventId::from(id(At { sequence: 0, ..before }))))
        .unwrap();
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
    well(&hub).await;
    server.publish("a", "2");
    let came = next(&mut both).await;
    assert!(!matches!(came, Delivery::Disconnected(_)), "{came:?}");
}
