//! Where a secret stands in a request or a message.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use cookie::Cookie;
use serde::Deserialize;

use super::{AuthenticateError, Token};
use crate::head::{RequestHead, header_tokens, query_parameters};

/// The subprotocol that carries a secret begins so.
pub(crate) const SUBPROTOCOL_PREFIX: &str = "base64url.bearer.";

fn malformed(what: &'static str) -> AuthenticateError {
    AuthenticateError::invalid(what)
}

/// `Authorization: Bearer <token>` (RFC 6750 §2.1). Other schemes are not ours.
pub(super) fn bearer(head: &impl RequestHead) -> Result<Option<Token>, AuthenticateError> {
    let mut values = head.header_values("authorization");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed("more than one Authorization header"));
    }
    let Ok(value) = std::str::from_utf8(value) else {
        return Err(malformed("the Authorization header is no text"));
    };
    let (scheme, token) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    present(token.trim(), "Authorization: Bearer without a token")
}

/// `base64url.bearer.<token>` among the subprotocols: the token in base64url without padding, or as
/// it is when it has a dot, like a JWT, and so can't be that.
pub(super) fn subprotocol(head: &impl RequestHead) -> Result<Option<Token>, AuthenticateError> {
    let mut found = header_tokens(head, "sec-websocket-protocol")
        .filter_map(|protocol| protocol.strip_prefix(SUBPROTOCOL_PREFIX));
    let Some(token) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(malformed("more than one bearer subprotocol"));
    }
    if token.contains('.') {
        return Ok(Some(Token::new(token)));
    }
    let decoded = BASE64URL.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded {
        Some(token) => present(&token, "the bearer subprotocol has no token"),
        None => Err(malformed("the bearer subprotocol is no base64url of a text")),
    }
}

/// The parameter `name` of the query.
pub(super) fn query(
    head: &impl RequestHead,
    name: &str,
) -> Result<Option<Token>, AuthenticateError> {
    let mut values = query_parameters(head, name);
    let Some(token) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed("more than one token in the query"));
    }
    present(&token, "the token in the query is empty")
}

/// The cookie `name` (RFC 6265 §5.4). Two of different values are refused: which one is genuine, and
/// which one a sibling domain has planted, can't be told.
pub(super) fn cookie(
    head: &impl RequestHead,
    name: &str,
) -> Result<Option<Token>, AuthenticateError> {
    let mut found: Option<String> = None;
    let headers = head.header_values("cookie").filter_map(|value| std::str::from_utf8(value).ok());
    for cookie in headers.flat_map(Cookie::split_parse).flatten() {
        if cookie.name() != name {
            continue;
        }
        let value = cookie.value_trimmed();
        if found.as_deref().is_some_and(|found| found != value) {
            return Err(malformed("two cookies of the same name"));
        }
        found = Some(value.to_owned());
    }
    // An empty one is how cookies are deleted.
    Ok(found.filter(|value| !value.is_empty()).map(Token::new))
}

/// The token of `{"token":"…"}`; `None` for a message of any other form.
pub(super) fn message(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct FirstMessage {
        token: String,
    }
    // Most messages are told apart without being parsed.
    text.trim_start().strip_prefix('{')?.trim_start().strip_prefix("\"token\"")?;
    serde_json::from_str::<FirstMessage>(text).ok().map(|message| message.token)
}

fn present(token: &str, missing: &'static str) -> Result<Option<Token>, AuthenticateError> {
    if token.is_empty() {
        return Err(malformed(missing));
    }
    Ok(Some(Token::new(token)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::testing::Head;

    type Found = Result<Option<Token>, AuthenticateError>;

    fn is(found: Found, token: &str) -> bool {
        found == Ok(Some(Token::new(token)))
    }

    #[test]
    fn a_bearer_token_is_taken_whole_and_once() {
        let of = |value: &str| bearer(&Head::get().with("authorization", value));
        assert!(is(of("Bearer abc"), "abc"));
        assert!(is(of("bEARER   a.b-c_~+/= "), "a.b-c_~+/="));
        assert_eq!(of("Basic dXNlcjpwYXNz"), Ok(None));
        assert_eq!(bearer(&Head::get()), Ok(None));
        assert!(of("Bearer").is_err());
        assert!(of("Bearer ").is_err());
        let twice = Head::get().with("authorization", "Bearer a").with("authorization", "Bearer a");
        assert!(bearer(&twice).is_err());
        assert!(bearer(&Head::get().with("authorization", b"Bearer \xff")).is_err());
    }

    #[test]
    fn a_subprotocol_carries_a_token_plain_or_in_base64url() {
        let of = |value: &str| subprotocol(&Head::get().with("sec-websocket-protocol", value));
        assert!(is(of("chat, base64url.bearer.aGVsbG8"), "hello"));
        assert!(is(of("base64url.bearer.eyJh.eyJz.c2ln,chat"), "eyJh.eyJz.c2ln"));
        assert_eq!(of("chat, superchat"), Ok(None));
        for bad in [
            "base64url.bearer.",
            "base64url.bearer.=",
            "base64url.bearer.a",
            "base64url.bearer.aGVsbG8=",
            "base64url.bearer._w",
            "base64url.bearer.aGVsbG8, base64url.bearer.aGVsbG8",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_exact_name() {
        let of = |value: &str| cookie(&Head::get().with("cookie", value), "token");
        assert!(is(of("a=1; token=abc; b=2"), "abc"));
        assert!(is(of("token=\"abc\""), "abc"));
        assert!(is(of("token=abc; token=abc"), "abc"));
        assert_eq!(of("Token=abc; xtoken=1; token2=3; token"), Ok(None));
        assert_eq!(of("token="), Ok(None));
        assert!(of("token=abc; token=def").is_err());
        let split = Head::get().with("cookie", "a=1").with("cookie", "token=x");
        assert!(is(cookie(&split, "token"), "x"), "HTTP/2 may split the header");
    }

    #[test]
    fn a_query_token_is_decoded_and_there_once() {
        let of = |value: &str| query(&Head::get().query(value), "token");
        assert!(is(of("a=1&token=a%2Eb+c"), "a.b c"));
        assert_eq!(of("tokens=1"), Ok(None));
        assert!(of("token=").is_err());
        assert!(of("token=a&token=b").is_err());
    }

    #[test]
    fn a_first_message_has_a_token_and_nothing_else() {
        assert_eq!(message(r#"{"token":"abc"}"#).as_deref(), Some("abc"));
        assert_eq!(message(" { \"token\" : \"a\\u0062c\" } ").as_deref(), Some("abc"));
        for other in [
            "",
            "{}",
            "token",
            r#"{"token":1}"#,
            r#"{"token":"a","x":1}"#,
            r#"{"token":"a","token":"b"}"#,
            r#"{"x":1,"token":"a"}"#,
            r#"[{"token":"a"}]"#,
            r#"{"token":"a"} x"#,
        ] {
            assert_eq!(message(other), None, "{other}");
        }
    }

    #[test]
    fn nothing_prints_a_secret() {
        let token = Token::new("hunter2");
        assert_eq!(format!("{token:?}"), "[redacted]");
        let credentials =
            super::super::Credentials::new(token, super::super::CredentialSource::Query);
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
