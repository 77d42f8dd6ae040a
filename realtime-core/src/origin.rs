//! Which pages may connect: [`OriginPolicy`], same-origin unless the user says otherwise.
//!
//! Browsers send a page's cookies along with a WebSocket handshake whatever site the page is of
//! (RFC 6455 §10.2), so a server that doesn't look at `Origin` hands its users' sessions to any page
//! that they visit.

use std::fmt;

/// Decides by the `Origin` header whether a request may come in. Default: same origin.
///
/// A request without the header is no browser's cross-origin request and passes.
#[derive(Clone, Debug, Default)]
pub struct OriginPolicy {
    allowed: Vec<Origin>,
    any: bool,
}

impl OriginPolicy {
    /// Pages from the host and port that the request itself was sent to.
    pub fn same_origin() -> Self {
        Self::default()
    }

    /// Same origin, and pages from the given origins, each like `https://example.com` or
    /// `http://localhost:3000`.
    ///
    /// # Errors
    /// [`OriginError`] when one of them is not an origin.
    pub fn allow<I>(origins: I) -> Result<Self, OriginError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let parse = |origin: I::Item| {
            let text = origin.as_ref();
            Origin::parse(text.as_bytes()).ok_or_else(|| OriginError(text.to_owned()))
        };
        let allowed = origins.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { allowed, any: false })
    }

    /// Pages from anywhere.
    ///
    /// Dangerous where a cookie identifies the user: any page that the user visits can then read
    /// and write as the user. There is no wildcard in [`allow`](Self::allow) that does the same.
    pub fn dangerously_allow_any_origin() -> Self {
        Self { allowed: Vec::new(), any: true }
    }

    /// Whether a request with these `Origin` headers, sent to `host` (the `Host` header or the
    /// `:authority`), may come in.
    ///
    /// # Errors
    /// [`OriginRefused`], to be answered with 403.
    pub fn check<'a>(
        &self,
        mut origins: impl Iterator<Item = &'a [u8]>,
        host: Option<&[u8]>,
    ) -> Result<(), OriginRefused> {
        if self.any {
            return Ok(());
        }
        let Some(origin) = origins.next() else { return Ok(()) };
        let refused = || OriginRefused(String::from_utf8_lossy(origin).chars().take(100).collect());
        if origins.next().is_some() {
            return Err(refused());
        }
        let origin = Origin::parse(origin).ok_or_else(refused)?;
        let same = host.and_then(Authority::parse).is_some_and(|host| origin.is_at(&host));
        if same || self.allowed.contains(&origin) { Ok(()) } else { Err(refused()) }
    }
}

/// A page's origin is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the origin {0:?} is not allowed here")]
pub struct OriginRefused(String);

/// A text that is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an origin like `https://example.com:8443` (no path, no wildcard), got {0:?}")]
pub struct OriginError(String);

/// A tuple origin as browsers serialize it: scheme, host, port (HTML standard, "origin").
#[derive(Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// `None` for anything but `scheme://host[:port]`, `null` included.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://")?;
        let authority = Authority::parse(rest.as_bytes())?;
        let port = authority.port.or_else(|| default_port(scheme))?;
        Some(Self { scheme: scheme.to_owned(), host: authority.host, port })
    }

    fn is_at(&self, host: &Authority) -> bool {
        self.host == host.host && Some(self.port) == host.port.or(default_port(&self.scheme))
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// A host and, if it is given, a port.
struct Authority {
    host: String,
    port: Option<u16>,
}

impl Authority {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.to_ascii_lowercase();
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                address.parse::<std::net::Ipv6Addr>().ok()?;
                (
                    format!("[{address}]"),
                    after.strip_prefix(':').or(after.is_empty().then_some(""))?.to_owned(),
                )
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host.to_owned(), port.to_owned()),
                None => (text, String::new()),
            },
        };
        let host_character = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        if host.is_empty() || !host.chars().all(host_character) {
            return None;
        }
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port = match port.as_str() {
            "" => None,
            _ if digits => Some(port.parse().ok()?),
            _ => return None,
        };
        Some(Self { host, port })
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passes(policy: &OriginPolicy, origins: &[&str], host: &str) -> bool {
        let origins = origins.iter().map(|origin| origin.as_bytes());
        policy.check(origins, Some(host.as_bytes())).is_ok()
    }

    #[test]
    fn same_origin_compares_host_and_port() {
        let policy = OriginPolicy::default();
        for (origin, host) in [
            ("http://example.com", "example.com"),
            ("http://example.com", "example.com:80"),
            ("http://example.com:80", "example.com"),
            ("https://example.com", "example.com"),
            ("https://example.com", "example.com:443"),
            ("HTTP://EXAMPLE.com", "Example.COM"),
            ("http://localhost:8080", "localhost:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert!(passes(&policy, &[origin], host), "{origin} at {host}");
        }
        for (origin, host) in [
            ("http://localhost:8081", "localhost:8080"),
            ("http://evil.example", "example.com"),
            ("http://example.com.evil", "example.com"),
            ("http://example.com.", "example.com"),
            ("http://user@example.com", "example.com"),
            ("http://example.com/path", "example.com"),
            ("http://example.com:", "example.com:8080"),
            ("http://example.com:080x", "example.com:80"),
            ("https://example.com", "example.com:80"),
            ("null", "example.com"),
            ("", "example.com"),
            ("example.com", "example.com"),
            ("http://[::1", "[::1]"),
        ] {
            assert!(!passes(&policy, &[origin], host), "{origin} at {host}");
        }
        assert!(passes(&policy, &[], "example.com"), "no browser");
        assert!(!passes(&policy, &["http://a", "http://a"], "a"), "two headers");
        assert!(policy.check([&b"http://a"[..]].into_iter(), None).is_err(), "no host");
    }

    #[test]
    fn the_list_adds_to_same_origin() {
        let policy = OriginPolicy::allow(["https://app.example.com"]).unwrap();
        assert!(passes(&policy, &["https://app.example.com"], "api.example.com"));
        assert!(passes(&policy, &["https://api.example.com"], "api.example.com"));
        assert!(!passes(&policy, &["http://app.example.com"], "api.example.com"));
        assert!(OriginPolicy::allow(["*"]).is_err());
        assert!(OriginPolicy::allow(["null"]).is_err());
        assert!(OriginPolicy::allow(["https://a/b"]).is_err());
    }

    #[test]
    fn any_origin_has_to_be_asked_for_by_name() {
        let policy = OriginPolicy::dangerously_allow_any_origin();
        assert!(passes(&policy, &["null"], "example.com"));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(
            origin in proptest::collection::vec(any::<u8>(), 0..64),
            host in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let _ = OriginPolicy::default().check([&origin[..]].into_iter(), Some(&host));
        }
    }
}
