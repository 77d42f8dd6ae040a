//! Subscriptions that lag.

use super::*;

fn lagging(overflow: Overflow, format: Format) -> Rig {
    let subscribe = Subscribe::to("a").overflow(overflow).lag(LagLimit::default().events(3));
    Rig::with(|hub| hub, |request| request.format(format).subscribe(subscribe))
}

#[test]
fn a_slow_consumer_is_closed_while_its_socket_is_blocked() {
    // Two frames of 40 004 bytes: as much as is in writing at once.
    for begun in [0, 1, 40_003, 40_004, 40_005, 60_000] {
        let mut rig = lagging(Overflow::Disconnect, Format::Raw);
        rig.publish(&"x".repeat(40_000));
        rig.publish(&"x".repeat(40_000));
        rig.poll();
        let mut cx = Context::from_waker(&rig.waker);
        let mut written: Vec<u8> = rig.session.chunks().flatten().copied().collect();
        written.truncate(begun);
        if begun > 0 {
            rig.session.wrote(begun);
        }
        rig.session.write_blocked(&mut cx, rig.now);
        for _ in 0..3 {
            rig.publish("more");
        }
        assert_eq!(rig.wakes.0.load(Ordering::SeqCst), 0, "within the limit nothing wakes it");
        rig.publish("one too many");
        assert!(rig.wakes.0.load(Ordering::SeqCst) > 0, "woken though nobody reads");
        rig.blocked();
        written.extend(rig.write(usize::MAX));
        let frames = frames_of(&written);
        assert_eq!(frames.last(), Some(&close(1013, "slow consumer")));
        assert_eq!(frames.len() - 1, begun.div_ceil(40_004), "begun frames only");
        assert_eq!(rig.hub.stats().slow_disconnects, 1);
        rig.client([Sent::close(1013, "")]);
        assert_eq!(rig.ended(), Some((CloseCause::SlowConsumer, false)));
    }
}

#[test]
fn a_slow_consumer_is_closed_when_it_is_looked_at() {
    let mut rig = lagging(Overflow::Disconnect, Format::Envelope);
    rig.written();
    for _ in 0..4 {
        rig.publish("x");
    }
    rig.send("queued");
    assert_eq!(rig.written(), [close(1013, "slow consumer")], "and nothing else");
    assert_eq!(rig.hub.stats().slow_disconnects, 1);
    assert_eq!(rig.recv(), Some(None));
}

#[test]
fn a_slow_consumer_that_never_reads_ends_at_the_deadline() {
    let mut rig = lagging(Overflow::Disconnect, Format::Raw);
    rig.publish("01234");
    rig.write(1);
    for _ in 0..4 {
        rig.publish("x");
    }
    rig.blocked();
    rig.wait_until(4.9);
    assert_eq!(rig.ended(), None);
    rig.wait_until(5.0);
    assert_eq!(rig.ended(), Some((CloseCause::SlowConsumer, false)));
}

#[test]
fn a_gap_is_told_in_the_envelope() {
    let mut rig = lagging(Overflow::DropOldest, Format::Envelope);
    rig.written();
    for n in 0..5 {
        rig.publish(&n.to_string());
    }
    rig.blocked();
    let frames = rig.written();
    let value = |at: usize| serde_json::from_slice::<serde_json::Value>(&frames[at].1).unwrap();
    assert_eq!(value(0)["event"], "realtime.gap");
    assert_eq!(value(0)["data"]["missed"], 2);
    assert_eq!((&value(1)["data"], frames.len()), (&"2".into(), 4));
}

#[test]
fn the_first_message_says_where_it_starts() {
    let mut rig = Rig::with(|hub| hub, |request| request.subscribe("a"));
    let frames = rig.written();
    let ready: serde_json::Value = serde_json::from_slice(&frames[0].1).unwrap();
    assert_eq!(ready["event"], "realtime.ready");
    rig.publish("x");
    let event: serde_json::Value = serde_json::from_slice(&rig.written()[0].1).unwrap();
    assert_eq!((&event["topic"], &event["data"]), (&"a".into(), &"x".into()));

    let accept = |id: &str| {
        let head = Head::websocket().query(&format!("last_event_id={id}"));
        let request = Request::let_in(&rig.hub, &head).unwrap().subscribe("a");
        let (_, mut session) = request.open(rig.now).unwrap();
        let _ = session.poll_transmit(&mut Context::from_waker(&rig.waker), rig.now);
        let bytes: Vec<u8> = session.chunks().flatten().copied().collect();
        let event = |frame: &Written| {
            let value: serde_json::Value = serde_json::from_slice(&frame.1).unwrap();
            value.get("event").or(value.get("data")).unwrap().as_str().unwrap().to_owned()
        };
        frames_of(&bytes).iter().map(event).collect::<Vec<_>>()
    };
    assert_eq!(accept(ready["id"].as_str().unwrap()), ["realtime.ready", "x"], "it resumes");
    assert_eq!(accept("nonsense"), ["realtime.ready", "realtime.reset"]);
}

#[test]
fn a_notice_that_a_format_cannot_say_does_not_put_the_session_to_sleep() {
    let hub = Hub::new();
    let head = Head::websocket().query("last_event_id=nonsense");
    let request = Request::let_in(&hub, &head).unwrap().format(Format::Raw).subscribe("a");
    let (_, mut session) = request.open(Instant::now()).unwrap();
    let wakes = Arc::new(Wakes::default());
    let waker = Arc::clone(&wakes).into();
    let mut cx = Context::from_waker(&waker);
    assert!(session.poll_transmit(&mut cx, Instant::now()).is_pending(), "no bytes for a reset");
    hub.publish_at("a", Event::text("x"), Instant::now()).now_or_never().unwrap().unwrap();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(session.poll_transmit(&mut cx, Instant::now()).is_ready());
}
