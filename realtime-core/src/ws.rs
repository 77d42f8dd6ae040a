//! WebSocket (RFC 6455): handshake, codec, the connection's session, closing.

mod codec;
mod format;
mod frames;
mod handshake;
mod message;
mod session;
mod socket;

pub use codec::{Decoder, Incoming, ProtocolError};
pub use format::Format;
pub use handshake::{Accepted, Request};
pub use message::Message;
pub use session::{Session, Status};
pub use socket::{Outcome, RefreshError, SendError, Socket};

pub use crate::close::{CloseCause, CloseCode, CloseFrame, CloseReason, CloseReasonError};
