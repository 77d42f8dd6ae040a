//! The request's head as core sees it.

use std::{borrow::Cow, net::SocketAddr};

use crate::position::{LastEventId, LastEventIdError};

mod site;

pub(crate) use site::Authority;
pub use site::{Scheme, Site};

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

    /// The scheme that the request was sent by: the `:scheme` of HTTP/2, or what the server knows of
    /// TLS. Defaults to none, which is taken for `http`.
    fn scheme(&self) -> Option<&str> {
        None
    }

    /// The peer's address, if there is one.
    fn peer_addr(&self) -> Option<SocketAddr>;

    /// Bytes of the head: the request target's query, and the names and values of the headers.
    fn bytes(&self) -> usize;

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

/// The tokens of a header that is a comma-separated list.
pub(crate) fn header_tokens<'a>(
    head: &'a impl RequestHead,
    name: &'a str,
) -> impl Iterator<Item = &'a str> {
    head.header_values(name)
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// A header's value for an error: no more than fits a line.
pub(crate) fn shown(value: &[u8]) -> String {
    String::from_utf8_lossy(&value[..value.len().min(100)]).into_owned()
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
