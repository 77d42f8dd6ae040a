//! Whose request it is when a proxy stands between, and whose word on that counts.

use std::net::Ipv4Addr;

use realtime_core::{HubBuilder, TrustedProxies};

use super::{
    Served, Suite,
    identity::{self, Way, all_ways, good},
};
use crate::{http::Request, sse::Client, ws::Peer};

/// Whoever is no listed proxy counts as itself, whatever it says, on both transports.
pub async fn are_not_believed_when_not_listed(suite: Suite) {
    let served = one_per_ip(suite, |hub| hub);
    let says = |request: Request, of: usize| {
        let address = format!("192.0.2.{of}");
        request
            .header("X-Forwarded-For", &address)
            .header("X-Real-IP", &address)
            .header("Forwarded", format!("for={address}"))
    };
    let first = served.stream(&says(served.request("/events?topic=a"), 1)).await;
    for of in 2..10 {
        served.refused(429, &says(served.request("/events?topic=a"), of)).await;
        served.refused(429, &says(served.handshake("/ws?topic=a"), of)).await;
    }
    // Nor does it spoil another's chances to take that name.
    let other = served.from(OTHER);
    let request = says(served.handshake("/ws?topic=a"), 1);
    let second = Peer::open(other, &request).await.expect("let in");
    drop((first, second));
    served.untouched().await;
}

/// Behind a listed proxy each client counts, by /64 where it has IPv6, and what it wrote itself
/// further left does not.
pub async fn are_believed_who_the_client_is(suite: Suite) {
    let served = one_per_ip(suite, trusting);
    for (header, one, same, other) in [
        ("X-Forwarded-For", "192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("X-Forwarded-For", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("X-Forwarded-For", "2001:db8::1", "2001:db8::ffff:0:1", "2001:db8:0:1::1"),
        ("X-Forwarded-For", "198.51.100.1, 192.0.2.1", "198.51.100.2, 192.0.2.1", "192.0.2.2"),
        ("X-Forwarded-For", "192.0.2.1, 127.0.0.1", "192.0.2.1, 10.0.0.9, 127.0.0.1", "192.0.2.2"),
        ("Forwarded", "for=192.0.2.1", "for=\"192.0.2.1:4711\";proto=http", "for=192.0.2.2"),
        ("Forwarded", "for=\"[2001:db8::1]\"", "for=\"[2001:db8::2]:1\"", "for=\"[2001:db9::1]\""),
        ("X-Forwarded-For", "unknown", "", "192.0.2.2"),
    ] {
        let through = |request: Request, value: &str| request.header(header, value);
        let first = served.stream(&through(served.request("/events?topic=a"), one)).await;
        served.refused(429, &through(served.request("/events?topic=a"), same)).await;
        served.refused(429, &through(served.handshake("/ws?topic=a"), same)).await;
        let second = served.open(&through(served.handshake("/ws?topic=a"), other)).await;
        drop((first, second));
        served.untouched().await;
    }
    // Another peer is not in the list.
    let mut from_elsewhere = Vec::new();
    let headers = [("X-Forwarded-For", "192.0.2.1")];
    let client = Client::connect(served.from(OTHER), "/events?topic=a", &headers).await;
    from_elsewhere.push(client.expect("let in"));
    let stream = served.request("/events?topic=a").header("X-Forwarded-For", "192.0.2.3");
    served.refused_from(OTHER, 429, &stream).await;
    let through = served.request("/events?topic=a").header("X-Forwarded-For", "192.0.2.1");
    drop(served.stream(&through).await);
    drop(from_elsewhere);
    served.untouched().await;
}

/// A listed proxy that ends TLS says so, and the page's origin is the same then; anybody else may
/// say what they like.
pub async fn are_believed_what_the_site_is(suite: Suite) {
    let served = identity::served_with(suite, all_ways(), trusting);
    let page = |request: Request| {
        Way::Cookie.present(request, &good("alice")).header("Origin", "https://app.example")
    };
    let x = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "app.example")];
    let wss = [("X-Forwarded-Proto", "wss"), ("X-Forwarded-Host", "app.example:443")];
    let host = [("X-Forwarded-Proto", "https"), ("Host", "app.example")];
    let standard = [("Forwarded", "for=192.0.2.1;proto=https;host=app.example")];
    let both = [("Forwarded", "for=192.0.2.1;proto=https"), ("X-Forwarded-Host", "app.example")];
    let told: [&[(&str, &str)]; 5] = [&x, &wss, &host, &standard, &both];
    for headers in told {
        let handshake = page(served.handshake("/whoami").set(headers));
        served.open(&handshake).await.expect_text("alice").await;
        let stream = page(served.request("/mine").set(headers));
        drop(served.stream(&stream).await);
        served.refused_from(OTHER, 403, &handshake).await;
        served.refused_from(OTHER, 403, &stream).await;
    }
    let told_else: [&[(&str, &str)]; 5] = [
        &[],
        &[("X-Forwarded-Host", "app.example")],
        &[("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "app.example")],
        &[("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "app.example:8443")],
        &[("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "app.example, evil.example")],
    ];
    for headers in told_else {
        served.refused(403, &page(served.handshake("/whoami").set(headers))).await;
        served.refused(403, &page(served.request("/mine").set(headers))).await;
    }
    served.untouched().await;
}

/// 400 when its two families of headers contradict each other, or can't be read: one of them is
/// likely the client's own.
pub async fn may_not_contradict_themselves(suite: Suite) {
    let served = one_per_ip(suite, trusting);
    let told: [&[(&str, &str)]; 6] = [
        &[("Forwarded", "for=192.0.2.1"), ("X-Forwarded-For", "192.0.2.2")],
        &[("Forwarded", "for=192.0.2.1;proto=http"), ("X-Forwarded-Proto", "https")],
        &[("Forwarded", "for=192.0.2.1;host=a.example"), ("X-Forwarded-Host", "b.example")],
        &[("Forwarded", "for=\"192.0.2.1")],
        &[("X-Forwarded-Proto", "gopher")],
        &[("X-Forwarded-Host", "a.example/b")],
    ];
    for headers in told {
        served.refused(400, &served.request("/events?topic=a").set(headers)).await;
        served.refused(400, &served.handshake("/ws?topic=a").set(headers)).await;
        // Nobody reads what others say.
        let dial = served.from(OTHER);
        drop(Client::connect(dial, "/events?topic=a", headers).await.expect("let in"));
        served.untouched().await;
    }
    let agreed =
        [("Forwarded", "for=\"192.0.2.1:80\";proto=https"), ("X-Forwarded-For", "192.0.2.1")];
    drop(served.stream(&served.request("/events?topic=a").set(&agreed)).await);
    served.untouched().await;
}

/// Another host of the loopback interface, which is no proxy.
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn trusting(hub: HubBuilder) -> HubBuilder {
    hub.trusted_proxies(TrustedProxies::new(["127.0.0.1", "10.0.0.0/8"]).expect("networks"))
}

fn one_per_ip(suite: Suite, configure: impl FnOnce(HubBuilder) -> HubBuilder) -> Served {
    suite.start_with(|hub| configure(hub.limits(|limits| limits.connections_per_ip = 1)))
}
