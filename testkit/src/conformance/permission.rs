//! What an identity may do with a topic.

use realtime_core::{Action, Identity, TopicName};

use super::{
    Served, Suite,
    identity::{self, Guest, Way, authentication, good, guest, message},
    served::{event, ready},
};
use crate::{http::Request, wait};

/// A handler publishes as its connection's identity: to what that may, and it is told otherwise.
pub async fn to_publish(suite: Suite) {
    let served = served(suite);
    let mut reader = identity::sse_of(&served, "alice", "/events?topic=own.alice").await;
    let mut alice = identity::ws_of(&served, "alice", "/publish").await;
    let mut nobody = served.ws("/publish").await;
    for (topic, answer) in [
        ("own.alice", "ok"),
        ("own.bob", "forbidden"),
        ("own", "forbidden"),
        ("own.alice.more", "forbidden"),
        ("own.*", "failed"),
        ("", "failed"),
    ] {
        alice.send_text(&format!("{topic} said")).await;
        alice.expect_text(answer).await;
    }
    nobody.send_text("own.alice said").await;
    nobody.expect_text("forbidden").await;
    assert_eq!(served.stats().published, 1, "what is refused is not published");
    assert_eq!(reader.expect_event().await.data, "said");
    // The hub itself asks nobody.
    served.publish("own.bob", "ours").await;
    drop((reader, alice, nobody));
    served.released().await;
}

/// With the identity changes what it may.
pub async fn to_publish_follows_the_identity(suite: Suite) {
    let served = served(suite);
    let mut peer = served.ws("/publish").await;
    for (token, answer) in [(None, "forbidden"), (Some(good("alice")), "ok")] {
        if let Some(token) = token {
            peer.send_text(&message(&token)).await;
        }
        peer.send_text("own.alice said").await;
        peer.expect_text(answer).await;
    }
    peer.send_text(&message(&guest("alice"))).await;
    peer.send_text("own.alice said").await;
    peer.expect_text("forbidden").await;
    drop(peer);
    served.released().await;
}

/// 403 that names the topic, though all others asked for are permitted; nothing is subscribed.
pub async fn to_subscribe(suite: Suite) {
    let served = served(suite);
    for (query, topic) in [
        ("topic=own.bob", "own.bob"),
        ("topic=own.alice&topic=own.bob&topic=public.a", "own.bob"),
        ("topic=own.alice.more", "own.alice.more"),
        ("topic=secret", "secret"),
    ] {
        for request in both(&served, query) {
            let request = Way::Bearer.present(request, &good("alice"));
            let response = served.refused(403, &request).await;
            assert!(response.text().contains(topic), "{response:?}");
        }
    }
    for request in both(&served, "topic=own.alice") {
        served.refused(403, &request).await;
        served.refused(403, &Way::Bearer.present(request, &guest("alice"))).await;
    }
    assert_eq!(served.stats().rejected, 12);
    served.untouched().await;

    let mut stream =
        identity::sse_of(&served, "alice", "/events?topic=own.alice&topic=public.a").await;
    let mut peer = identity::ws_of(&served, "alice", "/ws?topic=own.alice").await;
    ready(&mut peer).await;
    served.publish("own.alice", "yours").await;
    assert_eq!(stream.expect_event().await.data, "yours");
    event(&mut peer, "yours").await;
    drop((stream, peer));
    served.released().await;
}

/// 4403 for who says by the first message who it is, and 4403 too for bad names: the handshake is
/// over.
pub async fn to_subscribe_after_the_first_message(suite: Suite) {
    let served = identity::served_with(suite, authentication().first_message(), |hub| {
        hub.authorize(authorize)
    });
    for query in ["topic=own.bob", "topic=own.alice&topic=secret"] {
        let mut peer = served.ws(&format!("/ws?{query}")).await;
        peer.send_text(&message(&good("alice"))).await;
        let reason = peer.expect_close(4403).await;
        assert!(reason.contains("is not permitted"), "{reason}");
        drop(peer);
        served.untouched().await;
    }
    let mut peer = served.ws("/ws?topic=own.alice").await;
    peer.send_text(&message(&good("alice"))).await;
    ready(&mut peer).await;
    drop(peer);
    served.untouched().await;
}

