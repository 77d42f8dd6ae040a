use super::*;
use crate::{
    admission::Established,
    auth::{AuthenticateError, Authentication, Credentials, Identity},
};

/// A hub whose clients are to send their token first; who checks it, these tests are themselves.
fn first_message(hub: HubBuilder) -> HubBuilder {
    let nobody = async |_: Credentials| Err(AuthenticateError::invalid("not asked"));
    hub.authentication(Authentication::new(nobody).first_message())
}

fn waiting() -> Rig {
    Rig::with(first_message, |request| request.format(Format::Raw).subscribe("a"))
}

impl Rig {
    /// The check of what the client presented has this outcome.
    fn establish(&mut self, subject: &str, seconds: Option<f64>) {
        let expires_at = seconds.map(|seconds| self.start + Duration::from_secs_f64(seconds));
        let watch = self.hub.permits().watch();
        let identity = Identity::new(subject);
        let established = Established { identity, expires_at, watch };
        self.session.authenticated(Ok(established), self.now);
    }

    fn presents(&mut self, token: &str) {
        self.client([Sent::text(format!(r#"{{"token":"{token}"}}"#))]);
        let credentials = self.session.presented().expect("something to check");
        assert_eq!(credentials.token.expose(), token);
        assert!(self.session.presented().is_none(), "it is checked once");
    }

    /// Connected as alice, who presented her token.
    fn known() -> Self {
        let mut rig = waiting();
        rig.presents("one");
        rig.establish("alice", None);
        rig
    }
}

#[test]
fn before_the_first_message_nothing_is_subscribed_and_no_handler_runs() {
    let mut rig = waiting();
    rig.publish("before");
    assert!(!rig.session.is_admitted());
    let stats = rig.hub.stats();
    assert_eq!((stats.subscriptions, stats.topics, stats.identities), (0, 1, 0));
    rig.presents("secret");
    assert!(!rig.session.wants_input(), "nothing more is read while it is being checked");
    assert_eq!(rig.hub.subscribers(&"a".parse().unwrap()), 0);
    rig.establish("alice", None);
    assert!(rig.session.is_admitted());
    assert_eq!(rig.socket().identity().map(|it| it.subject().to_owned()), Some("alice".into()));
    rig.publish("after");
    assert_eq!(rig.written(), [text("after")]);
    let stats = rig.hub.stats();
    assert_eq!((stats.subscriptions, stats.identities), (1, 1));
}

#[test]
fn what_follows_the_first_message_waits_and_then_reaches_the_handler() {
    let mut rig = waiting();
    rig.client([Sent::text(r#"{"token":"x"}"#), Sent::text("hello"), Sent::text("world")]);
    assert!(rig.session.presented().is_some());
    assert_eq!(rig.recv(), None);
    rig.establish("alice", None);
    rig.poll();
    assert_eq!(rig.recv(), Some(Some(Message::text("hello"))));
    assert_eq!(rig.recv(), Some(Some(Message::text("world"))));
}

#[test]
fn little_is_kept_of_what_a_peer_sends_before_it_is_known() {
    for (bytes, is_kept) in [(8 * 1024 - 8, true), (9 * 1024, false)] {
        let mut rig = waiting();
        rig.client([Sent::text(r#"{"token":"x"}"#), Sent::binary(vec![0; bytes])]);
        let closed = rig.written().pop();
        assert_eq!(closed, (!is_kept).then(|| close(4429, "too fast")), "{bytes}");
    }
}

#[test]
fn who_sends_something_else_first_is_closed_with_4401() {
    for frame in [Sent::text("hello"), Sent::binary("x"), Sent::text("{}"), Sent::text("")] {
        let mut rig = waiting();
        rig.client([frame]);
        assert!(rig.session.presented().is_none());
        assert_eq!(rig.written(), [close(4401, r#"expected {"token":"…"} first"#)]);
    }
}

#[test]
fn who_sends_nothing_is_closed_with_4408_though_it_answers_pings() {
    let mut rig = waiting();
    rig.at(9.0).client([Sent::ping("x")]);
    assert_eq!(rig.written(), [(opcode::PONG, b"x".to_vec())]);
    rig.wait_until(9.9);
    assert!(rig.written().is_empty());
    rig.wait_until(10.1);
    assert_eq!(rig.written(), [close(4408, "authentication timeout")]);
    assert_eq!(rig.hub.stats().rejected, 1);
}

#[test]
fn a_first_message_is_small_however_it_comes() {
    let mut rig = waiting();
    rig.client([Sent::text(format!(r#"{{"token":"{}"}}"#, "x".repeat(8 * 1024)))]);
    assert_eq!(rig.written(), [close(1009, "message too big")]);
    let mut rig = waiting();
    let fragments = (0..17).map(|n| {
        if n == 0 { Sent::text("").fin(false) } else { Sent::continuation("").fin(false) }
    });
    rig.client(fragments.collect::<Vec<_>>());
    assert_eq!(rig.written(), [close(1008, "too many fragments")]);
    let mut rig = Rig::known();
    rig.client([Sent::text("x".repeat(60 * 1024))]);
    assert_eq!(rig.recv().flatten().map(|message| message.len()), Some(60 * 1024), "later not");
}

#[test]
fn a_token_that_is_not_valid_closes_with_4401_and_why() {
    let mut rig = waiting();
    rig.presents("x");
    rig.session.authenticated(Err(AuthenticateError::invalid("expired").into()), rig.now);
    assert_eq!(rig.written(), [close(4401, "expired")]);
    let mut rig = waiting();
    rig.presents("x");
    rig.session.authenticated(Err(AuthenticateError::unavailable("db: secret").into()), rig.now);
    assert_eq!(rig.written(), [close(1013, "credentials can't be checked now")]);
}

#[test]
fn a_second_token_refreshes_the_same_subject() {
    let mut rig = waiting();
    rig.presents("one");
    rig.establish("alice", Some(60.0));
    rig.at(50.0).presents("two");
    rig.establish("alice", Some(120.0));
    assert_eq!(rig.recv(), None, "the handler does not see it");
    rig.wait_until(70.0);
    rig.client([Sent::text("still here")]);
    assert_eq!(rig.recv(), Some(Some(Message::text("still here"))));
    rig.wait_until(100.0).client([Sent::pong("")]);
    rig.wait_until(120.0);
    assert_eq!(rig.written().last(), Some(&close(4401, "expired")));
    assert_eq!(rig.recv(), Some(None));
}

#[test]
fn a_token_of_another_subject_closes_with_4403() {
    let mut rig = Rig::known();
    rig.presents("two");
    rig.establish("mallory", None);
    assert_eq!(rig.written(), [close(4403, "the subject must stay the same")]);
    assert_eq!(rig.hub.stats().identities, 1, "the place is hers until the connection is gone");
    drop(rig.session);
    assert_eq!(rig.hub.stats().identities, 0);
}

#[test]
fn a_refresh_that_is_not_valid_closes_and_one_that_cannot_be_checked_does_not() {
    let mut rig = Rig::known();
    rig.presents("two");
    rig.session.authenticated(Err(AuthenticateError::unavailable("db").into()), rig.now);
    assert!(rig.written().is_empty());
    assert!(rig.session.wants_input());
    rig.presents("three");
    rig.session.authenticated(Err(AuthenticateError::invalid("bad signature").into()), rig.now);
    assert_eq!(rig.written(), [close(4401, "bad signature")]);
}

#[test]
fn a_revoked_identity_is_closed_with_what_was_queued_left_out() {
    let mut rig = Rig::known();
    rig.publish("old news");
    rig.send("direct");
    rig.poll();
    let wakes = rig.wakes.0.load(Ordering::SeqCst);
    assert_eq!(rig.hub.disconnect("alice", "logged out"), 1);
    assert!(rig.wakes.0.load(Ordering::SeqCst) > wakes, "a silent connection is woken");
    assert_eq!(rig.written(), [close(4401, "logged out")]);
    assert_eq!(rig.recv(), Some(None));
    assert!(rig.socket().send(Message::text("x")).now_or_never().unwrap().is_err());
}

#[test]
fn an_identity_that_is_revoked_while_it_is_checked_gets_nowhere() {
    let mut rig = waiting();
    rig.presents("x");
    let watch = rig.hub.permits().watch();
    rig.hub.disconnect("alice", "banned");
    let identity = Identity::new("alice");
    let established = Established { identity, expires_at: None, watch };
    rig.session.authenticated(Ok(established), rig.now);
    let (opcode, payload) = rig.written().pop().unwrap();
    assert_eq!((opcode, &payload[..2]), (opcode::CLOSE, &4401_u16.to_be_bytes()[..]));
}

#[test]
fn of_an_identity_that_both_the_handler_and_a_message_prove_one_place_stays() {
    let optional = |hub: HubBuilder| {
        let nobody = async |_: Credentials| Err(AuthenticateError::invalid("not asked"));
        hub.authentication(Authentication::new(nobody).first_message().optional())
    };
    for (subject, is_revoked, closed) in [
        ("alice", false, None),
        ("alice", true, Some(close(4401, "banned"))),
        ("bob", false, Some(close(4403, "the subject must stay the same"))),
    ] {
        let mut rig = Rig::with(optional, |request| request.format(Format::Raw));
        let proved = roles(&rig, &[]);
        rig.socket().establish(proved).unwrap();
        assert_eq!(rig.hub.disconnect("carol", "banned"), 0);
        if is_revoked {
            assert_eq!(rig.hub.disconnect("alice", "banned"), 1);
        }
        rig.presents("x");
        rig.establish(subject, None);
        assert_eq!(rig.written().pop(), closed, "{subject}");
        assert_eq!(rig.hub.stats().identities, 1);
        assert_eq!(rig.hub.disconnect(subject, "late"), 1, "{subject}");
    }
}

#[test]
fn an_identity_has_so_many_connections() {
    let mut rig = Rig::with(
        |hub| first_message(hub).limits(|limits| limits.connections_per_subject = 1),
        |request| request.format(Format::Raw).subscribe("a"),
    );
    let permit = rig.hub.permits().watch().establish("alice", 1).unwrap();
    rig.presents("x");
    rig.establish("alice", None);
    assert_eq!(rig.written(), [close(4429, "too many connections")]);
    drop(permit);
}

#[test]
fn who_closes_while_being_checked_is_let_go() {
    let mut rig = waiting();
    rig.client([Sent::text(r#"{"token":"x"}"#), Sent::close(1000, "")]);
    assert!(rig.session.presented().is_some());
    rig.session.receive_eof();
    rig.establish("alice", None);
    assert_eq!(rig.ended(), Some((CloseCause::Vanished, false)));
    assert_eq!(rig.hub.stats().identities, 0);
}

#[test]
fn a_peer_that_sends_too_fast_is_closed_with_4429_and_what_it_still_sends_is_not_looked_at() {
    let slow = |hub: HubBuilder| {
        hub.limits(|limits| limits.messages = crate::Rate::per_second(10).burst(3))
    };
    for frame in [Sent::text("x"), Sent::ping("x"), Sent::pong("x"), Sent::binary("")] {
        let mut rig = Rig::with(slow, |request| request.format(Format::Raw));
        for seconds in [0.0, 0.1, 0.2, 0.3, 0.4] {
            rig.at(seconds).client([frame.clone()]);
            rig.recv();
            assert!(rig.written().iter().all(|(opcode, _)| *opcode != opcode::CLOSE));
        }
        rig.client(vec![frame; 10]);
        rig.recv();
        rig.recv();
        rig.recv();
        assert_eq!(rig.written().pop(), Some(close(4429, "too fast")));
        assert_eq!(rig.ended(), Some((CloseCause::TooFast, true)));
    }
    let narrow =
        |hub: HubBuilder| hub.limits(|limits| limits.inbound_bytes = crate::Rate::per_second(1000));
    let mut rig = Rig::with(narrow, |request| request.format(Format::Raw));
    rig.client([Sent::binary(vec![0; 900])]);
    rig.recv();
    assert!(rig.written().is_empty());
    rig.at(0.5).client([Sent::binary(vec![0; 900])]);
    assert_eq!(rig.written().pop(), Some(close(4429, "too fast")));
}

/// Each identity may follow its own topics, and `public`.
fn own_topics(hub: HubBuilder) -> HubBuilder {
    first_message(hub).authorize(|identity: Option<&Identity>, _, topic: &TopicName| {
        let roles = identity.and_then(|it| it.get::<Vec<&'static str>>());
        topic.as_str() == "public"
            || roles.is_some_and(|roles| roles.iter().any(|role| topic.as_str().starts_with(role)))
    })
}

fn roles(rig: &Rig, roles: &[&'static str]) -> Established {
    Established {
        identity: Identity::new("alice").with(roles.to_vec()),
        expires_at: None,
        watch: rig.hub.permits().watch(),
    }
}

#[test]
fn what_is_not_permitted_is_not_subscribed_and_the_connection_closes_with_4403() {
    let mut rig = Rig::with(own_topics, |request| request.subscribe(["public", "staff.1"]));
    rig.presents("x");
    let established = roles(&rig, &["users"]);
    rig.session.authenticated(Ok(established), rig.now);
    let (opcode, payload) = rig.written().pop().unwrap();
    assert_eq!((opcode, &payload[..2]), (opcode::CLOSE, &4403_u16.to_be_bytes()[..]));
    let reason = String::from_utf8_lossy(&payload[2..]).into_owned();
    assert!(reason.contains("staff.1"), "{reason}");
    assert_eq!(rig.hub.subscribers(&"public".parse().unwrap()), 0);
}

#[test]
fn a_refresh_asks_again_what_is_permitted() {
    let mut rig = Rig::with(own_topics, |request| {
        request.format(Format::Raw).subscribe(Subscribe::to("staff.1").and_pattern("users.*"))
    });
    let publish = |rig: &Rig, topic: &str| {
        let published = rig.hub.publish_at(topic, Event::text(topic), rig.now);
        published.now_or_never().unwrap().unwrap();
    };
    rig.presents("x");
    let established = roles(&rig, &["staff", "users"]);
    rig.session.authenticated(Ok(established), rig.now);
    publish(&rig, "users.1");
    publish(&rig, "staff.1");
    assert_eq!(rig.written(), [text("users.1"), text("staff.1")]);
    // A pattern stands for what may be seen: it sees less.
    rig.presents("y");
    let established = roles(&rig, &["staff"]);
    rig.session.authenticated(Ok(established), rig.now);
    publish(&rig, "users.1");
    publish(&rig, "users.2");
    publish(&rig, "staff.1");
    assert_eq!(rig.written(), [text("staff.1")]);
    assert!(rig.socket().subscribe_at("users.1", Instant::now()).is_err(), "the handler neither");
    // A topic that was asked for by its name can't just fall silent.
    rig.presents("z");
    let established = roles(&rig, &["users"]);
    rig.session.authenticated(Ok(established), rig.now);
    let (opcode, payload) = rig.written().pop().unwrap();
    assert_eq!((opcode, &payload[..2]), (opcode::CLOSE, &4403_u16.to_be_bytes()[..]));
}

/// The first message is no refresh, and neither the burst nor who keeps to the rate is closed.
#[test]
fn refreshes_in_a_loop_are_closed_with_4429_before_anybody_is_asked() {
    let mut rig = Rig::known();
    for _ in 0..5 {
        rig.presents("again");
        rig.establish("alice", None);
    }
    for second in 1..20 {
        rig.at(f64::from(second)).presents("in time");
        rig.establish("alice", None);
    }
    assert!(rig.written().is_empty());
    rig.client([Sent::text(r#"{"token":"too soon"}"#)]);
    assert!(rig.session.presented().is_none(), "nobody is asked");
    assert_eq!(rig.written(), [close(4429, "too fast")]);
}

/// A handler that refreshes as often as its peer asks is no way around it; what it does at once is one
/// refresh.
#[test]
fn refreshes_by_the_handler_are_counted_with_those_of_the_peer() {
    let mut rig = Rig::known();
    let refresh = |rig: &mut Rig, times: usize| {
        for _ in 0..times {
            let watch = rig.hub.permits().watch();
            let identity = Identity::new("alice");
            let established = Established { identity, expires_at: None, watch };
            rig.socket().establish(established).unwrap();
        }
        rig.written()
    };
    for _ in 0..4 {
        assert!(refresh(&mut rig, 100).is_empty());
    }
    rig.presents("the fifth");
    rig.establish("alice", None);
    assert_eq!(refresh(&mut rig, 1), [close(4429, "too fast")]);
}

#[test]
fn who_asks_for_too_many_patterns_by_its_first_message_is_told() {
    let mut rig = Rig::with(
        |hub| first_message(hub).limits(|limits| limits.patterns_per_subscription = 1),
        |request| request.subscribe(Subscribe::pattern("a.*").and_pattern("b.*")),
    );
    rig.presents("one");
    rig.establish("alice", None);
    assert_eq!(rig.written(), [close(1008, "too many patterns")]);
}
