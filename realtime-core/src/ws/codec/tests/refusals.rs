//! What a client must not send, and the cause that each has.

use super::*;

fn protocol(what: &'static str) -> CloseCause {
    CloseCause::ProtocolError(what)
}

/// The frames end the connection with `cause`, at once and whatever the cuts; the frames before
/// the last are right.
#[track_caller]
fn refused(frames: impl IntoIterator<Item = Sent>, cause: CloseCause) {
    let frames: Vec<_> = frames.into_iter().collect();
    let bytes = wire(frames.clone());
    let before = wire(frames[..frames.len() - 1].iter().cloned());
    assert_eq!(decode([&before[..]]).1, None, "what comes before is right");
    assert_eq!(decode([&bytes[..]]).1, Some(cause.clone()));
    assert_eq!(decode(bytes.chunks(1)).1, Some(cause));
}

#[test]
fn reserved_bits_and_opcodes() {
    for rsv in 1..8 {
        refused([Sent::text("x").rsv(rsv)], protocol("reserved bit set"));
        refused([Sent::ping("x").rsv(rsv)], protocol("reserved bit set"));
    }
    for opcode in (3..8).chain(11..16) {
        refused([Sent::new(opcode, "")], protocol("unknown opcode"));
        refused([Sent::new(opcode, "").fin(false)], protocol("unknown opcode"));
    }
}

#[test]
fn a_frame_that_is_not_masked() {
    refused([Sent::text("x").unmasked()], protocol("frame not masked"));
    refused([Sent::ping("").unmasked()], protocol("frame not masked"));
    refused([Sent::close(1000, "").unmasked()], protocol("frame not masked"));
}

#[test]
fn lengths_that_are_not_minimal_or_negative() {
    for length in [0, 1, 125] {
        let frame = Sent::binary(vec![0; length]);
        refused([frame.clone().length_form(LengthForm::U16)], protocol("length not minimal"));
        refused([frame.length_form(LengthForm::U64)], protocol("length not minimal"));
    }
    for length in [126, 65_535] {
        let frame = Sent::binary(vec![0; length]);
        refused([frame.length_form(LengthForm::U64)], protocol("length not minimal"));
    }
    for length in [1 << 63, u64::MAX] {
        let frame = Sent::binary("").length_form(LengthForm::Claim(length));
        refused([frame], protocol("length too large"));
    }
}

#[test]
fn control_frames_that_are_long_or_fragmented() {
    for opcode in [opcode::CLOSE, opcode::PING, opcode::PONG] {
        refused([Sent::new(opcode, [0; 126])], protocol("control frame over 125 bytes"));
        let claim = Sent::new(opcode, "").length_form(LengthForm::Claim(1 << 40));
        refused([claim], protocol("control frame over 125 bytes"));
        refused([Sent::new(opcode, "").fin(false)], protocol("fragmented control frame"));
    }
}

#[test]
fn fragments_out_of_order() {
    refused([Sent::continuation("x")], protocol("continuation of nothing"));
    refused([Sent::continuation("x").fin(false)], protocol("continuation of nothing"));
    refused([Sent::text("x"), Sent::continuation("x")], protocol("continuation of nothing"));
    for second in [Sent::text("x"), Sent::binary("x"), Sent::text("x").fin(false)] {
        let first = Sent::text("x").fin(false);
        refused([first, Sent::ping(""), second], protocol("message within a message"));
    }
}

#[test]
fn closes_that_say_what_they_must_not() {
    refused([Sent::new(opcode::CLOSE, [3])], protocol("close code of one byte"));
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        refused([Sent::close(code, "")], protocol("close code not allowed"));
    }
    refused([Sent::new(opcode::CLOSE, [3, 232, 0xff])], CloseCause::InvalidUtf8);
}

#[test]
fn text_that_is_no_utf8_fails_at_its_first_wrong_byte() {
    for (text, wrong) in [
        (&b"\xff"[..], 0),
        (b"abc\xc0\xaf", 3),
        (b"\xce\xba\xed\xa0\x80", 3),
        (b"\xf4\x90\x80\x80", 1),
        (b"\xf0\x9f\x98x", 3),
    ] {
        refused([Sent::text(text)], CloseCause::InvalidUtf8);

        // In a frame that claims more than has been sent of it.
        let frame = Sent::text(text).length_form(LengthForm::Claim(100)).to_bytes();
        let start = frame.len() - text.len();
        assert_eq!(decode([&frame[..start + wrong]]).1, None, "{text:x?}");
        assert_eq!(decode([&frame[..=start + wrong]]).1, Some(CloseCause::InvalidUtf8));

        // In fragments of one byte, of which the last never comes.
        let fragments = text[..=wrong].iter().enumerate().map(|(at, byte)| {
            let opcode = if at == 0 { opcode::TEXT } else { opcode::CONTINUATION };
            Sent::new(opcode, [*byte]).fin(false)
        });
        refused(fragments, CloseCause::InvalidUtf8);
    }
}

#[test]
fn text_that_ends_within_a_character() {
    let cut = &"κόσμε".as_bytes()[..9];
    refused([Sent::text(cut)], CloseCause::InvalidUtf8);
    refused([Sent::text(cut).fin(false), Sent::continuation("")], CloseCause::InvalidUtf8);
}

#[test]
fn messages_beyond_the_limits() {
    let too_big = || CloseCause::MessageTooBig;
    refused([Sent::binary(vec![0; MAX_BYTES + 1])], too_big());
    refused([Sent::text("").length_form(LengthForm::Claim(1 << 40))], too_big());
    refused([Sent::text("").length_form(LengthForm::Claim(i64::MAX as u64))], too_big());
    let half = || Sent::binary(vec![0; MAX_BYTES / 2]).fin(false);
    let rest = Sent::continuation(vec![0; MAX_BYTES / 2 + 1]);
    refused([half(), Sent::ping("x"), rest], too_big());

    let fragments = (0..=MAX_FRAGMENTS).map(|n| {
        let opcode = if n == 0 { opcode::TEXT } else { opcode::CONTINUATION };
        Sent::new(opcode, "").fin(false)
    });
    refused(fragments, CloseCause::TooManyFragments);
}
