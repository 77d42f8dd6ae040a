//! What browsers are told of who may read: [`Cors`].

/// What a browser is told of who may read an answer (Fetch standard, "CORS protocol"): headers,
/// names in lower case and values of visible ASCII. Default: nobody of another origin.
///
/// Made by [`OriginPolicy::cors`](crate::OriginPolicy::cors). Origins are named one by one, never
/// with `*`, so that cookies may be sent along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    allowed: Option<String>,
}

impl Cors {
    /// An origin that is allowed, as the browser sent it, which compares it byte by byte.
    pub(super) fn of(origin: &[u8]) -> Self {
        let text = std::str::from_utf8(origin).ok();
        let text = text.filter(|text| text.bytes().all(|b| b.is_ascii_graphic()));
        Self { allowed: text.map(str::to_owned) }
    }

    /// The page's origin, if it may read. A page of the same origin has no need to be named here.
    pub fn allowed_origin(&self) -> Option<&str> {
        self.allowed.as_deref()
    }

    /// The headers of an event stream, and of the refusal of one, whose reason the page may read
    /// too. `vary: origin` is always among them, so that no cache hands one page's answer to
    /// another.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("vary", "origin".to_owned())];
        if let Some(origin) = &self.allowed {
            headers.push(("access-control-allow-origin", origin.clone()));
            headers.push(("access-control-allow-credentials", "true".to_owned()));
        }
        headers
    }

    /// The headers of the answer to a preflight, the `OPTIONS` request that asks whether a `GET`
    /// with a token or a long `Last-Event-ID` may follow. The answer holds for ten minutes.
    pub fn preflight_headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = self.headers();
        if self.allowed.is_some() {
            let allowed_headers = "authorization, cache-control, last-event-id";
            headers.push(("access-control-allow-methods", "GET".to_owned()));
            headers.push(("access-control-allow-headers", allowed_headers.to_owned()));
            headers.push(("access-control-max-age", "600".to_owned()));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{
        OriginPolicy,
        tests::{like_an_origin, page},
    };
    use crate::head::testing::Head;

    #[test]
    fn cors_names_the_origin_as_it_was_sent() {
        let policy = OriginPolicy::allow(["https://app.example.com"]).unwrap();
        let cors = policy.cors(&page("https://APP.example.com"));
        let stream = [
            ("vary", "origin"),
            ("access-control-allow-origin", "https://APP.example.com"),
            ("access-control-allow-credentials", "true"),
        ];
        let preflight = [
            ("access-control-allow-methods", "GET"),
            ("access-control-allow-headers", "authorization, cache-control, last-event-id"),
            ("access-control-max-age", "600"),
        ];
        let owned = |headers: &[(&'static str, &str)]| {
            headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(cors.headers(), owned(&stream));
        assert_eq!(cors.preflight_headers(), owned(&[stream, preflight].concat()));

        for head in [Head::get(), page("https://evil.example"), page("null"), page("*")] {
            let cors = policy.cors(&head);
            assert_eq!(cors.headers(), owned(&stream[..1]), "{head:?}");
            assert_eq!(cors.preflight_headers(), owned(&stream[..1]), "{head:?}");
        }
        let null = OriginPolicy::default().dangerously_allow_null();
        assert_eq!(null.cors(&page("null")).allowed_origin(), Some("null"));
        let any = OriginPolicy::dangerously_allow_any_origin();
        assert_eq!(any.cors(&page("https://a")).allowed_origin(), Some("https://a"));
        for garbage in ["https://a\r\nx: y", "https://a/b", "garbage", "*", ""] {
            assert_eq!(any.cors(&page(garbage)).allowed_origin(), None, "{garbage}");
        }
    }

    proptest! {
        #[test]
        fn no_header_of_cors_is_more_than_visible_ascii(origin in like_an_origin()) {
            let head = Head::get().with("origin", &origin);
            let any = OriginPolicy::dangerously_allow_any_origin();
            for (_, value) in any.cors(&head).preflight_headers() {
                prop_assert!(value.bytes().all(|b| b.is_ascii_graphic() || b == b' '), "{}", value);
            }
            if let Some(origin) = any.cors(&head).allowed_origin() {
                prop_assert!(origin.bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}
