//! Frames that are wrong: a Close that says why, then FIN, within a bound.

use std::time::{Duration, Instant};

use super::{Served, Suite};
use crate::ws::{Flood, Frame, LengthForm, Peer, opcode};

/// 1009 at the header, though the client goes on sending.
pub async fn refuses_a_claimed_size_at_the_header(suite: Suite) {
    let served = limited(suite);
    let claim = Frame::binary("").length_form(LengthForm::Claim(1 << 40));
    let mut peer = served.ws("/echo").await;
    peer.send_frame(claim.clone()).await;
    ends_with(&mut peer, 1009).await;

    let mut peer = served.ws("/echo").await;
    peer.send_frame(claim).await;
    // It is read and thrown away: a reset for unread bytes could overtake the Close.
    let came = peer.flood(&vec![0; 8 << 20], BOUND).await;
    assert_eq!(came, Flood::Sent);
    ends_with(&mut peer, 1009).await;
    let mut peer = served.ws("/echo").await;
    peer.send_frame(Frame::text("").length_form(LengthForm::Claim(1025))).await;
    ends_with(&mut peer, 1009).await;
    served.released().await;
}

/// 1009 as soon as the fragments are too many bytes; one less is fine.
pub async fn refuses_a_message_that_grows_too_big(suite: Suite) {
    let served = limited(suite);
    let mut peer = served.ws("/echo").await;
    peer.send_frame(Frame::binary(vec![1; 1000]).fin(false)).await;
    peer.send_frame(Frame::continuation(vec![2; 24])).await;
    peer.expect_binary(&[vec![1; 1000], vec![2; 24]].concat()).await;
    peer.send_frame(Frame::binary(vec![1; 1000]).fin(false)).await;
    peer.send_frame(Frame::continuation(vec![2; 25]).fin(false)).await;
    ends_with(&mut peer, 1009).await;
}

/// 1008: empty ones cost as much as others.
pub async fn refuses_too_many_fragments(suite: Suite) {
    let served = limited(suite);
    let mut peer = served.ws("/echo").await;
    peer.send_frame(Frame::text("").fin(false)).await;
    for _ in 0..8 {
        peer.send_frame(Frame::continuation("").fin(false)).await;
    }
    ends_with(&mut peer, 1008).await;
}

/// 1007 as soon as it is certain, also before the message is whole.
pub async fn refuses_text_that_is_no_utf_8(suite: Suite) {
    let served = limited(suite);
    for text in [&b"\xff"[..], b"good\xc3\x28", b"\xed\xa0\x80", b"\xe2\x82"] {
        let mut peer = served.ws("/echo").await;
        peer.send_frame(Frame::text(text)).await;
        ends_with(&mut peer, 1007).await;
    }
    let mut peer = served.ws("/echo").await;
    peer.send_frame(Frame::text(b"good\xff").fin(false)).await;
    ends_with(&mut peer, 1007).await;
    let mut peer = served.ws("/echo").await;
    peer.send_frame(Frame::new(opcode::CLOSE, b"\x03\xe8\xff")).await;
    ends_with(&mut peer, 1007).await;
}

/// 1002 for each rule of RFC 6455 §5.
pub async fn refuses_broken_frames(suite: Suite) {
    let served = limited(suite);
    for frame in [
        Frame::text("x").rsv(0b100),
        Frame::text("x").rsv(0b010),
        Frame::ping("x").rsv(0b001),
        Frame::text("x").unmasked(),
        Frame::ping("x").unmasked(),
        Frame::text("x").length_form(LengthForm::U16),
        Frame::text("x").length_form(LengthForm::U64),
        Frame::binary(vec![0; 200]).length_form(LengthForm::U64),
        Frame::binary("").length_form(LengthForm::Claim(1 << 63)),
        Frame::new(0x3, "x"),
        Frame::new(0x7, "x"),
        Frame::new(0xb, "x"),
        Frame::new(0xf, "x"),
        Frame::ping("x").fin(false),
        Frame::ping(vec![0; 126]),
        Frame::continuation("of nothing"),
    ] {
        refuses(&served, 1002, &[frame]).await;
    }
    let inside = [Frame::text("a").fin(false), Frame::text("b")];
    refuses(&served, 1002, &inside).await;
    served.released().await;
}

/// 1002 for a payload that RFC 6455 §5.5.1 and §7.4 do not allow.
pub async fn refuses_broken_close_frames(suite: Suite) {
    let served = limited(suite);
    refuses(&served, 1002, &[Frame::new(opcode::CLOSE, [3])]).await;
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        refuses(&served, 1002, &[Frame::close(code, "")]).await;
    }
}

async fn refuses(served: &Served, code: u16, frames: &[Frame]) {
    let mut peer = served.ws("/echo").await;
    peer.send_text("fine").await;
    peer.expect_text("fine").await;
    for frame in frames {
        peer.send_frame(frame.clone()).await;
    }
    ends_with(&mut peer, code).await;
}

/// A Close with this code and a short reason, then FIN.
async fn ends_with(peer: &mut Peer, code: u16) {
    let began = Instant::now();
    let reason = peer.expect_close(code).await;
    assert!((1..=60).contains(&reason.len()), "{reason:?}");
    peer.expect_eof().await;
    assert!(began.elapsed() < BOUND, "{code} took {:?}", began.elapsed());
}

/// Messages of 1 KiB in 8 fragments.
fn limited(suite: Suite) -> Served {
    suite.start_with(|hub| {
        hub.limits(|limits| {
            limits.message_bytes = 1024;
            limits.message_fragments = 8;
        })
    })
}

/// Below the deadline for the closing handshake: FIN does not wait for that.
const BOUND: Duration = Duration::from_secs(3);
