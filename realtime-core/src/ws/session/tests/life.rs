//! Pings, pongs and the write deadline.

use super::*;

const PING: Written = (opcode::PING, Vec::new());

#[test]
fn a_silent_peer_is_pinged_after_the_interval() {
    let mut rig = Rig::new();
    assert_eq!(rig.session.deadline(), rig.start + Duration::from_secs(30));
    assert_eq!(rig.wait_until(29.999).written(), []);
    assert_eq!(rig.wait_until(30.0).written(), [PING]);
    assert_eq!(rig.wait_until(39.999).written(), [], "one ping");
    assert_eq!(rig.ended(), None);
    rig.wait_until(40.0);
    assert_eq!(rig.ended(), Some((CloseCause::PongDeadline, false)));
    assert_eq!(rig.written(), [], "there is nobody to tell");
}

#[test]
fn whatever_the_peer_sends_is_life() {
    let part = Sent::text("hello").to_bytes()[..3].to_vec();
    for bytes in [
        Sent::pong("").to_bytes(),
        Sent::pong("unasked").to_bytes(),
        Sent::ping("").to_bytes(),
        Sent::text("x").to_bytes(),
        part,
    ] {
        let mut rig = Rig::new();
        assert_eq!(rig.wait_until(35.0).written(), [PING]);
        rig.session.receive(&bytes, rig.now);
        assert_eq!(rig.session.deadline(), rig.start + Duration::from_secs(65));
        rig.written();
        assert_eq!(rig.wait_until(64.999).written(), []);
        assert_eq!(rig.wait_until(65.0).written(), [PING]);
        rig.wait_until(75.0);
        assert_eq!(rig.ended(), Some((CloseCause::PongDeadline, false)));
    }
}

#[test]
fn what_is_written_is_no_life() {
    let mut rig = Rig::new();
    rig.at(20.0).publish("x");
    assert_eq!(rig.written(), [text("x")]);
    assert_eq!(rig.wait_until(30.0).written(), [PING]);
}

#[test]
fn a_ping_is_answered_with_its_payload() {
    let mut rig = Rig::new();
    rig.client([Sent::ping("payload")]);
    assert_eq!(rig.written(), [(opcode::PONG, b"payload".to_vec())]);
}

#[test]
fn a_peer_that_is_not_read_is_not_called_silent() {
    let mut rig = Rig::with(|hub| hub.limits(|limits| limits.inbox_bytes = 1), |request| request);
    rig.client([Sent::text("x"), Sent::pong("")]);
    assert!(!rig.session.wants_input(), "the handler has not taken it");
    assert_eq!(rig.wait_until(30.0).written(), [PING]);
    assert_eq!(rig.wait_until(70.0).written(), [PING]);
    assert_eq!(rig.wait_until(79.0).ended(), None, "its pong may wait in the socket");
    rig.recv().unwrap().unwrap();
    rig.written();
    assert!(rig.session.wants_input());
    rig.wait_until(80.0);
    assert_eq!(rig.ended(), Some((CloseCause::PongDeadline, false)), "now it could be heard");
}

#[test]
fn a_peer_is_not_asked_for_the_pong_of_a_ping_that_is_not_written() {
    let mut rig = Rig::new();
    rig.publish(&"x".repeat(60_000));
    let mut written = rig.write(100);
    for second in 1..50 {
        rig.wait_until(f64::from(second));
        rig.blocked();
        written.extend(rig.write(100));
        assert_eq!(rig.ended(), None, "{second}");
    }
    written.extend(rig.write(usize::MAX));
    assert_eq!(frames_of(&written)[1], PING);
    rig.wait_until(62.0);
    assert_eq!(rig.ended(), Some((CloseCause::PongDeadline, false)));
}

#[test]
fn a_socket_that_takes_no_byte_ends_it_after_the_write_deadline() {
    let mut rig = Rig::new();
    rig.publish("hello");
    rig.at(1.0).blocked();
    rig.wait_until(10.0).blocked();
    assert_eq!(rig.ended(), None);
    assert_eq!(rig.write(1).len(), 1, "one byte is enough");
    rig.at(10.5).blocked();
    rig.at(12.0).blocked();
    assert_eq!(rig.session.deadline(), rig.start + Duration::from_secs_f64(20.5), "from the first");
    rig.wait_until(20.4);
    assert_eq!(rig.ended(), None);
    rig.wait_until(20.5);
    assert_eq!(rig.ended(), Some((CloseCause::WriteDeadline, false)));
}

#[test]
fn a_socket_that_takes_everything_has_no_write_deadline() {
    let mut rig = Rig::new();
    rig.publish("hello");
    rig.blocked();
    rig.written();
    assert_eq!(rig.session.deadline(), rig.start + Duration::from_secs(30));

    rig.publish("hello");
    rig.blocked();
    while rig.session.pop_frame().is_some() {}
    assert_eq!(rig.session.deadline(), rig.start + Duration::from_secs(30));

    rig.blocked();
    rig.session.write_unblocked();
    assert_eq!(rig.session.deadline(), rig.start + Duration::from_secs(30));
}

#[test]
fn times_without_end_are_no_panic() {
    let mut rig = Rig::with(
        |hub| hub.limits(|limits| limits.write_deadline = Duration::MAX),
        |request| {
            request.subscribe("a").configure(|config| {
                config.ping_interval = Duration::MAX;
                config.pong_deadline = Duration::MAX;
                config.close_deadline = Duration::MAX;
            })
        },
    );
    rig.publish("x");
    rig.blocked();
    rig.wait_until(1e6);
    rig.session.handler_ended(CloseCause::Done, rig.now);
    rig.wait_until(2e6);
    assert_eq!(rig.ended(), None);
}

#[test]
fn who_is_let_go_before_anything_was_taken_knows_of_the_loss() {
    let mut rig = Rig::with(
        |hub| hub,
        |request| {
            request
                .subscribe(Subscribe::to("a").after("1-1".parse::<crate::LastEventId>().unwrap()))
        },
    );
    rig.hub.start_drain();
    let written = rig.at(1.0).written();
    let told: Vec<_> = written.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("realtime.ready"), "{told:?}");
    assert!(told[1].contains("realtime.reset"), "{told:?}");
    assert_eq!(written[2].0, opcode::CLOSE);
}
