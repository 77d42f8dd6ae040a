//! The closing handshake.

use super::*;

fn frame(code: u16, reason: &str) -> CloseFrame {
    CloseFrame::new(CloseCode::new(code).unwrap(), CloseReason::new(reason).unwrap())
}

#[test]
fn each_cause_has_its_code() {
    for (cause, expected) in [
        (CloseCause::Done, close(1000, "")),
        (CloseCause::HandlerFailed, close(1011, "internal error")),
        (CloseCause::Handler(frame(4401, "who?")), close(4401, "who?")),
    ] {
        let mut rig = Rig::new();
        rig.session.handler_ended(cause.clone(), rig.now);
        assert_eq!(rig.written(), [expected]);
        assert_eq!(rig.ended(), None, "the peer's Close is awaited");
        assert!(rig.session.wants_input());
        rig.client([Sent::close(1000, "")]);
        assert_eq!(rig.ended(), Some((cause, false)));
        rig.client([Sent::text("x")]);
        assert_eq!(rig.written(), [], "nothing after the end");
    }
}

#[test]
fn a_peer_that_does_not_answer_our_close_is_left_after_the_deadline() {
    let mut rig = Rig::new();
    rig.at(1.0);
    rig.session.handler_ended(CloseCause::Done, rig.now);
    assert_eq!(rig.written(), [close(1000, "")]);
    // Nothing but a Close is an answer.
    rig.wait_until(5.0);
    rig.client([Sent::text("x"), Sent::pong(""), Sent::ping("")]);
    assert_eq!(rig.written(), []);
    rig.wait_until(5.999);
    assert_eq!(rig.ended(), None);
    rig.wait_until(6.0);
    assert_eq!(rig.ended(), Some((CloseCause::Done, false)));
}

#[test]
fn the_peers_close_is_answered_with_its_code() {
    for (sent, cause, answer) in [
        (Sent::close(1001, "bye"), Some(frame(1001, "bye")), close(1001, "")),
        (Sent::close(4999, ""), Some(frame(4999, "")), close(4999, "")),
        (Sent::new(opcode::CLOSE, ""), None, (opcode::CLOSE, Vec::new())),
    ] {
        let mut rig = Rig::new();
        rig.client([sent, Sent::text("after"), Sent::text("!").unmasked()]);
        assert!(!rig.session.wants_input(), "nothing is to follow a Close");
        assert_eq!(rig.recv(), Some(None));
        assert_eq!(rig.written(), [answer]);
        assert_eq!(rig.ended(), Some((CloseCause::Peer(cause), false)));
    }
}

#[test]
fn what_was_sent_before_the_close_goes_first() {
    let mut rig = Rig::new();
    rig.send("1");
    rig.send("2");
    rig.socket().close(CloseCode::new(4000).unwrap(), CloseReason::default());
    assert_eq!(rig.written(), [text("1"), text("2"), close(4000, "")]);
}

#[test]
fn a_handler_that_closes_and_returns_closes_with_its_code() {
    let mut rig = Rig::new();
    rig.send("1");
    rig.socket().close(CloseCode::new(4000).unwrap(), CloseReason::default());
    rig.session.handler_ended(CloseCause::Done, rig.now);
    assert_eq!(rig.written(), [text("1"), close(4000, "")]);
}

#[test]
fn events_before_the_close_go_first_and_none_after() {
    let mut rig = Rig::new();
    rig.publish("before");
    rig.poll();
    rig.session.handler_ended(CloseCause::Done, rig.now);
    rig.publish("after");
    assert_eq!(rig.written(), [text("before"), close(1000, "")]);
}

