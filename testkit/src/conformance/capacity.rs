//! How many may come in, and with how many topics.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use realtime_core::{Action, Identity, TopicName};

use super::{Served, Suite, served};
use crate::{
    http::{End, Request},
    sse::Client,
    wait,
};

/// 503 and when to try again, on both transports.
pub async fn tells_clients_to_come_back(suite: Suite) {
    let served = full(suite);
    let _one = served.sse("/events?topic=a").await;
    let _two = served.ws("/ws?topic=a").await;
    for request in [served.handshake("/ws?topic=a"), stream(&served)] {
        let response = served.refused(503, &request).await;
        let after = response.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        assert!(after.is_some_and(|seconds| seconds > 0), "{response:?}");
    }
    let stats = served.stats();
    assert_eq!((stats.connections_sse, stats.connections_websocket), (1, 1));
    assert_eq!((stats.subscriptions, stats.rejected), (2, 2));
}

/// A place that is given back is there for the next.
pub async fn lets_in_again_what_was_released(suite: Suite) {
    let served = full(suite);
    for _ in 0..3 {
        let one = served.sse("/events?topic=a").await;
        let two = served.ws("/ws?topic=a").await;
        served.refused(503, &stream(&served)).await;
        one.close().await;
        two.reset();
        served.released().await;
    }
}

