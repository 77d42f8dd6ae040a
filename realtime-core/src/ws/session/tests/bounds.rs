//! What a connection holds, whatever its peer does.

use super::*;

#[test]
fn a_million_pings_from_a_client_that_never_reads_are_a_kilobyte_and_one_pong() {
    let mut rig = Rig::with(|hub| hub.limits(Limits::unpace), |request| request);
    let burst: Vec<u8> = (0..5000).flat_map(|_| Sent::ping("x".repeat(125)).to_bytes()).collect();
    let mut most = 0;
    for _ in 0..200 {
        rig.session.receive(&burst, rig.now);
        rig.blocked();
        most = most.max(rig.pending());
    }
    assert!(most <= 1024 + 127, "{most}: those in writing, and one beyond");
    rig.client([Sent::ping("newest")]);
    let frames = rig.written();
    assert_eq!(frames.len(), 1024 / 127 + 1);
    assert_eq!(frames.last(), Some(&(opcode::PONG, b"newest".to_vec())), "the newest one wins");
}

#[test]
fn pings_of_a_client_that_reads_are_all_answered() {
    let mut rig = Rig::new();
    rig.client((0..10).map(|n| Sent::ping(format!("ping {n}"))));
    let pong = |n| (opcode::PONG, format!("ping {n}").into_bytes());
    assert_eq!(rig.written(), (0..10).map(pong).collect::<Vec<_>>());
}

#[test]
fn pings_while_a_frame_is_partly_written_are_one_pong_too() {
    let mut rig = Rig::new();
    rig.publish(&"x".repeat(1000));
    let mut written = rig.write(500);
    for n in 0..1000 {
        rig.client([Sent::ping(n.to_string())]);
        rig.blocked();
        assert!(rig.pending() <= 504 + 2 * 10, "{}", rig.pending());
    }
    written.extend(rig.write(usize::MAX));
    written.extend(rig.write(usize::MAX));
    let pongs: Vec<_> = frames_of(&written).into_iter().skip(1).map(|frame| frame.1).collect();
    assert_eq!(pongs, [b"0".to_vec(), b"999".to_vec()]);
}

#[test]
fn a_full_inbox_stops_the_reading_and_loses_nothing() {
    let mut rig = Rig::with(|hub| hub.limits(|limits| limits.inbox_bytes = 10), |request| request);
    // One read: 25 bytes of messages, of which the inbox takes what reaches its limit.
    rig.client((0..5).map(|n| Sent::text(format!("{n}0123"))).chain([Sent::ping("late")]));
    assert!(!rig.session.wants_input());
    assert_eq!(rig.session.unread.as_ref().map_or(0, |it| it.len()), 3 * 11 + 10);
    assert_eq!(rig.written(), [], "the ping waits its turn");
    let mut received = Vec::new();
    while let Some(Some(message)) = rig.recv() {
        received.push(message);
        if received.len() == 1 {
            assert_eq!(rig.wakes.0.load(Ordering::SeqCst), 1, "room wakes the connection");
        }
        rig.poll();
    }
    let expected: Vec<_> = (0..5).map(|n| Message::text(format!("{n}0123"))).collect();
    assert_eq!(received, expected);
    assert!(rig.session.wants_input());
    assert_eq!(rig.written(), [(opcode::PONG, b"late".to_vec())]);
    assert_eq!(rig.session.unread.as_ref().map_or(0, |it| it.len()), 0);
}

#[test]
fn empty_messages_fill_an_inbox_by_their_number() {
    let mut rig = Rig::new();
    rig.client((0..1000).map(|_| Sent::text("")));
    assert!(!rig.session.wants_input());
    assert_eq!(rig.session.unread.as_ref().map_or(0, |it| it.len()), (1000 - 256) * 6);
    let mut count = 0;
    while rig.recv().is_some() {
        count += 1;
        rig.poll();
    }
    assert_eq!(count, 1000);
}

#[test]
fn one_message_fits_an_inbox_that_is_smaller() {
    let mut rig = Rig::with(|hub| hub.limits(|limits| limits.inbox_bytes = 1), |request| request);
    rig.client([Sent::text("larger"), Sent::text("second")]);
    assert_eq!(rig.recv(), Some(Some(Message::text("larger"))));
    assert_eq!(rig.recv(), None);
    rig.poll();
    assert_eq!(rig.recv(), Some(Some(Message::text("second"))));
}

#[test]
fn what_nobody_handles_takes_no_memory() {
    let mut rig = Rig::new();
    rig.client([Sent::text("seen by nobody")]);
    rig.socket = None;
    rig.client((0..1000).map(|_| Sent::text("x".repeat(1000))));
    assert!(rig.session.wants_input());
    assert_eq!(rig.session.unread.as_ref().map_or(0, |it| it.len()), 0);
    assert_eq!(rig.hub.stats().messages_received, 1001);
}

#[test]
fn a_full_outbox_makes_the_handler_wait() {
    let mut rig =
        Rig::with(|hub| hub.limits(|limits| limits.outbox_bytes = 100), |request| request);
    rig.send(&"x".repeat(200));
    let waker = rig.waker.clone();
    let Rig { session, socket, wakes, now, .. } = &mut rig;
    let mut cx = Context::from_waker(&waker);
    let mut sending = Box::pin(socket.as_mut().unwrap().send(Message::text("second")));
    assert!(sending.as_mut().poll(&mut cx).is_pending());
    assert!(session.poll_transmit(&mut cx, *now).is_ready());
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "room wakes the handler");
    assert_eq!(sending.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
    drop(sending);
    assert_eq!(rig.written().len(), 2);
}

#[test]
fn a_blocked_connection_holds_its_write_and_outbox_bounds() {
    let mut rig = Rig::with(
        |hub| hub.lag(LagLimit::default().bytes(u64::MAX).events(100_000)),
        |request| request.format(Format::Raw).subscribe("a"),
    );
    let mut sent = 0;
    for _ in 0..1000 {
        rig.publish(&"x".repeat(1000));
        let message = Message::text("x".repeat(1000));
        sent += usize::from(rig.socket().send(message).now_or_never().is_some());
        rig.blocked();
        assert!(rig.pending() <= WRITE_BYTES + 1004, "{}", rig.pending());
    }
    assert!(sent <= 2 * 65, "{sent}");
    assert_eq!(rig.ended(), None);
}

#[test]
fn an_idle_session_holds_no_buffer() {
    let mut rig = Rig::new();
    rig.publish("x");
    rig.send("y");
    rig.client([Sent::ping("z"), Sent::text("w")]);
    rig.written();
    rig.recv().unwrap();
    assert!(!rig.session.outgoing.has_buffer());
    assert_eq!(rig.session.unread.as_ref().map_or(0, |it| it.len()), 0);
}

#[test]
#[cfg(all(target_pointer_width = "64", not(shuttle)))]
fn a_session_does_not_grow() {
    let sizes = [
        ("Session", size_of::<Session>(), 656),
        ("WebSocketConfig", size_of::<WebSocketConfig>(), 48),
        ("Decoder", size_of::<Decoder>(), 80),
        ("Outgoing", size_of::<Outgoing>(), 80),
        ("Phase", size_of::<Phase>(), 16),
        ("Pace", size_of::<Pace>(), 136),
        ("Identification", size_of::<Identification>(), 32),
        ("Lifetime", size_of::<Lifetime>(), 8),
        ("Shared", size_of::<Shared>(), 336),
    ];
    for (what, is, most) in sizes {
        assert!(is <= most, "{what} takes {is} bytes, and should take no more than {most}");
    }
}
