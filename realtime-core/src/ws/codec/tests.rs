use realtime_testkit::ws::{Frame as Sent, LengthForm, opcode};

use super::*;

mod memory;
mod refusals;
mod streams;

const MAX_BYTES: usize = 300_000;
const MAX_FRAGMENTS: u32 = 100;

fn decoder() -> Decoder {
    Decoder::new(MAX_BYTES, MAX_FRAGMENTS)
}

/// What comes out of a decoder that is given these pieces one after the other, and what ends it.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Incoming>, Option<CloseCause>) {
    let mut decoder = decoder();
    let mut out = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(incoming)) => out.push(incoming),
                Ok(None) => break,
                Err(error) => return (out, Some(error.cause().clone())),
            }
        }
        assert!(piece.is_empty(), "all of the input is taken");
    }
    (out, None)
}

fn wire(frames: impl IntoIterator<Item = Sent>) -> Vec<u8> {
    frames.into_iter().flat_map(|frame| frame.to_bytes()).collect()
}
