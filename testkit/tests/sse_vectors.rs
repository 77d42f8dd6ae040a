//! The parser against the vectors, however the wire is cut.

#![allow(clippy::panic, reason = "test code")]

use realtime_testkit::sse::{EncodeVector, Outcome, ParseVector, Parser, vectors};

#[test]
fn every_vector_is_there() {
    assert_eq!(vectors().parse.len(), 78);
    assert_eq!(vectors().encode.len(), 92);
}

#[test]
fn parses_whole() {
    each_parse_vector(|vector| check_cut(vector, [vector.wire.len()]));
}

#[test]
fn parses_byte_by_byte() {
    each_parse_vector(|vector| check_cut(vector, std::iter::repeat(1)));
}

#[test]
fn parses_under_random_cuts() {
    let mut random = fastrand::Rng::with_seed(0x5eed);
    each_parse_vector(|vector| {
        let length = vector.wire.len();
        // Megabytes need fewer rounds: their cuts are many in each.
        let rounds = if length > 100_000 { 3 } else { 200 };
        for _ in 0..rounds {
            let longest = random.usize(1..=length.clamp(1, 4096));
            let mut cuts = random.fork();
            check_cut(vector, std::iter::repeat_with(move || cuts.usize(..=longest)))?;
        }
        Ok(())
    });
}

#[test]
fn the_last_event_id_header_is_the_id_without_outer_spaces() {
    for vector in &vectors().parse {
        assert_eq!(vector.last_event_id_header, vector.last_event_id.trim(), "{}", vector.name);
    }
}

/// What a parser understands of a naive but right encoder's work is what the client must see.
#[test]
fn encode_vectors_hold_for_a_right_encoder() {
    let mut refused = 0;
    for vector in &vectors().encode {
        let wire = encode(vector);
        refused += usize::from(wire.is_none());
        if let Err(difference) = vector.check(wire.as_deref()) {
            panic!("{}: {difference}", vector.name);
        }
    }
    assert!(refused > 10, "{refused} refused");
}

#[test]
fn encode_vectors_catch_a_wrong_encoder() {
    let caught = |wire: fn(&EncodeVector) -> Option<Vec<u8>>| {
        vectors().encode.iter().filter(|v| v.check(wire(v).as_deref()).is_err()).count()
    };
    let accepted = vectors().encode.iter().filter(|v| v.outcome == Outcome::Ok).count();
    assert_eq!(caught(|_| None), accepted, "refuses everything");
    let raw =
        |v: &EncodeVector| Some(format!("data: {}\n\n", v.input.data.as_deref()?).into_bytes());
    assert!(caught(raw) > 20, "writes data as it is");
}

#[test]
fn counts_comments_and_silent_blocks() {
    let mut parser = Parser::new();
    let events = parser.feed(b": hello\n\nretry: 5\nid: 1\n\n\n:\ndata: x\n\n");
    assert_eq!(events.len(), 1);
    assert_eq!((parser.comments(), parser.silent_blocks()), (2, 1));
    assert_eq!((parser.retry(), parser.last_event_id()), (Some(5), "1"));
}

#[test]
fn dispatches_with_the_byte_that_ends_the_block() {
    let mut parser = Parser::new();
    assert_eq!(parser.feed(b"data: x\r\n").len(), 0);
    assert_eq!(parser.feed(b"\r").len(), 1);
    assert_eq!(parser.feed(b"\ndata: y\r\n\r").len(), 1);
}

fn each_parse_vector(mut check: impl FnMut(&ParseVector) -> Result<(), String>) {
    let differences: Vec<_> = vectors()
        .parse
        .iter()
        .filter_map(|vector| Some(format!("{}: {}", vector.name, check(vector).err()?)))
        .collect();
    assert!(differences.is_empty(), "{} differ\n{}", differences.len(), differences.join("\n"));
}

fn check_cut(vector: &ParseVector, sizes: impl IntoIterator<Item = usize>) -> Result<(), String> {
    let mut parser = Parser::new();
    let mut events = Vec::new();
    let mut rest = vector.wire.as_slice();
    for size in sizes {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        events.extend(parser.feed(piece));
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    vector.check(&events, &parser)
}

fn encode(vector: &EncodeVector) -> Option<Vec<u8>> {
    let input = &vector.input;
    let breaks = |text: &str| text.contains(['\r', '\n']);
    let event = input.event.as_deref();
    let id = input.id.as_deref();
    let comment = input.comment.as_deref();
    if event.is_some_and(breaks)
        || id.is_some_and(|id| id.contains(char::is_control))
        || comment.is_some_and(breaks)
    {
        return None;
    }
    let mut wire = String::new();
    let mut line = |name: &str, value: &str| wire.extend([name, ": ", value, "\n"]);
    comment.into_iter().for_each(|text| line("", text));
    event.into_iter().for_each(|name| line("event", name));
    id.into_iter().for_each(|id| line("id", id));
    input.retry_ms.into_iter().for_each(|ms| line("retry", &ms.to_string()));
    if let Some(data) = &input.data {
        data.replace("\r\n", "\n").split(['\r', '\n']).for_each(|text| line("data", text));
    }
    wire.push('\n');
    Some(wire.into_bytes())
}
