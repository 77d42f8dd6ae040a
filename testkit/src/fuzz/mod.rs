//! Fuzz targets: what reads untrusted input, and the properties that it must keep.
//!
//! Each target is an ordinary function of bytes that panics when a property is broken. The crate in
//! `fuzz/` lets a fuzzer search for such bytes; the test `corpus` replays what it has found, with no
//! fuzzer at hand. What is right is said here a second time and in another way, so that a mistake in
//! the core is not its own judge.

pub mod credentials;
pub mod forwarded;
pub mod last_event_id;
pub mod origin;
pub mod pattern;
pub mod request_head;
pub mod sse_codec;
pub mod ws_codec;

mod answer;
mod client_frames;
mod head;
mod input;

/// A target's name, which is also that of its corpus, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("credentials", credentials::run),
    ("forwarded", forwarded::run),
    ("last_event_id", last_event_id::run),
    ("origin", origin::run),
    ("pattern", pattern::run),
    ("request_head", request_head::run),
    ("sse_codec", sse_codec::run),
    ("ws_codec", ws_codec::run),
];
