//! What an identity may do with a topic.

use realtime_core::{Action, Identity, TopicName};

use super::{
    Served, Suite,
    identity::{self, authentication, message},
};

/// A handler publishes as its connection's identity: to what that may, and it is told otherwise.
pub async fn to_publish(suite: Suite) {
    let served = served(suite);
    let mut reader = identity::sse_of(&served, "reader", "/events?topic=own.alice").await;
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
    peer.send_text("own.alice said").await;
    peer.expect_text("forbidden").await;
    peer.send_text(&message(&identity::good("alice"))).await;
    peer.send_text("own.alice said").await;
    peer.expect_text("ok").await;
    drop(peer);
    served.released().await;
}

fn served(suite: Suite) -> Served {
    identity::served_with(suite, authentication().optional().first_message(), |hub| {
        hub.authorize(|identity: Option<&Identity>, action, topic: &TopicName| match action {
            Action::Publish => identity
                .is_some_and(|identity| topic.as_str() == format!("own.{}", identity.subject())),
            _ => true,
        })
    })
}
