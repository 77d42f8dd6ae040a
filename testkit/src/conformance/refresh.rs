//! `Socket::refresh`: tokens that come by messages of the application's own.

use realtime_core::Rate;

use super::{
    Served, Suite,
    identity::{self, BAD, CAUSE, UNAVAILABLE, authentication, good, soon},
};
use crate::{wait, ws::Peer};

/// The end is as the last token says, later or sooner; one that is not taken changes nothing.
pub async fn puts_the_end_off(suite: Suite) {
    let served = identity::served_with(suite, authentication().optional(), |hub| {
        hub.limits(|limits| limits.refreshes = OFTEN)
    });
    let mut peer = open_as(&served, &soon("alice")).await;
    for (token, answer) in [
        (good("alice"), "alice"),
        (soon("mallory"), "the subject must stay the same"),
        (BAD.to_owned(), "no such token"),
    ] {
        peer.send_text(&token).await;
        peer.expect_text(answer).await;
    }
    peer.send_text(UNAVAILABLE).await;
    peer.expect_text(&format!("credentials can't be checked now: {CAUSE}")).await;
    // The end of this one is after the end that was put off.
    let mut other = open_as(&served, &soon("bob")).await;
    assert_eq!(other.expect_close(4401).await, "expired");
    peer.send_text(&soon("alice")).await;
    peer.expect_text("alice").await;
    assert_eq!(peer.expect_close(4401).await, "expired");
    assert_eq!(served.stats().rejected, 0, "nobody was refused a connection");
    drop((peer, other));
    served.untouched().await;
}

/// Who proves an identity in the course of a connection has a place of that identity's from then on,
/// and is told when there is none left.
pub async fn counts_as_one_of_the_identity(suite: Suite) {
    let served = identity::served_with(suite, authentication().optional(), |hub| {
        hub.limits(|limits| {
            limits.connections_per_subject = 1;
            limits.refreshes = OFTEN;
        })
    });
    let alice = open_as(&served, &good("alice")).await;
    let mut second = served.ws("/refresh").await;
    let full = "1 connections are open for this identity, and no more are allowed";
    for _ in 0..3 {
        second.send_text(&good("alice")).await;
        second.expect_text(full).await;
    }
    let request = identity::Way::Bearer.present(served.request("/mine"), &good("alice"));
    served.refused(429, &request).await;
    // It is still nobody, and may be somebody else, as often as it likes.
    for _ in 0..3 {
        second.send_text(&good("bob")).await;
        second.expect_text("bob").await;
    }
    assert_eq!(served.stats().identities, 2);
    drop(alice);
    wait::until("alice is gone", || served.stats().identities == 1).await;
    let alice = identity::sse_of(&served, "alice", "/mine").await;
    drop((alice, second));
    served.untouched().await;
}

/// `Hub::disconnect` ends it, also where nothing happens on the connection.
pub async fn ends_when_it_is_revoked(suite: Suite) {
    let served = identity::served(suite, authentication().optional());
    let (mut first, mut again) = (served.ws("/refresh").await, served.ws("/refresh").await);
    for (peer, times) in [(&mut first, 1), (&mut again, 3)] {
        for _ in 0..times {
            peer.send_text(&good("alice")).await;
            peer.expect_text("alice").await;
        }
    }
    let mut nobody = served.ws("/refresh").await;
    assert_eq!(served.hub().disconnect("alice", "blocked"), 2);
    assert_eq!(first.expect_close(4401).await, "blocked");
    assert_eq!(again.expect_close(4401).await, "blocked");
    nobody.send_text(&good("bob")).await;
    nobody.expect_text("bob").await;
    drop((first, again, nobody));
    served.untouched().await;
}

/// A connection of nobody's that then is whose token this is.
async fn open_as(served: &Served, token: &str) -> Peer {
    let mut peer = served.ws("/refresh").await;
    peer.send_text(token).await;
    let subject = token.split('.').nth(1).expect("a subject");
    peer.expect_text(subject).await;
    peer
}

/// What is looked at here is not how often.
const OFTEN: Rate = Rate::per_second(100);