/// The handler is refused what its connection's identity may not.
pub async fn to_subscribe_by_the_handler(suite: Suite) {
    let served = served(suite);
    let mut alice = identity::ws_of(&served, "alice", "/topics").await;
    let mut nobody = served.ws("/topics").await;
    for (topic, hers, theirs) in [
        ("own.alice", true, false),
        ("own.bob", false, false),
        ("public.a", true, true),
        ("secret", false, false),
        ("own.*", false, false),
    ] {
        for (peer, is_permitted) in [(&mut alice, hers), (&mut nobody, theirs)] {
            let command = format!("+{topic}");
            peer.send_text(&command).await;
            peer.expect_text(if is_permitted { &command } else { "refused" }).await;
        }
    }
    for topic in ["secret", "own.bob", "own.alice"] {
        served.publish(topic, topic).await;
    }
    served.publish("public.a", "the end").await;
    event(&mut alice, "own.alice").await;
    event(&mut alice, "the end").await;
    event(&mut nobody, "the end").await;
    drop((alice, nobody));
    served.released().await;
}

/// 4403 when the refreshed identity may no longer have what the connection has, whoever asked for
/// it; nothing happens when it may.
pub async fn to_subscribe_is_decided_again_on_refresh(suite: Suite) {
    let served = served(suite);
    let mut streaming = identity::ws_of(&served, "alice", "/ws?topic=own.alice").await;
    ready(&mut streaming).await;
    let mut handled = identity::ws_of(&served, "alice", "/topics").await;
    handled.send_text("+own.alice").await;
    handled.expect_text("+own.alice").await;
    let mut public = identity::ws_of(&served, "alice", "/ws?topic=public.a").await;
    ready(&mut public).await;
    for peer in [&mut streaming, &mut handled, &mut public] {
        peer.send_text(&message(&good("alice"))).await;
        peer.send_ping(b"refreshed").await;
        peer.expect_pong(b"refreshed").await;
        peer.send_text(&message(&guest("alice"))).await;
    }
    for mut peer in [streaming, handled] {
        let reason = peer.expect_close(4403).await;
        assert!(reason.contains("own.alice"), "{reason}");
    }
    served.publish("public.a", "still here").await;
    event(&mut public, "still here").await;
    drop(public);
    served.released().await;
}

/// A pattern brings the topics that are there and those that come, each from its first event on; of
/// those that are not permitted nothing, and nobody is told of them.
pub async fn to_follow_a_pattern(suite: Suite) {
    let served = served(suite);
    for topic in ["own.alice", "own.bob", "secret"] {
        served.publish(topic, "before").await;
    }
    let mut stream = identity::sse_of(&served, "alice", "/events?pattern=own.*&pattern=%3E").await;
    let mut peer = identity::ws_of(&served, "alice", "/ws?pattern=%3E").await;
    let mut handled = identity::ws_of(&served, "alice", "/topics").await;
    handled.send_text("~>").await;
    handled.expect_text("~>").await;
    let mut nobody = served.sse("/events?pattern=%3E").await;
    ready(&mut peer).await;
    for topic in ["own.bob", "own.alice", "secret", "secret.later", "own.later", "public.later"] {
        served.publish(topic, topic).await;
    }
    served.publish("public.end", "the end").await;
    for expected in ["own.alice", "public.later", "the end"] {
        assert_eq!(stream.expect_event().await.data, expected);
        event(&mut peer, expected).await;
        event(&mut handled, expected).await;
    }
    assert_eq!(nobody.expect_event().await.data, "public.later");
    assert_eq!(nobody.expect_event().await.data, "the end");
    let all = [stream.raw_body(), nobody.raw_body()].concat();
    for hidden in ["secret", "own.bob", "own.later", "before"] {
        assert!(!String::from_utf8_lossy(&all).contains(hidden), "{hidden} is told");
    }
    drop((stream, peer, handled, nobody));
    served.released().await;
}

