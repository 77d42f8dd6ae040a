#![allow(clippy::disallowed_methods, reason = "a test has a clock and tasks")]

use std::time::Instant;

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::{Hub, OriginPolicy, head::testing::Head};

fn accept(head: &Head) -> Result<Accepted, Rejection> {
    Request::let_in(&Hub::new(), head).map(|request| request.accepted)
}

fn refused(head: &Head, status: u16) -> Rejection {
    let hub = Hub::new();
    let rejection = Request::let_in(&hub, head).expect_err(&format!("{head:?}"));
    assert_eq!(rejection.status(), status, "{rejection}: {head:?}");
    assert_eq!(hub.stats().rejected, 1);
    assert_eq!(hub.stats().connections_websocket, 0, "no permit is left behind");
    rejection
}

fn has(rejection: &Rejection, name: &str, value: &str) -> bool {
    rejection.headers().any(|header| header == (name, value))
}

#[test]
fn the_sample_of_the_rfc_is_accepted_with_its_value() {
    let accepted = accept(&Head::websocket()).unwrap();
    assert_eq!(accepted.status, 101);
    let expected = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];
    assert_eq!(accepted.headers, expected.map(|(name, value)| (name, value.to_owned())));
}

#[test]
fn the_method_is_get() {
    for method in ["POST", "HEAD", "OPTIONS", "CONNECT", "get", ""] {
        let mut head = Head::websocket();
        head.method = method.into();
        assert!(has(&refused(&head, 405), "allow", "GET"));
    }
}

#[test]
fn the_version_of_http_is_1_1_and_there_is_one_host() {
    let mut old = Head::websocket();
    old.version = HttpVersion::Http10;
    refused(&old, 400);
    refused(&Head::websocket().without("host"), 400);
    refused(&Head::websocket().with("host", "example.com"), 400);
}

#[test]
fn what_is_no_upgrade_is_told_to_upgrade() {
    let head = Head::websocket;
    for head in [
        head().without("upgrade"),
        head().without("connection"),
        head().set("upgrade", "h2c"),
        head().set("upgrade", "websockets"),
        head().set("upgrade", "\u{ff}websocket"),
        head().set("connection", "keep-alive"),
        head().set("connection", "upgrade-insecure-requests"),
        head().set("connection", ""),
        Head::get().with("host", "example.com"),
    ] {
        let rejection = refused(&head, 426);
        assert!(
            has(&rejection, "upgrade", "websocket") && has(&rejection, "connection", "Upgrade")
        );
    }
}

#[test]
fn lists_may_come_in_several_headers_and_any_case() {
    for (name, values) in [
        ("connection", &["keep-alive, Upgrade"][..]),
        ("connection", &["keep-alive", "UPGRADE"]),
        ("connection", &[" ,, upgrade\t,"]),
        ("connection", &["upgrade,upgrade"]),
        ("upgrade", &["h2c, WebSocket"]),
        ("upgrade", &["h2c", "WEBSOCKET"]),
    ] {
        let head = values.iter().fold(Head::websocket().without(name), |h, v| h.with(name, v));
        assert!(accept(&head).is_ok(), "{name}: {values:?}");
    }
}

#[test]
fn another_version_is_told_the_one_spoken_here() {
    let head = || Head::websocket().without("sec-websocket-version");
    for versions in [&[][..], &["12"], &["13", "13"], &["8", "13"], &["13, 8"], &["013"], &[""]] {
        let head = versions.iter().fold(head(), |h, v| h.with("sec-websocket-version", v));
        let rejection = refused(&head, 426);
        assert!(has(&rejection, "sec-websocket-version", "13"), "{versions:?}");
    }
}

#[test]
fn the_key_is_sixteen_bytes_in_base64() {
    for key in [
        "",
        "dGhl",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "dGhlIHNhbXBsZSBub25j!Q==",
        "dGhlIHNhbXBsZSBub25jZQ== ",
        "----------------------==",
        "\u{e9}GhlIHNhbXBsZSBub25jZQ==",
    ] {
        refused(&Head::websocket().set("sec-websocket-key", key), 400);
    }
    refused(&Head::websocket().without("sec-websocket-key"), 400);
    refused(&Head::websocket().with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), 400);
}

#[test]
fn a_handshake_has_no_body() {
    refused(&Head::websocket().with("content-length", "5"), 400);
    refused(&Head::websocket().with("content-length", "0").with("content-length", "5"), 400);
    refused(&Head::websocket().with("content-length", "-"), 400);
    refused(&Head::websocket().with("transfer-encoding", "chunked"), 400);
    assert!(accept(&Head::websocket().with("content-length", "0")).is_ok());
}

#[test]
fn pages_of_other_sites_are_kept_out() {
    refused(&Head::websocket().with("origin", "https://evil.example"), 403);
    refused(&Head::websocket().with("origin", "null"), 403);
    refused(&Head::websocket().with("origin", "https://example.com"), 403);
    let twice = Head::websocket().with("origin", "http://example.com");
    refused(&twice.clone().with("origin", "http://example.com"), 403);
    assert!(accept(&twice).is_ok());
    refused(&Head::extended_connect().with("origin", "https://evil.example"), 403);
    assert!(accept(&Head::extended_connect().with("origin", "https://example.com")).is_ok());

    let any = Hub::builder().origin(OriginPolicy::dangerously_allow_any_origin()).build().unwrap();
    let head = Head::websocket().with("origin", "https://evil.example");
    assert!(Request::let_in(&any, &head).is_ok());
}

