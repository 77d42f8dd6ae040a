//! The answer when a request is refused.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    auth::AuthenticateError, client_ip::ForwardedError, origin::OriginRefused,
    permits::LimitReached, subscription::SubscribeError,
};

/// An answer that refuses a request: status, headers and a one-line body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {}", self.line())]
pub struct Rejection {
    status: u16,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Bytes,
}

impl Rejection {
    /// A refusal with a status and one line of plain text that says what was expected.
    pub fn new(status: u16, line: impl AsRef<str>) -> Self {
        let line: String = line
            .as_ref()
            .trim_end()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        Self {
            status,
            headers: vec![("content-type", "text/plain; charset=utf-8".into())],
            body: format!("{line}\n").into(),
        }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers: names in lower case, values of visible ASCII.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, value.as_ref()))
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as a line of text.
    pub(crate) fn line(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end().to_owned()
    }

    pub(crate) fn with_header(
        mut self,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn with_headers(mut self, headers: Vec<(&'static str, String)>) -> Self {
        self.headers.extend(headers.into_iter().map(|(name, value)| (name, value.into())));
        self
    }

    /// An answer without a body: 204, to be completed with headers.
    pub(crate) fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: Bytes::new() }
    }

    /// A refusal that an `EventSource` survives: it gives up for good at any status but 200, so it
    /// gets a stream that ends.
    pub(crate) fn event_stream(body: Bytes) -> Self {
        let headers = vec![
            ("content-type", "text/event-stream".into()),
            ("cache-control", "no-store, no-transform".into()),
        ];
        Self { status: 200, headers, body }
    }
}

impl From<SubscribeError> for Rejection {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Topic(_)
            | SubscribeError::Pattern(_)
            | SubscribeError::TooManyTopics { .. }
            | SubscribeError::TooManyPatterns { .. } => Self::new(400, error.to_string()),
            SubscribeError::Forbidden { .. } => Self::new(403, error.to_string()),
            SubscribeError::Table(_) => {
                Self::new(503, error.to_string()).with_header("retry-after", "5")
            }
        }
    }
}

impl From<OriginRefused> for Rejection {
    fn from(error: OriginRefused) -> Self {
        Self::new(403, error.to_string())
    }
}

impl From<ForwardedError> for Rejection {
    fn from(error: ForwardedError) -> Self {
        Self::new(400, error.to_string())
    }
}

impl From<LimitReached> for Rejection {
    fn from(reached: LimitReached) -> Self {
        let (status, retry_after) = match reached {
            LimitReached::Draining => (503, 1),
            LimitReached::Connections { .. } | LimitReached::Sockets { .. } => (503, 5),
            LimitReached::Handshakes { retry_after } => (429, retry_after.as_secs() + 1),
            LimitReached::ConnectionsPerIp { .. }
            | LimitReached::ConnectionsPerBlock { .. }
            | LimitReached::SocketsPerIp { .. }
            | LimitReached::ConnectionsPerSubject { .. }
            | LimitReached::Checks { .. } => (429, 5),
        };
        Self::new(status, reached.to_string()).with_header("retry-after", retry_after.to_string())
    }
}

impl From<AuthenticateError> for Rejection {
    fn from(error: AuthenticateError) -> Self {
        match error {
            // RFC 6750 §3.1.
            AuthenticateError::Invalid(_) => Self::new(401, error.to_string())
                .with_header("www-authenticate", "Bearer error=\"invalid_token\""),
            // Why is for the log.
            AuthenticateError::Unavailable(_) => {
                Self::new(503, "credentials can't be checked now: try again later")
                    .with_header("retry-after", "5")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_has_one_line_and_no_control_characters() {
        let rejection = Rejection::new(400, "a\r\nb\0c");
        assert_eq!(rejection.status(), 400);
        assert_eq!(rejection.body()[..], *b"a  b c\n");
        assert_eq!(rejection.to_string(), "400: a  b c");
    }
}
