//! Valid streams, and any bytes, however they are cut.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

#[derive(Clone, Debug)]
enum Item {
    Text(String, Vec<Index>),
    Binary(Vec<u8>, Vec<Index>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn payload(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..max)
}

fn item() -> impl Strategy<Value = Item> {
    let cuts = || vec(any::<Index>(), 0..5);
    prop_oneof![
        (".{0,60}", cuts()).prop_map(|(text, cuts)| Item::Text(text, cuts)),
        (payload(400), cuts()).prop_map(|(bytes, cuts)| Item::Binary(bytes, cuts)),
        // Each length form, without the cost of making as many random bytes.
        (prop_oneof![Just(125), Just(126), Just(65_535), Just(65_536)], any::<u8>())
            .prop_map(|(length, byte)| Item::Binary(vec![byte; length], Vec::new())),
        payload(126).prop_map(Item::Ping),
        payload(126).prop_map(Item::Pong),
    ]
}

/// The frames of a message that is cut anywhere, also within a character, with pings between.
fn fragments(opcode: u8, data: &[u8], cuts: &[Index], seen: &mut Vec<Incoming>) -> Vec<Sent> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
    cuts.sort_unstable();
    let mut frames = Vec::new();
    let mut start = 0;
    for &cut in &cuts {
        let opcode = if frames.is_empty() { opcode } else { opcode::CONTINUATION };
        frames.push(Sent::new(opcode, &data[start..cut]).fin(false));
        frames.push(Sent::ping("between"));
        seen.push(Incoming::Ping("between".into()));
        start = cut;
    }
    let opcode = if frames.is_empty() { opcode } else { opcode::CONTINUATION };
    frames.push(Sent::new(opcode, &data[start..]));
    frames
}

fn stream(items: &[Item]) -> (Vec<u8>, Vec<Incoming>) {
    let mut seen = Vec::new();
    let mut frames = Vec::new();
    for item in items {
        match item {
            Item::Text(text, cuts) => {
                frames.extend(fragments(opcode::TEXT, text.as_bytes(), cuts, &mut seen));
                seen.push(Incoming::Message(Message::text(text.as_str())));
            }
            Item::Binary(bytes, cuts) => {
                frames.extend(fragments(opcode::BINARY, bytes, cuts, &mut seen));
                seen.push(Incoming::Message(Message::binary(bytes.clone())));
            }
            Item::Ping(payload) => {
                frames.push(Sent::ping(&payload[..]));
                seen.push(Incoming::Ping(payload.clone().into()));
            }
            Item::Pong(payload) => {
                frames.push(Sent::pong(&payload[..]));
                seen.push(Incoming::Pong);
            }
        }
    }
    (wire(frames), seen)
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn same_however_cut(bytes: &[u8], cuts: &[Index]) -> (Vec<Incoming>, Option<CloseCause>) {
    let whole = decode([bytes]);
    assert_eq!(decode(pieces(bytes, cuts)), whole);
    if bytes.len() < 4096 {
        assert_eq!(decode(bytes.chunks(1)), whole);
    }
    whole
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_a_client_sends_comes_out(
        items in vec(item(), 0..6),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let (bytes, seen) = stream(&items);
        prop_assert_eq!(same_however_cut(&bytes, &cuts), (seen, None));
    }

    #[test]
    fn a_changed_byte_has_the_same_result_however_cut(
        items in vec(item(), 1..5),
        changes in vec((any::<Index>(), any::<u8>()), 1..3),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let (mut bytes, _) = stream(&items);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        same_however_cut(&bytes, &cuts);
    }

    #[test]
    fn any_bytes_have_the_same_result_however_cut(
        bytes in payload(300),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        same_however_cut(&bytes, &cuts);
    }

    #[test]
    fn any_start_of_a_frame_has_the_same_result_however_cut(
        first in prop_oneof![Just(0x81), Just(0x82), Just(0x01), Just(0x80), Just(0x88), Just(0x89)],
        second in prop_oneof![0x80_u8.., Just(0xfe), Just(0xff)],
        rest in payload(60),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let bytes = [&[first, second][..], &rest].concat();
        same_however_cut(&bytes, &cuts);
    }
}

#[test]
fn a_close_has_a_code_and_a_reason_or_neither() {
    let close = |code, reason: &str| {
        let frame = CloseFrame::new(CloseCode::new(code)?, CloseReason::new(reason).ok()?);
        Some(Incoming::Close(Some(frame)))
    };
    for (frame, expected) in [
        (Sent::new(opcode::CLOSE, []), Some(Incoming::Close(None))),
        (Sent::close(1000, ""), close(1000, "")),
        (Sent::close(4999, "µ"), close(4999, "µ")),
        (Sent::close(1000, &"x".repeat(123)), close(1000, &"x".repeat(123))),
    ] {
        let (seen, error) = decode([&frame.to_bytes()[..]]);
        assert_eq!((seen, error), (expected.into_iter().collect(), None), "{frame}");
    }
}

#[test]
fn the_largest_message_and_the_most_fragments_pass() {
    let largest = Sent::binary(vec![7; MAX_BYTES]).to_bytes();
    assert_eq!(decode([&largest[..]]).0.len(), 1);

    let last = MAX_FRAGMENTS - 1;
    let frames = (0..MAX_FRAGMENTS).map(|n| {
        let opcode = if n == 0 { opcode::TEXT } else { opcode::CONTINUATION };
        Sent::new(opcode, "x").fin(n == last)
    });
    let text = "x".repeat(MAX_FRAGMENTS as usize);
    let expected = (vec![Incoming::Message(Message::text(text))], None);
    assert_eq!(decode([&wire(frames)[..]]), expected);
}
