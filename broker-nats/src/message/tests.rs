use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn message(headers: Option<HeaderMap>, payload: &[u8], reply: Option<&str>) -> Message {
    Message {
        subject: "s".into(),
        reply: reply.map(Into::into),
        payload: Bytes::copy_from_slice(payload),
        headers,
        status: None,
        description: None,
        length: 0,
    }
}

fn with(lines: &[(&str, &str)], payload: &[u8]) -> Message {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, *value);
    }
    message(Some(headers), payload, None)
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        text: String, bytes: Vec<u8>, kind in 0..3, name: String, key: String,
    ) {
        let mut original = match kind {
            0 => Event::text(text),
            1 => Event::json(&text).unwrap(),
            _ => Event::binary(bytes),
        };
        if let Ok(name) = EventName::new(name) {
            original = original.named(name).unwrap();
        }
        if let Ok(key) = EventKey::new(key) {
            original = original.keyed(key).unwrap();
        }
        let headers = headers(&original);
        let printable = |value: &str| value.bytes().all(|b| b.is_ascii_graphic());
        prop_assert!(headers.iter().all(|(_, values)| values.iter().all(|it| printable(it.as_str()))));
        let message = message(Some(headers), original.data().as_bytes(), None);
        prop_assert_eq!(event(&message), Ok(original));
    }

    #[test]
    fn any_message_is_read_or_refused(kind: String, name: String, reply: String, payload: Vec<u8>) {
        let lines = [(KIND, kind), (NAME, name.clone()), (KEY, name)];
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().filter(|(_, value)| !value.contains(['\r', '\n'])) {
            headers.insert(*name, value.as_str());
        }
        let message = message(Some(headers), &payload, Some(&format!("$JS.ACK.{reply}")));
        let _ = (event(&message), Place::of(&message).is_ok(), Stored::of(&message));
    }
}

#[test]
fn a_bare_payload_is_an_event() {
    assert_eq!(event(&message(None, b"a", None)), Ok(Event::text("a")));
    assert_eq!(event(&message(None, b"\xff", None)), Ok(Event::binary(b"\xff".to_vec())));
    assert_eq!(event(&with(&[(KIND, "json")], b"NaN")), Ok(Event::text("NaN")));
    assert_eq!(event(&with(&[(KIND, "binary")], b"a")), Ok(Event::binary(b"a".to_vec())));
    assert!(event(&with(&[(KIND, "json")], b"[1]")).unwrap().is_json());
    assert_eq!(event(&with(&[(NAME, "realtime.x")], b"a")), Err(Malformed::Event));
    assert_eq!(event(&with(&[(KEY, "%ff")], b"a")), Err(Malformed::Event));
    let named = event(&with(&[(NAME, "a%20b 50%")], b"a")).unwrap();
    assert_eq!(named.name().unwrap().as_str(), "a b 50%");
}

#[test]
fn the_server_has_the_last_word_on_the_place() {
    let lines = [
        ("Nats-Sequence", "1"),
        ("Nats-Stream", "forged"),
        ("Nats-Stream", "s"),
        ("Nats-Sequence", "7"),
        ("Nats-Last-Sequence", "5"),
    ];
    let placed = with(&lines, b"");
    assert_eq!(Place::of(&placed), Ok(Place { stream: "s", sequence: 7, previous: 5 }));
    for bad in [&lines[..4], &lines[..1], &lines[3..], &[]] {
        assert_eq!(Place::of(&with(bad, b"")), Err(Malformed::Position));
    }
    let after = [("Nats-Stream", "s"), ("Nats-Sequence", "5"), ("Nats-Last-Sequence", "5")];
    assert_eq!(Place::of(&with(&after, b"")), Err(Malformed::Position));
}

#[test]
fn replies_tell_where_a_stored_message_stands() {
    let stored = |reply| Stored::of(&message(None, b"", Some(reply)));
    let expected = Some(Stored { sequence: 7, time: 1795307198614190349, pending: 3 });
    assert_eq!(stored("$JS.ACK.s-1f.c.1.7.2.1795307198614190349.3"), expected);
    assert_eq!(stored("$JS.ACK._.account.s-1f.c.1.7.2.1795307198614190349.3.random"), expected);
    for bad in ["$JS.ACK.s.c.1.x.2.3.4", "$JS.ACK.s.c.1.2", "other", "$JS.ACK."] {
        assert_eq!(stored(bad), None);
    }
}
