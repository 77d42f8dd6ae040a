//! The opening handshake (RFC 6455 §4.2, RFC 8441 §4): head checks, then accept or reject.

use std::time::Instant;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use sha1::{Digest, Sha1};

use super::{Format, Session, session::Setup, socket::Socket};
use crate::{
    admission::{Admission, Admits, Candidate, Presents},
    auth::{CredentialSource, Identity, SUBPROTOCOL_PREFIX},
    client_ip::ClientIp,
    close::CloseCause,
    config::WebSocketConfig,
    head::{HttpVersion, RequestHead, header_tokens, last_event_id},
    hub::Hub,
    limits::{Limits, Transport},
    position::{LastEventId, LastEventIdError},
    rejection::Rejection,
    stats::add,
    subscription::Subscribe,
};

/// A handshake that has passed admission; what the adapters' extractors hold.
#[derive(Debug)]
pub struct Request {
    admission: Admission,
    config: WebSocketConfig,
    limits: Limits,
    format: Format,
    subscribe: Subscribe,
    after: Option<Result<LastEventId, LastEventIdError>>,
    accepted: Accepted,
    offered: Vec<String>,
    awaits_token: bool,
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
    /// Lets a handshake in at the time `now`, or says why not.
    ///
    /// # Errors
    /// A [`Rejection`]: 400 for a handshake that breaks RFC 6455 and for forwarded headers that
    /// contradict each other, 401 for credentials that are missing or malformed, 403 for an origin
    /// that is not allowed, 405 for a wrong method, 426 for no upgrade or a version but 13, 429 and
    /// 503 when a limit is reached, 431 for a head that is too large.
    pub fn accept(
        hub: &Hub,
        head: &impl RequestHead,
        now: Instant,
    ) -> Result<Candidate<Self>, Rejection> {
        let accept = || {
            let accepted = check(head)?;
            let (admission, presents) = Admission::begin(hub, head, Transport::WebSocket, now)?;
            Ok((accepted, admission, presents))
        };
        let (accepted, admission, presents) =
            accept().inspect_err(|_: &Rejection| add(&hub.counters().rejected, 1))?;
        let mut request = Self::new(admission, accepted);
        request.after = last_event_id(head);
        let offered = header_tokens(head, "sec-websocket-protocol");
        request.offered = offered
            .filter(|protocol| !protocol.starts_with(SUBPROTOCOL_PREFIX))
            .map(str::to_owned)
            .collect();
        request.awaits_token = presents == Presents::FirstMessage;
        let credentials = match presents {
            Presents::Credentials(credentials) => Some(credentials),
            Presents::Nothing | Presents::FirstMessage => None,
        };
        // A browser that offers any protocol wants one back, so one that offers its token needs
        // another beside it.
        let is_token_offered = credentials
            .as_ref()
            .is_some_and(|credentials| credentials.source == CredentialSource::Subprotocol);
        if is_token_offered {
            request = request.protocols(&[DEFAULT_PROTOCOL]);
        }
        Ok(Candidate { request, credentials })
    }

    /// A connection that a framework has let in already: no admission but the number of
    /// connections.
    ///
    /// # Errors
    /// A [`Rejection`] with 503 when too many connections are open.
    pub fn attach(hub: &Hub, now: Instant) -> Result<Self, Rejection> {
        let permit = hub
            .admit(Transport::WebSocket, None, now)
            .inspect_err(|_| add(&hub.counters().rejected, 1))?;
        let accepted = Accepted { status: 101, headers: Vec::new() };
        Ok(Self::new(Admission::with(hub, permit), accepted))
    }

    fn new(admission: Admission, accepted: Accepted) -> Self {
        let config = admission.hub().config();
        Self {
            config: config.websocket,
            limits: config.limits,
            format: Format::default(),
            subscribe: Subscribe::none(),
            after: None,
            accepted,
            offered: Vec::new(),
            awaits_token: false,
            admission,
        }
    }

    /// The hub.
    pub fn hub(&self) -> &Hub {
        self.admission.hub()
    }

    /// The client's address, as far as it is known.
    pub fn client_ip(&self) -> Option<ClientIp> {
        self.admission.client_ip()
    }

    /// Whose connection it is, if that is known by now.
    pub fn identity(&self) -> Option<&Identity> {
        self.admission.identity()
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
    /// A [`Rejection`]: 400 for bad topics, 403 for topics that are not permitted, 503 when the hub's
    /// table is full. A client that has yet to authenticate is closed instead once it has.
    pub fn open(self, now: Instant) -> Result<(Accepted, Session), Rejection> {
        // A handler may have found out by itself who it is.
        let awaits_token = self.awaits_token && self.identity().is_none();
        let request = self.subscribe.or_after(self.after);
        let setup = Setup { format: self.format, config: self.config, limits: self.limits };
        let session = if awaits_token {
            Session::awaiting_token(request, setup, self.admission, now)
        } else {
            Session::open(request, setup, self.admission, now)?
        };
        Ok((self.accepted, session))
    }

    /// Has `call` called when the connection has ended; see the adapters' `on_close`.
    #[must_use]
    pub fn on_close(mut self, call: impl FnOnce(CloseCause) + Send + 'static) -> Self {
        self.admission.on_close(call);
        self
    }

    /// Subscribes and makes the session of a connection, and the socket for its handler.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    pub fn open_with_socket(self, now: Instant) -> Result<(Accepted, Session, Socket), Rejection> {
        let limits = self.limits;
        let (accepted, mut session) = self.open(now)?;
        let socket = session.socket(&limits);
        Ok((accepted, session, socket))
    }
}

#[cfg(test)]
impl Request {
    /// Lets a request in that presents nothing.
    #[allow(clippy::disallowed_methods, reason = "a test has a clock")]
    pub(crate) fn let_in(hub: &Hub, head: &impl RequestHead) -> Result<Self, Rejection> {
        let candidate = Self::accept(hub, head, Instant::now())?;
        Ok(candidate.anonymous().expect("nothing to check"))
    }
}

impl Admits for Request {
    fn admission(&mut self) -> &mut Admission {
        &mut self.admission
    }

    fn refusal(&self, rejection: Rejection) -> Rejection {
        rejection
    }
}

/// The subprotocol that is agreed on beside a token when the endpoint has none of its own.
const DEFAULT_PROTOCOL: &str = "realtime";

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
    let has =
        |name, token: &str| header_tokens(head, name).any(|it| it.eq_ignore_ascii_case(token));
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

#[cfg(test)]
mod tests;
