//! Sockets that axum has already made.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::extract::ws::{self as axum_ws, Message, WebSocket};
use futures_util::{Sink, Stream};
use realtime_core::{
    Hub, driver,
    driver::{Attached, Closed, MessageTransport, Outgoing},
    ws,
    ws::{CloseFrame, Incoming},
};

use crate::response::Refused;

/// Lets an existing socket join a hub: the same session as after a handshake of ours, over messages.
///
/// The socket's own limits apply to what comes in, and it answers pings itself.
///
/// Only the number of connections in all is checked. The origin, who it is and how many connections its
/// address has are the application's to check before the upgrade; tell the hub with `identify`.
///
/// # Errors
/// [`Refused`] when too many connections are open.
pub fn attach(hub: &Hub, socket: WebSocket) -> Result<Attached<Transport>, Refused> {
    let request = driver::attach(hub).map_err(realtime_hyper::Refused::from)?;
    Ok(Attached::new(request, Transport(socket)))
}

/// axum's `WebSocket` as a session sees it.
#[derive(Debug)]
pub struct Transport(WebSocket);

impl MessageTransport for Transport {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        Pin::new(&mut self.0).poll_next(cx).map(|received| Some(incoming(received?.ok()?)))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        Pin::new(&mut self.0).poll_ready(cx).map_err(|_| Closed)
    }

    fn send(&mut self, outgoing: Outgoing) -> Result<(), Closed> {
        Pin::new(&mut self.0).start_send(message(outgoing)).map_err(|_| Closed)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        Pin::new(&mut self.0).poll_flush(cx).map_err(|_| Closed)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll_close(cx).map(|_| ())
    }
}

fn incoming(message: Message) -> Incoming {
    match message {
        Message::Text(text) => Incoming::Message(ws::Message::Text(text.as_str().into())),
        Message::Binary(bytes) => Incoming::Message(ws::Message::Binary(bytes)),
        // axum's tungstenite answers it.
        Message::Ping(_) | Message::Pong(_) => Incoming::Pong,
        Message::Close(frame) => Incoming::Close(frame.and_then(|frame| {
            Some(CloseFrame::new(
                ws::CloseCode::new(frame.code)?,
                ws::CloseReason::new(frame.reason.as_str()).ok()?,
            ))
        })),
    }
}

fn message(outgoing: Outgoing) -> Message {
    match outgoing {
        Outgoing::Message(ws::Message::Text(text)) => Message::Text((&*text).into()),
        Outgoing::Message(ws::Message::Binary(bytes)) => Message::Binary(bytes),
        Outgoing::Ping(payload) => Message::Ping(payload),
        Outgoing::Pong(payload) => Message::Pong(payload),
        Outgoing::Close(frame) => Message::Close(frame.map(|frame| axum_ws::CloseFrame {
            code: frame.code.get(),
            reason: frame.reason.as_str().into(),
        })),
    }
}
