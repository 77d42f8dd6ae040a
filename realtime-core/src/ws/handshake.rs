//! The opening handshake (RFC 6455 §4.2, RFC 8441 §4): head checks, then accept or reject.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use sha1::{Digest, Sha1};

use super::{Format, Session, socket::Socket};
use crate::{
    config::WebSocketConfig,
    head::{HttpVersion, RequestHead, Site, last_event_id},
    hub::Hub,
    limits::{Limits, Permit, Transport},
    position::{LastEventId, LastEventIdError},
    rejection::Rejection,
    stats::add,
    subscription::Subscribe,
};

/// A handshake that has passed admission; what the adapters' extractors hold.
#[derive(Debug)]
pub struct Request {
    hub: Hub,
    config: WebSocketConfig,
    limits: Limits,
    format: Format,
    subscribe: Subscribe,
    after: Option<Result<LastEventId, LastEventIdError>>,
    accepted: Accepted,
    offered: Vec<String>,
    permit: Permit,
}

/// What the handshake's answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The status: 101, or 200 over HTTP/2.
    pub status: u16,
    /// The headers: names in lower case, values of visible ASCII.
    pub headers: Vec<(&'static str, String)>,
}

impl Request {
    /// Lets a handshake in, or says why not.
    ///
    /// # Errors
    /// A [`Rejection`]: 400 for a handshake that breaks RFC 6455, 403 for an origin that is not
    /// allowed, 405 for a wrong method, 426 for no upgrade or a version but 13, 503 when too many
    /// connections are open.
    pub fn accept(hub: &Hub, head: &impl RequestHead) -> Result<Self, Rejection> {
        let accept = || {
            let accepted = check(head)?;
            let permit = hub.admit(Transport::WebSocket)?;
            hub.config().origin.check_websocket(head, &Site::of(head), false)?;
            Ok(Self {
                hub: hub.clone(),
                config: hub.config().websocket,
                limits: hub.config().limits,
                format: Format::default(),
                subscribe: Subscribe::none(),
                after: last_event_id(head),
                accepted,
                offered: tokens(head, "sec-websocket-protocol").map(str::to_owned).collect(),
                permit,
            })
        };
        accept().inspect_err(|_| add(&hub.counters().rejected, 1))
    }

    /// A connection that a framework has let in already: no admission but the number of
    /// connections.
    ///
    /// # Errors
    /// A [`Rejection`] with 503 when too many connections are open.
    pub fn attach(hub: &Hub) -> Result<Self, Rejection> {
        let permit =
            hub.admit(Transport::WebSocket).inspect_err(|_| add(&hub.counters().rejected, 1))?;
        Ok(Self {
            hub: hub.clone(),
            config: hub.config().websocket,
            limits: hub.config().limits,
            format: Format::default(),
            subscribe: Subscribe::none(),
            after: None,
            accepted: Accepted { status: 101, headers: Vec::new() },
            offered: Vec::new(),
            permit,
        })
    }

    /// The hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Subscribes the connection. Default: to nothing.
    #[must_use]
    pub fn subscribe(mut self, request: impl Into<Subscribe>) -> Self {
        self.subscribe = request.into();
        self
    }

    /// How events look to this client. Default: [`Format::Envelope`].
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Changes the configuration for this connection.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut WebSocketConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Changes the limits for this connection: those on messages, inbox and outbox.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Agrees on the first of the client's subprotocols that is in `supported`, if any is, in place
    /// of an earlier choice.
    #[must_use]
    pub fn protocols(mut self, supported: &[&str]) -> Self {
        self.accepted.headers.retain(|(name, _)| *name != "sec-websocket-protocol");
        let common = self.offered.iter().find(|offer| supported.contains(&offer.as_str()));
        if let Some(protocol) = common {
            self.accepted.headers.push(("sec-websocket-protocol", protocol.clone()));
        }
        self
    }

    /// Subscribes and makes the session of a connection that nobody handles: what the client sends
    /// is discarded.
    ///
    /// # Errors
    /// A [`Rejection`]: 400 for bad topics, 503 when the hub's table is full.
    pub fn open(self, now: std::time::Instant) -> Result<(Accepted, Session), Rejection> {
        let request = self.subscribe.or_after(self.after);
        let subscription = self
            .hub
            .subscribe_at(request, now)
            .inspect_err(|_| add(&self.hub.counters().rejected, 1))?;
        let session =
            Session::new(subscription, self.format, self.config, &self.limits, self.permit, now);
        Ok((self.accepted, session))
    }