/// Any status but 200 ends an `EventSource` for good: it gets a stream that ends, with the time
/// after which it comes back by itself.
pub async fn tells_an_event_source_to_come_back(suite: Suite) {
    let served = full(suite);
    let _one = served.sse("/events?topic=a").await;
    let _two = served.sse("/events?topic=a").await;
    let as_browsers_do = [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")];
    let mut client = served.sse_with("/events?topic=a", &as_browsers_do).await;
    assert_eq!(client.headers.text("content-type"), Some("text/event-stream"));
    let event = client.expect_event().await;
    assert_eq!((&*event.event, &*event.data), ("realtime.bye", r#"{"reason":"overloaded"}"#));
    assert_eq!(client.expect_end().await, End::Clean);
    let retry = client.retry().expect("a reconnection time");
    assert!((1_500..=4_500).contains(&retry), "{retry}");
}

/// 400 that says what is wrong with the name, and the place is given back.
pub async fn refuses_bad_topics(suite: Suite) {
    let served = full(suite);
    for topic in ["", "*", "a.*", "orders.%3E", "a%0Ab", "a%00b", &"x".repeat(256)] {
        for request in [
            Request::get(&format!("/events?topic=a&topic={topic}")).header("Host", "localhost"),
            served.handshake(&format!("/ws?topic={topic}")),
            served.handshake(&format!("/raw?topic={topic}&topic=a")),
        ] {
            let response = served.refused(400, &request).await;
            assert!(response.text().contains("topic"), "{response:?}");
        }
    }
    served.released().await;
}

/// 400 above the limit, and from the handler an error.
pub async fn refuses_too_many_topics(suite: Suite) {
    let served = suite.start_with(|hub| hub.limits(|limits| limits.topics_per_subscription = 2));
    let three = "topic=a&topic=b&topic=c";
    served.refused(400, &served.handshake(&format!("/ws?{three}"))).await;
    let stream = Request::get(&format!("/events?{three}")).header("Host", "localhost");
    served.refused(400, &stream).await;
    let mut peer = served.ws("/topics").await;
    for (command, answer) in [("+a", "+a"), ("+b", "+b"), ("+c", "refused"), ("-a", "-a")] {
        peer.send_text(command).await;
        peer.expect_text(answer).await;
    }
    peer.send_text("+c").await;
    peer.expect_text("+c").await;
    served.publish("c", "there").await;
    served::event(&mut peer, "there").await;
    drop(Client::connect(served.addr(), "/events?topic=a&topic=b", &[]).await);
    wait::until("the stream is released", || served.stats().connections_sse == 0).await;
}

/// 400 that says the limit and what came, and from the handler an error; what it has lost a pattern
/// for is room for another.
pub async fn refuses_too_many_patterns(suite: Suite) {
    let served = suite.start_with(|hub| hub.limits(|limits| limits.patterns_per_subscription = 2));
    let three = "pattern=a.*&pattern=b.*&topic=c&pattern=d.*";
    for request in [
        Request::get(&format!("/events?{three}")).header("Host", "localhost"),
        served.handshake(&format!("/ws?{three}")),
    ] {
        let response = served.refused(400, &request).await;
        assert!(response.text().contains("3 patterns"), "{response:?}");
        assert!(response.text().contains("2 are allowed"), "{response:?}");
    }
    let mut peer = served.ws("/topics").await;
    for (command, answer) in [
        ("~a.*", "~a.*"),
        ("~b.*", "~b.*"),
        ("~c.*", "refused"),
        ("+c.1", "+c.1"),
        ("~c.*", "refused"),
        ("!b.*", "!b.*"),
        ("~c.*", "~c.*"),
    ] {
        peer.send_text(command).await;
        peer.expect_text(answer).await;
    }
    for topic in ["a.1", "b.1", "c.2"] {
        served.publish(topic, topic).await;
    }
    served::event(&mut peer, "a.1").await;
    served::event(&mut peer, "c.2").await;
    drop(peer);
    drop(Client::connect(served.addr(), "/events?pattern=a.*&pattern=b.*", &[]).await);
    served.released().await;
}

/// 400 for a pattern that there is too much of, without asking for the permission of all of it.
pub async fn refuses_what_a_pattern_matches_too_much_of(suite: Suite) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let served = suite.start_with(|hub| {
        hub.limits(|limits| limits.topics_per_subscription = 10).authorize(
            move |_: Option<&Identity>, _: Action, _: &TopicName| {
                counter.fetch_add(1, Ordering::Relaxed);
                true
            },
        )
    });
    for number in 0..1_000 {
        served.publish(&format!("a.{number}"), "x").await;
    }
    for request in [
        Request::get("/events?pattern=a.*&pattern=%3E").header("Host", "localhost"),
        served.handshake("/ws?pattern=%3E&pattern=*.*"),
    ] {
        let response = served.refused(400, &request).await;
        assert!(response.text().contains("10 are allowed"), "{response:?}");
    }
    let mut peer = served.ws("/topics").await;
    peer.send_text("~a.*").await;
    peer.expect_text("refused").await;
    assert!(asked.load(Ordering::Relaxed) <= 3 * 10, "{asked:?}");
    drop(peer);
    served.released().await;
}

/// A client that asks for ten thousand topics has as many as are allowed, and nothing is left of the
/// rest.
pub async fn refuses_ten_thousand_topics(suite: Suite) {
    let served = suite.start_with(|hub| hub.limits(served::unpaced));
    let allowed = served.hub().config().limits.topics_per_subscription;
    let mut peer = served.ws("/topics").await;
    for number in 0..10_000 {
        let command = format!("+t{number}");
        peer.send_text(&command).await;
        peer.expect_text(if number < allowed { &command } else { "refused" }).await;
    }
    assert_eq!(served.stats().topics, allowed as u64);
    let query: String = (0..1000).map(|number| format!("&topic=t{number}")).collect();
    served.refused(400, &served.handshake(&format!("/ws?topic=t{query}"))).await;
    assert_eq!(served.stats().topics, allowed as u64, "what was refused has made none");
    peer.reset();
    served.released().await;
    assert_eq!(served.stats().topics, 0);
}

fn full(suite: Suite) -> Served {
    suite.start_with(|hub| hub.limits(|limits| limits.connections = 2))
}

fn stream(served: &Served) -> Request {
    Request::get("/events?topic=a")
        .header("Host", served.addr().to_string())
        .header("Accept", "text/event-stream")
}
