//! What the server's errors mean to the bridge.

use realtime_bridge::EngineError;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};

/// The error of a command that was sent.
pub(crate) fn failure(error: &RedisError) -> EngineError {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::RESP3NotSupported => EngineError::Refused(format!("{text}; {NEEDED}")),
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => {
            EngineError::Refused(text)
        }
        ErrorKind::Server(kind) => server_failure(kind, error, text),
        ErrorKind::Extension => match error.code() {
            Some("NOAUTH" | "WRONGPASS" | "NOPERM" | "OOM" | "MISCONF" | "NOREPLICAS") => {
                EngineError::Refused(text)
            }
            Some("BUSY" | "UNBLOCKED") => EngineError::Unreachable(text),
            _ => EngineError::Protocol(text),
        },
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => EngineError::Protocol(text),
        _ => EngineError::Unreachable(text),
    }
}

/// What is needed of a server.
pub(crate) const NEEDED: &str = "expected Redis 7.0 or later, or Valkey";

fn server_failure(kind: ServerErrorKind, error: &RedisError, text: String) -> EngineError {
    match kind {
        ServerErrorKind::NoPerm => EngineError::Refused(text),
        // The library is loaded when a connection is made.
        ServerErrorKind::ResponseError if is_missing_function(error) => {
            EngineError::Unreachable(text)
        }
        ServerErrorKind::ResponseError
            if error.detail().is_some_and(|detail| detail.starts_with("The user executing")) =>
        {
            EngineError::Refused(text)
        }
        // An error in the middle of a function, as when somebody else has written to its keys.
        ServerErrorKind::ResponseError
            if error.detail().is_some_and(|detail| detail.contains("@user_function")) =>
        {
            EngineError::Protocol(text)
        }
        ServerErrorKind::ResponseError | ServerErrorKind::CrossSlot => EngineError::Refused(text),
        // Another server has the keys now, or this one is not ready.
        _ => EngineError::Unreachable(text),
    }
}

/// Whether a new connection, to another server or after loading the library, is what helps.
pub(crate) fn needs_new_connection(error: &RedisError) -> bool {
    let elsewhere = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading
        )
    );
    elsewhere || is_missing_function(error) || error.is_unrecoverable_error() || error.is_io_error()
}

/// Whether the server has no such function.
pub(crate) fn is_missing_function(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.starts_with("Function not found"))
}

/// Whether the server has no such command.
pub(crate) fn is_unknown_command(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.to_ascii_lowercase().starts_with("unknown command"))
}

/// What was answered and must not be.
pub(crate) fn unexpected(what: &str, expected: &str) -> EngineError {
    EngineError::Protocol(format!("expected {expected} in answer to {what}"))
}

/// A number of an answer.
pub(crate) fn number(value: Option<&Value>) -> Option<u64> {
    match value {
        Some(Value::Int(number)) => u64::try_from(*number).ok(),
        _ => None,
    }
}
