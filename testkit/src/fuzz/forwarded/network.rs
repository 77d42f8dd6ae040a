//! Networks and addresses, read bit by bit.

use std::net::{IpAddr, Ipv6Addr};

use realtime_core::TrustedProxies;

/// The list in both readings.
pub(super) struct Networks {
    pub(super) proxies: TrustedProxies,
    pub(super) networks: Vec<Network>,
    pub(super) unix: bool,
}

/// So many first bits of an address.
pub(super) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// `None` for what is no network, or everybody.
    pub(super) fn read(entry: &str) -> Option<Self> {
        let (address, bits) = match entry.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (entry, None),
        };
        let written: IpAddr = address.parse().ok()?;
        let longest = width(written);
        let bits: u32 = bits.unwrap_or(longest);
        let address = match written.to_canonical() {
            // An IPv4 address in IPv6 clothes, if all of the clothes are in the network.
            canonical if canonical.is_ipv4() && written.is_ipv6() && bits >= 96 => {
                return Self { address: canonical, bits: bits - 96 }.if_not_all();
            }
            _ => written,
        };
        Self { address, bits }.if_not_all().filter(|_| bits <= longest)
    }

    fn if_not_all(self) -> Option<Self> {
        (1..=width(self.address)).contains(&self.bits).then_some(self)
    }

    /// Whether it is written as one writes networks.
    pub(super) fn is_ordinary(entry: &str) -> bool {
        Self::read(entry).is_some_and(|it| {
            let IpAddr::V4(address) = it.address else { return false };
            entry == address.to_string() || entry == format!("{address}/{}", it.bits)
        })
    }

    /// Whether an address, in its canonical form, is in it.
    pub(super) fn has(&self, ip: IpAddr) -> bool {
        let same_kind = self.address.is_ipv4() == ip.is_ipv4();
        same_kind && (0..self.bits).all(|at| bit(self.address, at) == bit(ip, at))
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bit(address: IpAddr, at: u32) -> bool {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    octets[at as usize / 8] & (0x80 >> (at % 8)) != 0
}

/// What an element of `X-Forwarded-For` names: an address, bare or in brackets, with or without a
/// port, which may be a name of RFC 7239 §6.3.
pub(super) fn address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0c']);
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = match text.rfind([':', ']']) {
        Some(at) if text[at..].starts_with(':') => (&text[..at], Some(&text[at + 1..])),
        _ => (text, None),
    };
    let is_right_port = port.is_none_or(|port| {
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_number = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
        (is_number && port.trim_start_matches('0').len() <= 5 && number(port) <= 65_535)
            || port.strip_prefix('_').is_some_and(|it| !it.is_empty() && it.chars().all(named))
    });
    if !is_right_port {
        return None;
    }
    match address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(|v6| IpAddr::V6(v6).to_canonical()),
        None => address.parse().ok().filter(IpAddr::is_ipv4),
    }
}

fn number(digits: &str) -> u64 {
    digits
        .chars()
        .filter_map(|digit| digit.to_digit(10))
        .fold(0, |n, digit| n * 10 + u64::from(digit))
}

/// An element of `Forwarded` that names the address.
pub(super) fn forwarded(ip: IpAddr, style: usize) -> String {
    let node = match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    match style % 5 {
        0 if ip.is_ipv4() => format!("for={node}"),
        1 => format!("For=\"{node}:4711\"; by=_proxy"),
        2 => format!(";by=\"a,b;\\\"\";FOR=\"{node}\""),
        3 => format!("secret=x;for=\"{node}:_x\""),
        _ => format!("for=\"{node}\""),
    }
}

/// An element of `X-Forwarded-For` that is the address.
pub(super) fn bare(ip: IpAddr, style: usize) -> String {
    match (style % 3, ip) {
        (0, _) => format!(" {ip}\t"),
        (1, IpAddr::V4(v4)) => format!("{v4}:80"),
        (1, IpAddr::V6(v6)) => format!("[{v6}]:80"),
        (_, IpAddr::V4(v4)) => v4.to_string(),
        (_, IpAddr::V6(v6)) => format!("[{v6}]"),
    }
}
