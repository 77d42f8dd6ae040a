use std::net::IpAddr;

use proptest::prelude::*;

use super::{Client, ClientIp, ForwardedError, TrustedProxies, TrustedProxiesError};
use crate::head::testing::Head;

/// One proxy by address, one network, one of IPv6.
fn proxies() -> TrustedProxies {
    TrustedProxies::new(["192.0.2.7", "10.0.0.0/8", "2001:db8:aaaa::/48", "::1"]).unwrap()
}

/// A request that came from a trusted proxy.
fn proxied() -> Head {
    Head::get().with("host", "backend:8080").peer("10.0.0.1")
}

fn client(head: &Head) -> Client {
    proxies().client(head).unwrap()
}

fn ip(head: &Head) -> String {
    client(head).ip.unwrap().to_string()
}

fn ip_by(header: &str, value: &str) -> String {
    ip(&proxied().with(header, value))
}

#[test]
fn a_peer_that_is_not_listed_is_the_client() {
    let head = Head::get()
        .with("host", "example.com")
        .with("forwarded", "for=6.6.6.6;proto=https;host=evil.example")
        .with("forwarded", "for=\"")
        .with("x-forwarded-for", "6.6.6.7")
        .with("x-forwarded-proto", "https")
        .with("x-forwarded-host", "evil.example");
    for peer in ["192.0.2.8", "11.0.0.1", "2001:db8:aaab::1", "::2"] {
        let client = client(&head.clone().peer(peer));
        assert_eq!(client.ip.unwrap().to_string(), peer);
        assert_eq!(client.site.to_string(), "http://example.com");
    }
    let nobody = TrustedProxies::default();
    assert_eq!(nobody.client(&head.clone().peer("::1")).unwrap().ip.unwrap().to_string(), "::1");
    assert_eq!(client(&head).ip, None, "no address, and no word of Unix sockets");
}

#[test]
fn a_trusted_proxy_that_says_nothing_is_the_client() {
    assert_eq!(ip(&proxied()), "10.0.0.1");
    assert_eq!(client(&proxied()).site.to_string(), "http://backend:8080");
}

