//! `Last-Event-ID`: one id has one text.

use realtime_core::LastEventId;

use super::input::text;

/// The input is the header's value.
pub fn run(data: &[u8]) {
    let parsed = LastEventId::parse(data);
    assert_eq!(parsed.is_ok(), is_id(data), "{:?}", text(data));
    if let Ok(id) = parsed {
        assert_eq!(id.to_string().as_bytes(), data);
        assert!(data.len() <= LastEventId::MAX_BYTES);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(text.parse::<LastEventId>(), parsed);
    }
}

/// Whether two numbers of 64 bits print as exactly these bytes.
fn is_id(bytes: &[u8]) -> bool {
    let numbers = || -> Option<(u64, u64)> {
        let (epoch, sequence) = std::str::from_utf8(bytes).ok()?.split_once('-')?;
        Some((u64::from_str_radix(epoch, 16).ok()?, sequence.parse().ok()?))
    };
    numbers().is_some_and(|(epoch, sequence)| format!("{epoch:x}-{sequence}").as_bytes() == bytes)
}
