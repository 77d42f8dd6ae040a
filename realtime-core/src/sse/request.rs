//! A request for an event stream: what it has to be, and the answer.

use std::{borrow::Cow, time::Instant};

use super::{EventStream, encode};
use crate::{
    admission::{Admission, Admits, Candidate, Presents},
    auth::Identity,
    client_ip::ClientIp,
    close::CloseCause,
    config::SseConfig,
    drain::jittered,
    head::{RequestHead, last_event_id},
    hub::Hub,
    limits::Transport,
    origin::Cors,
    position::{LastEventId, LastEventIdError},
    rejection::Rejection,
    stats::add,
    subscription::Subscribe,
};

/// A request for a stream that has passed admission; what the adapters' extractors hold.
#[derive(Debug)]
pub struct Request {
    admission: Admission,
    config: SseConfig,
    after: Option<Result<LastEventId, LastEventIdError>>,
    is_event_source: bool,
    cors: Cors,
}

/// What the answer that starts a stream is; its status is 200.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The headers: names in lower case, values of visible ASCII.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
}

impl Request {
    /// Lets a request in at the time `now`, or says why not.
    ///
    /// # Errors
    /// A [`Rejection`]: 400 for forwarded headers that contradict each other, 401 for credentials
    /// that are missing or malformed, 403 for an origin that is not allowed, 405 for a method but
    /// GET (204 for a CORS preflight), 429 and 503 when a limit is reached, of which a browser gets an empty stream instead,
    /// which it retries, and 431 for a head that is too large.
    pub fn accept(
        hub: &Hub,
        head: &impl RequestHead,
        now: Instant,
    ) -> Result<Candidate<Self>, Rejection> {
        let config = hub.config().sse;
        let is_event_source = is_event_source(head);
        let cors = hub.config().origin.cors(head);
        let accept =
            || match head.method() {
                "GET" => Admission::begin(hub, head, Transport::Sse, now),
                "OPTIONS" if is_preflight(head) => Err(preflight(&cors)),
                _ => Err(Rejection::new(405, "an event stream is read with GET")
                    .with_header("allow", "GET")),
            };
        let (admission, presents) = accept().map_err(|rejection| {
            if rejection.status() >= 400 {
                add(&hub.counters().rejected, 1);
            }
            understandable(rejection, is_event_source, &config, &cors)
        })?;
        let after = last_event_id(head);
        let request = Self { admission, config, after, is_event_source, cors };
        let credentials = match presents {
            Presents::Credentials(credentials) => Some(credentials),
            Presents::Nothing | Presents::FirstMessage => None,
        };
        Ok(Candidate { request, credentials })
    }

    /// The hub.
    pub fn hub(&self) -> &Hub {
        self.admission.hub()
    }

    /// The client's address, as far as it is known.
    pub fn client_ip(&self) -> Option<ClientIp> {
        self.admission.client_ip()
    }

    /// Whose connection it is, if that is known.
    pub fn identity(&self) -> Option<&Identity> {
        self.admission.identity()
    }

    /// Changes the configuration for this stream.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut SseConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Has `call` called when the stream has ended; see the adapters' `on_close`.
    #[must_use]
    pub fn on_close(mut self, call: impl FnOnce(CloseCause) + Send + 'static) -> Self {
        self.admission.on_close(call);
        self
    }

    /// Subscribes, at the time `now`, and starts the stream. The client's id, if it sent one, is
    /// resumed after.
    ///
    /// # Errors
    /// A [`Rejection`]: 400 for bad topics, 403 for topics that are not permitted, 503 when the hub's
    /// table is full (a browser gets an empty stream instead, which it retries).
    pub fn open(
        self,
        request: impl Into<Subscribe>,
        now: Instant,
    ) -> Result<(Accepted, EventStream), Rejection> {
        let request = request.into().or_after(self.after);
        let subscription = self.admission.subscribe(request, now).map_err(|error| {
            add(&self.admission.hub().counters().rejected, 1);
            self.refusal(error.into())
        })?;
        let headers = RESPONSE_HEADERS.map(|(name, value)| (name, Cow::Borrowed(value)));
        let cors = self.cors.headers().into_iter().map(|(name, value)| (name, Cow::Owned(value)));
        let accepted = Accepted { headers: headers.into_iter().chain(cors).collect() };
        Ok((accepted, EventStream::new(subscription, self.config, self.admission, now)))
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
        understandable(rejection, self.is_event_source, &self.config, &self.cors)
    }
}

/// The headers of every stream.
///
/// `no-store`, because Chromium lets a cacheable response run tens of MB ahead of a page that does not
/// read it, and a slow client would not be seen. `no-transform` and `identity` keep compressing
/// middleware and proxies from holding events back, `X-Accel-Buffering` does so for nginx.
const RESPONSE_HEADERS: [(&str, &str); 4] = [
    ("content-type", "text/event-stream"),
    ("cache-control", "no-store, no-transform"),
    ("content-encoding", "identity"),
    ("x-accel-buffering", "no"),
];

/// Whether the request is a browser's `EventSource`: that gives up for good at a status that other
/// clients understand.
fn is_event_source(head: &impl RequestHead) -> bool {
    let accepts = head
        .header_values("accept")
        .any(|accept| accept.windows(17).any(|window| window == b"text/event-stream"));
    accepts && head.header("sec-fetch-mode").is_some()
}

/// Whether a browser asks if it may send a request of another origin (Fetch standard, "CORS
/// protocol").
fn is_preflight(head: &impl RequestHead) -> bool {
    head.header("origin").is_some() && head.header("access-control-request-method").is_some()
}

fn preflight(cors: &Cors) -> Rejection {
    Rejection::no_content().with_headers(cors.preflight_headers())
}

/// The refusal as this client understands it: overload of a browser is one that it survives, and a
/// page that may read answers may read this one too.
fn understandable(
    refusal: Rejection,
    is_event_source: bool,
    config: &SseConfig,
    cors: &Cors,
) -> Rejection {
    if refusal.status() == 204 {
        return refusal;
    }
    survivable(refusal, is_event_source, config).with_headers(cors.headers())
}

/// The refusal itself, or for overload of a browser one that it survives.
fn survivable(refusal: Rejection, is_event_source: bool, config: &SseConfig) -> Rejection {
    if is_event_source && matches!(refusal.status(), 429 | 503) {
        Rejection::event_stream(encode::refusal(jittered(config.retry), "overloaded"))
    } else {
        refusal
    }
}
