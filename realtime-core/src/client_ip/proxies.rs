//! Whom to believe, and what they say: [`TrustedProxies`].

use std::{collections::VecDeque, net::IpAddr};

use ipnet::{IpNet, Ipv4Net};

use super::{
    Claim, Client, ClientIp, ForwardedError,
    forwarded::{Element, OpenQuote, Split, address},
};
use crate::head::{RequestHead, Site};

/// How many elements are looked at, from the right: more hops than there are between anybody.
const ELEMENTS: usize = 32;

/// The proxies whose word on who the client is counts. Default: none; the peer is the client, and
/// what it says of others is ignored.
///
/// # What a listed proxy must do
///
/// Each listed proxy must either append itself to one of these, or replace what the client sent:
/// - `Forwarded` (RFC 7239), with at least `for`, and `proto` and `host` if it terminates TLS or
///   changes `Host`; or
/// - `X-Forwarded-For`; and it must **set**, not pass on, `X-Forwarded-Proto` if it terminates TLS,
///   and `X-Forwarded-Host` if it changes `Host`.
///
/// For nginx that is `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;` and
/// `proxy_set_header X-Forwarded-Proto $scheme;`. Other headers, like `X-Real-IP` and
/// `X-Forwarded-Port`, are not read. Of a listed proxy that appends nothing, the client is the
/// proxy's own address, so all of its clients count as one; and if it passes on what clients sent,
/// they can be whoever they like. Have it remove the family of headers that it does not append to.
///
/// # Who the client is
///
/// If the peer is listed, its headers are read from the right, where the nearest proxy appended. The
/// first address that is not listed is the client. If all are, the leftmost is. An element that is
/// not an address (`unknown`, an obfuscated name, nothing) ends the search: the client is then the
/// last address before it, the proxy that said so, and never something further left, which the client
/// may have written. At most 32 elements are looked at.
///
/// Scheme and host of the site are, with `Forwarded`, those of the element that names the client (or
/// ended the search), which the outermost listed proxy appended. `X-Forwarded-Proto` and
/// `X-Forwarded-Host` don't say who appended what; of a list the rightmost entry counts, which is the
/// nearest proxy's. What is not said is taken from the head itself.
///
/// Where both families are there, they must not contradict each other: a proxy that appends to one
/// only would let clients forge the other.
///
/// List networks of proxies only: whoever connects from a listed address can be whoever it likes.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix_sockets: bool,
}

impl TrustedProxies {
    /// Proxies by address, like `192.0.2.7` or `::1`, or by network, like `10.0.0.0/8`.
    ///
    /// `::ffff:192.0.2.7` is `192.0.2.7`, here and wherever addresses come from.
    ///
    /// # Errors
    /// [`TrustedProxiesError`] when one of them is neither, or is the network of all addresses.
    pub fn new<I>(proxies: I) -> Result<Self, TrustedProxiesError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let parse = |proxy: I::Item| network(proxy.as_ref());
        let networks = proxies.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { networks, unix_sockets: false })
    }

    /// The same, and peers without an address, as behind a Unix socket. Default: they are not
    /// believed.
    ///
    /// The file's permissions then are what keeps others from being whoever they like.
    #[must_use]
    pub fn unix_sockets(mut self) -> Self {
        self.unix_sockets = true;
        self
    }

    /// Whose request it is, and where the client sent it to.
    ///
    /// # Errors
    /// [`ForwardedError`], to be answered with 400, when a trusted peer's headers contradict each
    /// other or can't be read.
    pub fn client(&self, head: &impl RequestHead) -> Result<Client, ForwardedError> {
        let peer = head.peer_addr().map(|peer| ClientIp::new(peer.ip()));
        let mut client = Client { ip: peer, site: Site::of(head) };
        if !peer.map_or(self.unix_sockets, |peer| self.lists(peer)) {
            return Ok(client);
        }
        let claim = self.forwarded(head, peer)?.or(self.x_forwarded(head, peer)?)?;
        client.ip = claim.ip.unwrap_or(peer);
        client.site.scheme = claim.scheme.unwrap_or(client.site.scheme);
        client.site.authority = claim.authority.or(client.site.authority);
        Ok(client)
    }

    /// Whether this address is listed.
    pub(crate) fn lists(&self, ip: ClientIp) -> bool {
        self.networks.iter().any(|network| network.contains(&ip.addr()))
    }

    /// RFC 7239.
    fn forwarded(
        &self,
        head: &impl RequestHead,
        peer: Option<ClientIp>,
    ) -> Result<Claim, ForwardedError> {
        let last = last_elements(head, "forwarded")?;
        if last.is_empty() {
            return Ok(Claim::default());
        }
        let mut said = Element::default();
        let hops = last.into_iter().rev().map(|element| {
            said = Element::parse(element).unwrap_or_default();
            said.forwarded_for()
        });
        let ip = Some(self.walk(peer, hops));
        Claim { ip, ..Claim::default() }.site(said.proto.as_deref(), said.host.as_deref())
    }

    /// What proxies did before there was a standard.
    fn x_forwarded(
        &self,
        head: &impl RequestHead,
        peer: Option<ClientIp>,
    ) -> Result<Claim, ForwardedError> {
        let last = last_elements(head, "x-forwarded-for")?;
        let names_client = !last.is_empty();
        let ip = names_client.then(|| self.walk(peer, last.into_iter().rev().map(address)));
        let scheme = rightmost(head, "x-forwarded-proto");
        let host = rightmost(head, "x-forwarded-host");
        Claim { ip, ..Claim::default() }.site(scheme, host)
    }

    /// The first of `hops`, which come from the nearest on, that is not listed.
    fn walk(
        &self,
        peer: Option<ClientIp>,
        hops: impl Iterator<Item = Option<IpAddr>>,
    ) -> Option<ClientIp> {
        let mut client = peer;
        for hop in hops {
            let Some(addr) = hop else { break };
            let ip = ClientIp::new(addr);
            client = Some(ip);
            if !self.lists(ip) {
                break;
            }
        }
        client
    }
}

