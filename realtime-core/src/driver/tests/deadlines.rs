//! What a connection does about a peer that does not do its part, to the second.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_pinged_and_then_left() {
    let (mut client, server) = connect(&Hub::new(), 1024, &[], idle);
    let start = Clock::now();
    assert_eq!(client.next().await, Some((opcode::PING, Vec::new())));
    assert_eq!(start.elapsed().as_secs(), 30);
    client.send(Sent::pong("")).await;
    assert_eq!(client.next().await, Some((opcode::PING, Vec::new())));
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(client.next().await, None);
    assert_eq!(start.elapsed().as_secs(), 70);
    assert_eq!(server.await.unwrap(), CloseCause::PongDeadline);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_left_after_the_write_deadline() {
    let hub = Hub::new();
    let dropped = Dropped::default();
    let guard = dropped.guard();
    let (client, server) = connect(&hub, 64, &[], async move |socket| {
        let _guard = guard;
        idle(socket).await;
    });
    let start = Clock::now();
    publish(&hub, &"x".repeat(1000)).await;
    assert_eq!(server.await.unwrap(), CloseCause::WriteDeadline);
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(dropped.is_dropped());
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_a_little_is_not() {
    let hub = Hub::new();
    let (mut client, server) = connect(&hub, 64, &[], idle);
    publish(&hub, &"x".repeat(1000)).await;
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(!server.is_finished());
        client.io.read_buf(&mut client.bytes).await.unwrap();
        client.send(Sent::pong("")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_closed_though_its_socket_is_blocked() {
    let hub = Hub::new();
    let (mut client, server) = connect(&hub, 64, &[], idle);
    let first = "x".repeat(1000);
    publish(&hub, &first).await;
    tokio::task::yield_now().await;
    for _ in 0..600 {
        publish(&hub, "more").await;
    }
    tokio::task::yield_now().await;
    assert_eq!(client.next().await, Some(text(&first)));
    assert_eq!(client.next().await, Some(close(1013, "slow consumer")));
    let start = Clock::now();
    client.send(Sent::close(1013, "")).await;
    assert_eq!(client.next().await, None);
    assert_eq!(server.await.unwrap(), CloseCause::SlowConsumer);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_has_its_bound() {
    let (mut client, server) = connect(&Hub::new(), 1024, &[], async |_| ());
    let start = Clock::now();
    assert_eq!(client.next().await, Some(close(1000, "")));
    assert_eq!(client.next().await, None, "TCP is closed");
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(server.await.unwrap(), CloseCause::Done);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ends_while_the_write_is_blocked_still_closes() {
    let hub = Hub::new();
    let (mut client, server) = connect(&hub, 64, &[], async |mut socket| {
        socket.send(Message::text("x".repeat(1000))).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(client.next().await, Some(text(&"x".repeat(1000))));
    assert_eq!(client.next().await, Some(close(1000, "")));
    client.send(Sent::close(1000, "")).await;
    assert_eq!(server.await.unwrap(), CloseCause::Done);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_clients_bytes_are_read_for_a_while() {
    let (mut client, server) = connect(&Hub::new(), 64, &[], idle);
    // More than the pipe holds: the client can finish writing only if it is read.
    let mut bytes = Sent::text("x").unmasked().to_bytes();
    bytes.extend(vec![0; 100_000]);
    client.io.write_all(&bytes).await.unwrap();
    assert_eq!(client.next().await, Some(close(1002, "frame not masked")));
    assert_eq!(client.next().await, None, "our half is closed");
    assert!(!server.is_finished());
    let start = Clock::now();
    drop(client);
    assert!(matches!(server.await.unwrap(), CloseCause::ProtocolError(_)));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn lingering_has_its_bound_also_when_the_client_never_stops() {
    let (mut client, server) = connect(&Hub::new(), 64, &[], idle);
    let start = Clock::now();
    client.send(Sent::text("x").unmasked()).await;
    assert_eq!(client.next().await, Some(close(1002, "frame not masked")));
    while client.io.write_all(&[0; 64]).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(matches!(server.await.unwrap(), CloseCause::ProtocolError(_)));
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_floods_and_never_reads_is_left() {
    let (mut client, server) = connect(&Hub::new(), 64, &[], idle);
    let start = Clock::now();
    let ping = Sent::ping("x".repeat(100)).to_bytes();
    while client.io.write_all(&ping).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(server.await.unwrap(), CloseCause::WriteDeadline);
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_nothing_out_of_a_full_inbox_is_given_up() {
    let dropped = Dropped::default();
    let guard = dropped.guard();
    let (mut client, server) = connect(&unpaced(), 1 << 20, &[], async move |socket| {
        let _guard = guard;
        idle(socket).await;
    });
    let start = Clock::now();
    for _ in 0..300 {
        client.send(Sent::text("x")).await;
    }
    let closed = loop {
        match client.next().await {
            Some((opcode::PING, _)) => client.send(Sent::pong("")).await,
            other => break other,
        }
    };
    assert_eq!(closed, Some(close(1011, "handler stalled")));
    assert_eq!(start.elapsed().as_secs(), 80);
    client.send(Sent::close(1011, "")).await;
    assert_eq!(server.await.unwrap(), CloseCause::HandlerStalled);
    assert!(dropped.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_slow_but_goes_on_is_not() {
    let hub = unpaced();
    let (mut client, server) = connect(&hub, 1 << 20, &[], async |mut socket: Socket| {
        while socket.recv().await.is_some() {
            tokio::time::sleep(Duration::from_secs(39)).await;
        }
    });
    for _ in 0..300 {
        client.send(Sent::text("x")).await;
    }
    let start = Clock::now();
    while start.elapsed() < Duration::from_secs(1500) {
        assert_eq!(client.next().await, Some((opcode::PING, Vec::new())));
        client.send(Sent::pong("")).await;
    }
    assert!(!server.is_finished());
}
