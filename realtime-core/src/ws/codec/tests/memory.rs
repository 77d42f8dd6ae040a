//! What a decoder holds.

use super::*;

/// Bytes of payload that the decoder has room for.
fn held(decoder: &Decoder) -> usize {
    let message = decoder.message.as_ref().map_or(0, |message| message.capacity());
    message + decoder.control.capacity()
}

fn feed(decoder: &mut Decoder, mut bytes: &[u8]) -> Result<usize, ProtocolError> {
    let mut count = 0;
    while decoder.decode(&mut bytes)?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[test]
fn an_idle_decoder_holds_no_heap() {
    let mut decoder = decoder();
    let close = Sent::close(1000, "bye");
    for frame in [Sent::text("hello"), Sent::ping("x"), Sent::pong("x"), Sent::binary(""), close] {
        assert_eq!(feed(&mut decoder, &frame.to_bytes()).unwrap(), 1);
        assert!(decoder.message.is_none() && held(&decoder) == 0, "{frame}");
    }
    let header = &Sent::text("hello").to_bytes()[..5];
    feed(&mut decoder, header).unwrap();
    assert!(decoder.message.is_none() && held(&decoder) == 0, "part of a header");
}

#[test]
fn what_is_refused_at_its_header_takes_no_buffer() {
    for frame in [
        Sent::binary("").length_form(LengthForm::Claim(MAX_BYTES as u64 + 1)),
        Sent::binary("").length_form(LengthForm::Claim(1 << 40)),
        Sent::ping("").length_form(LengthForm::Claim(126)),
    ] {
        let mut decoder = decoder();
        assert!(feed(&mut decoder, &frame.to_bytes()).is_err());
        assert_eq!(held(&decoder), 0, "{frame}");
    }
}

#[test]
fn a_claim_reserves_little_before_the_bytes_come() {
    let claim = LengthForm::Claim(MAX_BYTES as u64);
    for fin in [true, false] {
        let mut decoder = decoder();
        feed(&mut decoder, &Sent::binary("x").fin(fin).length_form(claim).to_bytes()).unwrap();
        assert!((1..=assembly::MAX_RESERVE).contains(&held(&decoder)), "{}", held(&decoder));
    }
}

#[test]
fn many_claims_reserve_no_more_than_twice_what_came() {
    let mut decoder = decoder();
    feed(&mut decoder, &Sent::binary("").fin(false).to_bytes()).unwrap();
    let mut came = 0;
    for _ in 1..MAX_FRAGMENTS - 1 {
        let fragment = Sent::continuation([7; 1000]).fin(false);
        came += 1000;
        feed(&mut decoder, &fragment.to_bytes()).unwrap();
        assert!(held(&decoder) <= 2 * (came + assembly::MAX_RESERVE), "{}", held(&decoder));
    }
    let claim = Sent::continuation("").length_form(LengthForm::Claim((MAX_BYTES - came) as u64));
    feed(&mut decoder, &claim.to_bytes()).unwrap();
    assert!(held(&decoder) <= 2 * (came + assembly::MAX_RESERVE), "{}", held(&decoder));
}

#[test]
fn a_small_message_takes_no_more_than_its_bytes() {
    let mut decoder = decoder();
    let mut bytes = &Sent::binary([1; 100]).to_bytes()[..];
    let (head, tail) = bytes.split_at(50);
    bytes = head;
    assert_eq!(decoder.decode(&mut bytes).unwrap(), None);
    assert_eq!(held(&decoder), 100);
    bytes = tail;
    assert!(decoder.decode(&mut bytes).unwrap().is_some());
}
