//! Core's view of a request's head.

use std::net::SocketAddr;

use http::{Extensions, HeaderMap, Method, Uri, Version, request::Parts};
use realtime_core::{HttpVersion, RequestHead, Scheme};

/// The peer's address, in the extensions of requests that [`serve`](crate::serve) took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is its field")]
pub struct PeerAddr(pub SocketAddr);

/// A request's head, wherever its parts lie. A server that speaks TLS itself puts
/// [`Scheme::Https`] into the request's extensions.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    method: &'a Method,
    version: Version,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> Head<'a> {
    pub(crate) fn of_request<B>(request: &'a http::Request<B>) -> Self {
        Self {
            method: request.method(),
            version: request.version(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    pub(crate) fn of_parts(parts: &'a Parts) -> Self {
        Self {
            method: &parts.method,
            version: parts.version,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn version(&self) -> HttpVersion {
        match self.version {
            Version::HTTP_09 | Version::HTTP_10 => HttpVersion::Http10,
            Version::HTTP_2 => HttpVersion::Http2,
            Version::HTTP_3 => HttpVersion::Http3,
            _ => HttpVersion::Http11,
        }
    }

    fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    fn header_values<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b [u8]> {
        self.headers.get_all(name).iter().map(|value| value.as_bytes())
    }

    fn authority(&self) -> Option<&[u8]> {
        let of_uri = self.uri.authority().map(|authority| authority.as_str().as_bytes());
        of_uri.or_else(|| self.header("host"))
    }

    fn scheme(&self) -> Option<&str> {
        let told = self.extensions.get::<Scheme>().map(|scheme| scheme.as_str());
        // Before HTTP/2 it would be a client's word for it (RFC 9112 §3.2.2).
        told.or_else(|| self.uri.scheme_str().filter(|_| self.version >= Version::HTTP_2))
    }

    #[cfg(feature = "http2")]
    fn protocol(&self) -> Option<&str> {
        self.extensions.get::<hyper::ext::Protocol>().map(|protocol| protocol.as_str())
    }

    fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        headers.sum::<usize>() + self.uri.query().map_or(0, str::len)
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.extensions.get::<PeerAddr>().map(|peer| peer.0)
    }
}
