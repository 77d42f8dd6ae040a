//! Sessions that actix-ws has already made.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_ws::{AggregatedMessage, AggregatedMessageStream, MessageStream, Session};
use futures_core::Stream;
use realtime_core::{
    Hub, driver,
    driver::{Attached, Closed, MessageTransport, Outgoing},
    ws,
    ws::{CloseFrame, Incoming},
};

use crate::response::Refused;

/// Lets an existing session join a hub: the same session as after a handshake of ours, over messages.
///
/// A message may have [`Limits::message_bytes`](realtime_core::Limits::message_bytes) of the hub. After
/// a Close of ours actix-ws closes the connection without waiting for the client's.
///
/// Only the number of connections in all is checked. The origin, who it is and how many connections its
/// address has are the application's to check before the upgrade; tell the hub with `identify`.
///
/// # Errors
/// [`Refused`] when too many connections are open.
pub fn attach(
    hub: &Hub,
    session: Session,
    messages: MessageStream,
) -> Result<Attached<Transport>, Refused> {
    let max = hub.config().limits.message_bytes;
    let messages =
        messages.max_frame_size(max).aggregate_continuations().max_continuation_size(max);
    let transport = Transport { session: Some(session), messages, sending: None };
    Ok(Attached::new(driver::attach(hub)?, transport))
}

/// An actix-ws session and its messages as one of our sessions sees them.
pub struct Transport {
    /// Gone once it is closed.
    session: Option<Session>,
    messages: AggregatedMessageStream,
    sending: Option<Sending>,
}

/// A message on its way into actix-ws's channel.
type Sending = Pin<Box<dyn Future<Output = Result<(), Closed>>>>;

impl MessageTransport for Transport {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        Pin::new(&mut self.messages).poll_next(cx).map(|received| Some(incoming(received?.ok()?)))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let Some(sending) = &mut self.sending else { return Poll::Ready(Ok(())) };
        let sent = ready!(sending.as_mut().poll(cx));
        self.sending = None;
        Poll::Ready(sent)
    }

    fn send(&mut self, outgoing: Outgoing) -> Result<(), Closed> {
        let mut session = self.session.clone().ok_or(Closed)?;
        if matches!(outgoing, Outgoing::Close(_)) {
            self.session = None;
        }
        self.sending = Some(Box::pin(async move {
            let sent = match outgoing {
                Outgoing::Message(ws::Message::Text(text)) => session.text(text).await,
                Outgoing::Message(ws::Message::Binary(bytes)) => session.binary(bytes).await,
                Outgoing::Ping(payload) => session.ping(&payload).await,
                Outgoing::Pong(payload) => session.pong(&payload).await,
                Outgoing::Close(frame) => session.close(frame.map(close_reason)).await,
            };
            sent.map_err(|_| Closed)
        }));
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.poll_ready(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let flushed = self.poll_ready(cx);
        if flushed.is_ready() {
            // actix-ws ends the response's body when the last session is gone.
            self.session = None;
        }
        flushed.map(|_| ())
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

fn incoming(message: AggregatedMessage) -> Incoming {
    match message {
        AggregatedMessage::Text(text) => Incoming::Message(ws::Message::Text(text)),
        AggregatedMessage::Binary(bytes) => Incoming::Message(ws::Message::Binary(bytes)),
        AggregatedMessage::Ping(payload) => Incoming::Ping(payload),
        AggregatedMessage::Pong(_) => Incoming::Pong,
        AggregatedMessage::Close(reason) => Incoming::Close(reason.and_then(|reason| {
            Some(CloseFrame::new(
                ws::CloseCode::new(reason.code.into())?,
                ws::CloseReason::new(reason.description.unwrap_or_default()).ok()?,
            ))
        })),
    }
}

fn close_reason(frame: CloseFrame) -> actix_ws::CloseReason {
    actix_ws::CloseReason {
        code: frame.code.get().into(),
        description: Some(frame.reason.as_str().to_owned()),
    }
}
