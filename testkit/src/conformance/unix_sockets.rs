//! Servers behind a Unix socket: their peers have no address, and are believed only when told so.

use realtime_core::{HubBuilder, Rate, TrustedProxies};

use super::{
    Served, Suite,
    identity::{self, Way, all_ways, good},
};
use crate::http::Request;

/// What is forwarded says nothing: nobody has an address that limits could go by, and the site is the
/// head's.
pub async fn are_not_believed_unasked(suite: Suite) {
    let served = served(suite, |hub| {
        hub.trusted_proxies(TrustedProxies::new(["127.0.0.0/8"]).expect("a network"))
    });
    let mut inside = Vec::new();
    for _ in 0..3 {
        inside.push(served.stream(&of(served.request("/events?topic=a"), "192.0.2.1")).await);
    }
    let mut peer = served.open(&of(served.handshake("/echo"), "192.0.2.1")).await;
    peer.send_text("hello").await;
    peer.expect_text("hello").await;
    served.refused(403, &page(served.handshake("/whoami"))).await;
    served.refused(403, &page(served.request("/mine"))).await;
    drop((inside, peer));
    served.untouched().await;
}

/// Limits go by the address that is forwarded, and the site is the one that is.
pub async fn are_believed_when_told_so(suite: Suite) {
    let served = served(suite, |hub| hub.trusted_proxies(TrustedProxies::default().unix_sockets()));
    let first = served.stream(&of(served.request("/events?topic=a"), "192.0.2.1")).await;
    served.refused(429, &of(served.request("/events?topic=a"), "192.0.2.1")).await;
    served.refused(429, &of(served.handshake("/echo"), "192.0.2.1")).await;
    let mut other = served.open(&of(served.handshake("/echo"), "192.0.2.2")).await;
    other.send_text("hello").await;
    other.expect_text("hello").await;
    // A proxy that names nobody.
    let nobody = [served.sse("/events?topic=a").await, served.sse("/events?topic=a").await];
    served.open(&page(served.handshake("/whoami"))).await.expect_text("alice").await;
    drop((first, other, nobody));
    served.released().await;
    drop(served.stream(&page(served.request("/mine"))).await);
    served.untouched().await;
}

fn served(suite: Suite, configure: impl FnOnce(HubBuilder) -> HubBuilder) -> Served {
    identity::served_with(suite, all_ways().optional(), |hub| {
        configure(hub.limits(|limits| {
            limits.connections_per_ip = 1;
            limits.handshakes_per_ip = Rate::per_second(1).burst(10);
        }))
    })
}

fn of(request: Request, address: &str) -> Request {
    request.header("X-Forwarded-For", address)
}

/// Of a page of `https://app.example`, by a proxy that ends TLS.
fn page(request: Request) -> Request {
    Way::Cookie.present(request, &good("alice")).header("Origin", "https://app.example").set(&[
        ("X-Forwarded-For", "192.0.2.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "app.example"),
    ])
}
