//! `Forwarded` and `X-Forwarded-*`: what a client writes into them never says who it is.

use std::{net::IpAddr, time::Instant};

use realtime_core::{
    Client, ForwardedError, HttpVersion, Hub, RequestHead, Scheme, Site, TrustedProxies, sse,
};

use super::{
    answer::{check_at_rest, check_rejection},
    head::Head,
    input::text,
};

mod network;

use network::{Network, Networks};

/// What proxies are behind whom the tests' own elements are appended.
const STRANGER: &str = "203.0.113.9";

/// The headers in which proxies say by what they were asked.
const SITE_HEADERS: [&str; 2] = ["x-forwarded-proto", "x-forwarded-host"];

/// The input is lines: the peer's address or `-`, then `+` and a proxy or `unix` for each on the
/// list, `>` and the addresses that well-behaved proxies forward, and everything else as headers.
pub fn run(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let peer: Option<IpAddr> = text(lines.next().unwrap_or_default()).parse().ok();
    let peer = peer.map(|peer| peer.to_canonical());
    let (mut list, mut unix, mut chain) = (Vec::new(), false, Vec::new());
    let mut head = b"GET 1.1".to_vec();
    for line in lines {
        match line {
            b"+unix" => unix = true,
            [b'+', entry @ ..] => list.push(text(entry)),
            [b'>', addresses @ ..] => {
                let addresses = text(addresses);
                chain.extend(addresses.split(' ').filter_map(|it| it.parse::<IpAddr>().ok()));
            }
            header => head = [&head[..], b"\n", header].concat(),
        }
    }
    let Some(proxies) = Networks::check(&list, unix) else { return };
    let mut head = Head::read(&head).without(&[":peer"]);
    assert_eq!(head.version(), HttpVersion::Http11);
    if let Some(peer) = peer {
        head = head.from(peer);
    }
    let case = Case { proxies, peer, head };
    case.check_families();
    case.check_x_forwarded_for();
    case.check_hub();
    if case.proxies.lists_peer(peer) {
        case.check_appended();
        case.check_chain(&chain);
    } else {
        let itself = case.client(&case.head).expect("nobody is believed");
        assert_eq!(itself.ip.map(|ip| ip.addr()), peer);
        assert_eq!(itself.site, Site::of(&case.head));
    }
}

struct Case {
    proxies: Networks,
    peer: Option<IpAddr>,
    head: Head,
}

impl Case {
    fn client(&self, head: &Head) -> Result<Client, ForwardedError> {
        self.proxies.proxies.client(head)
    }

    fn ip(&self, head: &Head) -> Option<IpAddr> {
        let client = self.client(head).expect("headers that can be read");
        client.ip.map(|ip| ip.addr())
    }

    /// Both families together say what each says alone, or are refused.
    fn check_families(&self) {
        let x_names = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
        let one = self.client(&self.head.clone().without(&x_names));
        let other = self.client(&self.head.clone().without(&["forwarded"]));
        let both = self.client(&self.head);
        let has = |name| self.head.header(name).is_some();
        let (one, other) = match (one, other) {
            (Ok(one), Ok(other)) => (one, other),
            (Err(error), _) | (Ok(_), Err(error)) => return assert_eq!(both, Err(error)),
        };
        if has("forwarded") && has("x-forwarded-for") && one.ip != other.ip {
            let is_contradiction = matches!(both, Err(ForwardedError::Contradiction { .. }));
            return assert!(is_contradiction, "{one:?} and {other:?} are {both:?}");
        }
        let Ok(both) = both else {
            // Then it is of the site, of which both say something.
            let is_said = SITE_HEADERS.iter().any(|name| has(name));
            return assert!(is_said && has("forwarded") && one.site != other.site, "{both:?}");
        };
        let speaker = if has("forwarded") { &one } else { &other };
        assert_eq!(both.ip, speaker.ip);
        for site in [&one.site, &other.site] {
            if one.site == other.site {
                assert_eq!(both.site, *site);
            }
        }
        let schemes = [one.site.scheme(), other.site.scheme()];
        assert!(schemes.contains(&both.site.scheme()));
        assert!([one.site.host(), other.site.host()].contains(&both.site.host()));
    }

    /// All of `X-Forwarded-For`, read from right to left.
    fn check_x_forwarded_for(&self) {
        let head =
            self.head.clone().without(&["forwarded", "x-forwarded-proto", "x-forwarded-host"]);
        let lines = head.all("x-forwarded-for");
        let whole = lines.join(&b","[..]);
        let mut expected = self.peer;
        if self.proxies.lists_peer(self.peer) && !lines.is_empty() {
            for element in whole.rsplit(|&byte| byte == b',').take(32) {
                let Some(address) = network::address(element) else { break };
                expected = Some(address);
                if !self.proxies.lists(address) {
                    break;
                }
            }
        }
        assert_eq!(self.ip(&head), expected, "{:?}", text(&whole));
        assert_eq!(self.client(&head).expect("read above").site, Site::of(&head));
    }