/// What a pattern had brought stays out, or leaves, as the refreshed identity may; the connection
/// goes on, since nobody asked for that one topic.
pub async fn to_follow_a_pattern_is_decided_again_on_refresh(suite: Suite) {
    let served = served(suite);
    let mut peer = identity::ws_of(&served, "alice", "/ws?pattern=own.%3E&topic=public.a").await;
    ready(&mut peer).await;
    served.publish("own.alice", "one").await;
    event(&mut peer, "one").await;
    peer.send_text(&message(&guest("alice"))).await;
    wait::until("the topic has left", || {
        let own = TopicName::new("own.alice").expect("a name");
        served.hub().subscribers(&own) == 0
    })
    .await;
    served.publish("own.alice", "hidden").await;
    served.publish("public.a", "two").await;
    event(&mut peer, "two").await;
    drop(peer);
    served.released().await;
}

/// Who follows a pattern is no subscriber of what it may not have, at no time: it is asked first.
pub async fn to_follow_a_pattern_is_asked_before_it_counts(suite: Suite) {
    let served = served(suite);
    served.publish("secret", "before").await;
    let mut stream = identity::sse_of(&served, "alice", "/events?pattern=*.*&pattern=%3E").await;
    let mut peer = identity::ws_of(&served, "alice", "/ws?pattern=own.*&pattern=%3E").await;
    ready(&mut peer).await;
    let subscribers =
        |topic: &str| served.hub().subscribers(&TopicName::new(topic).expect("a name"));
    for topic in ["own.bob", "secret", "secret.later"] {
        served.publish(topic, "hidden").await;
        assert_eq!(subscribers(topic), 0, "{topic}");
    }
    served.publish("own.alice", "yours").await;
    assert_eq!(stream.expect_event().await.data, "yours");
    event(&mut peer, "yours").await;
    assert_eq!(subscribers("own.alice"), 2);
    for topic in ["own.bob", "secret", "secret.later"] {
        assert_eq!(subscribers(topic), 0, "{topic}");
    }
    drop((stream, peer));
    served.released().await;
}

/// 400 for a pattern in the place of a name, a name in the place of a pattern, and for patterns that
/// are none: what a client asks for by name never becomes a pattern.
pub async fn to_follow_a_pattern_is_not_had_by_name(suite: Suite) {
    let served = served(suite);
    for query in [
        "topic=own.*",
        "topic=%3E",
        "topic=*",
        "topic=public.a&topic=public.*",
        "pattern=public.a",
        "pattern=public.%3E.a",
        "pattern=",
        "pattern=public.*%0Aa",
    ] {
        for request in both(&served, query) {
            let request = Way::Bearer.present(request, &good("alice"));
            let response = served.refused(400, &request).await;
            assert!(response.text().contains("topic"), "{response:?}");
        }
    }
    served.untouched().await;
}

fn both(served: &Served, query: &str) -> [Request; 2] {
    [served.request(&format!("/events?{query}")), served.handshake(&format!("/ws?{query}"))]
}

fn served(suite: Suite) -> Served {
    identity::served_with(suite, authentication().optional().first_message(), |hub| {
        hub.authorize(authorize)
    })
}

/// `own.<subject>` is for the subject unless it is a guest; what begins with `public.` is for
/// everybody to read.
fn authorize(identity: Option<&Identity>, action: Action, topic: &TopicName) -> bool {
    let is_own = identity.is_some_and(|identity| {
        identity.get::<Guest>().is_none() && topic.as_str() == format!("own.{}", identity.subject())
    });
    is_own || (action == Action::Subscribe && topic.as_str().starts_with("public."))
}
