//! Several topics on one connection.

use super::{Suite, served};
use crate::ws::Peer;

/// The hub has one sequence, and so has every connection.
pub async fn come_in_the_order_of_publishing(suite: Suite) {
    let served = suite.start();
    let three = "topic=a&topic=b&topic=c";
    let mut stream = served.sse(&format!("/events?{three}")).await;
    let mut peer = served.ws(&format!("/ws?{three}")).await;
    let mut raw = served.ws(&format!("/raw?{three}")).await;
    served::ready(&mut peer).await;
    let mut ids = Vec::new();
    for number in 0..300 {
        let topic = ["c", "a", "b", "other"][number * 7 % 4];
        let position = served.publish(topic, &number.to_string()).await;
        if topic != "other" {
            ids.push((number.to_string(), position.to_string()));
        }
    }
    for (text, id) in &ids {
        let event = stream.expect_event().await;
        assert_eq!((&event.data, &event.last_event_id), (text, id));
        assert_eq!(served::event(&mut peer, text).await, *id);
        raw.expect_text(text).await;
    }
}

/// From the next event on, and no more from then on.
pub async fn are_added_and_removed_by_the_handler(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/topics").await;
    let command = async |peer: &mut Peer, command: &str| {
        peer.send_text(command).await;
        peer.expect_text(command).await;
    };
    served.publish("a", "before").await;
    command(&mut peer, "+a").await;
    command(&mut peer, "+b").await;
    command(&mut peer, "+a").await;
    served.publish("a", "1").await;
    served.publish("b", "2").await;
    served.publish("c", "of another").await;
    served::event(&mut peer, "1").await;
    served::event(&mut peer, "2").await;
    command(&mut peer, "-a").await;
    served.publish("a", "removed").await;
    served.publish("b", "3").await;
    served::event(&mut peer, "3").await;
    command(&mut peer, "+a").await;
    served.publish("a", "4").await;
    served::event(&mut peer, "4").await;
    peer.send_close(1000, "").await;
    peer.expect_close(1000).await;
    served.released().await;
}
