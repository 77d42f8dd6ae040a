use proptest::prelude::*;

use super::*;

/// What `functions.lua` writes.
fn written(at: At, previous: u64, time: u64, event: &Event) -> Vec<u8> {
    let name = event.name().map_or("", EventName::as_str);
    let key = event.key().map_or("", EventKey::as_str);
    let mut bytes = format!(
        "{:x} {} {previous} {time} {} {} {}\n{name}{key}",
        at.epoch,
        at.sequence,
        Kind::of(event).as_str(),
        name.len(),
        key.len(),
    )
    .into_bytes();
    bytes.extend_from_slice(event.data().as_bytes());
    bytes
}

fn topic() -> TopicName {
    TopicName::new("t").unwrap()
}

fn events() -> impl Strategy<Value = Event> {
    let text =
        || proptest::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter::<Vec<char>>);
    let data = prop_oneof![
        text().prop_map(Event::text),
        text().prop_map(|text| Event::json(&text).unwrap()),
        any::<Vec<u8>>().prop_map(Event::binary),
    ];
    (data, text(), text()).prop_map(|(mut event, name, key)| {
        if let Ok(name) = EventName::new(name) {
            event = event.named(name).unwrap();
        }
        if let Ok(key) = EventKey::new(key) {
            event = event.keyed(key).unwrap();
        }
        event
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        epoch: u64, previous in 0..u64::MAX, above in 1..1000u64, time: u64, event in events(),
    ) {
        let at = At { epoch, sequence: previous.saturating_add(above) };
        let bytes = written(at, previous, time, &event);
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!(message.time, time);
        let record = message.record(&topic(), Duration::ZERO).unwrap();
        prop_assert_eq!((record.at, record.previous, record.event), (at, previous, event));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = mark(&bytes);
        if let Ok(message) = Message::parse(&bytes) {
            let _ = message.record(&topic(), Duration::ZERO);
        }
    }

    #[test]
    fn almost_messages_are_read_or_refused(
        event in events(), at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = written(At { epoch: 7, sequence: 2 }, 1, 3, &event);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert!(message.previous < message.at.sequence);
            let _ = message.record(&topic(), Duration::ZERO);
        }
    }

    #[test]
    fn marks_are_read(epoch: u64, sequence: u64, token: u64) {
        let bytes = format!("{epoch:x} {sequence} {token}");
        prop_assert_eq!(mark(bytes.as_bytes()), Ok((At { epoch, sequence }, token)));
    }
}

#[test]
fn says_what_is_wrong() {
    let parse = |bytes: &[u8]| {
        let message = Message::parse(bytes)?;
        message.record(&topic(), Duration::ZERO).map(|_| ())
    };
    for (bytes, expected) in [
        (&b""[..], Malformed::Head),
        (b"1 2 1 0 text 0 0", Malformed::Head),
        (b"1 2 1 0 text 0 0 0\n", Malformed::Head),
        (b"1 2 1 0 text 0\n", Malformed::Head),
        (b"1 +2 1 0 text 0 0\n", Malformed::Head),
        (b"1 2  1 0 text 0 0\n", Malformed::Head),
        (b"1 2 1 0 none 0 0\n", Malformed::Head),
        (b"1 2 1 0 text 18446744073709551616 0\n", Malformed::Head),
        (b"1 2 2 0 text 0 0\n", Malformed::Order),
        (b"1 2 1 0 text 18446744073709551615 1\nab", Malformed::Short),
        (b"1 2 1 0 text 1 2\nab", Malformed::Short),
        (b"1 2 1 0 text 0 0\n\xff", Malformed::Event),
        (b"1 2 1 0 json 0 0\n\"\xff\"", Malformed::Event),
        (b"1 2 1 0 text 1 0\n\xff", Malformed::Event),
        (b"1 2 1 0 text 1 0\n\r", Malformed::Event),
        (b"1 2 1 0 text 9 0\nrealtime.", Malformed::Event),
    ] {
        assert_eq!(parse(bytes), Err(expected), "{:?}", String::from_utf8_lossy(bytes));
    }
    for bad in [&b""[..], b"1 2", b"1 2 3 4", b"x 2 3", b"1 2 -3", b"1 2 \xff"] {
        assert_eq!(mark(bad), Err(Malformed::Mark));
    }
}

#[test]
fn what_only_claims_to_be_json_stays_text() {
    let event = |bytes: &[u8]| Message::parse(bytes).unwrap().event().unwrap();
    let json = event(b"1 2 1 0 json 0 0\n{ \"a\" : 1 }");
    assert!(json.is_json());
    assert_eq!(json.data().as_text(), Some("{ \"a\" : 1 }"));
    assert_eq!(event(b"1 2 1 0 json 0 0\nNaN"), Event::text("NaN"));
}
