//! Secrets: whoever is asked about them gets exactly what was presented, once, and nobody else sees
//! it.

use std::{
    fmt::Debug,
    future::pending,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use realtime_core::{
    Authenticate, AuthenticateError, Authenticated, Authentication, CredentialSource, Credentials,
    Hub, Identity, OriginPolicy, Rejection, driver, sse, ws,
};
use tokio::runtime::{Builder, Runtime};

use super::{
    answer::{check_at_rest, check_header, check_rejection},
    head::Head,
    input::text,
};

mod messages;
mod presented;

/// What is looked for wherever secrets must not be.
const SECRET: &str = "hunter2";

/// The longest message that is sent here, below that of a first one.
const LONGEST_MESSAGE: usize = 8000;

/// Deadlines need a runtime, though none of them passes.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

/// The input is a byte of [`Mode`], and lines: the query, then `>` and a message for each that the
/// client sends once it is let in, and everything else as headers.
pub fn run(data: &[u8]) {
    let (&mode, data) = data.split_first().unwrap_or((&0, &[]));
    let mode = Mode(mode);
    let mut lines = data.split(|&byte| byte == b'\n');
    let query = text(lines.next().unwrap_or_default());
    let (mut headers, mut messages) = (Vec::new(), Vec::new());
    for line in lines {
        match line {
            [b'>', message @ ..] if message.len() <= LONGEST_MESSAGE => {
                messages.push(text(message))
            }
            header => headers = [&headers, &b"\n"[..], header].concat(),
        }
    }
    let head = |rest: &[u8]| Head::read(&[b"GET 1.1 ", query.as_bytes(), rest].concat());
    let head = head(&headers);
    let _guard = RUNTIME.enter();
    if mode.is_websocket() {
        let head = head.without(&[
            "host",
            "connection",
            "upgrade",
            "sec-websocket-version",
            "sec-websocket-key",
            "content-length",
            "transfer-encoding",
        ]);
        let head = head
            .with("host", b"a")
            .with("connection", b"Upgrade")
            .with("upgrade", b"websocket")
            .with("sec-websocket-version", b"13")
            .with("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==");
        Case::new(mode, head).websocket(&messages);
    } else {
        Case::new(mode, head).event_stream();
    }
}

/// What the hub asks for.
#[derive(Clone, Copy, Debug)]
struct Mode(u8);

impl Mode {
    fn is_websocket(self) -> bool {
        self.0 & 1 != 0
    }

    fn is_optional(self) -> bool {
        self.0 & 2 != 0
    }

    fn takes_messages(self) -> bool {
        self.0 & 4 != 0
    }

    /// The endpoint has a protocol of its own.
    fn has_protocol(self) -> bool {
        self.0 & 8 != 0
    }

    fn has_handler(self) -> bool {
        self.0 & 16 == 0
    }
}

/// Writes down what it is asked, and decides by the end of it.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<(String, CredentialSource)>>>);

impl Recorder {
    fn asked(&self) -> Vec<(String, CredentialSource)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Authenticate for Recorder {
    fn authenticate(&self, credentials: Credentials) -> Authenticated {
        let token = credentials.token.expose().to_owned();
        let outcome = Outcome::of(&token);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((token, credentials.source));
        match outcome {
            Outcome::Known(subject) => Authenticated::Now(Ok(Identity::new(subject))),
            Outcome::Invalid => Authenticated::Later(Box::pin(async {
                Err(AuthenticateError::invalid("it is not valid"))
            })),
            Outcome::Unavailable => {
                Authenticated::Now(Err(AuthenticateError::unavailable("no database")))
            }
            Outcome::Never => Authenticated::Later(Box::pin(pending())),
        }
    }
}

/// What is found out about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Known(&'static str),
    Invalid,
    Unavailable,
    /// Nothing, ever.
    Never,
}

impl Outcome {
    fn of(token: &str) -> Self {
        match token.as_bytes().last() {
            Some(b'!') => Self::Invalid,
            Some(b'?') => Self::Unavailable,
            Some(b'#') => Self::Never,
            Some(b'~') => Self::Known("bob"),
            _ => Self::Known("alice"),
        }
    }
}

struct Case {
    mode: Mode,
    head: Head,
    hub: Hub,
    recorder: Recorder,
    /// What must not be seen.
    secrets: Vec<String>,
}

impl Case {
    fn new(mode: Mode, head: Head) -> Self {
        let recorder = Recorder::default();
        let mut authentication =
            Authentication::new(recorder.clone()).cookie("token").query("token");
        if mode.is_optional() {
            authentication = authentication.optional();
        }
        if mode.takes_messages() {
            authentication = authentication.first_message();
        }
        let hub = Hub::builder()
            .authentication(authentication)
            .origin(OriginPolicy::dangerously_allow_any_origin())
            .limits(|limits| limits.header_bytes = usize::MAX)
            .build()
            .expect("the configuration is valid");
        let secrets = secrets(&head);
        Self { mode, head, hub, recorder, secrets }
    }

    /// Lets the request in, as far as it gets, and says as whom.
    fn admit<R: Debug + Unpin>(
        &self,
        mut admitting: driver::Admitting<R>,
        identity: impl Fn(&R) -> Option<String>,
    ) -> Option<R> {
        let is_websocket = self.mode.is_websocket();
        let presented = presented::of(&self.head, is_websocket);
        let polled = Pin::new(&mut admitting).poll(&mut context());
        self.check_hides(&admitting);
        let asked: Vec<_> = presented.iter().flatten().cloned().collect();
        assert_eq!(self.recorder.asked(), asked, "{:?}", self.head);
        let may_wait = is_websocket && self.mode.takes_messages();
        let (status, challenge, subject) = match &presented {
            Err(_) => (401, Some("Bearer error=\"invalid_token\""), None),
            Ok(None) if self.mode.is_optional() || may_wait => (200, None, None),
            Ok(None) => (401, Some("Bearer"), None),
            Ok(Some((token, _))) => match Outcome::of(token) {
                Outcome::Known(subject) => (200, None, Some(subject)),
                Outcome::Invalid => (401, Some("Bearer error=\"invalid_token\""), None),
                Outcome::Unavailable => (503, None, None),
                Outcome::Never => {
                    assert!(polled.is_pending());
                    return None;
                }
            },
        };
        let Poll::Ready(answer) = polled else { panic!("nothing is to be waited for") };
        self.check_hides(&answer);
        match answer {
            Ok(request) => {
                assert_eq!(status, 200, "let in: {presented:?}");
                assert_eq!(identity(&request).as_deref(), subject);
                Some(request)
            }
            Err(rejection) => {
                self.check_refusal(&rejection, status, challenge);
                None
            }
        }
    }

    fn check_refusal(&self, rejection: &Rejection, status: u16, challenge: Option<&str>) {
        let is_stream = !self.mode.is_websocket() && status == 503 && rejection.status() == 200;
        check_rejection(rejection, is_stream);
        assert!(is_stream || rejection.status() == status, "{rejection}, not {status}");
        let mut challenges = rejection.headers().filter(|(name, _)| *name == "www-authenticate");
        assert_eq!(challenges.next().map(|(_, value)| value), challenge);
        assert_eq!(challenges.next(), None);
        self.check_hides_text(&text(rejection.body()));
    }

    fn event_stream(&self) {
        if let Ok(candidate) = sse::Request::accept(&self.hub, &self.head, Instant::now()) {
            self.check_hides(&candidate);
        }
        let admitting = driver::accept_event_stream(&self.hub, &self.head);
        let subject = |request: &sse::Request| request.identity().map(|it| it.subject().to_owned());
        if let Some(request) = self.admit(admitting, subject) {
            let (accepted, mut stream) = request.open("topic", Instant::now()).expect("one topic");
            self.check_hides(&accepted);
            let polled = stream.poll_next(&mut context(), Instant::now());
            let Poll::Ready(Some(bytes)) = polled else { panic!("{polled:?}") };
            self.check_hides_text(&text(&bytes));
            self.check_hides(&stream);
        }
        self.check_end();
    }

    fn websocket(&self, messages: &[String]) {
        if let Ok(candidate) = ws::Request::accept(&self.hub, &self.head, Instant::now()) {
            self.check_hides(&candidate);
        }
        let admitting = driver::accept_websocket(&self.hub, &self.head);
        let subject = |request: &ws::Request| request.identity().map(|it| it.subject().to_owned());
        if let Some(mut request) = self.admit(admitting, subject) {
            let subject = subject(&request);
            if self.mode.has_protocol() {
                request = request.protocols(&["chat"]);
            }
            let asked = self.recorder.asked();
            let is_known = self.mode.is_optional() || !asked.is_empty();
            self.converse(request.subscribe("topic"), messages, is_known, subject);
        }
        self.check_end();
    }

    /// The token is not agreed on, and who offers one gets another protocol if it offers that.
    fn check_accepted(&self, accepted: &ws::Accepted) {
        self.check_hides(accepted);
        accepted.headers.iter().for_each(|(name, value)| check_header(name, value));
        let named = |(name, _): &&(&str, String)| *name == "sec-websocket-protocol";
        let agreed: Vec<&str> =
            accepted.headers.iter().filter(named).map(|(_, value)| &value[..]).collect();
        let by_offer = self.recorder.asked().first().map(|(_, source)| *source)
            == Some(CredentialSource::Subprotocol);
        let ours = match self.mode.has_protocol() {
            true => Some("chat"),
            false => by_offer.then_some("realtime"),
        };
        let expected = ours.filter(|it| presented::offers(&self.head).contains(it));
        assert_eq!(agreed, Vec::from_iter(expected));
    }

    fn check_end(&self) {
        self.check_hides(&self.hub);
        check_at_rest(&self.hub);
    }

    fn check_hides(&self, what: &impl Debug) {
        self.check_hides_text(&format!("{what:?}"));
    }

    fn check_hides_text(&self, text: &str) {
        let found = self.secrets.iter().find(|secret| text.contains(secret.as_str()));
        assert_eq!(found, None, "in {text}");
    }
}

/// The secrets in a head, unless they also stand where everybody may look.
fn secrets(head: &Head) -> Vec<String> {
    let offers = presented::offers(head);
    let (tokens, public): (Vec<&str>, Vec<&str>) =
        offers.iter().partition(|offer| offer.starts_with(presented::PREFIX));
    let is_own = |(name, _): &(String, String)| name == "token";
    let parameters = presented::parameters(head);
    let known =
        parameters.iter().filter(|it| !is_own(it)).map(|(name, value)| name.clone() + value);
    let known: Vec<String> = known.chain(public.into_iter().map(str::to_owned)).collect();
    let last_event_ids = head.all("last-event-id").into_iter().map(text);
    let known: Vec<String> = known.into_iter().chain(last_event_ids).collect();
    let encoded = tokens.iter().map(|token| token[presented::PREFIX.len()..].to_owned());
    [SECRET.to_owned()]
        .into_iter()
        .chain(encoded.filter(|token| token.len() >= 12))
        .filter(|secret| !known.iter().any(|it| it.contains(secret.as_str())))
        .collect()
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