    /// Subscribes and makes the session of a connection, and the socket for its handler.
    ///
    /// # Errors
    /// A [`Rejection`]: 400 for bad topics, 503 when the hub's table is full.
    pub fn open_with_socket(
        self,
        now: std::time::Instant,
    ) -> Result<(Accepted, Session, Socket), Rejection> {
        let limits = self.limits;
        let (accepted, mut session) = self.open(now)?;
        let socket = session.socket(&limits);
        Ok((accepted, session, socket))
    }
}

fn check(head: &impl RequestHead) -> Result<Accepted, Rejection> {
    if head.version() >= HttpVersion::Http2 {
        return check_extended_connect(head);
    }
    if head.method() != "GET" {
        return Err(Rejection::new(405, "a WebSocket handshake is a GET request")
            .with_header("allow", "GET"));
    }
    let refuse = |what: &str| Err(Rejection::new(400, what));
    if head.version() < HttpVersion::Http11 {
        return refuse("a WebSocket handshake needs HTTP/1.1");
    }
    if head.header_values("host").count() != 1 {
        return refuse("a WebSocket handshake needs one Host header");
    }
    let has = |name, token: &str| tokens(head, name).any(|it| it.eq_ignore_ascii_case(token));
    if !has("upgrade", "websocket") || !has("connection", "upgrade") {
        return Err(Rejection::new(
            426,
            "this is a WebSocket endpoint: expected `Connection: Upgrade` and `Upgrade: websocket`",
        )
        .with_header("upgrade", "websocket")
        .with_header("connection", "Upgrade"));
    }
    check_version(head)?;
    let mut keys = head.header_values("sec-websocket-key");
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return refuse("a WebSocket handshake needs one Sec-WebSocket-Key header");
    };
    if BASE64.decode(key).map_or(0, |key| key.len()) != 16 {
        return refuse("Sec-WebSocket-Key must be 16 bytes in base64");
    }
    let has_length = head.header_values("content-length").any(|length| length != b"0");
    if has_length || head.header("transfer-encoding").is_some() {
        return refuse("a WebSocket handshake has no body");
    }
    Ok(Accepted {
        status: 101,
        headers: vec![
            ("connection", "Upgrade".to_owned()),
            ("upgrade", "websocket".to_owned()),
            ("sec-websocket-accept", accept_value(key)),
        ],
    })
}

/// RFC 8441 §4: over HTTP/2 there is no key, no `Upgrade`, and the answer is 200.
fn check_extended_connect(head: &impl RequestHead) -> Result<Accepted, Rejection> {
    let is_websocket = head.protocol().is_some_and(|it| it.eq_ignore_ascii_case("websocket"));
    if head.method() != "CONNECT" || !is_websocket {
        let expected = "over HTTP/2 a WebSocket needs CONNECT with `:protocol` websocket";
        return Err(Rejection::new(400, expected));
    }
    check_version(head)?;
    Ok(Accepted { status: 200, headers: Vec::new() })
}

fn check_version(head: &impl RequestHead) -> Result<(), Rejection> {
    let mut versions = head.header_values("sec-websocket-version");
    if versions.next() == Some(b"13") && versions.next().is_none() {
        return Ok(());
    }
    Err(Rejection::new(426, "the WebSocket version spoken here is 13")
        .with_header("sec-websocket-version", "13")
        .with_header("upgrade", "websocket")
        .with_header("connection", "Upgrade"))
}

/// RFC 6455 §4.2.2: the key and a fixed GUID, hashed.
fn accept_value(key: &[u8]) -> String {
    let hash = Sha1::new()
        .chain_update(key)
        .chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        .finalize();
    BASE64.encode(hash)
}

/// The tokens of a header that is a comma-separated list.
fn tokens<'a>(head: &'a impl RequestHead, name: &'a str) -> impl Iterator<Item = &'a str> {
    head.header_values(name)
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
