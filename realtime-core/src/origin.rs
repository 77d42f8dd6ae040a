//! Which pages may connect: [`OriginPolicy`], same-origin unless the user says otherwise.
//!
//! Browsers send a page's cookies along with a WebSocket handshake whatever site the page is of
//! (RFC 6455 §10.2), so a server that doesn't look at `Origin` hands its users' sessions to any page
//! that they visit. This protects users of browsers; other clients send what `Origin` they like.

use crate::head::{RequestHead, Scheme, Site, shown};

mod cors;
mod page;
#[cfg(test)]
mod tests;

pub use cors::Cors;
use page::{Origin, Pattern};

/// Decides by the `Origin` header whether a request may come in. Default: same origin.
///
/// Same origin means scheme, host **and** port of the site that the request was sent to, as browsers
/// have it: `https://example.com` is another origin than `http://example.com`. Behind a proxy that
/// terminates TLS the request arrives by `http`; that the site is `https` is known when the proxy is
/// one of [`TrustedProxies`](crate::TrustedProxies) and says so.
#[derive(Clone, Debug, Default)]
pub struct OriginPolicy {
    allowed: Vec<Pattern>,
    null: bool,
    any: bool,
}

impl OriginPolicy {
    /// Pages from the scheme, host and port that the request itself was sent to.
    pub fn same_origin() -> Self {
        Self::default()
    }

    /// Same origin, and pages from the given origins.
    ///
    /// Each is either exact, like `https://example.com` or `http://localhost:3000`, or
    /// `https://*.example.com`, which stands for all names below `example.com`, however deep, and
    /// not for `example.com` itself. Scheme and port are exact in both; no port is the scheme's
    /// default. Whoever can have a page at one of the names is let in: list no wildcard above names
    /// that others can register, like `https://*.github.io`. An international name is written in
    /// punycode.
    ///
    /// A page of another origin that reads an event stream with `Authorization` asks by `OPTIONS`
    /// first, so route that to the endpoint too, like `any(prices)` in axum or `web::route()` in
    /// actix-web.
    ///
    /// # Errors
    /// [`OriginError`] when one of them is not an origin, or stands for everybody.
    pub fn allow<I>(origins: I) -> Result<Self, OriginError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let parse = |origin: I::Item| Pattern::parse(origin.as_ref());
        let allowed = origins.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { allowed, ..Self::default() })
    }

    /// The same policy, and pages whose origin is `null`.
    ///
    /// Dangerous where a cookie identifies the user: any page can make its origin `null` by loading
    /// itself into a sandboxed iframe, so this lets in about as many as
    /// [`dangerously_allow_any_origin`](Self::dangerously_allow_any_origin).
    #[must_use]
    pub fn dangerously_allow_null(mut self) -> Self {
        self.null = true;
        self
    }

    /// Pages from anywhere.
    ///
    /// Dangerous where a cookie identifies the user: any page that the user visits can then read
    /// and write as the user. There is no wildcard in [`allow`](Self::allow) that does the same.
    pub fn dangerously_allow_any_origin() -> Self {
        Self { any: true, ..Self::default() }
    }

    /// Whether a WebSocket handshake, sent to `site`, may come in. `by_cookie` says whether a cookie
    /// tells who the user is.
    ///
    /// Browsers send `Origin` with every WebSocket handshake. Without the header it is no browser,
    /// and passes; but not with an identity from a cookie, which only a browser should have.
    ///
    /// # Errors
    /// [`OriginRefused`], to be answered with 403.
    pub fn check_websocket(
        &self,
        head: &impl RequestHead,
        site: &Site,
        by_cookie: bool,
    ) -> Result<(), OriginRefused> {
        match self.check(head, site)? {
            Verdict::Passes => Ok(()),
            Verdict::NoOrigin if by_cookie => Err(OriginRefused::Missing),
            Verdict::NoOrigin => Ok(()),
        }
    }

    /// Whether a request for an event stream, sent to `site`, may come in. `by_cookie` says whether
    /// a cookie tells who the user is.
    ///
    /// Browsers leave `Origin` out of a `GET` to the same origin, and out of those whose answer the
    /// page can't read anyway, like that of an `<img>`. Without the header, an identity from a cookie
    /// is decided by `Sec-Fetch-Site`: `same-origin` and `none` (the user typed the address) pass,
    /// all else is refused. With neither header the request passes: it is no browser, or one from
    /// before 2023, which lets no page of another origin read an answer without [`Cors`].
    ///
    /// # Errors
    /// [`OriginRefused`], to be answered with 403.
    pub fn check_event_stream(
        &self,
        head: &impl RequestHead,
        site: &Site,
        by_cookie: bool,
    ) -> Result<(), OriginRefused> {
        match self.check(head, site)? {
            Verdict::Passes => Ok(()),
            Verdict::NoOrigin if !by_cookie => Ok(()),
            Verdict::NoOrigin => check_fetch_site(head),
        }
    }

    /// What a browser is told of who may read the answer.
    pub fn cors(&self, head: &impl RequestHead) -> Cors {
        let mut origins = head.header_values("origin");
        let (Some(origin), None) = (origins.next(), origins.next()) else {
            return Cors::default();
        };
        if self.lists(origin) { Cors::of(origin) } else { Cors::default() }
    }

    fn check(&self, head: &impl RequestHead, site: &Site) -> Result<Verdict, OriginRefused> {
        if self.any {
            return Ok(Verdict::Passes);
        }
        let mut origins = head.header_values("origin");
        let Some(origin) = origins.next() else { return Ok(Verdict::NoOrigin) };
        if origins.next().is_some() {
            return Err(OriginRefused::Several);
        }
        let is_same = || Origin::parse(origin).is_some_and(|page| page.is_of(site));
        if is_same() || self.lists(origin) {
            return Ok(Verdict::Passes);
        }
        Err(OriginRefused::not_allowed(origin, site))
    }

    /// Whether the policy lets this origin in by name, wherever the request was sent to.
    fn lists(&self, origin: &[u8]) -> bool {
        match Origin::parse(origin) {
            Some(page) => self.any || self.allowed.iter().any(|pattern| pattern.matches(&page)),
            None => origin == b"null" && (self.any || self.null),
        }
    }
}

