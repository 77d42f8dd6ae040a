//! A WebSocket that says who it is in its first message, and how an identity is renewed and ends.

use std::time::{Duration, Instant};

use super::{
    Served, Suite,
    identity::{
        self, BAD, PANICS, SLOW, SOON, UNAVAILABLE, Way, authentication, expired, good, message,
        soon,
    },
    served::ready,
};
use crate::{
    http::End,
    wait,
    ws::{Frame, LengthForm, Peer},
};

/// The handler starts once it is known whose connection it is, and the subscription with it.
pub async fn lets_in_by_the_first_message(suite: Suite) {
    let served = served(suite);
    let mut peer = served.ws("/whoami").await;
    let mut other = served.ws("/ws?topic=a").await;
    assert_eq!((served.stats().identities, served.stats().subscriptions), (0, 0));
    peer.send_text(&message(&good("alice"))).await;
    peer.expect_text("alice").await;
    other.send_text(&message(&good("alice"))).await;
    ready(&mut other).await;
    let stats = served.stats();
    // A handler's connection has one too, to which it may add topics.
    assert_eq!((stats.identities, stats.subscriptions, stats.rejected), (1, 2, 0));
    served.publish("a", "there").await;
    super::served::event(&mut other, "there").await;
    drop((peer, other));
    served.released().await;
}

/// A request that presents a token needs no message, and a stream can't send one.
pub async fn is_no_need_after_a_header(suite: Suite) {
    let served = served(suite);
    identity::ws_of(&served, "alice", "/whoami").await.expect_text("alice").await;
    served.refused(401, &Way::Bearer.present(served.handshake("/whoami"), BAD)).await;
    let response = served.refused(401, &served.request("/events?topic=a")).await;
    assert_eq!(response.header("www-authenticate"), Some("Bearer"));
    served.untouched().await;
}

