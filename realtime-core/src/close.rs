//! Why a connection closes, and what the peer is told (RFC 6455 §7.4).

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use bytestring::ByteString;
use tungstenite::protocol::frame::coding::CloseCode as Registered;

use crate::{lifetime::LifetimeEnd, subscription::Disconnected};

/// The status code of a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: a frame breaks the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a type of data that is not accepted here.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: text that is no UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: against a policy that has no code of its own.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message that is too big.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1011: the server failed.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts; come back.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: overloaded, or the client is too slow; come back later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// 4401: no identity, or one that has expired or was revoked; don't retry with the same
    /// credentials.
    pub const UNAUTHENTICATED: Self = Self(4401);
    /// 4403: the identity may not do this.
    pub const FORBIDDEN: Self = Self(4403);
    /// 4408: the client did not authenticate in time.
    pub const AUTHENTICATION_TIMEOUT: Self = Self(4408);
    /// 4429: too many messages, bytes, refreshes, connections or checks of credentials.
    pub const TOO_FAST: Self = Self(4429);

    /// The code `code`, if an endpoint may send it: RFC 6455 §7.4.2 keeps some for nobody (0–999)
    /// and some for inside use (1005, 1006, 1015).
    pub fn new(code: u16) -> Option<Self> {
        // 1014, a bad gateway, was registered after the others, and tungstenite does not know it.
        let is_allowed = code == 1014 || Registered::from(code).is_allowed();
        is_allowed.then_some(Self(code))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The reason in a Close frame: at most 123 bytes of UTF-8, since a control frame holds 125.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CloseReason(ByteString);

impl CloseReason {
    /// The longest reason, in bytes.
    pub const MAX_BYTES: usize = 123;

    /// Checks `reason` and takes it.
    ///
    /// # Errors
    /// [`CloseReasonError`] when it is too long.
    pub fn new(reason: impl Into<ByteString>) -> Result<Self, CloseReasonError> {
        let reason = reason.into();
        if reason.len() > Self::MAX_BYTES {
            return Err(CloseReasonError { length: reason.len() });
        }
        Ok(Self(reason))
    }

    /// It as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As much of `reason` as fits, cut between characters.
    pub fn truncated(reason: &str) -> Self {
        let mut end = reason.len().min(Self::MAX_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Self(reason[..end].into())
    }
}

/// A reason that does not fit into a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a close reason must be at most 123 bytes long, this one has {length}")]
pub struct CloseReasonError {
    length: usize,
}

/// A Close frame's code and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseFrame {
    /// The code.
    pub code: CloseCode,
    /// The reason; empty when there is none.
    pub reason: CloseReason,
}

impl CloseFrame {
    /// A frame with a code and a reason.
    pub fn new(code: CloseCode, reason: CloseReason) -> Self {
        Self { code, reason }
    }
}

/// Why a connection ended: the one list from which the close code, the reason, the log field and
/// the metric label come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseCause {
    /// The handler is done.
    Done,
    /// The handler chose a code and a reason.
    Handler(CloseFrame),
    /// The handler returned an error or panicked.
    HandlerFailed,
    /// The handler's inbox was full, and it took nothing out of it for as long as a ping and its
    /// answer may take.
    HandlerStalled,
    /// The peer closed, with this frame.
    Peer(Option<CloseFrame>),
    /// The peer broke the protocol.
    ProtocolError(&'static str),
    /// The peer sent text that is no UTF-8.
    InvalidUtf8,
    /// The peer sent a message beyond the limit.
    MessageTooBig,
    /// The peer sent a message in more fragments than are allowed.
    TooManyFragments,
    /// The peer sent more than [`Limits::messages`](crate::Limits::messages) or
    /// [`Limits::inbound_bytes`](crate::Limits::inbound_bytes) allow, or refreshed its identity more
    /// often than [`Limits::refreshes`](crate::Limits::refreshes).
    TooFast,
    /// What the peer presented in a message proves no identity, for this reason.
    Unauthenticated(ByteString),
    /// The identity has expired and was not refreshed.
    Expired,
    /// The identity was revoked by [`Hub::disconnect`](crate::Hub::disconnect), for this reason.
    Revoked(ByteString),
    /// The identity may not do what the connection is for.
    Forbidden(ByteString),
    /// The peer did not authenticate in time.
    AuthenticationDeadline,
    /// What the peer presented could not be checked now.
    AuthenticationUnavailable,
    /// The identity has as many connections as it may.
    TooManyConnections,
    /// So much of the peer's network was being checked that the peer's turn did not come in time.
    TooManyChecks,
    /// The hub's table of topics is full.
    Overloaded,
    /// The subscription lagged under [`Overflow::Disconnect`](crate::Overflow::Disconnect).
    SlowConsumer,
    /// The subscription's patterns came to match more topics than
    /// [`Limits::topics_per_subscription`](crate::Limits::topics_per_subscription) allows.
    TooManyTopics,
    /// The hub is being drained; the client is told when to come back.
    Draining {
        /// After how long, by the whole millisecond.
        retry: Duration,
    },
    /// The connection carried nothing for [`Limits::idle_timeout`](crate::Limits::idle_timeout).
    Idle,
    /// The connection has lasted as long as [`Limits::max_age`](crate::Limits::max_age) allows.
    MaxAge,
    /// The subscription was to have more patterns than
    /// [`Limits::patterns_per_subscription`](crate::Limits::patterns_per_subscription) allows.
    TooManyPatterns,
    /// The peer took no byte for the length of the write deadline.
    WriteDeadline,
    /// The peer did not answer a ping.
    PongDeadline,
    /// The connection is gone: FIN or RST without a closing handshake.
    Vanished,
}

impl CloseCause {
    /// Its name in logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Handler(_) => "handler",
            Self::HandlerFailed => "handler_failed",
            Self::HandlerStalled => "handler_stalled",
            Self::Peer(_) => "peer",
            Self::ProtocolError(_) => "protocol_error",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::MessageTooBig => "message_too_big",
            Self::TooManyFragments => "too_many_fragments",
            Self::TooFast => "too_fast",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Expired => "expired",
            Self::Revoked(_) => "revoked",
            Self::Forbidden(_) => "forbidden",
            Self::AuthenticationDeadline => "authentication_deadline",
            Self::AuthenticationUnavailable => "authentication_unavailable",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyChecks => "too_many_checks",
            Self::Overloaded => "overloaded",
            Self::SlowConsumer => "slow_consumer",
            Self::TooManyTopics => "too_many_topics",
            Self::Draining { .. } => "draining",
            Self::Idle => "idle",
            Self::MaxAge => "max_age",
            Self::TooManyPatterns => "too_many_patterns",
            Self::WriteDeadline => "write_deadline",
            Self::PongDeadline => "pong_deadline",
            Self::Vanished => "vanished",
        }
    }

    /// The Close frame that the peer is sent; `None` for one without a code, and when nobody is
    /// there to read it.
    pub fn frame(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Done => (CloseCode::NORMAL, ""),
            Self::Handler(frame) => return Some(frame.clone()),
            Self::HandlerFailed => (CloseCode::INTERNAL_ERROR, "internal error"),
            Self::HandlerStalled => (CloseCode::INTERNAL_ERROR, "handler stalled"),
            // RFC 6455 §5.5.1: the answer to a Close typically echoes its code.
            Self::Peer(frame) => {
                let code = frame.as_ref()?.code;
                return Some(CloseFrame::new(code, CloseReason::default()));
            }
            Self::ProtocolError(what) => (CloseCode::PROTOCOL_ERROR, *what),
            Self::InvalidUtf8 => (CloseCode::INVALID_PAYLOAD, "invalid UTF-8"),
            Self::MessageTooBig => (CloseCode::MESSAGE_TOO_BIG, "message too big"),
            Self::TooManyFragments => (CloseCode::POLICY_VIOLATION, "too many fragments"),
            Self::TooFast => (CloseCode::TOO_FAST, "too fast"),
            Self::Unauthenticated(reason) | Self::Revoked(reason) => {
                (CloseCode::UNAUTHENTICATED, &**reason)
            }
            Self::Expired => (CloseCode::UNAUTHENTICATED, "expired"),
            Self::Forbidden(reason) => (CloseCode::FORBIDDEN, &**reason),
            Self::AuthenticationDeadline => {
                (CloseCode::AUTHENTICATION_TIMEOUT, "authentication timeout")
            }
            Self::AuthenticationUnavailable => {
                (CloseCode::TRY_AGAIN_LATER, "credentials can't be checked now")
            }
            Self::TooManyConnections => (CloseCode::TOO_FAST, "too many connections"),
            Self::TooManyChecks => (CloseCode::TOO_FAST, "too many checks of credentials"),
            Self::Overloaded => (CloseCode::TRY_AGAIN_LATER, "overloaded"),
            Self::SlowConsumer => (CloseCode::TRY_AGAIN_LATER, "slow consumer"),
            Self::TooManyTopics => (CloseCode::POLICY_VIOLATION, "too many topics"),
            Self::Idle => (CloseCode::GOING_AWAY, "idle"),
            Self::MaxAge => (CloseCode::GOING_AWAY, "maximum age"),
            Self::Draining { retry } => {
                let reason = format!("retry={}", retry.as_millis());
                let reason = CloseReason::truncated(&reason);
                return Some(CloseFrame::new(CloseCode::SERVICE_RESTART, reason));
            }
            Self::TooManyPatterns => (CloseCode::POLICY_VIOLATION, "too many patterns"),
            Self::WriteDeadline | Self::PongDeadline | Self::Vanished => return None,
        };
        Some(CloseFrame::new(code, CloseReason::truncated(reason)))
    }

    /// Whether it is the peer that ended the conversation, by a Close or by bytes that make no sense.
    pub(crate) fn is_of_peer(&self) -> bool {
        matches!(
            self,
            Self::Peer(_)
                | Self::ProtocolError(_)
                | Self::InvalidUtf8
                | Self::MessageTooBig
                | Self::TooManyFragments
                | Self::TooFast
        )
    }
}