/// The last elements of a header that is a list, over all of its lines. Empty ones count, since a
/// proxy that appends nothing but a comma knows no address.
fn last_elements<'a>(
    head: &'a impl RequestHead,
    name: &'a str,
) -> Result<VecDeque<&'a [u8]>, OpenQuote> {
    let mut last = VecDeque::new();
    // Only the standard knows quoted strings.
    let quotes = name == "forwarded";
    for value in head.header_values(name) {
        for element in Split::new(value, b',', quotes) {
            if last.len() == ELEMENTS {
                last.pop_front();
            }
            last.push_back(element?.trim_ascii());
        }
    }
    Ok(last)
}

fn rightmost<'a>(head: &'a impl RequestHead, name: &'a str) -> Option<&'a [u8]> {
    let value = head.header_values(name).last()?;
    let entry = value.rsplit(|&byte| byte == b',').next()?;
    Some(entry.trim_ascii()).filter(|entry| !entry.is_empty())
}

fn network(text: &str) -> Result<IpNet, TrustedProxiesError> {
    let neither = || TrustedProxiesError::NoNetwork(text.to_owned());
    // By the same reading of addresses as everywhere: that of `ipnet` lets leading zeros pass, which
    // others take for octal.
    let (address, length) = text.split_once('/').map_or((text, None), |(it, n)| (it, Some(n)));
    let address: IpAddr = address.parse().map_err(|_| neither())?;
    let network = match length {
        None => IpNet::from(address),
        Some(n) if n.bytes().all(|b| b.is_ascii_digit()) => {
            let length = n.parse().map_err(|_| neither())?;
            IpNet::new(address, length).map_err(|_| neither())?
        }
        Some(_) => return Err(neither()),
    };
    let network = match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).map_err(|_| neither())?.into(),
            None => network,
        },
        _ => network,
    };
    if network.prefix_len() == 0 {
        return Err(TrustedProxiesError::Everybody(text.to_owned()));
    }
    Ok(network)
}

/// A text that can't be in the list of trusted proxies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustedProxiesError {
    /// It is neither an address nor a network.
    #[error("expected a proxy's address or network, like `192.0.2.7` or `10.0.0.0/8`, got {0:?}")]
    NoNetwork(String),
    /// It is the network of all addresses, so that every client could name itself as it likes.
    #[error(
        "expected the networks that proxies are in, got {0:?}, which is everybody: every client \
         could then forge its address"
    )]
    Everybody(String),
}