    /// Whatever the client has written, it is whom the nearest proxy says it is.
    fn check_appended(&self) {
        let stranger: IpAddr = STRANGER.parse().expect("an address");
        let x = self.head.clone().without(&["forwarded", "x-forwarded-proto", "x-forwarded-host"]);
        for head in x.appending("x-forwarded-for", STRANGER) {
            let head = head.with("x-forwarded-proto", b"https").with("x-forwarded-host", b"a.b:1");
            let client = self.client(&head).expect("right headers");
            // Behind a proxy that is a stranger too, the search goes on.
            if !self.proxies.lists(stranger) {
                assert_eq!(client.ip.map(|ip| ip.addr()), Some(stranger));
            }
            assert_eq!(client.site, Site::new(Scheme::Https, Some(b"a.b:1")));
        }
        let forwarded = self.head.clone().without(&[
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
        ]);
        let is_open = forwarded.all("forwarded").iter().any(|value| ends_in_quotes(value));
        for appended in [
            "for=203.0.113.9;proto=https;host=\"a.b:1\"",
            "proto=https;host=\"\\a.b\\:1\";For=\"203.0.113.9:_a.b\"",
            "by=_me;for=\"[::ffff:203.0.113.9]:80\" ; host=A.B.:1;PROTO=\"wss\"",
        ] {
            for head in forwarded.appending("forwarded", appended) {
                match self.client(&head) {
                    Err(error) => {
                        assert_eq!(error, ForwardedError::OpenQuote);
                        assert!(is_open, "no quote is open: {head:?}");
                    }
                    Ok(client) => {
                        assert!(!is_open, "a quote is open: {head:?}");
                        if self.proxies.lists(stranger) {
                            continue;
                        }
                        assert_eq!(client.ip.map(|ip| ip.addr()), Some(stranger));
                        let host = if appended.contains("A.B.") { "a.b." } else { "a.b" };
                        let site = &client.site;
                        let at = (site.scheme(), site.host(), site.port());
                        assert_eq!(at, (Scheme::Https, Some(host), 1));
                    }
                }
            }
        }
    }

    /// Of what well-behaved proxies say, the first stranger from the right counts, and if there is
    /// none, whom the outermost names; in whatever style they say it.
    fn check_chain(&self, chain: &[IpAddr]) {
        let all = ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
        let nothing = self.head.clone().without(&all);
        let chain = &chain[chain.len().saturating_sub(32)..];
        let stranger = chain.iter().rev().find(|ip| !self.proxies.lists(ip.to_canonical()));
        let Some(expected) = stranger.or(chain.first()) else { return };
        let expected = Some(expected.to_canonical());
        let (mut forwarded, mut x_forwarded) = (nothing.clone(), nothing.clone());
        let mut both = nothing;
        for (style, ip) in chain.iter().enumerate() {
            let (element, address) = (network::forwarded(*ip, style), network::bare(*ip, style));
            forwarded = forwarded.with("forwarded", element.as_bytes());
            x_forwarded = x_forwarded.with("x-forwarded-for", address.as_bytes());
            both = both.with("forwarded", element.as_bytes());
            both = both.with("x-forwarded-for", address.as_bytes());
        }
        for head in [forwarded, x_forwarded, both] {
            assert_eq!(self.ip(&head), expected, "{head:?}");
        }
    }

    /// The hub goes by the same client.
    fn check_hub(&self) {
        let builder = Hub::builder().trusted_proxies(self.proxies.proxies.clone());
        let builder = builder.limits(|limits| limits.header_bytes = usize::MAX);
        let hub = builder.build().expect("the configuration is valid");
        match (self.client(&self.head), sse::Request::accept(&hub, &self.head, Instant::now())) {
            (Ok(client), Ok(candidate)) => {
                let request = candidate.anonymous().expect("nothing to check");
                assert_eq!(request.client_ip(), client.ip);
            }
            (Err(error), Err(rejection)) => {
                assert_eq!(rejection.status(), 400);
                check_rejection(&rejection, false);
                let is_site = matches!(error, ForwardedError::Scheme(_) | ForwardedError::Host(_));
                let told = text(rejection.body());
                let names = self.peer.is_some_and(|peer| told.contains(&peer.to_string()));
                assert!(is_site || !names, "a proxy's address is told: {told}");
            }
            (client, answer) => panic!("{client:?} is answered {answer:?}"),
        }
        check_at_rest(&hub);
    }
}

impl Head {
    /// With what a proxy appends to a header, as a line of its own and on the last line.
    fn appending(&self, name: &str, appended: &str) -> [Self; 2] {
        let own = self.clone().with(name, appended.as_bytes());
        let lines = self.all(name);
        let mut same = self.clone().without(&[name]);
        let Some((last, before)) = lines.split_last() else { return [own.clone(), own] };
        for line in before {
            same = same.with(name, line);
        }
        [own, same.with(name, &[*last, b", ", appended.as_bytes()].concat())]
    }
}

/// Whether a quoted string (RFC 9110 §5.6.4) does not end.
fn ends_in_quotes(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|&byte| byte == b'"') {
        rest = &rest[at + 1..];
        loop {
            match rest {
                [b'"', after @ ..] => {
                    rest = after;
                    break;
                }
                [b'\\', _, after @ ..] | [_, after @ ..] => rest = after,
                [] => return true,
            }
        }
    }
    false
}

impl Networks {
    fn lists_peer(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or(self.unix, |peer| self.lists(peer))
    }

    fn lists(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network: &Network| network.has(ip))
    }

    /// The list, unless it has to be refused.
    fn check(list: &[String], unix: bool) -> Option<Self> {
        let proxies = TrustedProxies::new(list);
        let read: Option<Vec<Network>> = list.iter().map(|entry| Network::read(entry)).collect();
        let is_ordinary = list.iter().all(|entry| Network::is_ordinary(entry));
        assert!(!is_ordinary || proxies.is_ok(), "a right list is refused: {list:?}");
        let mut proxies = proxies.ok()?;
        let networks = read.expect("a list of networks, none of which is everybody");
        if unix {
            proxies = proxies.unix_sockets();
        }
        Some(Self { proxies, networks, unix })
    }
}
