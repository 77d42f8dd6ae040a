//! Where a page or a server is, and what an entry of the list stands for.

use super::canonical;
use crate::fuzz::input::text;

/// Scheme, host and port: what must agree for two to be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    scheme: String,
    host: String,
    /// `None` for a scheme without a default.
    port: Option<u64>,
}

impl Place {
    pub(super) fn of_origin(origin: &[u8]) -> Option<Self> {
        let origin = std::str::from_utf8(origin).ok()?;
        let (scheme, authority) = origin.split_once("://")?;
        Self::of_authority(authority.as_bytes(), &scheme.to_ascii_lowercase())
    }

    pub(super) fn of_authority(authority: &[u8], scheme: &str) -> Option<Self> {
        let authority = std::str::from_utf8(authority).ok()?.to_ascii_lowercase();
        let after_host = authority.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match authority[after_host..].find(':') {
            Some(at) => authority.split_at(after_host + at),
            None => (authority.as_str(), ""),
        };
        let port = match (port.strip_prefix(':').unwrap_or(port), scheme) {
            ("", "http") => Some(80),
            ("", "https") => Some(443),
            ("", _) => None,
            (digits, _) => Some(digits.parse().ok()?),
        };
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => canonical(address)?,
            // A path, a user or a query would be the disguise of another host.
            None if host.is_empty() || host.contains(['/', '@', '?', '#', '\\', '%', '*']) => {
                return None;
            }
            None => host.to_owned(),
        };
        Some(Self { scheme: scheme.to_owned(), host, port })
    }
}

/// An entry of the list.
pub(super) enum Listed {
    One(Place),
    /// All below it.
    Below(Place),
}

impl Listed {
    /// `None` for what must not be listed.
    pub(super) fn read(entry: &str) -> Option<Self> {
        let (scheme, host) = entry.split_once("://")?;
        // No page is at a WebSocket's address.
        if matches!(scheme.to_ascii_lowercase().as_str(), "ws" | "wss") {
            return None;
        }
        let Some(parent) = host.strip_prefix("*.") else {
            return Place::of_origin(entry.as_bytes()).map(Self::One);
        };
        let parent = Place::of_origin(format!("{scheme}://{parent}").as_bytes())?;
        // Below `com` or `com.` is everybody; and an address has nothing below it.
        let labels: Vec<&str> = parent.host.split('.').filter(|label| !label.is_empty()).collect();
        let top = labels.last()?;
        let is_address = parent.host.contains(':') || top.chars().all(|c| c.is_ascii_digit());
        (labels.len() >= 2 && !is_address).then_some(Self::Below(parent))
    }

    pub(super) fn has(&self, page: &Place) -> bool {
        match self {
            Self::One(place) => place == page,
            Self::Below(parent) => {
                let same = (&parent.scheme, parent.port) == (&page.scheme, page.port);
                let suffix = format!(".{}", parent.host);
                same && page.host.ends_with(&suffix) && page.host.len() > suffix.len()
            }
        }
    }
}

/// Whether a browser would write such an origin, so that it has to be understood.
pub(super) fn is_ordinary(origin: &[u8]) -> bool {
    let origin = text(origin);
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    matches!(scheme, "http" | "https")
        && name.len() <= 253
        && name.split('.').all(is_label)
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok()
        && port.len() <= 5
}

/// Whether it is what one would list.
pub(super) fn is_ordinary_listed(entry: &str) -> bool {
    let is_plain = is_ordinary(entry.as_bytes());
    is_plain
        || entry.split_once("://*.").is_some_and(|(scheme, parent)| {
            is_ordinary(format!("{scheme}://{parent}").as_bytes()) && Listed::read(entry).is_some()
        })
}
