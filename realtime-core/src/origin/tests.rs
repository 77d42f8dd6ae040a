use proptest::prelude::*;

use super::{Origin, OriginError, OriginPolicy, OriginRefused};
use crate::head::{Scheme, Site, testing::Head};

fn site(scheme: &str, host: &str) -> Site {
    Site::new(Scheme::parse(scheme.as_bytes()).unwrap(), Some(host.as_bytes()))
}

pub(super) fn page(origin: &str) -> Head {
    Head::get().with("origin", origin)
}

/// Whether both transports let the page in; they agree wherever there is an `Origin`.
fn passes(policy: &OriginPolicy, head: &Head, site: &Site) -> bool {
    let websocket = policy.check_websocket(head, site, true);
    assert_eq!(policy.check_event_stream(head, site, true), websocket);
    assert_eq!(policy.check_websocket(head, site, false), websocket);
    websocket.is_ok()
}

#[test]
fn same_origin_is_scheme_host_and_port() {
    let policy = OriginPolicy::same_origin();
    for (origin, (scheme, host)) in [
        ("http://example.com", ("http", "example.com")),
        ("http://example.com", ("http", "example.com:80")),
        ("http://example.com:80", ("http", "example.com")),
        ("https://example.com", ("https", "example.com")),
        ("https://example.com", ("wss", "example.com:443")),
        ("https://example.com:80", ("https", "example.com:80")),
        ("HTTP://EXAMPLE.com", ("http", "Example.COM")),
        ("http://localhost:8080", ("http", "localhost:8080")),
        ("http://127.0.0.1:8080", ("http", "127.0.0.1:8080")),
        ("http://[::1]:8080", ("http", "[::1]:8080")),
        ("http://[::1]", ("http", "[0:0:0:0:0:0:0:1]")),
        ("http://[2001:DB8:0:0::9]", ("http", "[2001:db8::9]:80")),
        ("http://[::ffff:7f00:1]", ("http", "[::ffff:127.0.0.1]")),
        ("https://example.com.", ("https", "example.com.")),
        ("https://xn--bcher-kva.example", ("https", "XN--BCHER-KVA.example")),
        ("https://a_b.example", ("https", "a_b.example")),
    ] {
        assert!(
            passes(&policy, &page(origin), &site(scheme, host)),
            "{origin} at {scheme}://{host}"
        );
    }
    for (origin, (scheme, host)) in [
        // Another scheme or port, however default ports hide it.
        ("https://example.com", ("http", "example.com")),
        ("http://example.com", ("https", "example.com")),
        ("https://example.com", ("http", "example.com:443")),
        ("http://example.com:443", ("https", "example.com")),
        ("https://example.com:80", ("http", "example.com")),
        ("https://example.com", ("https", "example.com:80")),
        ("http://localhost:8081", ("http", "localhost:8080")),
        ("http://localhost", ("http", "localhost:8080")),
        ("ws://example.com", ("http", "example.com")),
        // Another host.
        ("http://evil.example", ("http", "example.com")),
        ("http://example.com.evil", ("http", "example.com")),
        ("http://evil-example.com", ("http", "example.com")),
        ("http://a.example.com", ("http", "example.com")),
        ("http://example.com.", ("http", "example.com")),
        ("http://example.com", ("http", "example.com.")),
        ("http://[::2]", ("http", "[::1]")),
        ("http://127.0.0.1", ("http", "[::ffff:127.0.0.1]")),
        ("http://localhost", ("http", "127.0.0.1")),
        ("http://b\u{fc}cher.example", ("http", "xn--bcher-kva.example")),
    ] {
        assert!(
            !passes(&policy, &page(origin), &site(scheme, host)),
            "{origin} at {scheme}://{host}"
        );
    }
    for host in [None, Some(&b""[..]), Some(b"a b"), Some(b"user@example.com")] {
        let nowhere = Site::new(Scheme::Http, host);
        assert!(!passes(&policy, &page("http://example.com"), &nowhere), "{host:?}");
    }
}

