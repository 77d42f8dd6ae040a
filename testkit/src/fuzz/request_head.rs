//! Request heads: who is let in, what the answer is, and that nothing is held afterwards.

use std::{
    task::{Context, Waker},
    time::Instant,
};

use realtime_core::{
    AuthenticateError, Authentication, Credentials, Event, HttpVersion, Hub, Identity,
    OriginPolicy, Rate, Rejection, RequestHead, sse, ws,
};

use super::{
    answer::{check_at_rest, check_header, check_preflight, check_rejection},
    head::Head,
};
use crate::{
    sse::Parser,
    ws::{Decoder, Received, accept},
};

/// The input is a byte of [`Mode`] and a head, see [`Head::read`].
pub fn run(data: &[u8]) {
    let (&mode, head) = data.split_first().unwrap_or((&0, &[]));
    let (mode, head) = (Mode(mode), Head::read(head));
    let hub = mode.hub();
    let now = Instant::now();
    let occupant =
        mode.is_full().then(|| ws::Request::attach(&hub, now).expect("the hub is empty"));

    let refused = websocket(&hub, &head, mode, now) + event_stream(&hub, &head, mode, now);
    assert_eq!(hub.stats().rejected, refused, "refusals are counted");

    drop(occupant);
    check_at_rest(&hub);
}

/// What else is so when the request comes in.
#[derive(Clone, Copy)]
struct Mode(u8);

impl Mode {
    fn hub(self) -> Hub {
        let origin = if self.lets_any_origin_in() {
            OriginPolicy::dangerously_allow_any_origin()
        } else {
            OriginPolicy::same_origin()
        };
        let mut builder = Hub::builder().origin(origin).limits(|limits| {
            (limits.connections, limits.topics) = (1, 1);
            limits.handshakes_per_ip = Rate::per_second(1);
            limits.header_bytes = self.header_bytes();
        });
        if self.knows_tokens() {
            let authentication = Authentication::new(async |_: Credentials| {
                Err::<Identity, _>(AuthenticateError::invalid("not asked here"))
            });
            builder = builder.authentication(authentication.cookie("token").optional());
        }
        let hub = builder.build().expect("the configuration is valid");
        if self.has_no_topic_left() {
            let _stored = hub.publish_at("another", Event::text("x"), Instant::now());
        }
        hub
    }

    /// All connections are open that may be.
    fn is_full(self) -> bool {
        self.0 & 1 != 0
    }

    fn lets_any_origin_in(self) -> bool {
        self.0 & 2 != 0
    }

    /// Who presents something is checked, and who presents nothing may come in.
    fn knows_tokens(self) -> bool {
        self.0 & 8 != 0
    }

    fn header_bytes(self) -> usize {
        if self.0 & 16 == 0 { 16 * 1024 } else { 200 }
    }

    /// The hub's table of topics is full.
    fn has_no_topic_left(self) -> bool {
        self.0 & 4 != 0
    }
}

/// Asks for a WebSocket, and says how often it was refused.
fn websocket(hub: &Hub, head: &Head, mode: Mode, now: Instant) -> u64 {
    let is_right = is_handshake(head);
    let is_long = head.bytes() > mode.header_bytes();
    let candidate = match ws::Request::accept(hub, head, now) {
        Ok(candidate) => candidate,
        Err(rejection) => {
            check_rejection(&rejection, false);
            let wrong_method = head.version < HttpVersion::Http2 && head.method != "GET";
            match rejection.status() {
                405 => assert!(wrong_method),
                400 | 426 => {
                    let may_come_in = is_right && head.is_ordinary();
                    assert!(!(wrong_method || may_come_in), "{rejection}");
                }
                431 => assert!(is_right && is_long, "{rejection}"),
                503 => assert!(is_right && !is_long && mode.is_full(), "{rejection}"),
                401 => {
                    assert!(is_right && !is_long, "{rejection}");
                    check_malformed(&rejection, head, mode, true);
                }
                403 => {
                    let is_page = head.header("origin").is_some() || has_cookie(head, mode);
                    let is_asked = is_right && !is_long && !mode.lets_any_origin_in();
                    assert!(is_asked && is_page, "{rejection}");
                }
                status => panic!("{status} to a handshake"),
            }
            return 1;
        }
    };
    assert!(is_right && !is_long && !mode.is_full(), "let in: {head:?}");
    assert_eq!(hub.stats().connections_websocket, 1);
    let Ok(request) = candidate.anonymous() else {
        assert!(presents(head, mode, true), "{head:?}");
        return 0;
    };
    let supported = ["chat", "super.chat"];
    match request.protocols(&supported).subscribe("topic").open(now) {
        Ok((accepted, session)) => {
            check_accepted(&accepted, head, &supported);
            assert_eq!(hub.stats().subscriptions, 1);
            check_greeting(session, head);
            0
        }
        Err(rejection) => {
            check_rejection(&rejection, false);
            assert!(rejection.status() == 503 && mode.has_no_topic_left(), "{rejection}");
            1
        }
    }
}

