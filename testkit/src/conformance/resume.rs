//! Coming back: without gap, duplicate or reorder, or told so.

use realtime_core::Retention;
use serde_json::Value;

use super::{Served, Suite, served};
use crate::{http::Request, sse::Client};

/// All that was missed, then what comes; the header goes before the query, which a browser's page
/// keeps from its first connect.
pub async fn a_stream_by_header_and_by_query(suite: Suite) {
    let served = suite.start();
    let mut client = served.sse("/events?topic=a&topic=b").await;
    served.publish("a", "1").await;
    served.publish("b", "2").await;
    let first = client.expect_event().await;
    assert_eq!(first.data, "1");
    let id = first.last_event_id;
    client.close().await;
    for number in 3..=200 {
        served.publish(["b", "a", "other"][number % 3], &number.to_string()).await;
    }
    let latest = served.publish("a", "latest").await.to_string();

    let both = format!("/events?topic=a&topic=b&last_event_id={latest}");
    let query = format!("/events?topic=a&topic=b&last_event_id={id}");
    let header = [("Last-Event-ID", id.as_str())];
    let clients = [
        served.sse_with("/events?topic=a&topic=b", &header).await,
        served.sse(&query).await,
        served.sse_with(&both, &header).await,
        served.sse_with(&query, &[("Last-Event-ID", "")]).await,
    ];
    served.publish("b", "live").await;
    for mut client in clients {
        let mut missed = vec!["2".to_owned()];
        missed.extend((3..=200).filter(|number| number % 3 != 2).map(|n| n.to_string()));
        missed.extend(["latest".to_owned(), "live".to_owned()]);
        for expected in missed {
            assert_eq!(client.expect_event().await.data, expected);
        }
    }
    assert_eq!(served.stats().resets, 0);
}

/// The first block's id is enough.
pub async fn a_stream_that_was_cut_before_its_first_event(suite: Suite) {
    let served = suite.start();
    let mut client = served.sse("/events?topic=a").await;
    client.read_until(|body| body.ends_with(b"\n\n")).await;
    let id = client.last_event_id().to_owned();
    client.reset();
    served.publish("a", "missed").await;
    let mut client = served.sse_with("/events?topic=a", &[("Last-Event-ID", &id)]).await;
    let event = client.expect_event().await;
    assert_eq!((&*event.event, &*event.data), ("message", "missed"));
}

/// A browser's WebSocket can't set a header.
pub async fn a_websocket_by_query(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/ws?topic=a").await;
    let first = served::ready(&mut peer).await;
    served.publish("a", "1").await;
    let second = served::event(&mut peer, "1").await;
    peer.reset();
    served.publish("a", "2").await;
    let mut from_first = served.ws(&format!("/ws?topic=a&last_event_id={first}")).await;
    let mut from_second = served.ws(&format!("/ws?topic=a&last_event_id={second}")).await;
    served.publish("a", "live").await;
    assert_eq!(served::ready(&mut from_first).await, first);
    assert_eq!(served::ready(&mut from_second).await, second);
    served::event(&mut from_first, "1").await;
    for peer in [&mut from_first, &mut from_second] {
        served::event(peer, "2").await;
        served::event(peer, "live").await;
    }
}

/// Whatever is presented that is no place in this hub's sequence: the reason, an id that is one,
/// and then what comes.
pub async fn resets_a_stream_with_a_fresh_id(suite: Suite) {
    let served = suite.start();
    let position = served.publish("a", "before").await;
    for (presented, reason) in bad_ids(position.epoch()) {
        let request = Request::get("/events?topic=a")
            .header("Host", served.addr().to_string())
            .header("Last-Event-ID", &presented);
        let mut client = Client::send(served.addr(), &request).await.expect("a response");
        assert_eq!(client.status, 200, "{}", presented.escape_ascii());
        let fresh = expect_reset(&mut client, reason).await;
        assert_eq!(fresh, served_head(&served).await);
        client.close().await;
        served.publish("a", "next").await;
        // The id that a browser now presents is good.
        let mut client = served.sse_with("/events?topic=a", &[("Last-Event-ID", &fresh)]).await;
        let event = client.expect_event().await;
        assert_eq!((&*event.event, &*event.data), ("message", "next"));
    }
    assert_eq!(served.stats().resets, bad_ids(0).len() as u64);
}

/// Also for a topic of several.
pub async fn resets_a_stream_whose_events_were_evicted(suite: Suite) {
    let served = suite.start_with(|hub| hub.retention(Retention::default().events(4)));
    let first = served.publish("a", "0").await.to_string();
    for number in 1..5 {
        served.publish("a", &number.to_string()).await;
    }
    let path = "/events?topic=b&topic=a";
    let mut complete = served.sse_with(path, &[("Last-Event-ID", &first)]).await;
    for number in 1..5 {
        assert_eq!(complete.expect_event().await.data, number.to_string());
    }
    let latest = served.publish("a", "5").await.to_string();
    let mut client = served.sse_with(path, &[("Last-Event-ID", &first)]).await;
    assert_eq!(expect_reset(&mut client, "evicted").await, latest);
    served.publish("b", "live").await;
    assert_eq!(client.expect_event().await.data, "live");
}

/// The same over WebSocket.
pub async fn resets_a_websocket_with_a_fresh_id(suite: Suite) {
    let served = suite.start();
    let position = served.publish("a", "before").await;
    for (presented, reason) in bad_ids(position.epoch()) {
        let presented = form_urlencoded::byte_serialize(&presented).collect::<String>();
        let mut peer = served.ws(&format!("/ws?topic=a&last_event_id={presented}")).await;
        let start = served::ready(&mut peer).await;
        let reset = served::message(&mut peer).await;
        assert_eq!(reset["event"], "realtime.reset", "{reset}");
        assert_eq!(reset["data"]["reason"], reason, "{reset}");
        assert_eq!((&*start, reset["id"].as_str()), (&*served_head(&served).await, Some(&*start)));
        served.publish("a", "live").await;
        served::event(&mut peer, "live").await;
    }
}

fn bad_ids(epoch: u64) -> Vec<(Vec<u8>, &'static str)> {
    let mut ids: Vec<_> = [
        "x",
        "1",
        "1-",
        "-1",
        "0-0x",
        "1-1-1",
        "größe",
        "<script>",
        "00-1",
        "1-18446744073709551616",
    ]
    .map(|id| (id.as_bytes().to_vec(), "malformed"))
    .into();
    ids.push((b"\xff\xfe-1".to_vec(), "malformed"));
    ids.push((vec![b'7'; 2000], "malformed"));
    ids.push((format!("{:x}-1", epoch ^ 1).into_bytes(), "epoch"));
    ids.push((format!("{epoch:x}-1000000").into_bytes(), "ahead"));
    ids
}

async fn expect_reset(client: &mut Client, reason: &str) -> String {
    let event = client.expect_event().await;
    assert_eq!(event.event, "realtime.reset", "{event:?}");
    let data: Value = serde_json::from_str(&event.data).expect("JSON");
    assert_eq!(data["reason"], reason);
    event.block_id.expect("a fresh id, or the client presents the old one for ever")
}

/// The id of the newest event.
async fn served_head(served: &Served) -> String {
    let mut client = served.sse("/events?topic=a").await;
    client.read_until(|body| body.ends_with(b"\n\n")).await;
    client.last_event_id().to_owned()
}