#[test]
fn what_is_no_origin_never_passes() {
    let policy = OriginPolicy::allow(["http://example.com", "https://*.example.com"]).unwrap();
    let long = format!("http://{}", "a".repeat(10_000));
    let long_below = format!("https://{}example.com", "a.".repeat(10_000));
    let sites = ["example.com", "example.com:8080", "[::1]"];
    for origin in [
        "null",
        "NULL",
        "",
        " ",
        "*",
        "example.com",
        "//example.com",
        "http:example.com",
        "http:/example.com",
        "http//example.com",
        "://example.com",
        "http://",
        "http://:80",
        "1http://example.com",
        "ht tp://example.com",
        " http://example.com",
        "http://example.com ",
        "http:// example.com",
        "http://example.com\t",
        "http://example.com\0",
        "http://example.com/",
        "http://example.com/path",
        "http://example.com?",
        "http://example.com?a",
        "http://example.com#",
        "http://example.com\\",
        "http://user@example.com",
        "http://user:pass@example.com",
        "http://evil@example.com:80",
        "http://example.com@evil",
        "http://example.com:",
        "http://example.com:x",
        "http://example.com:+80",
        "http://example.com:-1",
        "http://example.com:080x",
        "http://example.com:65616",
        "http://example.com:80:80",
        "http://example.com,http://evil.example",
        "http://evil.example, http://example.com",
        "http://example.com http://example.com",
        "http://example%2ecom",
        "http://%65xample.com",
        "http://example..com",
        "http://.example.com",
        "https://.example.com",
        "https://*.example.com",
        "https://evil.example/.example.com",
        "https://evil.example#.example.com",
        "https://evil.example:80.example.com",
        "https://evil@.example.com",
        "http://[::1",
        "http://::1",
        "http://[::1]x",
        "http://[::1%1]",
        "http://[::1%25lo]",
        "http://[0:0:0:0:0:0:0:1:0]",
        "http://[example.com]",
        "http://ex\u{e4}mple.com",
        "http://example\u{3002}com",
        "file://",
        "about:blank",
        "data:text/html,x",
        &long,
        &long_below,
    ] {
        for host in sites {
            let site = site("http", host);
            assert!(!passes(&policy, &page(origin), &site), "{origin:?} at {host}");
        }
        assert_eq!(policy.cors(&page(origin)).allowed_origin(), None, "{origin:?}");
    }
    let site = site("http", "example.com");
    assert!(!passes(&policy, &Head::get().with("origin", b"http://example.com\xff"), &site));
    let twice = page("http://example.com").with("origin", "http://example.com");
    assert!(!passes(&policy, &twice, &site), "two headers");
    assert_eq!(policy.cors(&twice).allowed_origin(), None);
    let error = OriginPolicy::default().check_websocket(&page(&long), &site, false).unwrap_err();
    assert!(error.to_string().len() < 400, "{error}");
}

#[test]
fn the_list_adds_to_same_origin() {
    let policy = OriginPolicy::allow(["https://App.example.com:443", "tauri://localhost"]).unwrap();
    let site = site("http", "api.example.com");
    for origin in ["https://app.example.com", "http://api.example.com", "tauri://localhost"] {
        assert!(passes(&policy, &page(origin), &site), "{origin}");
    }
    for origin in [
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.",
        "https://a.app.example.com",
        "https://api.example.com",
        "tauri://localhost:80",
    ] {
        assert!(!passes(&policy, &page(origin), &site), "{origin}");
    }
}

#[test]
fn a_wildcard_stands_for_what_is_below() {
    let list = ["https://*.example.com", "http://*.dev.example:3000"];
    let policy = OriginPolicy::allow(list).unwrap();
    let site = site("http", "api.example");
    for origin in [
        "https://a.example.com",
        "https://a.b.c.example.com",
        "https://A.EXAMPLE.com:443",
        "http://a.dev.example:3000",
    ] {
        assert!(passes(&policy, &page(origin), &site), "{origin}");
    }
    for origin in [
        "https://example.com",
        "https://.example.com",
        "https://evil-example.com",
        "https://example.com.evil",
        "https://a.example.com.evil",
        "https://a.example.com.",
        "http://a.example.com",
        "https://a.example.com:8443",
        "http://a.dev.example",
        "http://a.dev.example:3001",
    ] {
        assert!(!passes(&policy, &page(origin), &site), "{origin}");
    }
}

#[test]
fn the_list_takes_no_shortcut() {
    let error = |text: &str| OriginPolicy::allow([text]).unwrap_err();
    for text in
        ["*", "https://*", "https://*:8443", "https://*.com", "https://*.com:80", "app://*.a."]
    {
        assert_eq!(error(text), OriginError::Everybody(text.to_owned()));
        assert!(error(text).to_string().contains("dangerously_allow_any_origin()"));
    }
    for text in ["null", "NULL"] {
        assert_eq!(error(text), OriginError::Null);
        assert!(error(text).to_string().contains("dangerously_allow_null()"));
    }
    for text in ["ws://example.com", "WSS://*.example.com"] {
        assert_eq!(error(text), OriginError::WebSocketAddress(text.to_owned()));
    }
    for text in [
        "",
        "example.com",
        "*.example.com",
        "https://a/b",
        "https://a/",
        "*://example.com",
        "https://*example.com",
        "https://a*.example.com",
        "https://*.*.example.com",
        "https://**",
        "https://a.*.example.com",
        "https://*.0.0.1",
        "https://*.[::1]",
        "https://*.",
        "https://*..",
        "https://b\u{fc}cher.example",
        "https://user@a",
        " https://a.b",
        "https://a.b ",
    ] {
        assert_eq!(error(text), OriginError::NotAnOrigin(text.to_owned()));
    }
}

