//! The handler's end.

use super::*;

#[test]
fn nothing_is_taken_after_a_close_of_ours() {
    let send = |rig: &mut Rig| rig.socket().send(Message::text("late")).now_or_never().unwrap();

    let mut rig = Rig::new();
    rig.send("in time");
    rig.socket().close(CloseCode::NORMAL, CloseReason::default());
    assert!(send(&mut rig).is_err());
    rig.poll();
    assert!(send(&mut rig).is_err(), "also while the Close waits");
    assert_eq!(rig.written(), [text("in time"), close(1000, "")]);
    assert!(send(&mut rig).is_err());

    let mut rig = Rig::new();
    rig.session.handler_ended(CloseCause::Done, rig.now);
    assert!(send(&mut rig).is_err(), "by another task that has the socket");

    let mut rig = Rig::new();
    rig.session.receive_eof();
    assert_eq!(send(&mut rig).unwrap_err().0, Message::text("late"), "it is given back");
}

#[test]
fn a_handler_that_waits_is_woken_by_the_end() {
    for lost in [true, false] {
        let mut rig = Rig::with(|hub| hub.limits(|l| l.outbox_bytes = 1), |request| request);
        rig.send("fills the outbox");
        let waker = rig.waker.clone();
        let Rig { session, socket, wakes, now, .. } = &mut rig;
        let mut cx = Context::from_waker(&waker);
        let mut sending = Box::pin(socket.as_mut().unwrap().send(Message::text("second")));
        assert!(sending.as_mut().poll(&mut cx).is_pending());
        if lost {
            session.receive_eof();
        } else {
            session.handler_ended(CloseCause::Done, *now);
        }
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        assert!(matches!(sending.as_mut().poll(&mut cx), Poll::Ready(Err(_))));
    }

    let mut rig = Rig::new();
    let mut cx = Context::from_waker(&rig.waker);
    let mut receiving = Box::pin(rig.socket.as_mut().unwrap().recv());
    assert!(receiving.as_mut().poll(&mut cx).is_pending());
    drop(rig.session);
    assert_eq!(rig.wakes.0.load(Ordering::SeqCst), 1, "a connection that is dropped");
    assert_eq!(receiving.as_mut().poll(&mut cx), Poll::Ready(None));
}

#[test]
fn what_a_handler_does_elsewhere_wakes_the_connection() {
    let mut rig = Rig::new();
    let mut wakes = 0;
    let mut expect_wake = |rig: &mut Rig, what: &str| {
        wakes += 1;
        assert_eq!(rig.wakes.0.load(Ordering::SeqCst), wakes, "{what}");
        rig.written();
    };
    rig.poll();
    rig.send("x");
    expect_wake(&mut rig, "send");
    let now = rig.now;
    rig.socket().subscribe_at("b", now).unwrap();
    expect_wake(&mut rig, "subscribe");
    rig.socket().unsubscribe("b").unwrap();
    expect_wake(&mut rig, "unsubscribe");
    rig.client([Sent::text("x")]);
    rig.recv().unwrap();
    expect_wake(&mut rig, "recv");
    rig.socket().close(CloseCode::NORMAL, CloseReason::default());
    expect_wake(&mut rig, "close");
}

#[test]
fn a_handler_subscribes_while_connected() {
    let mut rig = Rig::with(|hub| hub, |request| request.format(Format::Raw));
    assert_eq!(rig.written(), []);
    rig.publish("before");
    let now = rig.now;
    rig.socket().subscribe_at("a", now).unwrap();
    rig.publish("after, though the connection has not looked yet");
    assert_eq!(rig.written().len(), 1);
    rig.socket().unsubscribe("a").unwrap();
    rig.publish("too late");
    assert_eq!(rig.written(), []);
}

#[test]
fn a_handler_has_no_more_topics_than_allowed() {
    let mut rig = Rig::with(
        |hub| hub.limits(|limits| limits.topics_per_subscription = 2),
        |request| request.subscribe("a"),
    );
    let now = rig.now;
    rig.socket().subscribe_at("b", now).unwrap();
    assert!(rig.socket().subscribe_at("c", now).is_err());
    rig.socket().unsubscribe("b").unwrap();
    rig.poll();
    rig.socket().subscribe_at("c", now).unwrap();
    assert!(rig.socket().subscribe_at("x\ny", now).is_err());
}

#[test]
fn after_the_end_nothing_is_subscribed() {
    let mut rig = Rig::new();
    rig.session.receive_eof();
    let now = rig.now;
    rig.socket().subscribe_at("b", now).unwrap();
    assert_eq!(rig.hub.stats().max_lag, 0);
    drop(rig.session);
    assert_eq!(rig.hub.stats().subscriptions, 0);
    assert_eq!(rig.hub.stats().connections_websocket, 0);
    assert_eq!(rig.socket.unwrap().close_cause(), Some(CloseCause::Vanished));
}

fn publish(rig: &Rig, topic: &str) {
    let published = rig.hub.publish_at(topic, Event::text("x"), rig.now);
    published.now_or_never().unwrap().unwrap();
}

