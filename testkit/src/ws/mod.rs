//! The client side of WebSocket, one frame at a time.
//!
//! A test is a dialogue: send this, expect that. What the peer sends may be wrong in any way; what
//! it receives must be right, or the test fails.

mod decode;
mod expect;
mod flood;
mod frame;
mod handshake;
mod peer;

pub(crate) use decode::Decoder;
pub use decode::Received;
pub use flood::Flood;
pub use frame::{Frame, LengthForm, opcode};
pub(crate) use handshake::accept;
pub use handshake::request;
pub use peer::Peer;
