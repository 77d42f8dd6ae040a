use realtime_testkit::sse::vectors;

use super::*;

/// `None` when a constructor refuses.
fn encode(input: &realtime_testkit::sse::EncodeInput) -> Option<Vec<u8>> {
    let mut block = Block::new();
    if let Some(comment) = &input.comment {
        block = block.comment(comment);
    }
    if let Some(name) = &input.event {
        block = block.event(EventName::new(name.as_str()).ok()?);
    }
    if let Some(id) = &input.id {
        block = block.id(id).ok()?;
    }
    if let Some(retry) = input.retry_ms {
        block = block.retry(Duration::from_millis(retry));
    }
    if let Some(data) = &input.data {
        block = block.data(data);
    }
    let mut wire = Vec::new();
    block.write(&mut wire);
    Some(wire)
}

#[test]
fn every_vector_is_encoded_rightly_or_refused() {
    let vectors = &vectors().encode;
    assert_eq!(vectors.len(), 92);
    let mut refused = 0;
    for vector in vectors {
        let wire = encode(&vector.input);
        refused += usize::from(wire.is_none());
        if let Err(difference) = vector.check(wire.as_deref()) {
            panic!("{}: {difference}", vector.name);
        }
    }
    assert!(refused < 40, "{refused} refused");
}

#[test]
fn only_lf_ends_a_line() {
    let wire = encode(&realtime_testkit::sse::EncodeInput {
        event: Some("name".into()),
        data: Some("a\r\nb\rc\nd".into()),
        id: Some("1".into()),
        retry_ms: Some(5),
        comment: Some("x\r\ny".into()),
    });
    let expected = ": x\n: y\nevent: name\nid: 1\nretry: 5\ndata: a\ndata: b\ndata: c\ndata: d\n\n";
    assert_eq!(String::from_utf8(wire.unwrap()).unwrap(), expected);
}

#[test]
fn an_id_says_which_character_is_refused() {
    for (id, character, at) in [("a\0", '\0', 1), ("é\n", '\n', 2), ("\u{7f}", '\u{7f}', 0)] {
        assert_eq!(Block::new().id(id), Err(BlockIdError { character, at }));
    }
}