#[test]
fn a_handler_follows_patterns() {
    let mut rig = Rig::with(|hub| hub, |request| request.format(Format::Raw));
    publish(&rig, "a.1");
    let now = rig.now;
    assert!(rig.socket().subscribe_pattern_at("a.1", now).is_err(), "a name");
    assert!(rig.socket().subscribe_at("a.*", now).is_err(), "a pattern");
    rig.socket().subscribe_pattern_at("a.*", now).unwrap();
    publish(&rig, "a.1");
    publish(&rig, "a.2");
    assert_eq!(rig.written().len(), 2, "both after the call, though the connection looks later");
    rig.socket().subscribe_pattern_at("*.2", now).unwrap();
    rig.socket().unsubscribe_pattern("a.*").unwrap();
    publish(&rig, "a.1");
    publish(&rig, "a.2");
    assert_eq!(rig.written().len(), 1);
    // Never applied.
    rig.socket().subscribe_pattern_at("c.*", now).unwrap();
    drop(rig.session);
    assert!(rig.hub.has_no_patterns());
}

#[test]
fn what_has_arrived_by_a_pattern_is_there_whatever_the_handler_adds() {
    let mut rig = Rig::with(
        |hub| hub,
        |request| request.format(Format::Raw).subscribe(Subscribe::pattern("a.*")),
    );
    rig.written();
    let now = rig.now;
    publish(&rig, "a.1");
    rig.socket().subscribe_at("a.1", now).unwrap();
    publish(&rig, "a.2");
    rig.socket().subscribe_pattern_at("*.2", now).unwrap();
    assert_eq!(rig.written().len(), 2);
}

#[test]
fn a_pattern_that_brings_too_many_topics_closes() {
    for blocked in [false, true] {
        let mut rig = Rig::with(
            |hub| hub.limits(|limits| limits.topics_per_subscription = 2),
            |request| request.format(Format::Raw).subscribe(Subscribe::pattern("a.*")),
        );
        rig.written();
        if blocked {
            rig.blocked();
        }
        publish(&rig, "a.1");
        publish(&rig, "a.2");
        if blocked {
            rig.blocked();
        }
        assert_eq!(rig.written(), [close(1008, "too many topics")]);
        let cause = rig.socket().close_cause();
        assert_eq!(cause, Some(CloseCause::TooManyTopics));
        assert_eq!(rig.hub.stats().slow_disconnects, 0);
    }
}

#[test]
fn a_handler_stays_within_its_permission() {
    let mut rig = Rig::with(|hub| hub, |request| request.format(Format::Raw));
    let only = |allowed: &'static str| -> Option<Permission> {
        Some(Arc::new(move |topic| topic.as_str() == allowed))
    };
    let now = rig.now;
    rig.session.apply_changes(rig.now);
    assert!(rig.session.set_permission(only("a.1")).is_empty());
    let refused = rig.socket().subscribe_at("a.2", now).unwrap_err();
    assert!(matches!(refused, crate::SubscribeError::Forbidden { .. }), "{refused:?}");
    rig.socket().subscribe_at("a.1", now).unwrap();
    rig.socket().subscribe_pattern_at("a.*", now).unwrap();
    publish(&rig, "a.1");
    publish(&rig, "a.2");
    assert_eq!(rig.written().len(), 1);
    rig.session.apply_changes(rig.now);
    let lost = rig.session.set_permission(only("a.2"));
    assert_eq!(lost.iter().map(TopicName::as_str).collect::<Vec<_>>(), ["a.1"]);
    publish(&rig, "a.2");
    publish(&rig, "a.3");
    assert_eq!(rig.written().len(), 1);
}

/// What the connection has yet to take counts too, and nothing that it has taken counts twice.
#[test]
fn a_handler_follows_no_more_patterns_than_allowed() {
    let mut rig = Rig::with(
        |hub| hub.limits(|limits| limits.patterns_per_subscription = 3),
        |request| request.format(Format::Raw).subscribe(Subscribe::pattern("a.*")),
    );
    let now = rig.now;
    let refused = crate::SubscribeError::TooManyPatterns { count: 4, max: 3 };
    rig.socket().subscribe_pattern_at("b.*", now).unwrap();
    rig.socket().subscribe_pattern_at("c.*", now).unwrap();
    for _ in 0..100 {
        assert_eq!(rig.socket().subscribe_pattern_at("d.*", now), Err(refused.clone()));
    }
    rig.socket().subscribe_at("d.1", now).unwrap();
    rig.poll();
    assert_eq!(rig.socket().subscribe_pattern_at("d.*", now), Err(refused));
    rig.socket().unsubscribe_pattern("b.*").unwrap();
    rig.poll();
    rig.socket().subscribe_pattern_at("d.*", now).unwrap();
    for topic in ["a.1", "b.1", "c.1", "d.1"] {
        publish(&rig, topic);
    }
    assert_eq!(rig.written().iter().filter(|(opcode, _)| *opcode == opcode::TEXT).count(), 3);
}

/// Overlapping patterns that the handler adds bring a topic once, from its first event on.
#[test]
fn patterns_of_a_handler_share_what_arrives() {
    let mut rig = Rig::with(|hub| hub, |request| request.format(Format::Raw));
    let now = rig.now;
    rig.socket().subscribe_pattern_at("a.*", now).unwrap();
    publish(&rig, "a.1");
    rig.socket().subscribe_pattern_at("*.1", now).unwrap();
    rig.socket().subscribe_pattern_at("a.*", now).unwrap();
    publish(&rig, "a.1");
    publish(&rig, "b.1");
    assert_eq!(rig.hub.subscribers(&"b.1".parse().unwrap()), 0, "it has not looked yet");
    assert_eq!(rig.written().len(), 3);
    for topic in ["a.1", "b.1"] {
        assert_eq!(rig.hub.subscribers(&topic.parse().unwrap()), 1, "{topic}");
    }
    publish(&rig, "a.2");
    publish(&rig, "b.1");
    assert_eq!(rig.written().len(), 2);
}
