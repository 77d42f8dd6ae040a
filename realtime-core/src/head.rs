//! The request's head as core sees it, and the answer when a request is refused.

use std::{borrow::Cow, net::SocketAddr};

use bytes::Bytes;

use crate::{
    limits::TooManyConnections,
    origin::OriginRefused,
    position::{LastEventId, LastEventIdError},
    subscription::SubscribeError,
};

/// A view of a request's head; adapters implement it for their framework's request.
pub trait RequestHead {
    /// The method, as it came.
    fn method(&self) -> &str;

    /// The version of HTTP.
    fn version(&self) -> HttpVersion;

    /// The query of the request target, without the `?`.
    fn query(&self) -> Option<&str>;

    /// Every value of a header, in order; `name` is in lower case.
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;

    /// The host that the request was sent to: the `:authority` of HTTP/2, which stands in place of
    /// `Host`. Defaults to the `Host` header.
    fn authority(&self) -> Option<&[u8]> {
        self.header("host")
    }

    /// The `:protocol` of an extended CONNECT (RFC 8441). Defaults to none.
    fn protocol(&self) -> Option<&str> {
        None
    }

    /// The peer's address, if there is one.
    fn peer_addr(&self) -> Option<SocketAddr>;

    /// The first value of a header; `name` is in lower case.
    fn header<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.header_values(name).next()
    }
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/0.9 or 1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

/// The id that a client wants to resume after: the `Last-Event-ID` header, or else the
/// `last_event_id` parameter of the query, since an `EventSource` can't set a header on its first
/// connect and a browser's WebSocket never.
pub(crate) fn last_event_id(
    head: &impl RequestHead,
) -> Option<Result<LastEventId, LastEventIdError>> {
    if let Some(header) = head.header("last-event-id").filter(|header| !header.is_empty()) {
        return Some(LastEventId::parse(header));
    }
    let parameter = query_parameters(head, "last_event_id").find(|id| !id.is_empty())?;
    Some(LastEventId::parse(parameter.as_bytes()))
}

/// The values of a parameter of the query, decoded (WHATWG URL, `application/x-www-form-urlencoded`).
pub(crate) fn query_parameters<'a>(
    head: &'a impl RequestHead,
    name: &'a str,
) -> impl Iterator<Item = Cow<'a, str>> {
    let query = head.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).filter(move |(key, _)| key == name).map(|(_, v)| v)
}

/// An answer that refuses a request: status, headers and a one-line body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {}", String::from_utf8_lossy(.body).trim_end())]
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

    pub(crate) fn with_header(
        mut self,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.headers.push((name, value.into()));
        self
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
            SubscribeError::Topic(_) | SubscribeError::TooManyTopics { .. } => {
                Self::new(400, error.to_string())
            }
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

impl From<TooManyConnections> for Rejection {
    fn from(error: TooManyConnections) -> Self {
        Self::new(503, error.to_string()).with_header("retry-after", "5")
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
