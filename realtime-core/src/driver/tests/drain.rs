//! Letting connections go, to the millisecond.

use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::{Drain, DrainReport, PublishError, sse};

fn hub(change: impl FnOnce(&mut Drain)) -> Hub {
    Hub::builder().drain(change).build().unwrap()
}

fn stream(hub: &Hub) -> Body {
    Body::open(sse::Request::let_in(hub, &Head::get()).unwrap(), "a").unwrap().1
}

fn drain(hub: &Hub) -> JoinHandle<DrainReport> {
    let hub = hub.clone();
    tokio::spawn(async move { hub.drain().await })
}

/// The reconnection time in a Close frame, in milliseconds.
fn retry((opcode, payload): &Written) -> u64 {
    assert_eq!((*opcode, &payload[..2]), (opcode::CLOSE, &1012_u16.to_be_bytes()[..]));
    let reason = str::from_utf8(&payload[2..]).unwrap();
    reason.strip_prefix("retry=").unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hub_without_connections_is_drained_at_once() {
    let hub = Hub::new();
    let report = hub.drain().await;
    assert_eq!((report.closed, report.forced, report.took), (0, 0, Duration::ZERO));
    assert!(hub.is_draining());
}

#[tokio::test(start_paused = true)]
async fn what_is_beside_is_waited_for_also_when_somebody_else_has_drained() {
    let hub = hub(|drain| drain.deadline = Duration::from_secs(3));
    let (done, is_done) = tokio::sync::oneshot::channel::<()>();
    let mut beside = tokio::spawn({
        let hub = hub.clone();
        async move { hub.drain_beside(async { drop(is_done.await) }).await }
    });
    tokio::task::yield_now().await;
    hub.drain().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!((&mut beside).now_or_never().is_none(), "the other has nothing beside");
    done.send(()).unwrap();
    assert_eq!(beside.await.unwrap().took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_over_because_all_have_gone_can_be_ended_for_what_is_beside() {
    for ends in [true, false] {
        let hub = hub(|drain| drain.deadline = Duration::from_secs(3));
        let start = Clock::now();
        hub.drain().await;
        let beside = tokio::spawn({
            let hub = hub.clone();
            async move { hub.drain_beside(std::future::pending()).await }
        });
        tokio::task::yield_now().await;
        if ends {
            hub.end_drain();
        }
        beside.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), if ends { 0 } else { 3 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_is_given_up_when_the_drain_is_ended_and_not_before() {
    let hub = hub(|drain| drain.deadline = Duration::from_secs(3));
    assert_eq!(hub.run_until_drained(async { 7 }).await, Some(7));
    assert!(!hub.is_draining());
    let mut server = tokio::spawn({
        let hub = hub.clone();
        async move { hub.run_until_drained(std::future::pending::<()>()).await }
    });
    tokio::task::yield_now().await;
    hub.drain().await;
    tokio::task::yield_now().await;
    assert!((&mut server).now_or_never().is_none(), "it may have what the hub knows nothing of");
    hub.end_drain();
    assert_eq!(server.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_server_is_given_up_at_the_deadline_though_nobody_drains_any_more() {
    let hub = hub(|drain| drain.deadline = Duration::from_secs(3));
    let start = Clock::now();
    let server = tokio::spawn({
        let hub = hub.clone();
        async move { hub.run_until_drained(std::future::pending::<()>()).await }
    });
    tokio::task::yield_now().await;
    hub.drain().await;
    assert_eq!(server.await.unwrap(), None);
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn every_client_is_told_when_to_come_back() {
    let hub = Hub::new();
    let mut body = stream(&hub);
    body.next().await;
    let (mut client, server) = connect(&hub, 1024, &[], idle);
    let draining = drain(&hub);
    let bye = body.next().await.unwrap();
    let text = str::from_utf8(&bye).unwrap();
    let line = text.lines().next().unwrap();
    let after: u64 = line.strip_prefix("retry: ").unwrap().parse().unwrap();
    assert!((500..=1500).contains(&after), "{text}");
    assert!(text.ends_with("event: realtime.bye\ndata: {\"reason\":\"draining\"}\n\n"), "{text}");
    assert_eq!(body.next().await, None);
    let after = retry(&client.next().await.unwrap());
    assert!((500..=1500).contains(&after), "{after}");
    client.send(Sent::close(1012, "")).await;
    assert_eq!(client.next().await, None);
    assert!(matches!(server.await.unwrap(), CloseCause::Draining { .. }));
    let report = draining.await.unwrap();
    assert_eq!((report.closed, report.forced), (2, 0));
    assert!(report.took < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn connections_close_one_after_the_other() {
    let hub = hub(|drain| drain.reconnects_per_second = 10);
    let start = Clock::now();
    let ends: Vec<_> = (0..50)
        .map(|_| {
            let body = stream(&hub);
            tokio::spawn(async move {
                body.count().await;
                start.elapsed().as_millis()
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let report = hub.drain().await;
    assert_eq!((report.closed, report.forced, report.took.as_millis()), (50, 0, 4900));
    let mut times = Vec::new();
    for end in ends {
        times.push(end.await.unwrap());
    }
    times.sort_unstable();
    let even: Vec<_> = (0..50).map(|number| number * 100).collect();
    assert_eq!(times, even);
}

#[tokio::test(start_paused = true)]
async fn too_many_for_the_deadline_close_faster() {
    let hub = hub(|drain| {
        drain.reconnects_per_second = 1;
        drain.deadline = Duration::from_secs(10);
    });
    for _ in 0..40 {
        tokio::spawn(stream(&hub).count());
    }
    tokio::task::yield_now().await;
    let report = hub.drain().await;
    assert_eq!((report.closed, report.forced, report.took.as_millis()), (40, 0, 7800));
}

#[tokio::test(start_paused = true)]
async fn whoever_stays_is_cut_at_the_deadline() {
    let hub = hub(|drain| drain.deadline = Duration::from_secs(3));
    // It takes nothing, and so never sees the Close.
    let (blocked, server) = connect(&hub, 64, &[], idle);
    publish(&hub, &"x".repeat(1000)).await;
    // Its framework does not come back.
    let mut body = stream(&hub);
    body.next().await;
    let report = hub.drain().await;
    assert_eq!((report.closed, report.forced, report.took.as_secs()), (0, 2, 3));
    assert!(matches!(server.await.unwrap(), CloseCause::Draining { .. }));
    assert_eq!((hub.stats().connections_sse, hub.stats().connections_websocket), (0, 0));
    assert_eq!(body.next().await, None);
    drop(blocked);
}

#[tokio::test(start_paused = true)]
async fn what_was_published_before_goes_out_before_the_close() {
    let hub = Hub::new();
    let (mut client, _server) = connect(&hub, 1024, &[], idle);
    publish(&hub, "last words").await;
    let draining = drain(&hub);
    assert_eq!(client.next().await, Some(text("last words")));
    retry(&client.next().await.unwrap());
    client.send(Sent::close(1012, "")).await;
    assert_eq!(draining.await.unwrap().closed, 1);
}

#[tokio::test(start_paused = true)]
async fn events_reach_who_is_still_there_and_then_nobody() {
    let hub = hub(|drain| drain.reconnects_per_second = 1);
    let (mut first, mut second) = (stream(&hub), stream(&hub));
    first.next().await;
    second.next().await;
    let draining = drain(&hub);
    assert!(first.next().await.unwrap().starts_with(b"retry: "));
    assert_eq!(first.next().await, None);
    publish(&hub, "x").await;
    assert!(second.next().await.unwrap().ends_with(b"data: x\n\n"));
    assert!(second.next().await.unwrap().starts_with(b"retry: "));
    assert_eq!(second.next().await, None);
    draining.await.unwrap();
    let refused = hub.publish("a", Event::text("y")).await;
    assert!(matches!(refused, Err(PublishError::Drained)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn new_connections_are_refused_in_a_way_that_they_survive() {
    let hub = Hub::new();
    let held = stream(&hub);
    hub.start_drain();
    let refused = sse::Request::let_in(&hub, &Head::get()).unwrap_err();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().any(|header| header == ("retry-after", "1")));
    assert_eq!(Request::let_in(&hub, &Head::websocket()).unwrap_err().status(), 503);
    let browser = Head::get().with("accept", "text/event-stream").with("sec-fetch-mode", "cors");
    let refused = sse::Request::let_in(&hub, &browser).unwrap_err();
    assert_eq!(refused.status(), 200);
    assert!(refused.body().starts_with(b"retry: "), "{:?}", refused.body());
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_one_for_all_who_ask_and_can_be_cut_short() {
    let hub = Hub::new();
    let mut body = stream(&hub);
    body.next().await;
    let (first, second) = (drain(&hub), drain(&hub));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let report = hub.end_drain();
    assert_eq!((report.closed, report.forced, report.took.as_secs()), (0, 1, 2));
    assert_eq!(first.await.unwrap(), report);
    assert_eq!(second.await.unwrap(), report);
    assert_eq!(hub.drain().now_or_never(), Some(report));
}

#[tokio::test(start_paused = true)]
async fn a_drain_may_end_before_it_began() {
    let hub = Hub::new();
    let (client, server) = connect(&hub, 1024, &[], idle);
    let report = hub.end_drain();
    assert_eq!((report.closed, report.forced), (0, 1));
    assert!(matches!(server.await.unwrap(), CloseCause::Draining { .. }));
    assert_eq!(sse::Request::let_in(&hub, &Head::get()).unwrap_err().status(), 503);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_the_end_whatever_else_is_waited_for() {
    let hub = Hub::new();
    let start = Clock::now();
    let beside = hub.clone();
    let draining = tokio::spawn(async move { beside.drain_beside(std::future::pending()).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    hub.end_drain();
    draining.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_no_longer_is_forgotten() {
    let hub = hub(|drain| drain.deadline = Duration::from_secs(3));
    // Not all in one task, which would be known already.
    for _ in 0..3 {
        let hub = hub.clone();
        let run = async move {
            assert!(hub.run_until_drained(std::future::pending::<()>()).now_or_never().is_none());
            assert_eq!(hub.run_until_drained(tokio::task::yield_now()).await, Some(()));
        };
        tokio::spawn(run).await.unwrap();
    }
    assert_eq!(hub.permits().draining().waiters(), 0);
    let (dropped, waits) = (drain(&hub), stream(&hub));
    tokio::task::yield_now().await;
    assert_eq!(hub.permits().draining().waiters(), 1);
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    assert_eq!(hub.permits().draining().waiters(), 0);
    drop(waits);
}
