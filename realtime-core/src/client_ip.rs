//! Whose request it is when proxies stand between: [`TrustedProxies`], [`ClientIp`].
//!
//! What `Forwarded` and `X-Forwarded-*` say is believed only as far as listed proxies said it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::head::{Authority, Scheme, Site, shown};

mod forwarded;
mod proxies;
#[cfg(test)]
mod tests;

pub use proxies::{TrustedProxies, TrustedProxiesError};

/// The address of a client, as far as it is known for sure.
///
/// An IPv4 address that came as IPv6 (`::ffff:192.0.2.7`) is the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientIp(IpAddr);

impl ClientIp {
    /// Takes the address.
    pub fn new(addr: IpAddr) -> Self {
        Self(addr.to_canonical())
    }

    /// The address.
    pub fn addr(self) -> IpAddr {
        self.0
    }

    /// What limits go by: an IPv4 address as it is, of an IPv6 address the first of its /64, which is
    /// the least that a subscriber gets.
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(addr) => Ipv6Addr::from_bits(addr.to_bits() & (u128::MAX << 64)).into(),
        }
    }

    /// The block of networks that limits go by, too: the first address of an IPv4 address' /24, of an
    /// IPv6 address' /48, which is the most that a customer commonly gets (RFC 6177).
    pub fn block(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(addr) => Ipv4Addr::from_bits(addr.to_bits() & (u32::MAX << 8)).into(),
            IpAddr::V6(addr) => Ipv6Addr::from_bits(addr.to_bits() & (u128::MAX << 80)).into(),
        }
    }
}

impl fmt::Display for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whose request it is, and where the client sent it to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// The client's address. None for a peer without one, as behind a Unix socket, that named none.
    pub ip: Option<ClientIp>,
    /// The site: what a trusted proxy says, or else the head itself.
    pub site: Site,
}

/// The headers of a trusted proxy can't be believed; to be answered with 400.
///
/// The text is for the client, too, and names no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardedError {
    /// `Forwarded` and `X-Forwarded-*` contradict each other, so one of them is likely the client's
    /// own.
    #[error(
        "`Forwarded` and `{header}` contradict each other: expected the proxy to send one of them and \
         remove the other"
    )]
    #[non_exhaustive]
    Contradiction {
        /// The header that contradicts `Forwarded`.
        header: &'static str,
    },
    /// A quoted string in `Forwarded` doesn't end, so nobody can tell who appended what.
    #[error("expected every quoted string in `Forwarded` to end (RFC 7239), got one that does not")]
    OpenQuote,
    /// The scheme is none that a site has.
    #[error("expected the proxy to forward the scheme `http` or `https`, got {0:?}")]
    Scheme(String),
    /// The host is not well-formed.
    #[error("expected the proxy to forward a host like `example.com:8443`, got {0:?}")]
    Host(String),
}

/// What one family of headers says.
#[derive(Default)]
struct Claim {
    /// Outer `None`: the family names no client.
    ip: Option<Option<ClientIp>>,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
}

impl Claim {
    fn site(mut self, scheme: Option<&[u8]>, host: Option<&[u8]>) -> Result<Self, ForwardedError> {
        if let Some(scheme) = scheme {
            let known = Scheme::parse(scheme).ok_or_else(|| ForwardedError::Scheme(shown(scheme)));
            self.scheme = Some(known?);
        }
        if let Some(host) = host {
            let known = Authority::parse(host).ok_or_else(|| ForwardedError::Host(shown(host)));
            self.authority = Some(known?);
        }
        Ok(self)
    }

    /// The two families as one, if they say the same where both say something.
    fn or(self, other: Self) -> Result<Self, ForwardedError> {
        let contradiction = |header| Err(ForwardedError::Contradiction { header });
        let scheme = self.scheme.or(other.scheme);
        if differ(self.ip, other.ip) {
            return contradiction("X-Forwarded-For");
        }
        if differ(self.scheme, other.scheme) {
            return contradiction("X-Forwarded-Proto");
        }
        let at = |authority: &Authority| {
            (authority.host.clone(), authority.port_at(scheme.unwrap_or_default()))
        };
        if differ(self.authority.as_ref().map(at), other.authority.as_ref().map(at)) {
            return contradiction("X-Forwarded-Host");
        }
        let authority = self.authority.or(other.authority);
        Ok(Self { ip: self.ip.or(other.ip), scheme, authority })
    }
}

fn differ<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}
