//! A request head as a fuzzer writes it.

use std::net::{IpAddr, SocketAddr};

use realtime_core::{HttpVersion, RequestHead};

use super::input::text;

/// A head in lines, so that inputs can be read and written by hand: `METHOD VERSION QUERY`, then
/// `name: value` each. `:authority`, `:protocol`, `:scheme` and `:peer` are what frameworks keep
/// elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) version: HttpVersion,
    query: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut lines = bytes.split(|&byte| byte == b'\n');
        let first = text(lines.next().unwrap_or_default());
        let mut words = first.splitn(3, ' ');
        let method = words.next().unwrap_or_default().to_owned();
        let version = match words.next() {
            Some("1.0") => HttpVersion::Http10,
            Some("2") => HttpVersion::Http2,
            Some("3") => HttpVersion::Http3,
            _ => HttpVersion::Http11,
        };
        let query = words.next().map(str::to_owned);
        let headers = lines.filter(|line| !line.is_empty()).map(header).collect();
        Self { method, version, query, headers }
    }

    /// A GET over HTTP/1.1.
    pub(super) fn get() -> Self {
        Self::read(b"GET 1.1")
    }

    /// A right opening handshake, but for its `Host`.
    pub(super) fn handshake() -> Self {
        Self::get()
            .with("connection", b"Upgrade")
            .with("upgrade", b"websocket")
            .with("sec-websocket-version", b"13")
            .with("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// One more header.
    pub(super) fn with(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a peer.
    pub(super) fn from(self, peer: IpAddr) -> Self {
        self.with(":peer", SocketAddr::new(peer, 4711).to_string().as_bytes())
    }

    /// The same without some headers.
    pub(super) fn without(mut self, names: &[&str]) -> Self {
        self.headers.retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }

    /// Every value of a header.
    pub(super) fn all(&self, name: &str) -> Vec<&[u8]> {
        self.headers.iter().filter(|(header, _)| header == name).map(|(_, v)| &v[..]).collect()
    }

    /// Whether the values are what a client writes: visible ASCII, spaces and tabs.
    pub(super) fn is_ordinary(&self) -> bool {
        let ordinary = |byte: &u8| byte.is_ascii_graphic() || b" \t".contains(byte);
        self.headers.iter().all(|(_, value)| value.iter().all(ordinary))
    }

    fn pseudo(&self, name: &str) -> Option<&str> {
        self.all(name).first().and_then(|value| std::str::from_utf8(value).ok())
    }
}

fn header(line: &[u8]) -> (String, Vec<u8>) {
    // A pseudo-header begins with a colon of its own.
    let from = usize::from(line.starts_with(b":"));
    let colon = line[from..].iter().position(|&byte| byte == b':').map(|at| at + from);
    let (name, value) = match colon {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, &b""[..]),
    };
    (text(name).to_ascii_lowercase(), value.strip_prefix(b" ").unwrap_or(value).to_owned())
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
        self.header(":authority").or_else(|| self.header("host"))
    }

    fn protocol(&self) -> Option<&str> {
        self.pseudo(":protocol")
    }

    fn scheme(&self) -> Option<&str> {
        self.pseudo(":scheme")
    }

    fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        headers.sum::<usize>() + self.query.as_ref().map_or(0, String::len)
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.pseudo(":peer").and_then(|peer| peer.parse().ok())
    }
}
