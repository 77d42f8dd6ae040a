//! A request head that says whatever a test wants.

use std::net::{IpAddr, SocketAddr};

use super::{HttpVersion, RequestHead};

#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) version: HttpVersion,
    pub(crate) query: Option<String>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) authority: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) scheme: Option<String>,
    pub(crate) peer: Option<SocketAddr>,
}

impl Head {
    pub(crate) fn get() -> Self {
        Self {
            method: "GET".into(),
            version: HttpVersion::Http11,
            query: None,
            headers: Vec::new(),
            authority: None,
            protocol: None,
            scheme: None,
            peer: None,
        }
    }

    /// A right handshake, with the key that is the sample of RFC 6455.
    pub(crate) fn websocket() -> Self {
        Self::get()
            .with("host", "example.com")
            .with("upgrade", "websocket")
            .with("connection", "Upgrade")
            .with("sec-websocket-version", "13")
            .with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// A right handshake over HTTP/2.
    pub(crate) fn extended_connect() -> Self {
        let head = Self::get().with("sec-websocket-version", "13");
        Self {
            method: "CONNECT".into(),
            version: HttpVersion::Http2,
            authority: Some("example.com".into()),
            protocol: Some("websocket".into()),
            scheme: Some("https".into()),
            ..head
        }
    }

    /// One more header.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| header != name);
        self
    }

    /// The header with another value.
    pub(crate) fn set(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).with(name, value)
    }

    pub(crate) fn scheme(mut self, scheme: &str) -> Self {
        self.scheme = Some(scheme.into());
        self
    }

    /// From this address, whatever the port.
    pub(crate) fn peer(mut self, address: &str) -> Self {
        self.peer = Some((address.parse::<IpAddr>().unwrap(), 4711).into());
        self
    }

    pub(crate) fn query(mut self, query: &str) -> Self {
        self.query = Some(query.into());
        self
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        &self.method
    }

    fn version(&self) -> HttpVersion {
        self.version
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(header, _)| header == name).map(|(_, value)| &value[..])
    }

    fn authority(&self) -> Option<&[u8]> {
        self.authority.as_deref().map(str::as_bytes).or_else(|| self.header("host"))
    }

    fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        headers.sum::<usize>() + self.query.as_ref().map_or(0, String::len)
    }
}
