//! The client sends messages, some of which carry secrets.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use realtime_core::{CredentialSource, driver, ws};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use super::{Case, Outcome, context, presented};
use crate::ws::{Decoder, Frame, Received};

/// More than all messages, and all answers, together.
const PIPE_BYTES: usize = 1 << 16;

/// What becomes of a connection by what its client sends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Open,
    /// A check that does not end.
    Stuck,
    Closed(u16),
}

/// What a connection is to be like.
struct Expected {
    asked: Vec<(String, CredentialSource)>,
    handled: Vec<String>,
    is_known: bool,
    subject: Option<String>,
    end: End,
}

impl Expected {
    fn take(&mut self, message: &str, takes_tokens: bool) {
        let token = if takes_tokens { presented::message(message) } else { None };
        let Some(token) = token else {
            if self.is_known {
                self.handled.push(message.to_owned());
            } else {
                self.end = End::Closed(4401);
            }
            return;
        };
        match Outcome::of(&token) {
            Outcome::Known(subject) => {
                if self.subject.as_ref().is_some_and(|before| before != subject) {
                    self.end = End::Closed(4403);
                }
                self.is_known = true;
                self.subject = Some(subject.to_owned());
            }
            Outcome::Invalid => self.end = End::Closed(4401),
            // Who is known already stays so.
            Outcome::Unavailable if self.is_known => {}
            Outcome::Unavailable => self.end = End::Closed(1013),
            Outcome::Never => self.end = End::Stuck,
        }
        self.asked.push((token, CredentialSource::Message));
    }
}

impl Case {
    /// Runs a connection whose client sends these messages.
    pub(super) fn converse(
        &self,
        request: ws::Request,
        messages: &[String],
        is_known: bool,
        subject: Option<String>,
    ) {
        let (asked, handled, end) = (self.recorder.asked(), Vec::new(), End::Open);
        let mut expected = Expected { asked, handled, is_known, subject, end };
        for message in messages {
            if expected.end == End::Open {
                expected.take(message, self.mode.takes_messages());
            }
        }

        let (accepted, session, socket) =
            request.open_with_socket(Instant::now()).expect("one topic");
        self.check_accepted(&accepted);
        self.check_hides(&session);
        let handled = Arc::new(Mutex::new((false, Vec::new())));
        let handler: driver::BoxHandler = Box::pin(driver::handler(
            {
                let handled = Arc::clone(&handled);
                async move |mut socket: ws::Socket| {
                    handled.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
                    while let Some(message) = socket.recv().await {
                        let text = message.as_text().expect("text").to_owned();
                        handled.lock().unwrap_or_else(PoisonError::into_inner).1.push(text);
                    }
                }
            },
            socket,
        ));
        let (mut client, server) = duplex(PIPE_BYTES);
        write(&mut client, messages);
        let handler = self.mode.has_handler().then_some(handler);
        let mut connection = driver::Connection::new(server, &[], session, handler);
        // Nothing is waited for, so that this is enough.
        for _ in 0..8 + messages.len() {
            if Pin::new(&mut connection).poll(&mut context()).is_ready() {
                break;
            }
        }
        let received = read(&mut client);
        received.iter().for_each(|it| self.check_hides(it));

        assert_eq!(self.recorder.asked(), expected.asked);
        let closes = received.iter().filter_map(|it| match it {
            Received::Close(close) => Some(close.as_ref().map_or(1005, |(code, _)| *code)),
            _ => None,
        });
        let closed = match expected.end {
            End::Closed(code) => vec![code],
            End::Open | End::Stuck => vec![],
        };
        assert_eq!(closes.collect::<Vec<u16>>(), closed, "{messages:?}");
        let (ran, handled) = handled.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(!ran || expected.is_known, "the handler of somebody who is not known");
        assert!(expected.handled.starts_with(&handled), "{handled:?} of {:?}", expected.handled);
        if self.mode.has_handler() && closed.is_empty() {
            assert_eq!((ran, handled), (expected.is_known, expected.handled));
        }
        let is_ready = received
            .iter()
            .any(|it| matches!(it, Received::Text(text) if text.contains("realtime.ready")));
        assert!(!is_ready || expected.is_known, "subscribed, and not known");
        let identities = self.hub.stats().identities;
        if closed.is_empty() {
            assert_eq!(is_ready, expected.is_known);
            assert_eq!(identities, u64::from(expected.subject.is_some()));
        }
    }
}

fn write(client: &mut DuplexStream, messages: &[String]) {
    let mut bytes = Vec::new();
    for message in messages {
        let frame = Frame::text(message.as_bytes()).mask([1, 2, 3, 4]).to_bytes();
        if bytes.len() + frame.len() <= PIPE_BYTES {
            bytes.extend(frame);
        }
    }
    if !bytes.is_empty() {
        let written = Pin::new(client).poll_write(&mut context(), &bytes);
        assert!(matches!(written, std::task::Poll::Ready(Ok(n)) if n == bytes.len()));
    }
}

/// What the client gets.
fn read(client: &mut DuplexStream) -> Vec<Received> {
    let mut bytes = vec![0; PIPE_BYTES];
    let mut buffer = ReadBuf::new(&mut bytes);
    let _pending_or_all = Pin::new(client).poll_read(&mut context(), &mut buffer);
    let mut decoder = Decoder::starting_with(buffer.filled().to_vec());
    let mut received = Vec::new();
    while let Some(it) = decoder.next().expect("right frames of a server") {
        received.push(it);
    }
    received
}
