//! `Forwarded` (RFC 7239) and the addresses in it.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::ForwardedError;

/// What one proxy says of the request that it got.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'a> {
    client: Option<Cow<'a, [u8]>>,
    pub(super) proto: Option<Cow<'a, [u8]>>,
    pub(super) host: Option<Cow<'a, [u8]>>,
}

impl<'a> Element<'a> {
    /// `None` for what breaks the grammar, or says something twice. Addresses with a port are taken
    /// without quotes too.
    pub(super) fn parse(element: &'a [u8]) -> Option<Self> {
        let mut parsed = Self::default();
        for pair in Split::new(element, b';', true) {
            let pair = pair.ok()?.trim_ascii();
            if pair.is_empty() {
                continue;
            }
            let at = pair.iter().position(|&byte| byte == b'=')?;
            let value = value(&pair[at + 1..])?;
            let name = &pair[..at];
            let field = match () {
                () if name.eq_ignore_ascii_case(b"for") => &mut parsed.client,
                () if name.eq_ignore_ascii_case(b"proto") => &mut parsed.proto,
                () if name.eq_ignore_ascii_case(b"host") => &mut parsed.host,
                () if is_plain(name) => continue,
                () => return None,
            };
            if field.replace(value).is_some() {
                return None;
            }
        }
        Some(parsed)
    }

    /// The address of whom the proxy got the request from, if it names one.
    pub(super) fn forwarded_for(&self) -> Option<IpAddr> {
        node(std::str::from_utf8(self.client.as_deref()?).ok()?)
    }
}

/// A value, without the quotes if it has some.
fn value(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(quoted) = bytes.strip_prefix(b"\"") else {
        return is_plain(bytes).then_some(Cow::Borrowed(bytes));
    };
    let quoted = quoted.strip_suffix(b"\"")?;
    if !quoted.iter().any(|byte| b"\\\"".contains(byte)) {
        return Some(Cow::Borrowed(quoted));
    }
    let mut plain = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => plain.push(*bytes.next()?),
            _ => plain.push(byte),
        }
    }
    Some(Cow::Owned(plain))
}

/// Something, and all of it what needs no quotes; a little more than RFC 9110 lets a token have.
fn is_plain(bytes: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\,;=".contains(byte);
    !bytes.is_empty() && bytes.iter().all(plain)
}

/// An address of `X-Forwarded-For`, where IPv6 goes without brackets when there is no port.
pub(super) fn address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    text.parse().ok().or_else(|| node(text))
}

/// A node with an address: `192.0.2.7`, `192.0.2.7:4711`, `[2001:db8::1]:_port` (RFC 7239 §6).
fn node(text: &str) -> Option<IpAddr> {
    let (addr, after) = match text.strip_prefix('[') {
        Some(rest) => {
            let (addr, after) = rest.split_once(']')?;
            (addr.parse::<Ipv6Addr>().ok()?.into(), after)
        }
        None => {
            let (addr, after) = text.split_at(text.find(':').unwrap_or(text.len()));
            (addr.parse::<Ipv4Addr>().ok()?.into(), after)
        }
    };
    let is_port = |port: &str| {
        let obfuscated = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        match port.strip_prefix('_') {
            Some(name) => !name.is_empty() && name.bytes().all(obfuscated),
            None => port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok(),
        }
    };
    (after.is_empty() || after.strip_prefix(':').is_some_and(is_port)).then_some(addr)
}

/// The parts between separators, those in quoted strings aside.
#[derive(Debug)]
pub(super) struct Split<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
    quotes: bool,
}

/// A quoted string doesn't end, so what looks like separators may be part of it.
#[derive(Debug)]
pub(super) struct OpenQuote;

impl From<OpenQuote> for ForwardedError {
    fn from(_: OpenQuote) -> Self {
        Self::OpenQuote
    }
}

impl<'a> Split<'a> {
    pub(super) fn new(value: &'a [u8], separator: u8, quotes: bool) -> Self {
        Self { rest: Some(value), separator, quotes }
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = Result<&'a [u8], OpenQuote>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.rest.take()?;
        let (mut quoted, mut escaped) = (false, false);
        for (at, &byte) in value.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' if self.quotes => quoted = !quoted,
                _ if byte == self.separator && !quoted => {
                    self.rest = Some(&value[at + 1..]);
                    return Some(Ok(&value[..at]));
                }
                _ => {}
            }
        }
        Some(if quoted { Err(OpenQuote) } else { Ok(value) })
    }
}
