//! Finding out who a peer is, with checks that take their time.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::{
    auth::{AuthenticateError, Authentication, Credentials, Identity},
    driver::accept_event_stream,
};

fn bearer(token: &str) -> Head {
    Head::get().with("authorization", format!("Bearer {token}"))
}

fn hub(authentication: Authentication) -> Hub {
    Hub::builder().authentication(authentication).build().unwrap()
}

async fn status(hub: &Hub, head: &Head) -> u16 {
    accept_event_stream(hub, head).await.map_or_else(|rejection| rejection.status(), |_| 200)
}

#[tokio::test(start_paused = true)]
async fn a_check_that_takes_too_long_is_an_overload_and_leaves_nothing() {
    let never = async |_: Credentials| std::future::pending().await;
    let hub = hub(Authentication::new(never));
    let began = Clock::now();
    assert_eq!(status(&hub, &bearer("x")).await, 503);
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert_eq!((hub.stats().connections_sse, hub.stats().rejected), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn no_more_checks_run_at_once_than_allowed() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let check = {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        move |_: Credentials| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(Identity::new("alice"))
            }
        }
    };
    let hub = hub(Authentication::new(check).concurrency(3));
    let began = Clock::now();
    let checks = (0..9).map(|_| accept_event_stream(&hub, &bearer("x")));
    let outcomes = futures_util::future::join_all(checks).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    assert_eq!(hub.stats().identities, 1);
    drop(outcomes);
    assert_eq!((hub.stats().identities, hub.stats().connections_sse), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_or_is_dropped_gives_its_place_back() {
    let check = async |credentials: Credentials| match credentials.token.expose() {
        "panic" => std::panic::resume_unwind(Box::new("as asked")),
        "slow" => std::future::pending().await,
        subject => Ok(Identity::new(subject.to_owned())),
    };
    let hub = hub(Authentication::new(check).concurrency(1));
    assert_eq!(status(&hub, &bearer("panic")).await, 503);
    let head = bearer("slow");
    let slow = tokio::time::timeout(Duration::from_secs(1), status(&hub, &head));
    assert!(slow.await.is_err());
    assert_eq!(hub.stats().connections_sse, 0);
    assert_eq!(status(&hub, &bearer("alice")).await, 200);
}

#[tokio::test(start_paused = true)]
async fn who_is_revoked_during_the_check_is_refused() {
    let check = async |_: Credentials| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Identity::new("alice"))
    };
    let hub = hub(Authentication::new(check));
    let accepting = tokio::spawn(accept_event_stream(&hub, &bearer("x")));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(hub.disconnect("alice", "banned"), 0);
    assert_eq!(accepting.await.unwrap().unwrap_err().status(), 401);
    assert_eq!(status(&hub, &bearer("x")).await, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_or_wrong_is_401_and_says_so() {
    let check = async |credentials: Credentials| match credentials.token.expose() {
        "good" => Ok(Identity::new("alice")),
        _ => Err(AuthenticateError::invalid("no such session")),
    };
    let hub = hub(Authentication::new(check).cookie("session"));
    let rejected = async |head: Head| accept_event_stream(&hub, &head).await.unwrap_err();
    let missing = rejected(Head::get()).await;
    let headers: Vec<_> = missing.headers().collect();
    assert!(headers.contains(&("www-authenticate", "Bearer")), "{headers:?}");
    let wrong = rejected(bearer("bad")).await;
    assert_eq!(wrong.to_string(), "401: no such session");
    assert_eq!(rejected(bearer("bad").with("cookie", "session=good")).await.status(), 401);
    assert_eq!(status(&hub, &Head::get().with("cookie", "session=good")).await, 200);
    let expired = Identity::new("bob").expires_at(std::time::SystemTime::UNIX_EPOCH);
    let request = accept_event_stream(&hub, &bearer("good")).await.unwrap();
    assert_eq!(request.identify(expired).unwrap_err().status(), 401);
    assert_eq!(hub.stats().connections_sse, 0);
}

#[tokio::test(start_paused = true)]
async fn a_first_message_is_checked_and_then_the_handler_runs() {
    let check = async |credentials: Credentials| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Identity::new(credentials.token.expose().to_owned()))
    };
    let hub = hub(Authentication::new(check).first_message());
    let ran = Arc::new(AtomicBool::new(false));
    let handler = {
        let ran = Arc::clone(&ran);
        async move |mut socket: Socket| {
            ran.store(true, Ordering::SeqCst);
            let subject = socket.identity().map(|it| it.subject().to_owned());
            socket.send(Message::text(subject.unwrap())).await.unwrap();
            echo(socket).await;
        }
    };
    let (mut client, _server) = connect(&hub, 4096, &[], handler);
    client.send(Sent::text(r#"{"token":"alice"}"#)).await;
    client.send(Sent::text("hello")).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(!ran.load(Ordering::SeqCst));
    assert_eq!(client.next().await, Some(text("alice")));
    assert_eq!(client.next().await, Some(text("hello")));
    assert_eq!(hub.disconnect("alice", "enough"), 1);
    assert_eq!(client.next().await, Some(close(4401, "enough")));
}

#[tokio::test(start_paused = true)]
async fn no_handler_runs_for_who_is_known_and_turned_away() {
    let check = async |_: Credentials| Ok(Identity::new("alice"));
    let authentication = || Authentication::new(check).first_message();
    let forbidding = Hub::builder()
        .authentication(authentication())
        .authorize(|_: Option<&Identity>, _, _: &crate::TopicName| false)
        .build()
        .unwrap();
    let full = Hub::builder()
        .authentication(authentication())
        .limits(|limits| limits.connections_per_subject = 1)
        .build()
        .unwrap();
    let _place = full.permits().watch().establish("alice", 1).unwrap();
    for (hub, code) in [(forbidding, 4403_u16), (full, 4429)] {
        let ran = Arc::new(AtomicBool::new(false));
        let handler = {
            let ran = Arc::clone(&ran);
            async move |socket: Socket| {
                ran.store(true, Ordering::SeqCst);
                idle(socket).await;
            }
        };
        let (mut client, server) = connect(&hub, 4096, &[], handler);
        client.send(Sent::text(r#"{"token":"alice"}"#)).await;
        let (opcode, payload) = client.next().await.unwrap();
        assert_eq!((opcode, &payload[..2]), (opcode::CLOSE, &code.to_be_bytes()[..]));
        client.send(Sent::close(code, "")).await;
        server.await.unwrap();
        assert!(!ran.load(Ordering::SeqCst), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_in_one_segment_are_checked_one_after_the_other_and_at_once() {
    let check = async |credentials: Credentials| {
        tokio::task::yield_now().await;
        Ok(Identity::new(credentials.token.expose().to_owned()))
    };
    let hub = hub(Authentication::new(check).first_message());
    let tokens = ["alice", "alice", "alice", "mallory"];
    let early: Vec<u8> = tokens
        .iter()
        .flat_map(|subject| Sent::text(format!(r#"{{"token":"{subject}"}}"#)).to_bytes())
        .collect();
    let began = Clock::now();
    let (mut client, _server) = connect(&hub, 4096, &early, idle);
    assert_eq!(client.next().await, Some(close(4403, "the subject must stay the same")));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_handler_refreshes_with_tokens_of_its_own_protocol() {
    let check = async |credentials: Credentials| {
        let (subject, seconds) = credentials.token.expose().split_once(' ').unwrap();
        let expires = std::time::SystemTime::now() + Duration::from_secs(seconds.parse().unwrap());
        Ok(Identity::new(subject.to_owned()).expires_at(expires))
    };
    let hub = hub(Authentication::new(check).optional());
    let (mut client, server) = connect(&hub, 4096, &[], async |mut socket: Socket| {
        while let Some(message) = socket.recv().await {
            let token = crate::Token::new(message.as_text().unwrap().to_owned());
            let answer = match socket.refresh(token).await {
                Ok(identity) => {
                    assert_eq!(socket.identity().unwrap().expiry(), identity.expiry(), "at once");
                    identity.subject().to_owned()
                }
                Err(error) => error.to_string(),
            };
            socket.send(Message::text(answer)).await.unwrap();
        }
    });
    for (token, answer) in [
        ("alice 10", "alice"),
        ("mallory 10", "the subject must stay the same"),
        ("alice 20", "alice"),
    ] {
        client.send(Sent::text(token)).await;
        assert_eq!(client.next().await, Some(text(answer)));
    }
    let began = Clock::now();
    assert_eq!(client.next().await, Some(close(4401, "expired")));
    assert!(began.elapsed() > Duration::from_secs(15), "{:?}", began.elapsed());
    drop(client);
    assert_eq!(server.await.unwrap(), CloseCause::Expired);
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_may_is_decided_anew_as_soon_as_it_has_refreshed() {
    let check = async |credentials: Credentials| {
        Ok(Identity::new("alice").with(credentials.token.expose().to_owned()))
    };
    let hub = Hub::builder()
        .authentication(Authentication::new(check).optional())
        .authorize(|identity: Option<&Identity>, _, _: &crate::TopicName| {
            identity.and_then(Identity::get::<String>).is_some_and(|role| role == "editor")
        })
        .build()
        .unwrap();
    let request = Request::let_in(&hub, &Head::websocket()).unwrap();
    let (_, mut session, mut socket) = request.open_with_socket(now()).unwrap();
    for (role, may) in [("editor", true), ("reader", false), ("editor", true)] {
        socket.refresh(crate::Token::new(role)).await.unwrap();
        assert_eq!(socket.publish("news", Event::text("x")).await.is_ok(), may, "{role}");
        assert_eq!(socket.subscribe("news").is_ok(), may, "{role}");
        socket.unsubscribe("news").unwrap();
    }
    let _ = session.poll_transmit(&mut Context::from_waker(Waker::noop()), now());
    assert_eq!(session.status(), crate::ws::Status::Open);
}

#[tokio::test(start_paused = true)]
async fn who_is_revoked_stays_so_though_a_handler_identifies_it_again() {
    let check = async |_: Credentials| Ok(Identity::new("alice"));
    let hub = hub(Authentication::new(check));
    let request = accept_event_stream(&hub, &bearer("x")).await.unwrap();
    assert_eq!(hub.disconnect("alice", "banned"), 1);
    assert_eq!(request.identify(Identity::new("alice")).unwrap_err().status(), 401);
    assert_eq!((hub.stats().identities, hub.stats().connections_sse), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn of_many_refreshes_at_once_the_last_one_counts_and_they_take_no_stack() {
    let check = async |credentials: Credentials| {
        Ok(Identity::new("alice").with(credentials.token.expose().to_owned()))
    };
    let hub = Hub::builder()
        .authentication(Authentication::new(check).optional())
        .limits(|limits| limits.refreshes = crate::Rate::per_second(u32::MAX))
        .authorize(|identity: Option<&Identity>, _, topic: &crate::TopicName| {
            let role = identity.and_then(Identity::get::<String>);
            role.is_some_and(|role| role == "admin") || topic.as_str() == "a.public"
        })
        .build()
        .unwrap();
    let request = Request::let_in(&hub, &Head::websocket()).unwrap().format(Format::Raw);
    let request = request.subscribe(crate::Subscribe::pattern("a.*"));
    let (_, mut session, mut socket) = request.open_with_socket(now()).unwrap();
    for role in ["admin", "user"].repeat(20_000) {
        socket.refresh(crate::Token::new(role)).await.unwrap();
    }
    let mut cx = Context::from_waker(Waker::noop());
    let _ = session.poll_transmit(&mut cx, now());
    hub.publish("a.secret", Event::text("secret")).await.unwrap();
    hub.publish("a.public", Event::text("public")).await.unwrap();
    let _ = session.poll_transmit(&mut cx, now());
    let written: Vec<u8> = session.chunks().flatten().copied().collect();
    assert_eq!(written, b"\x81\x06public");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_knows_who_it_is_needs_no_first_message() {
    let never = async |_: Credentials| std::future::pending().await;
    let hub = hub(Authentication::new(never).first_message());
    let request = Request::let_in(&hub, &Head::websocket()).unwrap();
    let request = request.identify(Identity::new("alice")).unwrap();
    let (_, session, socket) = request.open_with_socket(now()).unwrap();
    assert!(session.is_admitted());
    assert_eq!(socket.identity().unwrap().subject(), "alice");
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_ends_when_its_identity_does() {
    use futures_util::StreamExt;

    let hub = Hub::new();
    let open = |identity: Identity| {
        let request = sse_request(&hub).identify(identity).unwrap();
        Body::open(request, "a").unwrap().1
    };
    let expires = std::time::SystemTime::now() + Duration::from_secs(10);
    let mut expiring = open(Identity::new("alice").expires_at(expires));
    let mut revoked = open(Identity::new("bob"));
    let began = Clock::now();
    assert!(expiring.next().await.is_some());
    assert!(revoked.next().await.is_some());
    let rest: Vec<_> = expiring.collect().await;
    assert_eq!(
        rest,
        [r#"event: realtime.bye
data: {"reason":"expired"}

"#]
    );
    assert!((9..=11).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let waiting = tokio::spawn(async move { revoked.collect::<Vec<_>>().await });
    tokio::task::yield_now().await;
    assert_eq!(hub.disconnect("bob", "logged out"), 1);
    let rest = waiting.await.unwrap();
    assert!(rest.last().unwrap().ends_with(b"{\"reason\":\"logged out\"}\n\n"), "{rest:?}");
    assert_eq!((hub.stats().identities, hub.stats().connections_sse), (0, 0));
}

fn sse_request(hub: &Hub) -> crate::sse::Request {
    crate::sse::Request::let_in(hub, &Head::get()).unwrap()
}

fn from(network: u8) -> Head {
    let peer = std::net::SocketAddr::from(([192, 0, 2, network], 40_000));
    Head { peer: Some(peer), ..bearer("slow") }
}

/// An address whose checks do not end has its share of the turns, and others are checked at once.
#[tokio::test(start_paused = true)]
async fn one_address_does_not_keep_others_from_being_checked() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::clone(&running);
    let check = move |credentials: Credentials| {
        let running = Arc::clone(&running);
        async move {
            if credentials.token.expose() == "slow" {
                running.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
            Ok(Identity::new("alice"))
        }
    };
    let hub = hub(Authentication::new(check).concurrency(8));
    let began = Clock::now();
    let flood = (0..100).map(|_| accept_event_stream(&hub, &from(1)));
    let flood = tokio::spawn(futures_util::future::join_all(flood));
    tokio::task::yield_now().await;
    assert_eq!(most.load(Ordering::SeqCst), 2, "a quarter");
    let other = Head { peer: from(2).peer, ..bearer("quick") };
    assert_eq!(status(&hub, &other).await, 200);
    assert_eq!(status(&hub, &bearer("quick")).await, 200, "without an address");
    assert_eq!(began.elapsed(), Duration::ZERO);
    let outcomes = flood.await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    let refused: Vec<_> = outcomes.into_iter().map(|outcome| outcome.unwrap_err()).collect();
    let of = |status| refused.iter().filter(move |rejection| rejection.status() == status);
    assert_eq!((of(503).count(), of(429).count()), (2, 98));
    for rejection in of(429) {
        assert!(rejection.headers().any(|header| header == ("retry-after", "5")), "{rejection:?}");
    }
    assert_eq!(most.load(Ordering::SeqCst), 2, "no check began that nobody waited for");
    assert_eq!((hub.stats().connections_sse, hub.stats().rejected), (0, 100));
}

#[tokio::test(start_paused = true)]
async fn whose_turn_does_not_come_for_all_others_is_told_that_it_is_an_overload() {
    let never = async |_: Credentials| std::future::pending().await;
    let hub = hub(Authentication::new(never).concurrency(2).concurrency_per_ip(1));
    let began = Clock::now();
    // Each from a block of its own.
    let peer = |block| Some(([10, block, 0, 1], 1).into());
    let slow = |block| Head { peer: peer(block), ..bearer("slow") };
    let checks = (1..=3).map(|block| accept_event_stream(&hub, &slow(block)));
    let statuses = futures_util::future::join_all(
        checks.map(|check| async { (check.await.unwrap_err().status(), began.elapsed()) }),
    );
    let (whole, half) = (Duration::from_secs(5), Duration::from_millis(2500));
    assert_eq!(statuses.await, [(503, whole), (503, whole), (503, half)]);
}

/// Without descriptors, accepting waits for a while; a connection that is gone keeps nobody waiting.
#[tokio::test(start_paused = true)]
async fn an_error_of_accept_neither_spins_nor_holds_up_others() {
    let began = Clock::now();
    let of_one = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
    after_accept_error(&of_one).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    #[cfg(unix)]
    {
        const EMFILE: i32 = 24;
        after_accept_error(&std::io::Error::from_raw_os_error(EMFILE)).await;
        assert_eq!(began.elapsed(), Duration::from_millis(100));
    }
}
