//! A server that is asked to stop.

use std::time::Duration;

use realtime_core::Drain;

use super::{Served, Suite, served};
use crate::{
    http::End,
    net::Dial,
    wait,
    ws::{Peer, Received},
};

/// Every client is told when to come back, all connections end cleanly, and so does the server.
pub async fn ends_every_connection_and_the_server(suite: Suite) {
    let mut served = start(suite, |drain| drain.deadline = LONG);
    let mut stream = served.sse("/events?topic=a").await;
    stream.read_until(|body| body.ends_with(b"\n\n")).await;
    let mut peer = served.ws("/ws?topic=a").await;
    served::ready(&mut peer).await;
    let mut handled = served.ws("/echo").await;
    served.stop();
    let bye = stream.expect_event().await;
    assert_eq!((&*bye.event, &*bye.data), ("realtime.bye", r#"{"reason":"draining"}"#));
    assert_eq!(stream.expect_end().await, End::Clean);
    let retry = stream.retry().expect("a reconnection time");
    assert!((500..=1_500).contains(&retry), "{retry}");
    for peer in [&mut peer, &mut handled] {
        match peer.recv().await {
            Received::Close(Some((1012, reason))) => {
                let retry = reason.strip_prefix("retry=").and_then(|it| it.parse::<u64>().ok());
                let is_near = retry.is_some_and(|it| (500..=1_500).contains(&it));
                assert!(is_near, "{reason}");
            }
            other => panic!("expected a Close, got {other}"),
        }
        peer.send_close(1012, "").await;
        assert_eq!(peer.recv().await, Received::Eof);
    }
    served.stopped().await;
    let report = served.hub().drain().await;
    assert_eq!((report.closed, report.forced), (3, 0));
}

/// Who does not go is cut at the deadline, and the server ends.
pub async fn cuts_who_stays(suite: Suite) {
    let mut served = start(suite, |drain| drain.deadline = SHORT);
    let silent = served.ws("/ws?topic=a").await;
    let small = Dial::to(served.addr()).recv_buffer(4096);
    let stalled = Peer::connect(small, "/raw?topic=a", &[]).await;
    let data = "x".repeat(2000);
    wait::until_async("the client lags", async || {
        served.publish("a", &data).await;
        served.stats().max_lag > 64
    })
    .await;
    served.stop();
    let report = served.hub().drain().await;
    assert_eq!((report.closed, report.forced), (0, 2));
    assert!(report.took >= SHORT);
    served.released().await;
    served.stopped().await;
    silent.reset();
    stalled.reset();
}

/// Whoever comes during a drain, by a connection that is there already, is told to come back in a way
/// that it understands.
pub async fn refuses_who_comes(suite: Suite) {
    let served = start(suite, |drain| drain.deadline = LONG);
    let held = served.ws("/ws?topic=a").await;
    served.hub().start_drain();
    for request in [served.request("/events?topic=a"), served.handshake("/ws?topic=a")] {
        let refused = served.refused(503, &request).await;
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    let as_browsers_do = [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")];
    let mut client = served.sse_with("/events?topic=a", &as_browsers_do).await;
    assert_eq!(client.expect_event().await.event, "realtime.bye");
    assert_eq!(client.expect_end().await, End::Clean);
    assert!(client.retry().is_some());
    held.reset();
    assert_eq!(served.hub().drain().await.forced, 0);
}

/// Clients are not all sent away at once.
pub async fn sends_clients_away_at_a_rate(suite: Suite) {
    let served = start(suite, |drain| {
        drain.deadline = LONG;
        drain.reconnects_per_second = 20;
    });
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(served.sse("/events?topic=a").await);
    }
    let report = served.hub().drain().await;
    assert_eq!((report.closed, report.forced), (10, 0));
    assert!(report.took >= Duration::from_millis(450), "the tenth goes after 450 ms: {report:?}");
    for mut stream in streams {
        assert_eq!(stream.read_to_end().await, End::Clean);
    }
}

fn start(suite: Suite, drain: impl FnOnce(&mut Drain)) -> Served {
    suite.start_with(|hub| hub.drain(drain))
}

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(8);