enum Verdict {
    Passes,
    NoOrigin,
}

fn check_fetch_site(head: &impl RequestHead) -> Result<(), OriginRefused> {
    let mut sites = head.header_values("sec-fetch-site");
    match (sites.next(), sites.next()) {
        (None, _) | (Some(b"same-origin" | b"none"), None) => Ok(()),
        (Some(site), _) => Err(OriginRefused::OtherSite(shown(site))),
    }
}

/// A page's origin is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginRefused {
    /// It is neither the same origin nor one of the list.
    #[error("the origin {origin:?} is not allowed here: {help}")]
    #[non_exhaustive]
    NotAllowed {
        /// The header's value, its beginning if it is long.
        origin: String,
        /// What would be allowed, and how to allow this one.
        help: String,
    },
    /// There is more than one `Origin` header.
    #[error("expected one Origin header, got several")]
    Several,
    /// A WebSocket handshake with an identity from a cookie has no `Origin`.
    #[error(
        "expected an Origin header, as browsers send it, since a cookie says who this is; clients \
         that are no browsers authenticate with a token"
    )]
    Missing,
    /// There is no `Origin`, and `Sec-Fetch-Site` names another site than this.
    #[error(
        "expected the page's Origin header, or Sec-Fetch-Site: same-origin, since a cookie says who \
         this is; got Sec-Fetch-Site: {0:?}"
    )]
    OtherSite(String),
}

impl OriginRefused {
    fn not_allowed(origin: &[u8], site: &Site) -> Self {
        let is_https = origin.get(..6).is_some_and(|it| it.eq_ignore_ascii_case(b"https:"));
        let same = match site.host() {
            Some(_) => format!("the same origin would be {site}"),
            None => "the request names no host whose same origin it could be".to_owned(),
        };
        let how = if is_https && site.scheme == Scheme::Http {
            "behind a proxy that terminates TLS: list it in trusted_proxies, or the origin in \
             OriginPolicy::allow"
        } else {
            "others are listed in OriginPolicy::allow"
        };
        Self::NotAllowed { origin: shown(origin), help: format!("{same}; {how}") }
    }
}

/// A text that can't be in the list of origins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// It is no origin.
    #[error(
        "expected an origin like `https://example.com:8443` or `https://*.example.com` (with a \
         scheme, without a path, in ASCII), got {0:?}"
    )]
    NotAnOrigin(String),
    /// It is a WebSocket's address, which is never the origin of a page.
    #[error("expected the origin of a page, which is `http://…` or `https://…`, got {0:?}")]
    WebSocketAddress(String),
    /// It stands for everybody, or for everybody below a top-level domain.
    #[error(
        "expected a wildcard below at least two labels, like `https://*.example.com`, got {0:?}; to \
         let in every page there is OriginPolicy::dangerously_allow_any_origin()"
    )]
    Everybody(String),
    /// It is `null`, which any page can make its origin.
    #[error(
        "expected an origin like `https://example.com`, got \"null\", which any page can make its \
         origin; if that is meant, there is OriginPolicy::dangerously_allow_null()"
    )]
    Null,
}
