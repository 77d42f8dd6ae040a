//! What holds for every answer, and for a hub that nobody uses.

use realtime_core::{Hub, Rejection};

use crate::sse::Parser;

/// A refusal says what was expected in one line; a browser's `EventSource` may get a stream instead.
pub(super) fn check_rejection(rejection: &Rejection, may_be_stream: bool) {
    for (name, value) in rejection.headers() {
        check_header(name, value);
    }
    let body = rejection.body();
    match rejection.status() {
        200 if may_be_stream => {
            let mut parser = Parser::new();
            let events = parser.feed(body);
            assert_eq!(events.len(), 1, "a refusing stream says one thing: {events:?}");
            assert_eq!(events[0].event, "realtime.bye");
            assert!(parser.retry().is_some_and(|retry| retry > 0), "when is it to come back?");
        }
        400..=599 => {
            let text = std::str::from_utf8(body).expect("a refusal is text");
            let line = text.strip_suffix('\n').expect("a refusal ends its line");
            assert!(!line.trim().is_empty(), "a refusal says why");
            assert!(!line.contains(char::is_control), "one line, no control characters: {line:?}");
        }
        status => panic!("{status} is no refusal"),
    }
}

/// A preflight is answered: it has no body, and lets nothing but reads follow (Fetch standard).
pub(super) fn check_preflight(answer: &Rejection) {
    assert!(answer.body().is_empty());
    let mut names: Vec<&str> = Vec::new();
    for (name, value) in answer.headers() {
        check_header(name, value);
        if name == "access-control-allow-methods" {
            assert_eq!(value, "GET");
        }
        names.push(name);
    }
    names.sort_unstable();
    let allowed = [
        "access-control-allow-credentials",
        "access-control-allow-headers",
        "access-control-allow-methods",
        "access-control-allow-origin",
        "access-control-max-age",
        "vary",
    ];
    assert!(names == ["vary"] || names == allowed, "{names:?}");
}

/// Names and values can't break out of their line.
pub(super) fn check_header(name: &str, value: &str) {
    let token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    assert!(!name.is_empty() && name.bytes().all(token), "a header's name: {name:?}");
    let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    assert!(value.bytes().all(visible), "the value of {name}: {value:?}");
}

/// Nothing is held any more.
pub(super) fn check_at_rest(hub: &Hub) {
    let stats = hub.stats();
    let connections = (stats.connections_sse, stats.connections_websocket);
    let held = (connections, stats.subscriptions, stats.identities);
    assert_eq!(held, ((0, 0), 0, 0), "connections, subscriptions and identities still held");
}