#[test]
fn the_first_from_the_right_that_is_not_listed_is_the_client() {
    for (value, expected) in [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.2.3.4", "203.0.113.9"),
        ("6.6.6.6,203.0.113.9 ,\t10.2.3.4,192.0.2.7", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, ::ffff:10.2.3.4", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9:4711, 10.2.3.4:80", "203.0.113.9"),
        ("6.6.6.6, 2001:db8::9, 2001:db8:aaaa::1", "2001:db8::9"),
        ("6.6.6.6, [2001:db8::9], [::1]:80", "2001:db8::9"),
        ("6.6.6.6, [2001:DB8:0::9]:4711", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        // All of them listed: the one furthest away.
        ("10.9.9.9, 10.2.3.4", "10.9.9.9"),
    ] {
        assert_eq!(ip_by("x-forwarded-for", value), expected, "{value}");
    }
    let lines = proxied().with("x-forwarded-for", "6.6.6.6").with("x-forwarded-for", "203.0.113.9");
    assert_eq!(ip(&lines.clone().with("x-forwarded-for", "10.2.3.4")), "203.0.113.9");
    assert_eq!(ip(&lines.peer("::ffff:10.0.0.1")), "203.0.113.9", "a peer as IPv6");
}

#[test]
fn what_is_no_address_ends_the_search() {
    for garbage in [
        "unknown",
        "_hidden",
        "",
        " ",
        "1.2.3",
        "1.2.3.4.5",
        "01.2.3.4",
        "1.2.3.4:",
        "1.2.3.4:x",
        "1.2.3.4:65536",
        "1.2.3.4:_",
        "[::1",
        "[::1]80",
        "[1.2.3.4]",
        "fe80::1%1",
        "[fe80::1%1]:80",
        "\"1.2.3.4\"",
        "1.2.3.4 5.6.7.8",
        "unix:",
        "localhost",
        "\u{661}.2.3.4",
        "0x1.2.3.4",
    ] {
        let list = format!("6.6.6.6, {garbage}");
        assert_eq!(ip_by("x-forwarded-for", &list), "10.0.0.1", "{list:?}");
        let list = format!("6.6.6.6, {garbage}, 10.2.3.4");
        assert_eq!(ip_by("x-forwarded-for", &list), "10.2.3.4", "{list:?}");
        let list = format!("{garbage}, 203.0.113.9");
        assert_eq!(ip_by("x-forwarded-for", &list), "203.0.113.9", "{list:?}");
    }
    assert_eq!(ip(&proxied().with("x-forwarded-for", b"6.6.6.6, \xff")), "10.0.0.1");
    let empty = proxied().with("x-forwarded-for", "6.6.6.6").with("x-forwarded-for", "");
    assert_eq!(ip(&empty), "10.0.0.1");
}

#[test]
fn the_standard_header_is_read_with_all_its_forms() {
    for (value, expected) in [
        ("for=203.0.113.9", "203.0.113.9"),
        ("For=\"203.0.113.9\"", "203.0.113.9"),
        ("FOR=203.0.113.9;by=10.0.0.1", "203.0.113.9"),
        ("by=_a;for=203.0.113.9 ; proto=http;", "203.0.113.9"),
        ("for=\"203.0.113.9:4711\"", "203.0.113.9"),
        ("for=203.0.113.9:4711", "203.0.113.9"),
        ("for=\"203.0.113.9:_port\"", "203.0.113.9"),
        ("for=\"[2001:db8::9]:4711\"", "2001:db8::9"),
        ("for=\"[2001:db8::9]\"", "2001:db8::9"),
        ("for=\"\\203.0.113.\\9\"", "203.0.113.9"),
        ("for=6.6.6.6, for=203.0.113.9, for=10.2.3.4", "203.0.113.9"),
        ("for=6.6.6.6, for=203.0.113.9;ext=\"a, for=7.7.7.7; \\\"\", for=10.2.3.4", "203.0.113.9"),
        // What ends the search.
        ("for=6.6.6.6, for=unknown", "10.0.0.1"),
        ("for=6.6.6.6, for=_hidden", "10.0.0.1"),
        ("for=6.6.6.6, for=\"_hidden:80\", for=10.2.3.4", "10.2.3.4"),
        ("for=6.6.6.6, for=2001:db8::9", "10.0.0.1"),
        ("for=6.6.6.6, for=\"2001:db8::9\"", "10.0.0.1"),
        ("for=6.6.6.6, proto=https", "10.0.0.1"),
        ("for=6.6.6.6,", "10.0.0.1"),
        ("for=6.6.6.6, for", "10.0.0.1"),
        ("for=6.6.6.6, for=", "10.0.0.1"),
        ("for=6.6.6.6, for=\"\"", "10.0.0.1"),
        ("for=6.6.6.6, for = 203.0.113.9", "10.0.0.1"),
        ("for=6.6.6.6, for=203.0.113.9;for=203.0.113.8", "10.0.0.1"),
        ("for=6.6.6.6, for=\"203.0.113.9\"x", "10.0.0.1"),
        ("for=6.6.6.6, for=203.0.113.9;a=\"x\"y\"\"", "10.0.0.1"),
        ("for=6.6.6.6, 203.0.113.9", "10.0.0.1"),
    ] {
        assert_eq!(ip_by("forwarded", value), expected, "{value}");
    }
    let lines = proxied().with("forwarded", "for=6.6.6.6").with("forwarded", "for=203.0.113.9");
    assert_eq!(ip(&lines.with("forwarded", "for=10.2.3.4")), "203.0.113.9");
}

#[test]
fn nobody_hides_what_a_proxy_appends_in_an_open_quote() {
    for value in ["for=6.6.6.6;a=\", for=203.0.113.9", "\"", "for=\"\\\", for=203.0.113.9"] {
        let head = proxied().with("forwarded", value);
        assert_eq!(proxies().client(&head), Err(ForwardedError::OpenQuote), "{value}");
    }
}

#[test]
fn scheme_and_host_are_those_of_the_outermost_trusted_proxy() {
    let site = |head: &Head| client(head).site.to_string();
    let by = |value: &str| site(&proxied().with("forwarded", value));
    assert_eq!(by("for=203.0.113.9;proto=https;host=example.com"), "https://example.com");
    assert_eq!(
        by("for=203.0.113.9;proto=WSS;host=\"Example.com:8443\""),
        "https://example.com:8443"
    );
    assert_eq!(by("for=unknown;proto=https;host=example.com"), "https://example.com");
    assert_eq!(by("proto=https"), "https://backend:8080");
    let chain = "for=6.6.6.6;proto=https;host=evil.example, for=203.0.113.9;proto=https;host=\
                 example.com, for=10.2.3.4;proto=http;host=inner";
    assert_eq!(by(chain), "https://example.com");
    let chain =
        "for=6.6.6.6;proto=https;host=evil.example, for=203.0.113.9, for=10.2.3.4;proto=https";
    assert_eq!(by(chain), "http://backend:8080", "the outermost says nothing");
    assert_eq!(by("for=6.6.6.6;proto=https;host=evil.example, garbage"), "http://backend:8080");

    let head = proxied().with("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.2.3.4");
    let head = head.with("x-forwarded-proto", "https").with("x-forwarded-host", "example.com");
    assert_eq!(site(&head), "https://example.com");
    let head = head.with("x-forwarded-host", "evil.example, [2001:DB8::1]:443 ");
    assert_eq!(site(&head.with("x-forwarded-proto", "http,HTTPS")), "https://[2001:db8::1]");
    let alone = proxied().with("x-forwarded-proto", "https").scheme("http");
    assert_eq!(client(&alone).site.to_string(), "https://backend:8080");
    assert_eq!(ip(&alone), "10.0.0.1");
    assert_eq!(site(&proxied().with("x-forwarded-proto", "")), "http://backend:8080");
    assert_eq!(
        site(&proxied().scheme("https")),
        "https://backend:8080",
        "not said: the head's own"
    );
}

#[test]
fn a_scheme_or_host_that_is_none_is_refused() {
    let refused = |header: &str, value: &str| {
        proxies().client(&proxied().with(header, value)).unwrap_err().to_string()
    };
    for (header, value) in [
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-host", "user@example.com"),
        ("x-forwarded-host", "a/b"),
        ("forwarded", "for=203.0.113.9;proto=ftp"),
        ("forwarded", "for=203.0.113.9;host=\"a b\""),
        ("forwarded", "for=203.0.113.9;host=\"\""),
    ] {
        let error = refused(header, value);
        assert!(error.starts_with("expected the proxy to forward"), "{error}");
    }
    assert!(refused("x-forwarded-host", &"a".repeat(9000)).len() < 200);
}

#[test]
fn families_that_contradict_each_other_are_refused() {
    let refused_over = |forwarded: &str, others: &[(&str, &str)]| {
        let head = proxied().with("forwarded", forwarded);
        let head = others.iter().fold(head, |head, (name, value)| head.with(name, value));
        match proxies().client(&head) {
            Err(ForwardedError::Contradiction { header }) => Some(header),
            other => {
                other.unwrap();
                None
            }
        }
    };
    let same = [
        ("x-forwarded-for", "6.6.6.6, 203.0.113.9"),
        ("x-forwarded-proto", "wss"),
        ("x-forwarded-host", "EXAMPLE.com:443"),
    ];
    assert_eq!(refused_over("for=203.0.113.9;proto=https;host=example.com", &same), None);
    assert_eq!(refused_over("for=203.0.113.9", &same), None);
    for forged in ["for=6.6.6.6", "for=unknown", "proto=https", "garbage", "for=10.2.3.4"] {
        assert_eq!(refused_over(forged, &same), Some("X-Forwarded-For"), "{forged}");
    }
    let scheme = refused_over("for=203.0.113.9;proto=http", &same);
    assert_eq!(scheme, Some("X-Forwarded-Proto"));
    for host in ["evil.example", "example.com:80"] {
        let host = format!("for=203.0.113.9;proto=https;host=\"{host}\"");
        assert_eq!(refused_over(&host, &same), Some("X-Forwarded-Host"));
    }
    let error = ForwardedError::Contradiction { header: "X-Forwarded-For" }.to_string();
    assert!(error.contains("`X-Forwarded-For` contradict"), "{error}");
}

#[test]
fn no_more_than_the_last_32_elements_are_looked_at() {
    let trusted = |many: usize| vec!["10.2.3.4"; many].join(", ");
    let list = format!("203.0.113.9, {}", trusted(31));
    assert_eq!(ip_by("x-forwarded-for", &list), "203.0.113.9");
    let list = format!("203.0.113.9, {}", trusted(32));
    assert_eq!(ip_by("x-forwarded-for", &list), "10.2.3.4");
    let lines = (0..100).fold(proxied(), |head, _| head.with("forwarded", "for=6.6.6.6"));
    assert_eq!(ip(&lines.with("forwarded", "for=203.0.113.9")), "203.0.113.9");
}

#[test]
fn unix_sockets_are_believed_by_name_only() {
    let head = Head::get().with("x-forwarded-for", "6.6.6.6, 203.0.113.9");
    assert_eq!(proxies().client(&head).unwrap().ip, None);
    let believed = TrustedProxies::default().unix_sockets();
    assert_eq!(believed.client(&head).unwrap().ip.unwrap().to_string(), "203.0.113.9");
    assert_eq!(believed.client(&Head::get()).unwrap().ip, None);
    let hidden = Head::get().with("x-forwarded-for", "6.6.6.6, unix:");
    assert_eq!(believed.client(&hidden).unwrap().ip, None);
    let other = head.peer("10.0.0.1");
    assert_eq!(believed.client(&other).unwrap().ip.unwrap().to_string(), "10.0.0.1");
}

#[test]
fn a_list_of_proxies_is_addresses_and_networks() {
    let lists = |list: &str, addr: &str| {
        let head = Head::get().peer(addr).with("x-forwarded-for", "203.0.113.9");
        let client = TrustedProxies::new([list]).unwrap().client(&head).unwrap();
        client.ip.unwrap().to_string() == "203.0.113.9"
    };
    for (list, inside, outside) in [
        ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
        ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),
        ("::1", "::1", "::2"),
        ("2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.6"),
        ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.1"),
        ("192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.6"),
    ] {
        assert!(lists(list, inside), "{list}: {inside}");
        assert!(!lists(list, outside), "{list}: {outside}");
    }
    let no_networks =
        ["", "localhost", "10.0.0.0/33", "10.0.0", "10.0.0.0/", "::1/129", "[::1]", " ::1"];
    let zeros_and_signs = ["010.0.0.1", "010.0.0.0/8", "10.0.0.0/+8", "10.0.0.0/8/8"];
    for text in no_networks.into_iter().chain(zeros_and_signs) {
        let expected = TrustedProxiesError::NoNetwork(text.to_owned());
        assert_eq!(TrustedProxies::new([text]).unwrap_err(), expected);
    }
    for text in ["0.0.0.0/0", "::/0", "10.0.0.0/0", "::ffff:0.0.0.0/96"] {
        let expected = TrustedProxiesError::Everybody(text.to_owned());
        assert_eq!(TrustedProxies::new([text]).unwrap_err(), expected);
    }
}

