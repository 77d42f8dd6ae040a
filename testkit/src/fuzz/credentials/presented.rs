//! What a request or a message presents, read a second time.

use std::fmt;

use realtime_core::{CredentialSource, RequestHead};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use crate::fuzz::head::Head;

/// A subprotocol that carries a secret begins so.
pub(super) const PREFIX: &str = "base64url.bearer.";

/// What there is presented, and how.
pub(super) type Presented = Option<(String, CredentialSource)>;

/// It is presented in a way that can't be read.
#[derive(Debug)]
pub(super) struct Malformed;

/// What a request presents where the query and the cookie `token` count.
pub(super) fn of(head: &Head, is_websocket: bool) -> Result<Presented, Malformed> {
    if let Some(token) = bearer(head)? {
        return Ok(Some((token, CredentialSource::Bearer)));
    }
    if is_websocket && let Some(token) = subprotocol(head)? {
        return Ok(Some((token, CredentialSource::Subprotocol)));
    }
    if let Some(token) = query(head)? {
        return Ok(Some((token, CredentialSource::Query)));
    }
    Ok(cookie(head)?.map(|token| (token, CredentialSource::Cookie)))
}

/// RFC 6750 §2.1.
fn bearer(head: &Head) -> Result<Option<String>, Malformed> {
    let value = match head.all("authorization")[..] {
        [] => return Ok(None),
        [value] => std::str::from_utf8(value).map_err(|_| Malformed)?.trim(),
        _ => return Err(Malformed),
    };
    let end_of_scheme = value.find(' ').unwrap_or(value.len());
    let (scheme, token) = value.split_at(end_of_scheme);
    match token.trim() {
        _ if !scheme.eq_ignore_ascii_case("bearer") => Ok(None),
        "" => Err(Malformed),
        token => Ok(Some(token.to_owned())),
    }
}

/// Every subprotocol that is offered.
pub(super) fn offers(head: &Head) -> Vec<&str> {
    let lines = head.all("sec-websocket-protocol").into_iter();
    let texts = lines.filter_map(|line| std::str::from_utf8(line).ok());
    texts.flat_map(|line| line.split(',')).map(str::trim).filter(|it| !it.is_empty()).collect()
}

fn subprotocol(head: &Head) -> Result<Option<String>, Malformed> {
    let offers = offers(head);
    let tokens: Vec<&str> = offers.iter().filter_map(|it| it.strip_prefix(PREFIX)).collect();
    match tokens[..] {
        [] => Ok(None),
        [token] if token.contains('.') => Ok(Some(token.to_owned())),
        [token] => {
            let bytes = base64url(token).ok_or(Malformed)?;
            let token = String::from_utf8(bytes).map_err(|_| Malformed)?;
            if token.is_empty() { Err(Malformed) } else { Ok(Some(token)) }
        }
        _ => Err(Malformed),
    }
}

/// RFC 4648 §5 without padding: one text for the bytes.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for character in text.bytes() {
        let digit = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits.extend((0..6).rev().map(|at| digit >> at & 1));
    }
    let whole = bits.len() / 8 * 8;
    let rest = bits.split_off(whole);
    if rest.len() >= 6 || rest.contains(&1) {
        return None;
    }
    Some(bits.chunks(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | bit)).collect())
}

/// WHATWG URL, "application/x-www-form-urlencoded parsing".
pub(super) fn parameters(head: &Head) -> Vec<(String, String)> {
    let pieces = head.query().unwrap_or_default().split('&').filter(|piece| !piece.is_empty());
    let pairs = pieces.map(|piece| piece.split_once('=').unwrap_or((piece, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest = after;
                let digit = |hex: u8| char::from(hex).to_digit(16).unwrap_or_default() as u8;
                digit(*high) << 4 | digit(*low)
            }
            _ => *first,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn query(head: &Head) -> Result<Option<String>, Malformed> {
    let mut values: Vec<String> = parameters(head)
        .into_iter()
        .filter_map(|(name, value)| (name == "token").then_some(value))
        .collect();
    match (values.pop(), values.len()) {
        (None, _) => Ok(None),
        (Some(token), 0) if !token.is_empty() => Ok(Some(token)),
        _ => Err(Malformed),
    }
}

/// RFC 6265 §5.4, quotes around the value aside.
fn cookie(head: &Head) -> Result<Option<String>, Malformed> {
    let mut values = Vec::new();
    for line in head.all("cookie") {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        for pair in line.split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            if name.trim() == "token" {
                let value = value.trim();
                let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                values.push(inner.unwrap_or(value).to_owned());
            }
        }
    }
    values.dedup();
    match values.len() {
        0 | 1 => Ok(values.pop().filter(|value| !value.is_empty())),
        _ => Err(Malformed),
    }
}

/// The token of a message `{"token":"…"}`.
pub(super) fn message(text: &str) -> Option<String> {
    // The name has to be written as it is, so that other messages need not be parsed.
    let space = |c| matches!(c, ' ' | '\t' | '\r' | '\n');
    let rest = text.trim_start_matches(space).strip_prefix('{')?.trim_start_matches(space);
    let Pairs(pairs) = serde_json::from_str(text).ok()?;
    match &pairs[..] {
        [(name, serde_json::Value::String(token))]
            if name == "token" && rest.starts_with("\"token\"") =>
        {
            Some(token.clone())
        }
        _ => None,
    }
}

/// An object, with names that are there twice.
struct Pairs(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject;

        impl<'de> Visitor<'de> for OfObject {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = object.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(OfObject)
    }
}
