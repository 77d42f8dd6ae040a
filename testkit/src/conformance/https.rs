//! Servers that speak TLS themselves.

use super::{
    Suite,
    identity::{self, Way, all_ways, good},
};
use crate::http::Request;

/// A page of the same host is of the same origin by `https:` and, since it was sent over TLS, not by
/// `http:`; a forwarded scheme that nobody was asked to believe changes nothing.
pub async fn is_the_origins_scheme(suite: Suite) {
    let served = identity::served(suite, all_ways());
    let page = |request: Request, scheme: &str| {
        let origin = format!("{scheme}://{}", served.addr());
        Way::Cookie.present(request, &good("alice")).header("Origin", origin)
    };
    served.open(&page(served.handshake("/whoami"), "https")).await.expect_text("alice").await;
    drop(served.stream(&page(served.request("/mine"), "https")).await);
    for request in [served.handshake("/whoami"), served.request("/mine")] {
        let plain = page(request, "http");
        served.refused(403, &plain).await;
        served.refused(403, &plain.header("X-Forwarded-Proto", "http")).await;
    }
    served.untouched().await;
}
