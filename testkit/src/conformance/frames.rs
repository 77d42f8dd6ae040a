//! Frames that are right, however they are cut.

use super::Suite;
use crate::ws::{Frame, Peer};

/// A message in parts, with pings between them that are answered at once.
pub async fn puts_fragments_together_around_control_frames(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/echo").await;
    peer.send_frame(Frame::text("one, ").fin(false)).await;
    peer.send_ping(b"between").await;
    peer.expect_pong(b"between").await;
    peer.send_frame(Frame::continuation("two, ").fin(false)).await;
    peer.send_pong(b"for nobody").await;
    peer.send_frame(Frame::continuation("").fin(false)).await;
    peer.send_frame(Frame::continuation("three")).await;
    peer.expect_text("one, two, three").await;

    let euro = "€".as_bytes();
    peer.send_frame(Frame::text(&euro[..1]).fin(false)).await;
    peer.send_frame(Frame::continuation(&euro[1..2]).fin(false)).await;
    peer.send_frame(Frame::continuation(&euro[2..])).await;
    peer.expect_text("€").await;
    peer.send_frame(Frame::binary([0xff]).fin(false)).await;
    peer.send_frame(Frame::continuation([0xfe])).await;
    peer.expect_binary(&[0xff, 0xfe]).await;
}

/// The same dialogue as ever when no two bytes come together.
pub async fn reads_one_byte_at_a_time(suite: Suite) {
    let served = suite.start();
    let mut peer = served.ws("/echo").await;
    peer.one_byte_at_a_time(true);
    peer.send_text("größe").await;
    peer.expect_text("größe").await;
    peer.send_frame(Frame::binary(vec![7; 200]).fin(false)).await;
    peer.send_ping(b"between").await;
    peer.expect_pong(b"between").await;
    peer.send_frame(Frame::continuation("")).await;
    peer.expect_binary(&[7; 200]).await;
    peer.send_close(3999, "bye").await;
    peer.expect_close(3999).await;
    peer.expect_eof().await;
}

/// A client may send before it has our answer, and the bytes lie with the handshake's.
pub async fn reads_a_frame_in_the_handshakes_segment(suite: Suite) {
    let served = suite.start();
    for _ in 0..10 {
        let mut early = Frame::text("early").to_bytes();
        early.extend(Frame::ping("p").to_bytes());
        let cut = Frame::text("and the rest").to_bytes();
        early.extend(&cut[..3]);
        let peer = Peer::handshake_with_trailing(served.addr(), "/echo", &[], &early).await;
        let mut peer = peer.expect("an accepted handshake");
        let mut received = [peer.recv().await.to_string(), peer.recv().await.to_string()];
        // A pong may go ahead of data.
        received.sort();
        assert!(received[0].starts_with("pong \"p\""), "{received:?}");
        assert!(received[1].starts_with("text \"early\""), "{received:?}");
        peer.send_raw(&cut[3..]).await;
        peer.expect_text("and the rest").await;
    }
}

/// Each of the three forms at its edges, in both directions.
pub async fn carries_every_form_of_length(suite: Suite) {
    let served = suite.start_with(|hub| hub.limits(|limits| limits.message_bytes = 100_000));
    let mut peer = served.ws("/echo").await;
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
        let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
        peer.send_binary(&bytes).await;
        peer.expect_binary(&bytes).await;
    }
}
