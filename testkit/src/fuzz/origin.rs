//! `Origin`: no page but those of the site and of the list gets a WebSocket, nor the cookie's event
//! stream, nor may it read an answer.

use std::{net::Ipv6Addr, time::Instant};

use realtime_core::{
    AuthenticateError, Authentication, Credentials, Hub, Identity, OriginPolicy, Rejection, sse, ws,
};

use super::{
    answer::{check_at_rest, check_rejection},
    head::Head,
    input::text,
};

mod place;

use place::{Listed, Place};

/// The input is lines: the host, then `+` and an origin for each on the list, `*` for any origin,
/// `!null` for the policy that lets it in, `!cookie` for a cookie that says who it is, `!scheme` and
/// the request's, `!site` and a `Sec-Fetch-Site`, and everything else as an `Origin` header.
pub fn run(data: &[u8]) {
    let request = Request::read(data);
    let Some(policy) = request.policy() else { return };
    let authentication = Authentication::new(async |_: Credentials| {
        Err::<Identity, _>(AuthenticateError::invalid("not asked here"))
    });
    let hub = Hub::builder()
        .origin(policy)
        .authentication(authentication.cookie("token").optional())
        .limits(|limits| limits.header_bytes = usize::MAX)
        .build()
        .expect("the configuration is valid");
    request.websocket(&hub);
    request.event_stream(&hub);
    check_at_rest(&hub);
}

struct Request<'a> {
    host: &'a [u8],
    scheme: &'static str,
    list: Vec<String>,
    origins: Vec<&'a [u8]>,
    fetch_sites: Vec<&'a [u8]>,
    any: bool,
    null: bool,
    by_cookie: bool,
    extra: Head,
}

impl<'a> Request<'a> {
    fn read(data: &'a [u8]) -> Self {
        let mut lines = data.split(|&byte| byte == b'\n');
        let mut request = Self {
            host: lines.next().unwrap_or_default(),
            scheme: "http",
            list: Vec::new(),
            origins: Vec::new(),
            fetch_sites: Vec::new(),
            any: false,
            null: false,
            by_cookie: false,
            extra: Head::handshake(),
        };
        let mut extra = request.extra.clone().with("host", request.host);
        let mut schemes = 0;
        for line in lines {
            match line {
                b"*" => request.any = true,
                b"!null" => request.null = true,
                b"!cookie" => request.by_cookie = true,
                [b'+', listed @ ..] => request.list.push(text(listed)),
                _ => {
                    if let Some(site) = line.strip_prefix(b"!site ") {
                        request.fetch_sites.push(site);
                        extra = extra.with("sec-fetch-site", site);
                    } else if let Some(scheme) = line.strip_prefix(b"!scheme ") {
                        // Of a pseudo-header there is one.
                        schemes += 1;
                        if schemes == 1 {
                            let name = text(scheme).to_ascii_lowercase();
                            let is_safe = matches!(name.as_str(), "https" | "wss");
                            request.scheme = if is_safe { "https" } else { "http" };
                            extra = extra.with(":scheme", scheme);
                        }
                    } else {
                        request.origins.push(line);
                        extra = extra.with("origin", line);
                    }
                }
            }
        }
        if request.by_cookie {
            extra = extra.with("cookie", b"token=x");
        }
        request.extra = extra;
        request
    }

    /// The policy, unless the list has to be refused.
    fn policy(&self) -> Option<OriginPolicy> {
        let list = &self.list;
        let policy = OriginPolicy::allow(list);
        let readable = list.iter().all(|listed| Listed::read(listed).is_some());
        assert!(readable || policy.is_err(), "a list that is no list of origins: {list:?}");
        let ordinary = list.iter().all(|listed| place::is_ordinary_listed(listed));
        assert!(!ordinary || policy.is_ok(), "a right list is refused: {list:?}");
        let policy =
            if self.any { OriginPolicy::dangerously_allow_any_origin() } else { policy.ok()? };
        Some(if self.null { policy.dangerously_allow_null() } else { policy })
    }

    fn websocket(&self, hub: &Hub) {
        let answer = ws::Request::accept(hub, &self.extra, Instant::now());
        if let Err(rejection) = &answer {
            assert_eq!(rejection.status(), 403);
            check_rejection(rejection, false);
        }
        match self.origins[..] {
            _ if self.any => assert!(answer.is_ok(), "{self:?}"),
            // Without the header it is no page of another site, and has no cookie.
            [] => assert_eq!(answer.is_ok(), !self.by_cookie, "{self:?}"),
            [origin] => self.check_page(origin, answer.is_ok()),
            // One of them may be a lie.
            _ => assert!(answer.is_err(), "{self:?}"),
        }
    }