#[test]
fn null_and_any_origin_have_to_be_asked_for_by_name() {
    let site = site("http", "example.com");
    let null = OriginPolicy::allow(["https://a.example"]).unwrap().dangerously_allow_null();
    for (origin, expected) in
        [("null", true), ("https://a.example", true), ("http://example.com", true), ("Null", false)]
    {
        assert_eq!(passes(&null, &page(origin), &site), expected, "{origin}");
    }
    assert!(!passes(&null, &page("https://evil.example"), &site));
    let any = OriginPolicy::dangerously_allow_any_origin();
    for origin in ["null", "https://evil.example", "garbage"] {
        assert!(passes(&any, &page(origin), &site), "{origin}");
    }
    assert_eq!(any.check_websocket(&Head::get(), &site, true), Ok(()));
}

#[test]
fn a_websocket_without_origin_has_no_identity_from_a_cookie() {
    let policy = OriginPolicy::default();
    let site = site("http", "example.com");
    assert_eq!(policy.check_websocket(&Head::get(), &site, false), Ok(()));
    let missing = policy.check_websocket(&Head::get(), &site, true);
    assert_eq!(missing, Err(OriginRefused::Missing));
    let same = Head::get().with("sec-fetch-site", "same-origin");
    assert_eq!(policy.check_websocket(&same, &site, true), Err(OriginRefused::Missing));
}

#[test]
fn an_event_stream_without_origin_is_decided_by_sec_fetch_site() {
    let policy = OriginPolicy::default();
    let site = site("http", "example.com");
    let check = |head: &Head, by_cookie| policy.check_event_stream(head, &site, by_cookie);
    assert_eq!(check(&Head::get(), true), Ok(()));
    for (value, expected) in [
        ("same-origin", true),
        ("none", true),
        ("same-site", false),
        ("cross-site", false),
        ("Same-Origin", false),
        ("", false),
        ("same-origin, cross-site", false),
    ] {
        let head = Head::get().with("sec-fetch-site", value);
        assert_eq!(check(&head, true).is_ok(), expected, "{value}");
        assert_eq!(check(&head, false), Ok(()), "{value}: nothing that a browser adds by itself");
    }
    let two =
        Head::get().with("sec-fetch-site", "same-origin").with("sec-fetch-site", "cross-site");
    assert!(check(&two, true).is_err());
    let evil = page("https://evil.example").with("sec-fetch-site", "same-origin");
    assert!(check(&evil, false).is_err(), "an Origin decides");
}

#[test]
fn a_refusal_says_what_would_be_allowed() {
    let text = |origin: &str, site: &Site| {
        let refused = OriginPolicy::default().check_websocket(&page(origin), site, false);
        refused.unwrap_err().to_string()
    };
    assert_eq!(
        text("https://example.com", &site("http", "example.com:80")),
        "the origin \"https://example.com\" is not allowed here: the same origin would be \
         http://example.com; behind a proxy that terminates TLS: list it in trusted_proxies, or the \
         origin in OriginPolicy::allow"
    );
    assert_eq!(
        text("http://localhost:3000", &site("http", "localhost:8080")),
        "the origin \"http://localhost:3000\" is not allowed here: the same origin would be \
         http://localhost:8080; others are listed in OriginPolicy::allow"
    );
    let nowhere = text("http://a", &Site::new(Scheme::Http, None));
    assert!(nowhere.contains("names no host"), "{nowhere}");
}

/// Something like an origin, often enough a right one.
pub(super) fn like_an_origin() -> impl Strategy<Value = Vec<u8>> {
    let right =
        "(http|HTTPS|https)://(a|A|a\\.b|a\\.b\\.|\\[::1\\]|\\[0::1\\])(:80|:443|:0080|:1|)";
    prop_oneof![
        right.prop_map(String::into_bytes),
        "(http|ws)://[a-b.:@/%\\[\\]]{0,6}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..64),
    ]
}

proptest! {
    #[test]
    fn what_passes_as_same_origin_is_that_of_the_site(
        origin in like_an_origin(),
        host in like_an_origin(),
        secure: bool,
    ) {
        let policy = OriginPolicy::default();
        let scheme = if secure { Scheme::Https } else { Scheme::Http };
        let host = host.splitn(2, |&byte| byte == b'/').last().unwrap_or_default();
        let host = host.strip_prefix(b"/").unwrap_or(host);
        let site = Site::new(scheme, Some(host));
        let head = Head::get().with("origin", &origin);
        let serialized = Site::new(scheme, Some(host)).to_string();
        match Origin::parse(&origin) {
            Some(page) if policy.check_websocket(&head, &site, true).is_ok() => {
                prop_assert_eq!(&page.scheme, scheme.as_str());
                prop_assert_eq!(Some(page.host.as_str()), site.host());
                prop_assert_eq!(page.port, Some(site.port()));
                prop_assert_eq!(Origin::parse(serialized.as_bytes()), Some(page));
            }
            Some(page) => prop_assert_ne!(Origin::parse(serialized.as_bytes()), Some(page)),
            None => prop_assert!(policy.check_websocket(&head, &site, true).is_err()),
        }
    }
}
