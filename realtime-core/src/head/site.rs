//! Where a request was sent to: [`Site`].

use std::{fmt, net::Ipv6Addr};

use super::RequestHead;

/// The site that a request was sent to: scheme, host and port, as the client sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Option<Authority>,
}

impl Site {
    /// A site by its scheme and what the client wrote into `Host`. A host that is none, or not
    /// well-formed, makes a site that no page is of.
    pub fn new(scheme: Scheme, host: Option<&[u8]>) -> Self {
        Self { scheme, authority: host.and_then(Authority::parse) }
    }

    /// The site that the head itself names, whatever proxies say: `http` unless the head knows
    /// better, and no host when several `Host` headers contend for it.
    pub fn of(head: &impl RequestHead) -> Self {
        let scheme = head.scheme().and_then(|it| Scheme::parse(it.as_bytes())).unwrap_or_default();
        let hosts = head.header_values("host").count();
        Self::new(scheme, head.authority().filter(|_| hosts <= 1))
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case, an IPv6 address in brackets and in its canonical form.
    pub fn host(&self) -> Option<&str> {
        self.authority.as_ref().map(|it| it.host.as_str())
    }

    /// The port, the scheme's default if none was given.
    pub fn port(&self) -> u16 {
        self.authority.as_ref().map_or(self.scheme.default_port(), |it| it.port_at(self.scheme))
    }
}

/// As browsers serialize an origin: without the port that is the scheme's default.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host().unwrap_or("(no host)"))?;
        match self.port() {
            port if port == self.scheme.default_port() => Ok(()),
            port => write!(f, ":{port}"),
        }
    }
}

/// The scheme of a site. Default: [`Http`](Self::Http), since TLS must be known, not guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`, and `ws`.
    #[default]
    Http,
    /// `https`, and `wss`.
    Https,
}

impl Scheme {
    /// By its name. A WebSocket's `ws` and `wss`, which some proxies forward, are those of the
    /// handshake: a page's origin is never `wss`.
    pub(crate) fn parse(name: &[u8]) -> Option<Self> {
        let is = |scheme: &[u8]| name.eq_ignore_ascii_case(scheme);
        match () {
            () if is(b"http") || is(b"ws") => Some(Self::Http),
            () if is(b"https") || is(b"wss") => Some(Self::Https),
            () => None,
        }
    }

    /// The name: `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that stands for none: 80 or 443.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A host and, if it was given, a port: `example.com`, `127.0.0.1:8080`, `[::1]:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// Lower case; ASCII letters, digits, `-`, `_` and `.`, or an IPv6 address in brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Authority {
    /// The longest name of the DNS with its final dot, and room for a port.
    const LONGEST: usize = 254 + ":65535".len();

    /// `None` for anything else, like user info, percent-encoding, zone ids, letters beyond ASCII.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > Self::LONGEST {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let (host, after) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                // One text for each address: `[0:0:0:0:0:0:0:1]` is `[::1]`.
                (format!("[{}]", address.parse::<Ipv6Addr>().ok()?), after)
            }
            None => {
                let (host, after) = text.split_at(text.find(':').unwrap_or(text.len()));
                (is_name(host).then(|| host.to_ascii_lowercase())?, after)
            }
        };
        let port = match after.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None if after.is_empty() => return Some(Self { host, port: None }),
            None => return None,
        };
        Some(Self { host, port: Some(port) })
    }

    pub(crate) fn port_at(&self, scheme: Scheme) -> u16 {
        self.port.unwrap_or(scheme.default_port())
    }
}

/// Labels between dots, none of them empty; a final dot is part of the name, as it is in browsers.
fn is_name(text: &str) -> bool {
    let character = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let labels = text.strip_suffix('.').unwrap_or(text).split('.');
    labels.into_iter().all(|label| !label.is_empty() && label.bytes().all(character))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::testing::Head;

    #[test]
    fn a_site_is_what_the_client_sees() {
        for (scheme, host, expected) in [
            (Scheme::Http, "Example.COM", "http://example.com"),
            (Scheme::Http, "example.com:80", "http://example.com"),
            (Scheme::Https, "example.com:80", "https://example.com:80"),
            (Scheme::Https, "[0:0::1]:443", "https://[::1]"),
            (Scheme::Http, "example.com.", "http://example.com."),
        ] {
            assert_eq!(Site::new(scheme, Some(host.as_bytes())).to_string(), expected);
        }
        for host in [
            "",
            ".",
            "..",
            ".a",
            "a..b",
            "a:",
            "a:x",
            "a:65536",
            "a:+80",
            "a b",
            "u@a",
            "a/b",
            "%61",
            "ä",
            "[::1",
            "::1",
            "[::1]80",
            "[::1%1]",
            "[fe80::1%25eth0]",
            "[1.2.3.4]",
            "a,b",
            "*.a.b",
        ] {
            assert_eq!(Site::new(Scheme::Http, Some(host.as_bytes())).host(), None, "{host}");
        }
        assert_eq!(Site::new(Scheme::Http, Some(&[b'a'; 261])).host(), None);
        assert_eq!(Site::new(Scheme::Http, None).to_string(), "http://(no host)");
    }

    #[test]
    fn the_head_names_its_site() {
        let head = Head::get().with("host", "example.com:8080");
        assert_eq!(Site::of(&head).to_string(), "http://example.com:8080");
        assert_eq!(Site::of(&head.clone().scheme("WSS")).scheme(), Scheme::Https);
        assert_eq!(Site::of(&head.clone().scheme("gopher")).scheme(), Scheme::Http);
        assert_eq!(Site::of(&head.with("host", "evil.example")).host(), None);
    }
}