    /// What a browser sends by itself is only the cookie; and only it tells what the page may read.
    fn event_stream(&self, hub: &Hub) {
        let now = Instant::now();
        let headers = match sse::Request::accept(hub, &self.extra, now) {
            Err(rejection) => {
                assert_eq!(rejection.status(), 403);
                assert!(self.by_cookie && !self.any, "{self:?}");
                check_rejection(&rejection, false);
                self.check_event_stream(false);
                cors_of_rejection(&rejection)
            }
            Ok(candidate) => {
                self.check_event_stream(true);
                match candidate.anonymous() {
                    Err(_) => return assert!(self.by_cookie),
                    Ok(request) => {
                        assert!(!self.by_cookie);
                        let (accepted, _stream) = request.open("topic", now).expect("one topic");
                        let headers = accepted.headers.iter();
                        headers
                            .map(|(name, value)| ((*name).to_owned(), value.to_string()))
                            .collect()
                    }
                }
            }
        };
        self.check_cors(&headers);
    }

    fn check_event_stream(&self, passed: bool) {
        match self.origins[..] {
            _ if self.any || !self.by_cookie => assert!(passed, "{self:?}"),
            [] => {
                let is_own = |site: &&[u8]| matches!(*site, b"same-origin" | b"none");
                let is_own = self.fetch_sites.len() <= 1 && self.fetch_sites.iter().all(is_own);
                assert_eq!(passed, is_own, "{self:?}");
            }
            [origin] => self.check_page(origin, passed),
            _ => assert!(!passed, "{self:?}"),
        }
    }

    fn check_page(&self, origin: &[u8], passed: bool) {
        let page = Place::of_origin(origin);
        let same = page.as_ref().is_some_and(|page| {
            Place::of_authority(self.host, self.scheme).is_some_and(|site| site == *page)
        });
        if passed {
            assert!(same || self.may_read(origin), "a stranger passed: {self:?}");
        } else if place::is_ordinary(origin) || origin == b"null" {
            let is_known = same && place::is_ordinary(&[b"http://", self.host].concat());
            assert!(!(self.may_read(origin) || is_known), "refused: {self:?}");
        }
    }

    /// Whether the page is let in by name, from wherever it is.
    fn may_read(&self, origin: &[u8]) -> bool {
        if origin == b"null" {
            return self.any || self.null;
        }
        let Some(page) = Place::of_origin(origin) else { return false };
        let lists = |listed: &String| Listed::read(listed).is_some_and(|it| it.has(&page));
        self.any || self.list.iter().any(lists)
    }

    /// Fetch standard, "CORS protocol": a page may read if its origin is named, byte by byte.
    fn check_cors(&self, headers: &[(String, String)]) {
        let all = |name: &str| -> Vec<&str> {
            headers.iter().filter(|(it, _)| it == name).map(|(_, value)| &value[..]).collect()
        };
        assert_eq!(all("vary"), ["origin"], "no cache may give this to another page");
        let named = all("access-control-allow-origin");
        let credentials = if named.is_empty() { vec![] } else { vec!["true"] };
        assert_eq!(all("access-control-allow-credentials"), credentials);
        match (&named[..], &self.origins[..]) {
            ([], &[origin]) if place::is_ordinary(origin) || origin == b"null" => {
                assert!(!self.may_read(origin), "may not read: {self:?}");
            }
            ([], _) => {}
            (&[named], &[origin]) => {
                assert_eq!(named.as_bytes(), origin);
                assert!(self.may_read(origin), "a stranger may read: {self:?}");
            }
            _ => panic!("{named:?} may read: {self:?}"),
        }
    }
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origins: Vec<String> = self.origins.iter().map(|origin| text(origin)).collect();
        let flags = (self.any, self.null, self.by_cookie);
        let host = text(self.host);
        write!(
            f,
            "{origins:?} at {}://{host}, list {:?}, any/null/cookie {flags:?}",
            self.scheme, self.list
        )
    }
}

fn cors_of_rejection(rejection: &Rejection) -> Vec<(String, String)> {
    rejection.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// For hosts as they are written between brackets.
fn canonical(address: &str) -> Option<String> {
    Some(address.parse::<Ipv6Addr>().ok()?.to_string())
}
