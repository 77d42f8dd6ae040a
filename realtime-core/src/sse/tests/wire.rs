//! What is published is what a client sees.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::EventName;

/// Text with everything in it that the framing has to take care of.
fn tricky_text() -> impl Strategy<Value = String> {
    let pieces = vec![
        "\r",
        "\n",
        "\r\n",
        "\n\r",
        ":",
        " ",
        "data: ",
        "id: 9",
        "\0",
        "\u{feff}",
        "\u{2028}",
        "\u{85}",
        "\t",
        "é",
        "𝄞",
        "x",
        "event: realtime.bye",
    ];
    vec(select(pieces), 0..12).prop_map(|pieces| pieces.concat())
}

fn name() -> impl Strategy<Value = String> {
    let pieces = vec![":", " ", "data", "\0", "\u{feff}", "\u{2028}", "é", "x", "."];
    vec(select(pieces), 1..5).prop_map(|pieces| pieces.concat())
}

fn normalised(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

proptest! {
    #[test]
    fn what_is_published_is_seen(
        events in vec((tricky_text(), option::of(name()), 0..3_usize, any::<bool>()), 1..20),
    ) {
        let hub = Hub::new();
        let mut client = Client::open(&hub, ["a", "b", "c"]);
        let (mut seen, mut expected) = (Vec::new(), Vec::new());
        for (text, name, topic, polls) in &events {
            let event = Event::text(text.as_str());
            let event = match name {
                Some(name) => event.named(name).unwrap(),
                None => event,
            };
            let position = publish(&hub, ["a", "b", "c"][*topic], event);
            expected.push(Seen {
                event: name.clone().unwrap_or_else(|| "message".into()),
                data: normalised(text),
                last_event_id: position.to_string(),
                block_id: Some(position.to_string()),
            });
            if *polls {
                seen.extend(client.see());
            }
        }
        seen.extend(client.see());
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(client.poll(), None, "nothing more");
    }
}

#[test]
fn binary_data_is_refused_aloud_or_goes_as_base64() {
    let hub = Hub::new();
    let mut refusing = Client::open(&hub, "a");
    let mut encoding =
        Client::with(&hub, &Head::get(), "a", |config| config.binary = BinaryData::Base64);
    let event = Event::binary([0_u8, 255, 10, 13].as_slice()).named("blob").unwrap();
    let position = publish(&hub, "a", event);

    let [seen] = &refusing.see()[..] else { panic!() };
    assert_eq!((&*seen.event, &*seen.data), ("realtime.unsupported", r#"{"bytes":4}"#));
    assert_eq!(seen.block_id, Some(position.to_string()));

    let [seen] = &encoding.see()[..] else { panic!() };
    assert_eq!((&*seen.event, &*seen.data), ("blob", "AP8KDQ=="));
    assert_eq!(seen.block_id, Some(position.to_string()));
}

#[test]
fn a_gap_is_told_in_its_place_and_has_no_id() {
    let hub = Hub::new();
    let request =
        Subscribe::to("a").overflow(Overflow::DropOldest).lag(LagLimit::default().events(2));
    let mut client = Client::open(&hub, request);
    let first = publish(&hub, "a", Event::text("0"));
    client.see();
    let positions: Vec<_> =
        (1..=5).map(|n| publish(&hub, "a", Event::text(n.to_string()))).collect();

    let seen = client.see();
    assert_eq!(names(&seen), ["realtime.gap", "message", "message"]);
    let gap: serde_json::Value = serde_json::from_str(&seen[0].data).unwrap();
    let expected = serde_json::json!({
        "topic": "a",
        "after": first.to_string(),
        "resumes_at": positions[3].to_string(),
        "missed": 3,
    });
    assert_eq!(gap, expected);
    assert_eq!(seen[0].block_id, None);
    assert_eq!(seen[0].last_event_id, first.to_string(), "a cut here resumes before the gap");
    assert_eq!([&*seen[1].data, &*seen[2].data], ["4", "5"]);
}

#[test]
fn a_reset_carries_a_fresh_id_and_nothing_missed_follows_unseen() {
    let hub = Hub::new();
    publish(&hub, "a", Event::text("before"));
    for (id, reason) in [("1-1", "epoch"), ("nonsense", "malformed"), ("\u{1}", "malformed")] {
        let head = Head::get().with("last-event-id", id);
        let mut client =
            Client::with(&hub, &head, Subscribe::to("a").start(Start::Last(1)), |_| {});
        let seen = client.see();
        assert_eq!(names(&seen), ["realtime.reset", "message"], "{id}");
        assert_eq!(seen[0].data, format!(r#"{{"reason":"{reason}"}}"#));
        let fresh = seen[0].block_id.clone().unwrap();
        let mut again = Client::with(&hub, &Head::get().with("last-event-id", &fresh), "a", |_| {});
        assert_eq!(names(&again.see()), ["message"], "the fresh id resumes");
    }
}

#[test]
fn a_client_resumes_from_the_header_or_the_query() {
    let hub = Hub::new();
    let first = publish(&hub, "a", Event::text("1"));
    publish(&hub, "a", Event::text("2"));
    let by_header = Head::get().with("last-event-id", first.to_string());
    let by_query = Head::get().query(&format!("last_event_id={first}"));
    for head in [by_header, by_query] {
        let seen = Client::with(&hub, &head, "a", |_| {}).see();
        assert_eq!(seen.iter().map(|seen| &*seen.data).collect::<Vec<_>>(), ["2"]);
    }
}

#[test]
fn a_lagging_stream_says_bye_and_ends() {
    let hub = Hub::new();
    let mut client = Client::open(&hub, Subscribe::to("a").lag(LagLimit::default().events(2)));
    for n in 0..3 {
        publish(&hub, "a", Event::text(n.to_string()));
    }
    let seen = client.see();
    assert_eq!(names(&seen), ["realtime.bye"]);
    assert_eq!(seen[0].data, r#"{"reason":"slow consumer"}"#);
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(client.stream.poll_next(&mut cx, Instant::now()), Poll::Ready(None));
    assert_eq!(client.stream.poll_next(&mut cx, Instant::now()), Poll::Ready(None), "for good");
}

#[test]
fn the_library_has_its_names_for_itself() {
    assert!(EventName::new("realtime.bye").is_err());
    let hub = Hub::new();
    let mut client = Client::open(&hub, "a");
    publish(&hub, "a", Event::text("x\n\nevent: realtime.bye\ndata: y"));
    assert_eq!(names(&client.see()), ["message"]);
}
