//! `Origin`: no page but those of the host and of the list gets a WebSocket.

use std::net::Ipv6Addr;

use realtime_core::{Hub, OriginPolicy, ws};

use super::{
    answer::{check_at_rest, check_rejection},
    head::Head,
    input::text,
};

/// The input is lines: the host, then `+` and an origin for each on the list, `*` for any origin,
/// and everything else as an `Origin` header.
pub fn run(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let host = lines.next().unwrap_or_default();
    let (mut list, mut origins, mut any) = (Vec::new(), Vec::new(), false);
    for line in lines {
        match line {
            b"*" => any = true,
            [b'+', listed @ ..] => list.push(text(listed)),
            origin => origins.push(origin),
        }
    }
    let Some(policy) = policy(&list, any) else { return };
    let mut head = Head::handshake().with("host", host);
    for origin in &origins {
        head = head.with("origin", origin);
    }
    let hub = Hub::builder().origin(policy).build().expect("the configuration is valid");
    let answer = ws::Request::accept(&hub, &head);
    if let Err(rejection) = &answer {
        assert_eq!(rejection.status(), 403);
        check_rejection(rejection, false);
    }
    check(answer.is_ok(), host, &list, &origins, any);
    drop(answer);
    check_at_rest(&hub);
}

/// The policy, unless the list has to be refused.
fn policy(list: &[String], any: bool) -> Option<OriginPolicy> {
    if any {
        return Some(OriginPolicy::dangerously_allow_any_origin());
    }
    let policy = OriginPolicy::allow(list);
    let readable = list.iter().all(|listed| Place::of_origin(listed.as_bytes()).is_some());
    assert!(readable || policy.is_err(), "a list that is no list of origins: {list:?}");
    let ordinary = list.iter().all(|listed| is_ordinary(listed.as_bytes()));
    assert!(!ordinary || policy.is_ok(), "a right list is refused: {list:?}");
    policy.ok()
}

fn check(passed: bool, host: &[u8], list: &[String], origins: &[&[u8]], any: bool) {
    let told = || format!("{:?} at {:?}, list {list:?}", origins, text(host));
    let &[origin] = origins else {
        // Without the header it is no page of another site; with two, one may be a lie.
        return assert_eq!(passed, any || origins.is_empty(), "{}", told());
    };
    let page = Place::of_origin(origin);
    let same = page.as_ref().is_some_and(|page| {
        Place::of_authority(host, page.scheme.as_str()).is_some_and(|host| host.is_at(page))
    });
    let listed =
        page.is_some() && list.iter().any(|listed| Place::of_origin(listed.as_bytes()) == page);
    if passed {
        assert!(any || same || listed, "a stranger passed: {}", told());
    } else if is_ordinary(origin) {
        let is_known = same && is_ordinary(&[b"http://", host].concat());
        assert!(!(any || listed || is_known), "refused: {}", told());
    }
}

/// Whether a browser would write such an origin, so that it has to be understood.
fn is_ordinary(origin: &[u8]) -> bool {
    let is_http = origin.starts_with(b"http://") || origin.starts_with(b"https://");
    let host = text(origin).split_once("://").map_or(String::new(), |(_, rest)| rest.to_owned());
    let (name, port) = host.split_once(':').unwrap_or((&host, "0"));
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    is_http
        && !name.is_empty()
        && is_name
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok()
}

/// Scheme, host and port of a page or a server; the least that must agree for two to be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    scheme: String,
    host: String,
    port: u64,
}

impl Place {
    fn of_origin(origin: &[u8]) -> Option<Self> {
        let origin = std::str::from_utf8(origin).ok()?;
        let (scheme, authority) = origin.split_once("://")?;
        Self::of_authority(authority.as_bytes(), &scheme.to_ascii_lowercase())
    }

    fn of_authority(authority: &[u8], scheme: &str) -> Option<Self> {
        let authority = std::str::from_utf8(authority).ok()?.to_ascii_lowercase();
        let after_host = authority.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match authority[after_host..].find(':') {
            Some(at) => authority.split_at(after_host + at),
            None => (authority.as_str(), ""),
        };
        let port = match (port.trim_start_matches(':'), scheme) {
            ("", "http" | "ws") => 80,
            ("", "https" | "wss") => 443,
            (digits, _) => digits.parse().ok()?,
        };
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().ok()?.to_string(),
            // A path, a user or a query would be the disguise of another host.
            None if host.is_empty() || host.contains(['/', '@', '?', '#', '\\', '%', '*']) => {
                return None;
            }
            None => host.to_owned(),
        };
        Some(Self { scheme: scheme.to_owned(), host, port })
    }

    /// The scheme of a server behind a proxy is not known, the rest is.
    fn is_at(&self, page: &Self) -> bool {
        self.host == page.host && self.port == page.port
    }
}
