//! WebSocket (RFC 6455): handshake, codec, the connection's session, closing.

mod close;
mod codec;
mod format;
mod frames;
mod handshake;
mod message;
mod session;
mod socket;

pub use close::{CloseCause, CloseCode, CloseFrame, CloseReason, CloseReasonError};
pub use codec::{Decoder, Incoming, ProtocolError};
pub use format::Format;
pub use handshake::{Accepted, Request};
pub use message::Message;
pub use session::{Session, Status};
pub use socket::{Outcome, RefreshError, SendError, Socket};
