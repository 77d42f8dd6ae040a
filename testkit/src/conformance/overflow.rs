//! What becomes of a client that does not read, by policy; the others notice nothing.

use super::{
    Suite,
    lagging::{Item, KEYS, LAG, Lagging, Transport},
};

/// The stream ends with a reason, and from its last id on nothing is missing.
pub async fn disconnect_ends_a_stream_that_then_resumes(suite: Suite) {
    disconnect(suite, Transport::Sse, "slow consumer").await;
}

/// 1013, and from the last id on nothing is missing.
pub async fn disconnect_closes_a_websocket_that_then_resumes(suite: Suite) {
    disconnect(suite, Transport::WebSocket, "1013 slow consumer").await;
}

/// What was sent, one gap, the newest.
pub async fn drop_oldest_on_a_stream(suite: Suite) {
    drop_oldest(suite, Transport::Sse).await;
}

/// What was sent, one gap, the newest.
pub async fn drop_oldest_on_a_websocket(suite: Suite) {
    drop_oldest(suite, Transport::WebSocket).await;
}

/// What was pending at the limit, one gap, what comes then.
pub async fn drop_newest_on_a_stream(suite: Suite) {
    drop_newest(suite, Transport::Sse).await;
}

/// What was pending at the limit, one gap, what comes then.
pub async fn drop_newest_on_a_websocket(suite: Suite) {
    drop_newest(suite, Transport::WebSocket).await;
}

/// What was sent, then the newest of each key.
pub async fn conflate_on_a_stream(suite: Suite) {
    conflate(suite, Transport::Sse).await;
}

/// What was sent, then the newest of each key.
pub async fn conflate_on_a_websocket(suite: Suite) {
    conflate(suite, Transport::WebSocket).await;
}

async fn disconnect(suite: Suite, transport: Transport, bye: &str) {
    let mut lagging = Lagging::start(suite, transport, "disconnect").await;
    lagging.fill().await;
    let mut next = 0;
    let mut last_id = lagging.start.clone();
    let said = loop {
        match lagging.slow.next().await {
            Item::Event { number, id } => {
                assert_eq!(number, next);
                next += 1;
                last_id = id;
            }
            Item::Bye(said) => break said,
            Item::Gap { .. } => panic!("a gap at {next}"),
        }
    };
    assert_eq!(said, bye);
    lagging.slow.ends().await;
    assert!(next < lagging.published(), "it was given everything");
    assert_eq!(lagging.served.stats().slow_disconnects, 1);

    let mut resumed = lagging.slow.resumed(&lagging.served, &last_id).await;
    lagging.publish().await;
    while next < lagging.published() {
        match resumed.next().await {
            Item::Event { number, .. } => assert_eq!(number, next),
            other => panic!("expected {next}, got {other:?}"),
        }
        next += 1;
    }
    assert_eq!(lagging.served.stats().missed, 0);
}

async fn drop_oldest(suite: Suite, transport: Transport) {
    let mut lagging = Lagging::start(suite, transport, "drop_oldest").await;
    lagging.fill().await;
    let told = catch_up(&mut lagging).await;
    assert!((1..=LAG).contains(&told.after_gap), "the limit allows {LAG}, it got {told:?}");
    keeps_up(&mut lagging).await;
    lagging.conserves().await;
    assert_eq!(lagging.served.stats().missed, told.missed);
}

async fn drop_newest(suite: Suite, transport: Transport) {
    let mut lagging = Lagging::start(suite, transport, "drop_newest").await;
    lagging.fill().await;
    let told = catch_up(&mut lagging).await;
    assert_eq!(told.after_gap, 0, "what came while it was full is lost");
    keeps_up(&mut lagging).await;
    lagging.conserves().await;
    assert_eq!(lagging.served.stats().missed, told.missed);
}

async fn conflate(suite: Suite, transport: Transport) {
    let mut lagging = Lagging::start(suite, transport, "conflate").await;
    lagging.fill().await;
    let mut newest = [None; KEYS as usize];
    let mut given = 0;
    // It has all of them when it has the newest of each key.
    while newest.iter().flatten().count() < newest.len()
        || newest.iter().flatten().any(|number| number + KEYS < lagging.published())
    {
        match lagging.slow.next().await {
            Item::Event { number, .. } => {
                let slot = &mut newest[(number % KEYS) as usize];
                assert!(slot.is_none_or(|before| before < number), "{number} after {slot:?}");
                *slot = Some(number);
                given += 1;
            }
            other => panic!("expected an event, got {other:?}"),
        }
    }
    assert!(given < lagging.published(), "it was given everything");
    let read = lagging.published();
    keeps_up(&mut lagging).await;
    lagging.conserves().await;
    let stats = lagging.served.stats();
    assert_eq!((stats.missed, stats.conflated), (0, read - given));
}

/// What a client was given and told until it had heard of all.
#[derive(Debug, Default)]
struct Told {
    missed: u64,
    /// Events since the last gap.
    after_gap: u64,
}

/// Reads events without a hole but those that are told.
///
/// A socket that is full takes a little now and then, so there may be several.
async fn catch_up(lagging: &mut Lagging) -> Told {
    let mut told = Told::default();
    let mut next = 0;
    while next < lagging.published() {
        match lagging.slow.next().await {
            Item::Event { number, .. } => {
                assert_eq!(number, next);
                next += 1;
                told.after_gap += 1;
            }
            Item::Gap { missed } => {
                next += missed;
                told = Told { missed: told.missed + missed, after_gap: 0 };
            }
            Item::Bye(said) => panic!("{said} after {next}"),
        }
    }
    assert_eq!(next, lagging.published());
    assert!(told.missed > 0, "it was given everything");
    told
}

/// One that reads again gets every event.
async fn keeps_up(lagging: &mut Lagging) {
    for _ in 0..2 * KEYS {
        let expected = lagging.publish().await;
        match lagging.slow.next().await {
            Item::Event { number, .. } => assert_eq!(number, expected),
            other => panic!("expected {expected}, got {other:?}"),
        }
    }
}