#[test]
fn limits_go_by_ipv4_address_and_by_slash_64() {
    let network = |addr: &str| ClientIp::new(addr.parse().unwrap()).network().to_string();
    assert_eq!(network("192.0.2.7"), "192.0.2.7");
    assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
    assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    assert_eq!(network("2001:db8:1:2:ffff::"), "2001:db8:1:2::");
    assert_eq!(network("2001:db8:1:3::"), "2001:db8:1:3::");
    let mapped = ClientIp::new("::ffff:192.0.2.7".parse().unwrap());
    assert_eq!(mapped.addr(), IpAddr::from([192, 0, 2, 7]));
}

/// What a client may put into a header to confuse whoever reads it.
fn forged() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "for=",
        "\"",
        "\\",
        ",",
        ";",
        " ",
        "10.2.3.4",
        "6.6.6.6",
        "[::1]",
        "proto=https",
        "\u{e4}",
    ];
    proptest::collection::vec(proptest::sample::select(PIECES), 0..12)
        .prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(
        value in proptest::collection::vec(any::<u8>(), 0..64),
        other in forged(),
    ) {
        for header in ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"] {
            let _ = proxies().client(&proxied().with(header, &value).with(header, &other));
        }
    }

    /// On the same line or one of its own: with what the proxy appends, no forger is believed.
    #[test]
    fn what_a_client_sends_never_moves_it(forged in forged(), same_line: bool) {
        let head = |name: &str, appended: &str| match same_line {
            true => {
                let line = [&forged[..], b", ", appended.as_bytes()].concat();
                proxied().with(name, line)
            }
            false => proxied().with(name, &forged).with(name, appended),
        };
        assert_eq!(ip(&head("x-forwarded-for", "203.0.113.9")), "203.0.113.9");
        for (appended, expected) in [
            ("for=203.0.113.9;proto=http", "203.0.113.9"),
            ("for=\"[2001:db8::9]:4711\";host=\"a:1\", for=10.2.3.4", "2001:db8::9"),
        ] {
            match proxies().client(&head("forwarded", appended)) {
                Ok(client) => assert_eq!(client.ip.unwrap().to_string(), expected),
                Err(error) => assert_eq!(error, ForwardedError::OpenQuote),
            }
        }
    }
}