/// What an application wants to be called when a connection has ended: once, whatever it ends by, when
/// all that it held has been given back.
pub(crate) struct OnClose {
    cause: CloseCause,
    /// Whether there is a connection: of a handshake that is refused nothing ends.
    is_open: bool,
    call: Option<Box<dyn FnOnce(CloseCause) + Send>>,
}

impl OnClose {
    pub(crate) fn new(call: impl FnOnce(CloseCause) + Send + 'static) -> Self {
        Self { cause: CloseCause::Vanished, is_open: false, call: Some(Box::new(call)) }
    }

    /// Takes word that there is a connection.
    pub(crate) fn opened(&mut self) {
        self.is_open = true;
    }

    /// Takes word of the cause.
    pub(crate) fn ended(&mut self, cause: CloseCause) {
        self.cause = cause;
    }
}

impl Drop for OnClose {
    fn drop(&mut self) {
        let Some(call) = self.call.take().filter(|_| self.is_open) else { return };
        let cause = std::mem::replace(&mut self.cause, CloseCause::Vanished);
        if catch_unwind(AssertUnwindSafe(|| call(cause))).is_err() {
            tracing::error!("an `on_close` panicked; the connection has ended all the same");
        }
    }
}

impl fmt::Debug for OnClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnClose").field("cause", &self.cause).finish_non_exhaustive()
    }
}

impl From<&Disconnected> for CloseCause {
    fn from(reason: &Disconnected) -> Self {
        match reason {
            Disconnected::Lagged(_) => Self::SlowConsumer,
            Disconnected::TooManyTopics { .. } => Self::TooManyTopics,
        }
    }
}

impl From<LifetimeEnd> for CloseCause {
    fn from(end: LifetimeEnd) -> Self {
        match end {
            LifetimeEnd::Idle => Self::Idle,
            LifetimeEnd::MaxAge => Self::MaxAge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_no_endpoint_may_send_are_refused() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert_eq!(CloseCode::new(code), None, "{code}");
        }
        for code in [1000, 1001, 1003, 1007, 1009, 1011, 1012, 1013, 1014, 3000, 4401, 4999] {
            assert!(CloseCode::new(code).is_some(), "{code}");
        }
    }

    #[test]
    fn reasons_fit_a_control_frame_and_are_cut_between_characters() {
        assert!(CloseReason::new("x".repeat(123)).is_ok());
        assert!(CloseReason::new("x".repeat(124)).is_err());
        let cut = CloseReason::truncated(&"é".repeat(100));
        assert_eq!(cut.as_str().len(), 122);
    }
}
