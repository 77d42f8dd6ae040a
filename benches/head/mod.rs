//! A request's head without a framework.

use std::net::SocketAddr;

use realtime::{HttpVersion, RequestHead};

/// A request for GET by HTTP/1.1.
#[derive(Default)]
pub(crate) struct Head {
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    /// Without one, no limit of an address holds.
    pub(crate) peer: Option<SocketAddr>,
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }

    fn version(&self) -> HttpVersion {
        HttpVersion::Http11
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(it, _)| *it == name).map(|(_, value)| &value[..])
    }

    fn bytes(&self) -> usize {
        self.headers.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }
}
