use std::sync::Arc;

use realtime_bridge::{At, Fetched};

use super::*;

fn inbound(max: usize) -> (Inbound, Fetched) {
    let (feed, fetched) = Feed::new(max, 1024);
    let slot = Arc::new(Slot::default());
    (Inbound::new(feed, Arc::downgrade(&slot), "{p}:t:".into(), "{p}:m:me".into()), fetched)
}

fn message(channel: &str, payload: &[u8]) -> PushInfo {
    let data = [channel.as_bytes(), payload].map(|part| Value::BulkString(part.to_vec()));
    PushInfo { kind: PushKind::Message, data: data.into() }
}

/// Whether nothing more can come.
async fn ended(fetched: &mut Fetched) -> bool {
    let next = tokio::time::timeout(realtime_testkit::DEADLINE, fetched.next()).await;
    matches!(next, Ok(None))
}

#[tokio::test]
async fn what_is_none_of_ours_is_passed_over_and_the_rest_comes_in_order() {
    let (inbound, mut fetched) = inbound(8);
    inbound.take(message("{p}:t:a", b"1 1 0 0 text 0 0\none"));
    inbound.take(message("{p}:t:a", b"garbage"));
    inbound.take(message("{p}:t:*", b"1 2 0 0 text 0 0\nno topic"));
    inbound.take(message("{q}:t:a", b"1 2 0 0 text 0 0\nno channel"));
    inbound.take(message("{p}:m:me", b"no mark"));
    inbound.take(PushInfo { kind: PushKind::Message, data: vec![Value::Nil] });
    inbound.take(PushInfo { kind: PushKind::PMessage, data: vec![] });
    inbound.take(message("{p}:m:me", b"1 2 7"));
    assert!(matches!(fetched.next().await, Some(Fed::Event(record)) if record.at.sequence == 1));
    let Some(Fed::Mark { token: 7, at }) = fetched.next().await else { panic!("no mark") };
    assert_eq!(at, At { epoch: 1, sequence: 2 });
    assert_eq!(inbound.passed_over.load(Relaxed), 6);
    inbound.take(PushInfo { kind: PushKind::Disconnection, data: vec![] });
    inbound.take(message("{p}:m:me", b"1 2 8"));
    assert!(matches!(fetched.next().await, Some(Fed::Lost(_))));
    assert!(ended(&mut fetched).await);
}

#[tokio::test]
async fn what_does_not_fit_ends_the_feed() {
    let (inbound, mut fetched) = inbound(1);
    for token in 1..4 {
        inbound.take(message("{p}:m:me", format!("1 2 {token}").as_bytes()));
    }
    assert!(matches!(fetched.next().await, Some(Fed::Mark { token: 1, .. })));
    assert!(ended(&mut fetched).await);
}