#[test]
fn one_too_many_is_told_to_come_back() {
    let hub = Hub::builder().limits(|limits| limits.connections = 2).build().unwrap();
    let one = Request::let_in(&hub, &Head::websocket()).unwrap();
    let (_, session) = Request::attach(&hub, Instant::now()).unwrap().open(Instant::now()).unwrap();
    for rejection in
        [Request::let_in(&hub, &Head::websocket()), Request::attach(&hub, Instant::now())]
    {
        let rejection = rejection.unwrap_err();
        assert_eq!(rejection.status(), 503);
        assert!(has(&rejection, "retry-after", "5"));
    }
    assert_eq!((hub.stats().connections_websocket, hub.stats().rejected), (2, 2));
    drop(session);
    assert!(Request::let_in(&hub, &Head::websocket()).is_ok(), "a session gives back its permit");
    drop(one);
    assert_eq!(hub.stats().connections_websocket, 0);
}

#[test]
fn a_wrong_handshake_takes_no_permit_and_a_full_hub_still_explains_it() {
    let hub = Hub::builder().limits(|limits| limits.connections = 1).build().unwrap();
    let _one = Request::let_in(&hub, &Head::websocket()).unwrap();
    let rejection = Request::let_in(&hub, &Head::get().with("host", "a")).unwrap_err();
    assert_eq!(rejection.status(), 426);
}

#[test]
fn over_http_2_it_is_an_extended_connect() {
    let accepted = accept(&Head::extended_connect()).unwrap();
    assert_eq!((accepted.status, accepted.headers), (200, Vec::new()));
    let mut caps = Head::extended_connect();
    caps.protocol = Some("WebSocket".into());
    assert!(accept(&caps).is_ok());

    let mut get = Head::extended_connect();
    get.method = "GET".into();
    refused(&get, 400);
    for protocol in [None, Some("connect-udp")] {
        let mut head = Head::extended_connect();
        head.protocol = protocol.map(Into::into);
        refused(&head, 400);
    }
    let old = Head::extended_connect().set("sec-websocket-version", "8");
    assert!(has(&refused(&old, 426), "sec-websocket-version", "13"));
    let mut upgrade = Head::websocket();
    upgrade.version = HttpVersion::Http2;
    refused(&upgrade, 400);
}

#[test]
fn a_subprotocol_is_the_first_that_the_client_offers_and_we_have() {
    let hub = Hub::new();
    let head = Head::websocket()
        .with("sec-websocket-protocol", "x, b")
        .with("sec-websocket-protocol", "a,B");
    let chosen = |supported: &[&[&str]]| {
        let request = Request::let_in(&hub, &head).unwrap();
        let request = supported.iter().fold(request, |request, list| request.protocols(list));
        let headers = request.accepted.headers;
        headers
            .into_iter()
            .filter(|(name, _)| *name == "sec-websocket-protocol")
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
    };
    assert_eq!(chosen(&[]), [""; 0]);
    assert_eq!(chosen(&[&["a", "b"]]), ["b"], "in the client's order");
    assert_eq!(chosen(&[&["B"]]), ["B"], "case counts");
    assert_eq!(chosen(&[&["c"]]), [""; 0]);
    assert_eq!(chosen(&[&["a"], &["b"]]), ["b"], "one at most");
}

#[test]
fn bad_topics_are_the_clients_fault_and_the_permit_comes_back() {
    let hub = Hub::new();
    let request = Request::let_in(&hub, &Head::websocket()).unwrap().subscribe("a\nb");
    assert_eq!(request.open(Instant::now()).unwrap_err().status(), 400);
    assert_eq!(hub.stats().connections_websocket, 0);
    assert_eq!(hub.stats().rejected, 1);
}

proptest! {
    #[test]
    fn no_head_makes_it_panic(
        start in 0..3_usize,
        method in option::of(".{0,8}"),
        version in select(vec![
            HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2, HttpVersion::Http3,
        ]),
        query in option::of(".{0,30}"),
        headers in vec((
            select(vec![
                "host", "upgrade", "connection", "sec-websocket-version", "sec-websocket-key",
                "sec-websocket-protocol", "origin", "content-length", "last-event-id",
            ]),
            vec(any::<u8>(), 0..30),
        ), 0..5),
        authority in option::of(".{0,20}"),
        protocol in option::of(select(vec!["websocket", "x", ""])),
    ) {
        let head = [Head::get(), Head::websocket(), Head::extended_connect()][start].clone();
        let mut head = headers.iter().fold(head, |head, (name, value)| head.set(name, value));
        head.method = method.unwrap_or(head.method);
        head.version = version;
        head.query = query;
        head.authority = authority;
        head.protocol = protocol.map(Into::into);
        match Request::let_in(&Hub::new(), &head) {
            Ok(request) => prop_assert!(request.open(Instant::now()).is_ok()),
            Err(rejection) => {
                prop_assert!((400..=503).contains(&rejection.status()));
                prop_assert!(rejection.body().iter().filter(|b| b.is_ascii_control()).count() == 1);
            }
        }
    }
}
