//! Questions to the server, and what its answers mean: [`Api`].

use async_nats::{Client, HeaderMap, Message, Request, RequestErrorKind};
use bytes::Bytes;
use realtime_bridge::EngineError;
use serde_json::Value;

/// Asks a server over one connection. Each question is sent once.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    client: Client,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody has taken the question.
    NoResponders,
    /// The server has no such stream.
    NoStream,
    /// The server has refused, with a code of its own.
    Server { code: u64, text: String },
    /// Anything else.
    Other(EngineError),
}

/// Codes of the server's errors.
pub(crate) const OVERLAP: u64 = 10065;
pub(crate) const NAME_IN_USE: u64 = 10058;
const NO_STREAM: u64 = 10059;

impl Api {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A question to JetStream itself.
    pub(crate) async fn ask(&self, what: &str, question: &Value) -> Result<Value, Failure> {
        let subject = format!("$JS.API.{what}");
        let request = Request::new().payload(question.to_string().into());
        match self.send(&subject, request).await {
            Err(Failure::NoResponders) => Err(Failure::Other(self.no_jetstream())),
            answered => answered,
        }
    }

    /// Stores a message.
    pub(crate) async fn store(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Value, Failure> {
        match self.send(subject, Request::new().headers(headers).payload(payload)).await {
            Err(Failure::NoResponders) => Err(Failure::NoStream),
            stored => stored,
        }
    }

    async fn send(&self, subject: &str, request: Request) -> Result<Value, Failure> {
        // The bridge bounds how long that may take.
        let request = request.timeout(None);
        let sent = self.client.send_request(subject.to_owned(), request).await;
        let message = sent.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => Failure::NoResponders,
            RequestErrorKind::MaxPayloadExceeded => Failure::Other(EngineError::Refused(format!(
                "{error}: raise `max_payload` in the server's configuration"
            ))),
            RequestErrorKind::InvalidSubject => {
                Failure::Other(EngineError::Refused(error.to_string()))
            }
            _ => Failure::Other(EngineError::Unreachable(error.to_string())),
        })?;
        answer(&message)
    }

    fn no_jetstream(&self) -> EngineError {
        if self.client.server_info().jetstream {
            let why = "JetStream does not answer; it may not have begun yet";
            return EngineError::Unreachable(why.to_owned());
        }
        let why = "the server runs without JetStream: start it with `-js`, or `jetstream {}` in its \
                   configuration";
        EngineError::Refused(why.to_owned())
    }
}

impl Failure {
    /// What it means where nothing is to be done about it.
    pub(crate) fn into_error(self) -> EngineError {
        match self {
            Self::NoResponders | Self::NoStream => {
                EngineError::Unreachable("the stream is gone".to_owned())
            }
            Self::Server { text, .. } => EngineError::Refused(text),
            Self::Other(error) => error,
        }
    }
}

fn answer(message: &Message) -> Result<Value, Failure> {
    let not_json = || Failure::Other(unexpected("JSON"));
    let answer: Value = serde_json::from_slice(&message.payload).map_err(|_| not_json())?;
    let Some(error) = answer.get("error") else { return Ok(answer) };
    let number = |name: &str| error.get(name).and_then(Value::as_u64).unwrap_or(0);
    let code = number("err_code");
    let description = error.get("description").and_then(Value::as_str).unwrap_or("no reason given");
    let text = format!("{description} (error {code} of the server)");
    if code == NO_STREAM {
        return Err(Failure::NoStream);
    }
    Err(match (number("code"), code) {
        // Resources, storage, JetStream not enabled for the account: that needs somebody.
        (_, 10023 | 10028 | 10035 | 10039 | 10047 | 10076) => Failure::Server { code, text },
        // It does not know now, or has failed in the middle.
        (500.., _) => Failure::Other(EngineError::Unreachable(text)),
        _ => Failure::Server { code, text },
    })
}

/// What was answered and must not be.
pub(crate) fn unexpected(expected: &str) -> EngineError {
    EngineError::Protocol(format!("expected {expected} in the server's answer"))
}

/// A number in an answer, found by a path of names.
pub(crate) fn number(answer: &Value, path: &[&str]) -> Result<u64, EngineError> {
    let found = path.iter().try_fold(answer, |value, name| value.get(name));
    found.and_then(Value::as_u64).ok_or_else(|| unexpected(&path.join(".")))
}

/// A text in an answer.
pub(crate) fn text<'a>(answer: &'a Value, name: &str) -> Result<&'a str, EngineError> {
    answer.get(name).and_then(Value::as_str).ok_or_else(|| unexpected(name))
}
