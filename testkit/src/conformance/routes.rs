//! What the routes of every adapter's server do.

use std::{fmt, panic::resume_unwind, time::SystemTime};

use realtime_core::{
    Event, Identity, LagLimit, Overflow, PublishError, Start, Subscribe, Token,
    ws::{CloseCause, CloseCode, CloseReason, Message, Socket},
};

use super::endings::Endings;

/// What a query asks for: `topic` and `pattern`, any number of them; `overflow` and `lag` for the policy;
/// `newest` to start with the newest event of each key.
///
/// # Panics
///
/// On a value that no case means.
pub fn subscribe(query: &str) -> Subscribe {
    form_urlencoded::parse(query.as_bytes()).fold(Subscribe::none(), |subscribe, (name, value)| {
        match (&*name, &*value) {
            ("topic", topic) => subscribe.and(topic),
            ("pattern", pattern) => subscribe.and_pattern(pattern),
            ("overflow", "disconnect") => subscribe.overflow(Overflow::Disconnect),
            ("overflow", "drop_oldest") => subscribe.overflow(Overflow::DropOldest),
            ("overflow", "drop_newest") => subscribe.overflow(Overflow::DropNewest),
            ("overflow", "conflate") => subscribe.overflow(Overflow::Conflate),
            ("lag", events) => {
                let events = events.parse().expect("a number");
                subscribe.lag(LagLimit::default().events(events).bytes(u64::MAX))
            }
            ("newest", _) => subscribe.start(Start::NewestPerKey),
            ("last_event_id" | "token" | "subject" | "ended", _) => subscribe,
            (name, value) => panic!("{name}={value}"),
        }
    })
}

/// The identity that a handler has found out by itself: the query's `subject`, which expires at
/// once when it is `expired`.
///
/// # Panics
///
/// When there is none.
pub fn identity(query: &str) -> Identity {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let (_, subject) = parameters.find(|(name, _)| name == "subject").expect("a subject");
    let identity = Identity::new(&*subject);
    if subject == "expired" { identity.expires_at(SystemTime::UNIX_EPOCH) } else { identity }
}

/// What is called when the connection ends of which a case wants to know: the one that the query calls
/// by a name in `ended`.
///
/// # Panics
///
/// When it has none.
pub fn on_close(query: &str) -> impl FnOnce(CloseCause) + Send + use<> {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let (_, name) = parameters.find(|(name, _)| name == "ended").expect("a name");
    Endings::begin(&name)
}

/// The topic of this identity's own.
pub fn topic_of(identity: &Identity) -> String {
    format!("user.{}", identity.subject())
}

/// Sends the subject first, or `anonymous`, and then every message back.
pub async fn whoami(mut socket: Socket) {
    let identity = socket.identity();
    let subject = identity.as_ref().map_or("anonymous", Identity::subject);
    if socket.send(Message::text(subject)).await.is_ok() {
        echo(socket).await;
    }
}

/// Takes each message for a token, and answers whose it is, or why it is not taken.
pub async fn refresh(mut socket: Socket) {
    while let Some(message) = socket.recv().await {
        let token = Token::new(message.as_text().unwrap_or_default());
        let answer = match socket.refresh(token).await {
            Ok(identity) => identity.subject().to_owned(),
            Err(error) => error.to_string(),
        };
        if socket.send(Message::text(answer)).await.is_err() {
            return;
        }
    }
}

/// Publishes what `topic text` says, and answers `ok`, or `forbidden`, or `failed`.
pub async fn publish(mut socket: Socket) {
    while let Some(message) = socket.recv().await {
        let text = message.as_text().unwrap_or_default();
        let (topic, text) = text.split_once(' ').unwrap_or((text, ""));
        let answer = match socket.publish(topic, Event::text(text)).await {
            Ok(_) => "ok",
            Err(PublishError::Forbidden { .. }) => "forbidden",
            Err(_) => "failed",
        };
        if socket.send(Message::text(answer)).await.is_err() {
            return;
        }
    }
}

/// Sends every message back.
pub async fn echo(mut socket: Socket) {
    while let Some(message) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// `+topic` adds a topic and `-topic` removes it, `~pattern` adds a pattern; the command comes back when it is done, or
/// `refused` when it is not.
pub async fn topics(mut socket: Socket) {
    while let Some(message) = socket.recv().await {
        let text = message.as_text().unwrap_or_default();
        let done = match text.split_at_checked(1) {
            Some(("+", topic)) => socket.subscribe(topic).is_ok(),
            Some(("-", topic)) => socket.unsubscribe(topic).is_ok(),
            Some(("~", pattern)) => socket.subscribe_pattern(pattern).is_ok(),
            Some(("!", pattern)) => socket.unsubscribe_pattern(pattern).is_ok(),
            _ => false,
        };
        let answer = if done { message } else { Message::text("refused") };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}

/// Is done at once.
pub async fn done(_: Socket) {}

/// Fails at the first message.
///
/// # Errors
///
/// Always.
pub async fn error(mut socket: Socket) -> Result<(), Failed> {
    socket.recv().await;
    Err(Failed)
}

/// Panics at the first message.
pub async fn panic(mut socket: Socket) {
    socket.recv().await;
    // Without the hook that prints the panic.
    resume_unwind(Box::new("as the client asked"));
}

/// Closes with 4404 at the first message.
pub async fn close4404(mut socket: Socket) {
    socket.recv().await;
    close(&mut socket);
}

/// Does what the name of one of the others says when it is sent that name, and echoes the rest.
///
/// # Errors
///
/// When it is sent `error`.
pub async fn commands(mut socket: Socket) -> Result<(), Failed> {
    while let Some(message) = socket.recv().await {
        match message.as_text() {
            Some("done") => return Ok(()),
            Some("error") => return Err(Failed),
            Some("panic") => resume_unwind(Box::new("as the client asked")),
            Some("close4404") => close(&mut socket),
            _ => {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn close(socket: &mut Socket) {
    let reason = CloseReason::new("no such room").expect("a short reason");
    socket.close(CloseCode::new(4404).expect("a code for applications"), reason);
}

/// The error of handlers that fail.
#[derive(Clone, Copy, Debug)]
pub struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("as the client asked")
    }
}
