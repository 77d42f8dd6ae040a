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
fn what_is_queued_is_dropped_but_no_frame_is_cut() {
    for begun in [0, 1, 2, 11, 12, 13, 24, 30] {
        let mut rig = Rig::new();
        for _ in 0..4 {
            rig.publish("0123456789");
        }
        rig.send("direct");
        let mut written = rig.write(begun);
        rig.client([Sent::ping("dropped too"), bad()]);
        assert!(rig.pending() <= 12 + 20, "{}", rig.pending());
        written.extend(rig.write(usize::MAX));
        let frames = frames_of(&written);
        let (last, before) = frames.split_last().unwrap();
        assert_eq!(*last, close(1002, "reserved bit set"), "{begun}");
        let whole: usize = before.iter().map(|(_, payload)| payload.len() + 2).sum();
        assert!((begun..begun + 12).contains(&whole), "{begun}: {whole}");
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
    assert_eq!(frames_of(&written), [text(&long), close(1002, "reserved bit set")]);
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
fn messages_before_the_failure_reach_the_handler() {
    let mut rig = Rig::new();
    rig.client([Sent::text("right"), bad()]);
    assert_eq!(rig.recv(), Some(Some(Message::text("right"))));
    assert_eq!(rig.recv(), Some(None));
    let refused = rig.socket().send(Message::text("late")).now_or_never().unwrap().unwrap_err();
    assert_eq!(refused.0, Message::text("late"));
}