/// 4408 in time, and nothing was subscribed; neither pings nor half of a message put it off.
pub async fn has_to_come_in_time(suite: Suite) {
    let deadline = Duration::from_millis(200);
    let served = identity::served(suite, authentication().first_message_within(deadline));
    for beginning in [
        Vec::new(),
        Frame::ping("are you there").to_bytes(),
        Frame::text(r#"{"token":"#).fin(false).to_bytes(),
        Frame::text(message(&good("alice"))).to_bytes()[..20].to_vec(),
    ] {
        let began = Instant::now();
        let mut peer = served.ws("/ws?topic=a").await;
        peer.send_raw(&beginning).await;
        if beginning.first() == Some(&0x89) {
            peer.expect_pong(b"are you there").await;
        }
        assert_eq!(served.stats().subscriptions, 0);
        assert_eq!(peer.expect_close(4408).await, "authentication timeout");
        assert!(began.elapsed() >= deadline, "{:?}", began.elapsed());
        drop(peer);
        served.untouched().await;
    }
    assert_eq!(served.stats().rejected, 4);
}

/// 4401 for anything else first, and the handler does not see it.
pub async fn has_to_be_first(suite: Suite) {
    let served = served(suite);
    for frame in [
        Frame::text("hello"),
        Frame::text(""),
        Frame::text(r#"{"token":1}"#),
        Frame::text(r#"{"token":"good.alice.signature","admin":true}"#),
        Frame::text(r#"{"token":"good.alice.signature","token":"good.bob.signature"}"#),
        Frame::text(r#"[{"token":"good.alice.signature"}]"#),
        Frame::text(good("alice")),
        Frame::binary(message(&good("alice"))),
    ] {
        let mut peer = served.ws("/whoami").await;
        peer.send_frame(frame).await;
        assert_eq!(peer.expect_close(4401).await, r#"expected {"token":"…"} first"#);
        drop(peer);
        served.untouched().await;
    }
    let stats = served.stats();
    assert_eq!(stats.rejected, 8);
}

/// 4401 with the reason for a token that is not good, 1013 for one that can't be checked.
pub async fn has_to_be_good(suite: Suite) {
    let quick = authentication().first_message().timeout(Duration::from_millis(100));
    let served = identity::served(suite, quick);
    let expired = expired("alice");
    for (token, code, reason) in [
        (BAD, 4401, "no such token"),
        ("", 4401, "no such token"),
        (&*expired, 4401, "expired"),
        (UNAVAILABLE, 1013, "credentials can't be checked now"),
        (PANICS, 1013, "credentials can't be checked now"),
        (SLOW, 1013, "credentials can't be checked now"),
    ] {
        let mut peer = served.ws("/ws?topic=a").await;
        peer.send_text(&message(token)).await;
        assert_eq!(peer.expect_close(code).await, reason, "{token}");
        drop(peer);
        served.untouched().await;
    }
    assert_eq!(served.stats().rejected, 6);
}

/// 1009 at the header of one that claims 10 MB, and once fragments come to too much.
pub async fn may_not_be_long(suite: Suite) {
    let served = served(suite);
    let mut peer = served.ws("/ws?topic=a").await;
    peer.send_frame(Frame::text("").length_form(LengthForm::Claim(10 << 20))).await;
    assert_eq!(peer.expect_close(1009).await, "message too big");
    drop(peer);
    let mut peer = served.ws("/ws?topic=a").await;
    let third = "x".repeat(3 * 1024);
    peer.send_frame(Frame::text(&*third).fin(false)).await;
    peer.send_frame(Frame::continuation(&*third).fin(false)).await;
    peer.send_frame(Frame::continuation(&*third).fin(false)).await;
    assert_eq!(peer.expect_close(1009).await, "message too big");
    drop(peer);
    let mut peer = served.ws("/ws?topic=a").await;
    peer.send_frame(Frame::text("").fin(false)).await;
    for _ in 0..20 {
        peer.send_frame(Frame::continuation("").fin(false)).await;
    }
    assert_eq!(peer.expect_close(1008).await, "too many fragments");
    drop(peer);
    served.untouched().await;
    // What it is for has room, and after it the limits are the connection's own.
    let mut peer = served.ws("/whoami").await;
    let long = format!("good.alice.{}", "x".repeat(8_000));
    peer.send_text(&message(&long)).await;
    peer.expect_text("alice").await;
    let text = "y".repeat(60_000);
    peer.send_text(&text).await;
    peer.expect_text(&text).await;
}

/// In any segments: byte by byte, in fragments, in the handshake's own, and with the pings before
/// answered.
pub async fn may_come_in_pieces(suite: Suite) {
    let served = served(suite);
    let mut peer = served.ws("/whoami").await;
    peer.one_byte_at_a_time(true);
    peer.send_ping(b"early").await;
    peer.expect_pong(b"early").await;
    peer.send_text(&message(&good("alice"))).await;
    peer.expect_text("alice").await;
    drop(peer);

    let mut peer = served.ws("/whoami").await;
    peer.send_frame(Frame::text(r#"{"token":"good.al"#).fin(false)).await;
    peer.send_ping(b"between").await;
    peer.send_frame(Frame::continuation(r#"ice.signature"}"#)).await;
    peer.expect_pong(b"between").await;
    peer.expect_text("alice").await;
    drop(peer);

    let frame = Frame::text(message(&good("alice"))).to_bytes();
    let peer = Peer::handshake_with_trailing(served.addr(), "/whoami", &[], &frame).await;
    peer.expect("let in").expect_text("alice").await;
    served.untouched().await;
}

/// Messages in the same segment reach the handler after it, none before.
pub async fn is_before_those_behind_it(suite: Suite) {
    let served = served(suite);
    let mut peer = served.ws("/whoami").await;
    let frames = [message(&good("alice")), "one".into(), "two".into(), "three".into()];
    let segment: Vec<u8> = frames.into_iter().flat_map(|it| Frame::text(it).to_bytes()).collect();
    peer.send_raw(&segment).await;
    for text in ["alice", "one", "two", "three"] {
        peer.expect_text(text).await;
    }
    drop(peer);
    let mut peer = served.ws("/whoami").await;
    let frames = [message(BAD), "one".into()];
    let segment: Vec<u8> = frames.into_iter().flat_map(|it| Frame::text(it).to_bytes()).collect();
    peer.send_raw(&segment).await;
    assert_eq!(peer.expect_close(4401).await, "no such token");
    drop(peer);
    served.untouched().await;
}

/// A second one of the same subject is a refresh, which the handler does not see; one of another
/// subject is 4403, a bad one 4401. One that can't be checked changes nothing.
pub async fn may_come_again(suite: Suite) {
    let quick = authentication().first_message().timeout(Duration::from_millis(100));
    let served = identity::served(suite, quick);
    for (token, close) in [
        (good("bob"), Some((4403, "the subject must stay the same"))),
        (BAD.to_owned(), Some((4401, "no such token"))),
        (expired("alice"), Some((4401, "expired"))),
        (good("alice"), None),
        (UNAVAILABLE.to_owned(), None),
        (PANICS.to_owned(), None),
        (SLOW.to_owned(), None),
    ] {
        let mut peer = served.ws("/whoami").await;
        peer.send_text(&message(&good("alice"))).await;
        peer.expect_text("alice").await;
        peer.send_text(&message(&token)).await;
        peer.send_text("and on").await;
        match close {
            Some((code, reason)) => assert_eq!(peer.expect_close(code).await, reason, "{token}"),
            None => peer.expect_text("and on").await,
        }
        drop(peer);
        served.untouched().await;
    }
}

/// Where it is optional the handler starts with nobody, and the first token gives an identity.
pub async fn is_optional_where_told_so(suite: Suite) {
    let served = identity::served(suite, authentication().first_message().optional());
    let mut peer = served.ws("/whoami").await;
    peer.expect_text("anonymous").await;
    peer.send_text("hello").await;
    peer.expect_text("hello").await;
    assert_eq!(served.stats().identities, 0);
    peer.send_text(&message(&good("alice"))).await;
    wait::until("alice is known", || served.stats().identities == 1).await;
    assert_eq!(served.hub().disconnect("alice", "blocked"), 1);
    assert_eq!(peer.expect_close(4401).await, "blocked");
    drop(peer);
    served.untouched().await;
}

/// A client that goes away while its token is checked gives everything back.
pub async fn lets_go_of_who_leaves_during_the_check(suite: Suite) {
    let quick = authentication().first_message().timeout(Duration::from_secs(1));
    let served = identity::served(suite, quick);
    for is_reset in [true, false] {
        let mut peer = served.ws("/ws?topic=a").await;
        peer.send_text(&message(SLOW)).await;
        if is_reset {
            peer.reset();
        } else {
            drop(peer);
        }
        served.untouched().await;
    }
}

/// 4401 for a WebSocket, `realtime.bye` for a stream, in whichever way they came in.
pub async fn identity_ends_when_it_expires(suite: Suite) {
    let served = served(suite);
    let began = Instant::now();
    let mut by_message = served.ws("/whoami").await;
    by_message.send_text(&message(&soon("alice"))).await;
    let by_header = Way::Bearer.present(served.handshake("/ws?topic=a"), &soon("alice"));
    let mut by_header = served.open(&by_header).await;
    let mut stream =
        served.stream(&Way::Bearer.present(served.request("/mine"), &soon("bob"))).await;
    let mut lasting = identity::ws_of(&served, "alice", "/whoami").await;
    assert_eq!(served.stats().identities, 2);

    by_message.expect_text("alice").await;
    assert_eq!(by_message.expect_close(4401).await, "expired");
    assert!(began.elapsed() >= SOON, "{:?}", began.elapsed());
    ready(&mut by_header).await;
    assert_eq!(by_header.expect_close(4401).await, "expired");
    let bye = stream.expect_event().await;
    assert_eq!((&*bye.event, &*bye.data), ("realtime.bye", r#"{"reason":"expired"}"#));
    assert_eq!(stream.expect_end().await, End::Clean);
    lasting.expect_text("alice").await;
    lasting.send_text("still here").await;
    lasting.expect_text("still here").await;
    drop((by_message, by_header, stream, lasting));
    served.untouched().await;
}

/// A refresh in time puts the end off, however the first identity came.
pub async fn identity_lasts_as_the_refresh_says(suite: Suite) {
    let served = served(suite);
    let mut peer =
        served.open(&Way::Bearer.present(served.handshake("/whoami"), &soon("alice"))).await;
    peer.expect_text("alice").await;
    peer.send_text(&message(&good("alice"))).await;
    let mut other = served.ws("/whoami").await;
    other.send_text(&message(&soon("alice"))).await;
    other.expect_text("alice").await;
    // The end of this one is after the end that was put off.
    assert_eq!(other.expect_close(4401).await, "expired");
    peer.send_text("still here").await;
    peer.expect_text("still here").await;
    // And it can be made to end soon.
    peer.send_text(&message(&soon("alice"))).await;
    assert_eq!(peer.expect_close(4401).await, "expired");
    drop((peer, other));
    served.untouched().await;
}

/// `Hub::disconnect` ends all of a subject's connections at once, and nobody else's.
pub async fn identity_ends_when_it_is_revoked(suite: Suite) {
    let served = served(suite);
    let mut alice = identity::ws_of(&served, "alice", "/whoami").await;
    let mut second = served.ws("/whoami").await;
    second.send_text(&message(&good("alice"))).await;
    let mut stream = identity::sse_of(&served, "alice", "/mine").await;
    let mut bob = identity::ws_of(&served, "bob", "/whoami").await;
    let mut bobs = identity::sse_of(&served, "bob", "/mine").await;
    for (peer, subject) in [(&mut alice, "alice"), (&mut second, "alice"), (&mut bob, "bob")] {
        peer.expect_text(subject).await;
    }
    assert_eq!(served.hub().disconnect("nobody", "blocked"), 0);
    assert_eq!(served.hub().disconnect("alice", "blocked"), 3);
    assert_eq!(alice.expect_close(4401).await, "blocked");
    assert_eq!(second.expect_close(4401).await, "blocked");
    let bye = stream.expect_event().await;
    assert_eq!((&*bye.event, &*bye.data), ("realtime.bye", r#"{"reason":"blocked"}"#));
    assert_eq!(stream.expect_end().await, End::Clean);
    drop((alice, second, stream));
    wait::until("alice is gone", || served.stats().identities == 1).await;

    bob.send_text("still here").await;
    bob.expect_text("still here").await;
    served.publish("user.bob", "still there").await;
    assert_eq!(bobs.expect_event().await.data, "still there");
    // Who is revoked may come back with what is still good.
    identity::ws_of(&served, "alice", "/whoami").await.expect_text("alice").await;
    drop((bob, bobs));
    served.released().await;
}

/// 4429 for whose turn to be checked does not come, since so much of its address is; who comes from
/// another one is checked at once, and what has an identity already keeps it.
pub async fn is_not_kept_waiting_by_another_address(suite: Suite) {
    let few = authentication().first_message().timeout(Duration::from_secs(4)).concurrency(4);
    let served = identity::served(suite, few);
    let mut inside = identity::ws_of(&served, "alice", "/whoami").await;
    inside.expect_text("alice").await;
    let mut busy = served.ws("/whoami").await;
    busy.send_text(&message(SLOW)).await;
    wait::until("its check goes on", || served.stats().messages_received == 1).await;
    inside.send_text(&message(&good("alice"))).await;
    let mut next = served.ws("/whoami").await;
    next.send_text(&message(&good("bob"))).await;
    let mut other = Peer::connect(served.from([127, 0, 0, 2].into()), "/whoami", &[]).await;
    other.send_text(&message(&good("carol"))).await;
    other.expect_text("carol").await;
    assert_eq!(next.expect_close(4429).await, "too many checks of credentials");
    assert_eq!(busy.expect_close(1013).await, "credentials can't be checked now");
    inside.send_text("still here").await;
    inside.expect_text("still here").await;
    drop((inside, busy, next, other));
    served.untouched().await;
}

/// What is revoked while it is being checked is not let in.
pub async fn identity_is_not_let_in_once_revoked(suite: Suite) {
    let authentication = realtime_core::Authentication::new(late).first_message();
    let served = identity::served(suite, authentication);
    let mut peer = served.ws("/ws?topic=a").await;
    peer.send_text(&message("alice")).await;
    wait::until("the check goes on", || served.stats().messages_received == 1).await;
    served.hub().disconnect("alice", "blocked");
    assert_eq!(peer.expect_close(4401).await, "revoked while it was being checked");
    drop(peer);
    served.untouched().await;
}

async fn late(
    credentials: realtime_core::Credentials,
) -> Result<realtime_core::Identity, realtime_core::AuthenticateError> {
    tokio::time::sleep(SOON).await;
    Ok(realtime_core::Identity::new(credentials.token.expose()))
}

fn served(suite: Suite) -> Served {
    identity::served(suite, authentication().first_message())
}
