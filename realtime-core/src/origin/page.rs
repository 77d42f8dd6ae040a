//! What pages are from, and patterns of it.

use std::fmt;

use super::OriginError;
use crate::head::{Authority, Scheme, Site};

/// A tuple origin as browsers serialize it: scheme, host, port (HTML standard, "origin").
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) scheme: String,
    pub(super) host: String,
    /// None only for schemes without a default, like `tauri://localhost`.
    pub(super) port: Option<u16>,
}

impl Origin {
    /// `None` for anything but `scheme://host[:port]`, `null` included.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let at = bytes.windows(3).position(|it| it == b"://")?;
        let (scheme, host) = (&bytes[..at], &bytes[at + 3..]);
        let character = |b: &u8| b.is_ascii_alphanumeric() || b"+-.".contains(b);
        if !scheme.first()?.is_ascii_alphabetic() || !scheme.iter().all(character) {
            return None;
        }
        let scheme = std::str::from_utf8(scheme).ok()?.to_ascii_lowercase();
        let Authority { host, port } = Authority::parse(host)?;
        let port = port.or_else(|| default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    pub(super) fn is_of(&self, site: &Site) -> bool {
        self.scheme == site.scheme().as_str()
            && Some(self.host.as_str()) == site.host()
            && self.port == Some(site.port())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    [Scheme::Http, Scheme::Https]
        .into_iter()
        .find(|known| known.as_str() == scheme)
        .map(Scheme::default_port)
}

/// One entry of the list.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Exact(Origin),
    /// Everything below the host.
    Below(Origin),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, OriginError> {
        let not_an_origin = || OriginError::NotAnOrigin(text.to_owned());
        let everybody = || OriginError::Everybody(text.to_owned());
        if text.eq_ignore_ascii_case("null") {
            return Err(OriginError::Null);
        }
        if text == "*" {
            return Err(everybody());
        }
        let (scheme, host) = text.split_once("://").ok_or_else(not_an_origin)?;
        if ["ws", "wss"].iter().any(|it| scheme.eq_ignore_ascii_case(it)) {
            return Err(OriginError::WebSocketAddress(text.to_owned()));
        }
        let Some(rest) = host.strip_prefix('*') else {
            return Origin::parse(text.as_bytes()).map(Self::Exact).ok_or_else(not_an_origin);
        };
        let Some(parent) = rest.strip_prefix('.') else {
            let is_all = rest.is_empty() || rest.starts_with(':');
            return Err(if is_all { everybody() } else { not_an_origin() });
        };
        let parent = format!("{scheme}://{parent}");
        let parent = Origin::parse(parent.as_bytes()).ok_or_else(not_an_origin)?;
        // An address has nothing below it, though `*.0.0.1` looks like it.
        let mut labels = parent.host.trim_end_matches('.').rsplit('.');
        let top = labels.next().unwrap_or_default();
        if top.starts_with('[') || top.bytes().all(|b| b.is_ascii_digit()) {
            return Err(not_an_origin());
        }
        if labels.next().is_none() {
            return Err(everybody());
        }
        Ok(Self::Below(parent))
    }

    pub(super) fn matches(&self, page: &Origin) -> bool {
        match self {
            Self::Exact(origin) => origin == page,
            Self::Below(parent) => {
                let below = page.host.strip_suffix(&parent.host);
                parent.scheme == page.scheme
                    && parent.port == page.port
                    && below.is_some_and(|labels| labels.ends_with('.'))
            }
        }
    }
}
