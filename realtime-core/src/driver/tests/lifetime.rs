//! How long a connection lasts, to the second.

use futures_util::StreamExt;

use super::*;
use crate::sse;

fn hub(change: impl FnOnce(&mut Limits)) -> Hub {
    Hub::builder().limits(change).build().unwrap()
}

fn idle_hub() -> Hub {
    hub(|limits| limits.idle_timeout = Duration::from_secs(100))
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_carries_nothing_ends_and_pings_are_nothing() {
    let (mut client, server) = connect(&idle_hub(), 1024, &[], idle);
    let start = Clock::now();
    for _ in 0..3 {
        assert_eq!(client.next().await, Some((opcode::PING, Vec::new())));
        client.send(Sent::pong("")).await;
        client.send(Sent::ping("")).await;
        assert_eq!(client.next().await, Some((opcode::PONG, Vec::new())));
    }
    assert_eq!(client.next().await, Some(close(1001, "idle")));
    assert_eq!(start.elapsed().as_secs(), 100);
    client.send(Sent::close(1001, "")).await;
    assert_eq!(server.await.unwrap(), CloseCause::Idle);
}

#[tokio::test(start_paused = true)]
async fn an_event_a_message_and_an_answer_each_keep_it() {
    let hub = idle_hub();
    let (mut client, server) = connect(&hub, 1024, &[], async |mut socket: Socket| {
        let _ = socket.recv().await;
        tokio::time::sleep(Duration::from_secs(80)).await;
        let _ = socket.send(Message::text("late")).await;
        idle(socket).await;
    });
    let start = Clock::now();
    let mut next = async || loop {
        match client.next().await.unwrap() {
            (opcode::PING, _) => client.send(Sent::pong("")).await,
            frame => return (start.elapsed().as_secs(), frame),
        }
        if start.elapsed().as_secs() == 90 {
            publish(&hub, "x").await;
        }
        if start.elapsed().as_secs() == 180 {
            client.send(Sent::text("go on")).await;
        }
    };
    assert_eq!(next().await, (90, text("x")));
    assert_eq!(next().await, (260, text("late")));
    assert_eq!(next().await, (360, close(1001, "idle")));
    drop(client);
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_that_carries_nothing_ends_and_heartbeats_are_nothing() {
    let hub = idle_hub();
    let request = sse::Request::let_in(&hub, &Head::get()).unwrap();
    let mut body = Body::open(request, "a").unwrap().1;
    body.next().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    publish(&hub, "x").await;
    body.next().await;
    let start = Clock::now();
    let mut heartbeats = 0;
    let bye = loop {
        match body.next().await.unwrap() {
            bytes if bytes == ":\n\n" => heartbeats += 1,
            bytes => break bytes,
        }
    };
    assert_eq!((start.elapsed().as_secs(), heartbeats), (100, 6));
    assert_eq!(bye, "event: realtime.bye\ndata: {\"reason\":\"idle\"}\n\n");
    assert_eq!(body.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn ages_differ_by_a_tenth() {
    let hub = hub(|limits| limits.max_age = Duration::from_secs(1000));
    let start = Clock::now();
    let ends: Vec<_> = (0..200)
        .map(|_| {
            let request = sse::Request::let_in(&hub, &Head::get()).unwrap();
            let body = Body::open(request, "a").unwrap().1;
            tokio::spawn(async move {
                let last = body.fold(None, async |_, bytes| Some(bytes)).await;
                assert!(last.unwrap().ends_with(b"{\"reason\":\"maximum age\"}\n\n"));
                start.elapsed().as_secs_f64()
            })
        })
        .collect();
    let mut ages = Vec::new();
    for end in ends {
        ages.push(end.await.unwrap());
    }
    ages.sort_by(f64::total_cmp);
    assert!(ages[0] >= 900.0 && ages[0] < 920.0, "{}", ages[0]);
    assert!(ages[199] > 1080.0 && ages[199] <= 1101.0, "{}", ages[199]);
}

#[tokio::test(start_paused = true)]
async fn a_websocket_of_age_is_closed_though_it_is_busy() {
    let hub = hub(|limits| limits.max_age = Duration::from_secs(100));
    let (mut client, server) = connect(&hub, 1024, &[], idle);
    let publisher = tokio::spawn(async move {
        loop {
            publish(&hub, "x").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let start = Clock::now();
    loop {
        match client.next().await.unwrap() {
            frame if frame == text("x") => client.send(Sent::pong("")).await,
            frame => {
                assert_eq!(frame, close(1001, "maximum age"));
                break;
            }
        }
    }
    assert!((90..=110).contains(&start.elapsed().as_secs()));
    client.send(Sent::close(1001, "")).await;
    assert_eq!(server.await.unwrap(), CloseCause::MaxAge);
    publisher.abort();
}