#[test]
fn a_handler_answers_what_came_before_the_peers_close() {
    let mut rig = Rig::new();
    rig.client([Sent::text("q1"), Sent::text("q2"), Sent::close(1000, "")]);
    assert_eq!(rig.written(), [], "the handler has not seen the questions");
    assert_eq!(rig.recv(), Some(Some(Message::text("q1"))));
    rig.send("a1");
    assert_eq!(rig.written(), [text("a1")]);
    assert_eq!(rig.recv(), Some(Some(Message::text("q2"))));
    rig.send("a2");
    assert_eq!(rig.recv(), Some(None));
    assert_eq!(rig.written(), [text("a2"), close(1000, "")]);
    assert_eq!(rig.ended(), Some((CloseCause::Peer(Some(frame(1000, ""))), false)));
}

#[test]
fn a_handler_that_does_not_look_delays_the_close_for_half_the_deadline() {
    let mut rig = Rig::new();
    rig.client([Sent::text("?"), Sent::close(1000, "")]);
    assert_eq!(rig.wait_until(2.499).written(), []);
    assert_eq!(rig.wait_until(2.5).written(), [close(1000, "")]);
    assert_eq!(rig.ended(), Some((CloseCause::Peer(Some(frame(1000, ""))), false)));
}

#[test]
fn a_handler_that_is_gone_delays_no_close() {
    let mut rig = Rig::new();
    rig.client([Sent::text("?"), Sent::close(1000, "")]);
    rig.poll();
    rig.socket = None;
    rig.session.handler_ended(CloseCause::Done, rig.now);
    assert_eq!(rig.written(), [close(1000, "")]);
}

#[test]
fn a_peer_that_reads_slowly_gets_the_close_in_the_second_half_of_the_deadline() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        rig.send(&"x".repeat(60_000));
        rig.poll();
    }
    let mut written = rig.write(10);
    rig.session.handler_ended(CloseCause::Done, rig.now);
    rig.wait_until(2.6).blocked();
    written.extend(rig.write(usize::MAX));
    let frames = frames_of(&written);
    assert_eq!(frames.len(), 2, "the frame that was begun, and the Close");
    assert_eq!(frames[1], close(1000, ""));
    rig.wait_until(5.0);
    assert_eq!(rig.ended(), Some((CloseCause::Done, false)));
}

#[test]
fn both_may_close_at_once() {
    let mut rig = Rig::new();
    rig.send("last");
    rig.session.handler_ended(CloseCause::Done, rig.now);
    rig.client([Sent::close(1001, "")]);
    assert_eq!(rig.ended(), None, "our part is not written");
    assert_eq!(rig.written(), [text("last"), close(1000, "")]);
    assert_eq!(rig.ended(), Some((CloseCause::Done, false)));
}

#[test]
fn a_close_is_written_whole_before_the_end() {
    let mut rig = Rig::new();
    rig.client([Sent::close(1000, "")]);
    assert_eq!(rig.write(3).len(), 3);
    assert_eq!(rig.ended(), None);
    assert_eq!(rig.write(1).len(), 1);
    assert!(rig.ended().is_some());
}

#[test]
fn nothing_follows_our_close() {
    let mut rig = Rig::new();
    rig.client([Sent::ping("1")]);
    rig.poll();
    rig.client([Sent::ping("2"), Sent::close(1000, "")]);
    // The first pong is in writing, the second waits for it.
    let frames = rig.written();
    let pong = |payload: &str| (opcode::PONG, payload.as_bytes().to_vec());
    assert_eq!(frames, [pong("1"), pong("2"), close(1000, "")]);

    let mut rig = Rig::new();
    rig.session.handler_ended(CloseCause::Done, rig.now);
    rig.client([Sent::ping("x")]);
    assert_eq!(rig.written(), [close(1000, "")]);
}

#[test]
fn a_lost_connection_has_the_cause_for_which_it_was_closing() {
    let mut rig = Rig::new();
    rig.session.receive_eof();
    assert_eq!(rig.ended(), Some((CloseCause::Vanished, false)));

    let mut rig = Rig::new();
    rig.session.handler_ended(CloseCause::HandlerFailed, rig.now);
    rig.session.receive_eof();
    assert_eq!(rig.ended(), Some((CloseCause::HandlerFailed, false)));
    assert_eq!(rig.socket().close_cause(), Some(CloseCause::HandlerFailed));
}