/// RFC 6455 §4.2.1 and RFC 8441 §4, word by word.
fn is_handshake(head: &Head) -> bool {
    let lists = |name, token: &str| tokens(head, name).any(|it| it.eq_ignore_ascii_case(token));
    let is_version_13 = head.all("sec-websocket-version") == [b"13"];
    if head.version >= HttpVersion::Http2 {
        let protocol = head.protocol().unwrap_or_default();
        return head.method == "CONNECT"
            && protocol.eq_ignore_ascii_case("websocket")
            && is_version_13;
    }
    let has_body = head.header("transfer-encoding").is_some()
        || head.all("content-length").iter().any(|length| *length != b"0");
    head.method == "GET"
        && head.version == HttpVersion::Http11
        && head.all("host").len() == 1
        && lists("upgrade", "websocket")
        && lists("connection", "upgrade")
        && is_version_13
        && matches!(head.all("sec-websocket-key")[..], [key] if is_key(key))
        && !has_body
}

fn tokens<'a>(head: &'a Head, name: &str) -> impl Iterator<Item = &'a str> {
    let texts = head.all(name).into_iter().filter_map(|value| std::str::from_utf8(value).ok());
    texts.flat_map(|value| value.split(',')).map(str::trim)
}

/// 16 bytes in base64 are 22 digits, the last of which holds two bits only, and `==`.
fn is_key(key: &[u8]) -> bool {
    let Some(digits) = key.strip_suffix(b"==") else { return false };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    digits.len() == 22 && digits.iter().all(is_digit) && b"AQgw".contains(&digits[21])
}

fn check_accepted(accepted: &ws::Accepted, head: &Head, supported: &[&str]) {
    let all = |name: &str| -> Vec<&str> {
        accepted.headers.iter().filter(|(n, _)| *n == name).map(|(_, value)| &value[..]).collect()
    };
    for (name, value) in &accepted.headers {
        check_header(name, value);
    }
    let first = tokens(head, "sec-websocket-protocol").find(|offer| supported.contains(offer));
    assert_eq!(all("sec-websocket-protocol"), Vec::from_iter(first), "the first that both speak");
    if head.version >= HttpVersion::Http2 {
        assert_eq!(accepted.status, 200);
        assert!(all("connection").is_empty() && all("sec-websocket-accept").is_empty());
    } else {
        assert_eq!(accepted.status, 101);
        assert_eq!((all("upgrade"), all("connection")), (vec!["websocket"], vec!["Upgrade"]));
        let key = head.header("sec-websocket-key").unwrap_or_default();
        assert_eq!(all("sec-websocket-accept"), [accept(key)]);
    }
}

/// The first messages tell where the client starts, and whether what it asked for is not there.
fn check_greeting(mut session: ws::Session, head: &Head) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(session.poll_transmit(&mut cx, Instant::now()).is_ready());
    let bytes: Vec<u8> = session.chunks().flatten().copied().collect();
    let mut decoder = Decoder::starting_with(bytes);
    let mut names = Vec::new();
    while let Some(received) = decoder.next().expect("right frames") {
        let Received::Text(text) = received else { panic!("{received} is no greeting") };
        let notice: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(notice["id"].is_string(), "{text}");
        names.push(notice["event"].as_str().expect("a name").to_owned());
    }
    assert_eq!(decoder.end(), Received::Eof);
    let expected: &[&str] = &["realtime.ready", "realtime.reset"];
    assert_eq!(names, expected[..=usize::from(claims_an_id(head))]);
}

/// Whether the client wants to resume. No hub of a fuzzer's knows the id, so it has to be told.
fn claims_an_id(head: &Head) -> bool {
    let query = head.query().unwrap_or_default();
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    head.header("last-event-id").is_some_and(|id| !id.is_empty())
        || parameters.any(|(name, value)| name == "last_event_id" && !value.is_empty())
}

