//! Identities that a handler finds out: by a token that came its own way, or by itself.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::{
    LimitReached, Token,
    auth::{AuthenticateError, Authentication, Credentials, Identity},
};

fn hub(authentication: Authentication) -> Hub {
    Hub::builder().authentication(authentication).build().unwrap()
}

/// A connection of nobody's, and the handler's end of it.
fn nobodys(hub: &Hub) -> (Session, Socket) {
    let request = Request::let_in(hub, &Head::websocket()).unwrap();
    let (_, session, socket) = request.open_with_socket(now()).unwrap();
    (session, socket)
}

/// Anybody is who it says it is.
fn anybody() -> Authentication {
    let check = async |it: Credentials| Ok(Identity::new(it.token.expose().to_owned()));
    Authentication::new(check).optional()
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_a_handler_proves_counts_at_once() {
    let hub = Hub::builder()
        .authentication(anybody())
        .limits(|limits| limits.connections_per_subject = 1)
        .build()
        .unwrap();
    let (mut session, mut socket) = nobodys(&hub);
    let (_other, mut another) = nobodys(&hub);
    socket.refresh(Token::new("alice")).await.unwrap();
    assert_eq!(hub.stats().identities, 1, "before the session has seen it");
    let full = another.refresh(Token::new("alice")).await.unwrap_err();
    let limit = LimitReached::ConnectionsPerSubject { max: 1 };
    assert_eq!((full, another.identity().is_none()), (limit.into(), true));
    another.refresh(Token::new("bob")).await.unwrap();
    // It has its place already.
    socket.refresh(Token::new("alice")).await.unwrap();
    let _ = session.poll_transmit(&mut Context::from_waker(Waker::noop()), now());
    assert_eq!((session.status(), hub.stats().identities), (crate::ws::Status::Open, 2));
    drop((session, socket));
    another.refresh(Token::new("carol")).await.unwrap_err();
    assert_eq!(hub.stats().identities, 1);
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_a_handler_proved_can_be_revoked_at_once() {
    let hub = hub(anybody());
    let (mut session, mut socket) = nobodys(&hub);
    socket.refresh(Token::new("alice")).await.unwrap();
    assert_eq!(hub.disconnect("alice", "banned"), 1, "before the session has seen it");
    let _ = session.poll_transmit(&mut Context::from_waker(Waker::noop()), now());
    let written: Vec<u8> = session.chunks().flatten().copied().collect();
    assert_eq!(written, b"\x88\x08\x11\x31banned");
    drop((session, socket));
    // When it has, a connection on which nothing happens is woken.
    let (mut client, _server) = connect(&hub, 4096, &[], async |mut socket: Socket| {
        socket.refresh(Token::new("alice")).await.unwrap();
        idle(socket).await;
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(hub.disconnect("alice", "banned"), 1);
    let began = Clock::now();
    assert_eq!(client.next().await, Some(close(4401, "banned")));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_is_revoked_while_a_handler_asks_is_not_taken_for_it() {
    let (asked, answer) =
        (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let check = {
        let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
        move |_: Credentials| {
            let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
            async move {
                asked.notify_one();
                answer.notified().await;
                Ok(Identity::new("alice"))
            }
        }
    };
    let hub = hub(Authentication::new(check).optional());
    let (_session, mut socket) = nobodys(&hub);
    let refreshing = socket.refresh(Token::new("x"));
    let revoking = async {
        asked.notified().await;
        assert_eq!(hub.disconnect("alice", "banned"), 0);
        answer.notify_one();
    };
    let (refreshed, ()) = futures_util::future::join(refreshing, revoking).await;
    let refused = "revoked while it was being checked";
    assert_eq!(refreshed.unwrap_err(), AuthenticateError::invalid(refused).into());
    assert_eq!((socket.identity().is_none(), hub.stats().identities), (true, 0));
}

#[tokio::test(start_paused = true)]
async fn who_is_revoked_since_a_watch_began_is_not_identified() {
    let hub = Hub::new();
    let watch = hub.watch_revocations();
    hub.disconnect("alice", "banned");
    let identify = |watch, subject: &'static str| {
        crate::sse::Request::let_in(&hub, &Head::get())
            .unwrap()
            .identify_since(watch, Identity::new(subject))
    };
    assert_eq!(identify(watch, "alice").unwrap_err().status(), 401);
    let (late, early) = (hub.watch_revocations(), hub.watch_revocations());
    assert_eq!(identify(late, "alice").unwrap().identity().unwrap().subject(), "alice");
    hub.disconnect("alice", "banned");
    assert!(identify(early, "bob").is_ok(), "another");
    let elsewhere = Hub::new().watch_revocations();
    assert_eq!(identify(elsewhere, "bob").unwrap_err().status(), 500);
    let forgotten = hub.watch_revocations();
    (0..2000).for_each(|_| _ = hub.disconnect("carol", "banned"));
    assert_eq!(identify(forgotten, "bob").unwrap_err().status(), 503);
    assert_eq!((hub.stats().identities, hub.stats().connections_sse), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn refreshes_that_fail_are_counted_before_anybody_is_asked() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let check = move |_: Credentials| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Err::<Identity, _>(AuthenticateError::invalid("as the test asked")) }
    };
    let hub = hub(Authentication::new(check).optional());
    let (mut client, server) = connect(&hub, 1 << 16, &[], async |mut socket: Socket| {
        while socket.recv().await.is_some() {
            let _ = socket.refresh(Token::new("bad")).await;
        }
    });
    for _ in 0..200 {
        client.send(Sent::text("again")).await;
    }
    let closed = loop {
        match client.next().await {
            Some((opcode::PING, _)) => {}
            other => break other,
        }
    };
    assert_eq!(closed, Some(close(4429, "too fast")));
    assert_eq!(asked.load(Ordering::Relaxed), 5);
    drop(client);
    assert_eq!(server.await.unwrap(), CloseCause::TooFast);
}
