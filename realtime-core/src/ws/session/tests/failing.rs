//! Peers that break the protocol.

use super::*;

fn bad() -> Sent {
    Sent::text("x").rsv(4)
}

fn bad_cause() -> CloseCause {
    CloseCause::ProtocolError("reserved bit set")
}

#[test]
fn each_failure_is_told_and_then_the_connection_lingers() {
    let too_many = (0..1025).map(|n| Sent::new(u8::from(n == 0), "").fin(false));
    for (frames, cause, answer) in [
        (vec![bad()], bad_cause(), close(1002, "reserved bit set")),
        (vec![Sent::text([0xff])], CloseCause::InvalidUtf8, close(1007, "invalid UTF-8")),
        (
            vec![Sent::binary([0; 70_000])],
            CloseCause::MessageTooBig,
            close(1009, "message too big"),
        ),
        (too_many.collect(), CloseCause::TooManyFragments, close(1008, "too many fragments")),
    ] {
        let mut rig = Rig::new();
        rig.client(frames);
        assert_eq!(rig.recv(), Some(None));
        assert_eq!(rig.written(), [answer]);
        assert_eq!(rig.ended(), Some((cause, true)));
    }
}

#[test]
fn what_is_queued_goes_first_and_no_frame_is_cut() {
    for begun in [1, 2, 11, 12, 13, 24, 30] {
        let mut rig = Rig::new();
        for _ in 0..4 {
            rig.publish("0123456789");
        }
        rig.send("direct");
        let mut written = rig.write(begun);
        rig.client([Sent::ping("owed"), bad()]);
        rig.publish("too late");
        written.extend(rig.write(usize::MAX));
        let mut frames = frames_of(&written);
        assert_eq!(frames.pop(), Some(close(1002, "reserved bit set")), "{begun}");
        frames.retain(|frame| *frame != (opcode::PONG, b"owed".to_vec()));
        let events = std::iter::repeat_n(text("0123456789"), 4);
        assert_eq!(frames, [text("direct")].into_iter().chain(events).collect::<Vec<_>>());
        assert_eq!(rig.ended(), Some((bad_cause(), true)));
    }
}

#[test]
fn a_broken_peer_is_read_until_its_close_is_out_but_not_understood() {
    let mut rig = Rig::new();
    rig.client([bad()]);
    assert!(rig.session.wants_input(), "it may have to write before it reads");
    rig.client([Sent::text("x"), Sent::close(1000, "")]);
    assert_eq!(rig.written(), [close(1002, "reserved bit set")]);
    assert_eq!(rig.ended(), Some((bad_cause(), true)));
}

#[test]
fn a_failure_while_our_close_waits_takes_its_place() {
    let mut rig = Rig::new();
    let long = "x".repeat(65_000);
    rig.send(&long);
    let mut written = rig.write(10);
    rig.send("more");
    rig.session.handler_ended(CloseCause::Done, rig.now);
    rig.client([bad()]);
    written.extend(rig.write(usize::MAX));
    let all = [text(&long), text("more"), close(1002, "reserved bit set")];
    assert_eq!(frames_of(&written), all);
    assert_eq!(rig.ended(), Some((bad_cause(), true)));
}

#[test]
fn a_failure_behind_our_close_cuts_nothing() {
    let mut rig = Rig::new();
    rig.send("last");
    rig.session.handler_ended(CloseCause::Done, rig.now);
    let mut written = rig.write(7);
    rig.client([bad()]);
    assert_eq!(rig.ended(), None);
    written.extend(rig.write(usize::MAX));
    assert_eq!(frames_of(&written), [text("last"), close(1000, "")]);
    assert_eq!(rig.ended(), Some((CloseCause::Done, true)));

    let mut rig = Rig::new();
    rig.session.handler_ended(CloseCause::Done, rig.now);
    rig.written();
    rig.client([bad()]);
    assert_eq!(rig.ended(), Some((CloseCause::Done, true)), "its Close won't be found any more");
}

#[test]
fn messages_before_the_failure_are_answered() {
    let mut rig = Rig::new();
    rig.client([Sent::text("right"), bad()]);
    assert_eq!(rig.written(), [], "the handler has yet to answer");
    assert_eq!(rig.recv(), Some(Some(Message::text("right"))));
    assert_eq!(rig.recv(), Some(None));
    rig.send("answer");
    assert_eq!(rig.written(), [text("answer"), close(1002, "reserved bit set")]);
    let refused = rig.socket().send(Message::text("late")).now_or_never().unwrap().unwrap_err();
    assert_eq!(refused.0, Message::text("late"));
}

#[test]
fn a_handler_that_does_not_answer_delays_the_close_to_a_bound() {
    let mut rig = Rig::new();
    rig.client([Sent::text("right"), bad()]);
    assert_eq!(rig.written(), []);
    rig.now = rig.session.deadline();
    rig.session.handle_timeout(rig.now);
    assert_eq!(rig.written(), [close(1002, "reserved bit set")]);
}