/// Asks for an event stream, and says how often it was refused.
fn event_stream(hub: &Hub, head: &Head, mode: Mode, now: Instant) -> u64 {
    let is_page = head.header("origin").is_some();
    let is_preflight = head.method == "OPTIONS"
        && is_page
        && head.header("access-control-request-method").is_some();
    let is_long = head.bytes() > mode.header_bytes();
    let candidate = match sse::Request::accept(hub, head, now) {
        Ok(candidate) => candidate,
        Err(rejection) => {
            check_readers(rejection.headers(), head, mode);
            if is_preflight {
                assert_eq!(rejection.status(), 204);
                check_preflight(&rejection);
                return 0;
            }
            match rejection.status() {
                405 => assert!(head.method != "GET", "{rejection}"),
                431 => assert!(head.method == "GET" && is_long, "{rejection}"),
                401 => check_malformed(&rejection, head, mode, false),
                403 => {
                    let is_asked = has_cookie(head, mode) && !mode.lets_any_origin_in();
                    let is_of_site = is_page || head.header("sec-fetch-site").is_some();
                    assert!(is_asked && is_of_site, "{rejection}");
                }
                _ => {
                    let is_second = head.peer_addr().is_some() && is_handshake(head);
                    assert!(is_second || mode.is_full(), "{rejection}");
                    return check_overload(&rejection, head, if is_second { 429 } else { 503 });
                }
            }
            check_rejection(&rejection, false);
            return 1;
        }
    };
    assert!(head.method == "GET" && !mode.is_full() && !is_long, "let in: {head:?}");
    let is_second = head.peer_addr().is_some() && is_handshake(head);
    assert!(!is_second, "a second handshake in no time: {head:?}");
    assert_eq!(hub.stats().connections_sse, 1);
    let Ok(request) = candidate.anonymous() else {
        assert!(presents(head, mode, false), "{head:?}");
        return 0;
    };
    let (accepted, mut stream) = match request.open("topic", now) {
        Ok(opened) => opened,
        Err(rejection) => {
            assert!(mode.has_no_topic_left(), "{rejection}");
            check_readers(rejection.headers(), head, mode);
            return check_overload(&rejection, head, 503);
        }
    };
    accepted.headers.iter().for_each(|(name, value)| check_header(name, value));
    let headers = || accepted.headers.iter().map(|(name, value)| (*name, value.as_ref()));
    assert!(headers().any(|header| header == ("content-type", "text/event-stream")));
    check_readers(headers(), head, mode);
    assert_eq!(hub.stats().subscriptions, 1);
    let mut parser = Parser::new();
    let polled = stream.poll_next(&mut Context::from_waker(Waker::noop()), now);
    let std::task::Poll::Ready(Some(bytes)) = polled else { panic!("no preamble: {polled:?}") };
    let names: Vec<String> = parser.feed(&bytes).into_iter().map(|event| event.event).collect();
    let expected: &[&str] = if claims_an_id(head) { &["realtime.reset"] } else { &[] };
    assert_eq!(names, expected);
    assert!(parser.last_event_id().parse::<realtime_core::LastEventId>().is_ok());
    assert!(parser.retry().is_some());
    0
}

/// A browser gives up for good at any status but 200.
fn check_overload(rejection: &Rejection, head: &Head, status: u16) -> u64 {
    let wants_stream =
        |accept: &&[u8]| String::from_utf8_lossy(accept).contains("text/event-stream");
    let is_browser =
        head.all("accept").iter().any(wants_stream) && head.header("sec-fetch-mode").is_some();
    check_rejection(rejection, is_browser);
    assert_eq!(rejection.status(), if is_browser { 200 } else { status });
    let tells_when = rejection.headers().any(|(name, _)| name == "retry-after");
    assert!(is_browser || tells_when, "{rejection:?}");
    1
}

/// Nobody but a page that is let in by name may read the answer, and no cache mixes pages up.
fn check_readers<'a>(
    headers: impl Iterator<Item = (&'static str, &'a str)>,
    head: &Head,
    mode: Mode,
) {
    let mut varies = 0;
    for (name, value) in headers {
        varies += usize::from((name, value) == ("vary", "origin"));
        if name == "access-control-allow-origin" {
            assert!(mode.lets_any_origin_in());
            assert_eq!(head.all("origin"), [value.as_bytes()]);
        }
    }
    assert_eq!(varies, 1, "vary: origin");
}

/// What is presented and can't be read is refused; who presents nothing is not.
fn check_malformed(rejection: &Rejection, head: &Head, mode: Mode, is_websocket: bool) {
    assert!(presents(head, mode, is_websocket), "{rejection}");
    let challenge = ("www-authenticate", "Bearer error=\"invalid_token\"");
    assert!(rejection.headers().any(|header| header == challenge), "{rejection:?}");
}

/// Whether anything is there that may be a secret.
fn presents(head: &Head, mode: Mode, is_websocket: bool) -> bool {
    let is_offered = tokens(head, "sec-websocket-protocol")
        .any(|offer| is_websocket && offer.starts_with("base64url.bearer."));
    mode.knows_tokens()
        && (head.header("authorization").is_some() || is_offered || has_cookie(head, mode))
}

fn has_cookie(head: &Head, mode: Mode) -> bool {
    let names = |cookie: &&[u8]| String::from_utf8_lossy(cookie).contains("token");
    mode.knows_tokens() && head.all("cookie").iter().any(names)
}
