//! A WebSocket that a framework has already made: messages instead of bytes.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use bytestring::ByteString;

use super::{Timer, handler::Running, now};
use crate::ws::{
    CloseCause, CloseCode, CloseFrame, CloseReason, Incoming, Message, Session, Status,
};

/// A framework's socket, as far as a session needs it.
pub trait MessageTransport {
    /// The next thing that the peer sent; `None` when the connection is over or broken.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming>>;

    /// Ready when [`send`](Self::send) may be called.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>>;

    /// Takes something to send.
    ///
    /// # Errors
    /// [`Closed`] when the connection is over.
    fn send(&mut self, outgoing: Outgoing) -> Result<(), Closed>;

    /// Ready when everything taken is written.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>>;

    /// Ready when the connection is closed.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// The framework's socket is closed or broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the framework's socket is closed")]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to add")]
pub struct Closed;

/// What a session sends over a framework's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 6455 has no other frames")]
pub enum Outgoing {
    /// A message.
    Message(Message),
    /// A ping.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// A Close.
    Close(Option<CloseFrame>),
}

impl Outgoing {
    /// Splits the first frame off frames that a session made.
    fn split_first(frames: &mut Bytes) -> Option<Self> {
        let (opcode, payload) = crate::ws::split_first(frames)?;
        Some(match opcode {
            1 => Self::Message(Message::Text(ByteString::try_from(payload).unwrap_or_default())),
            2 => Self::Message(Message::Binary(payload)),
            9 => Self::Ping(payload),
            10 => Self::Pong(payload),
            _ => Self::Close(close_frame(&payload)),
        })
    }
}

fn close_frame(payload: &[u8]) -> Option<CloseFrame> {
    let (code, reason) = payload.split_first_chunk::<2>()?;
    let code = CloseCode::new(u16::from_be_bytes(*code))?;
    let reason = CloseReason::new(ByteString::try_from(reason).ok()?).ok()?;
    Some(CloseFrame::new(code, reason))
}

/// A future that runs a [`Session`] over a framework's socket until the connection is closed.
#[derive(Debug)]
pub struct Messages<T, H> {
    transport: T,
    session: Session,
    handler: Running<H>,
    timer: Timer,
    frames: Bytes,
    ended: Option<CloseCause>,
}

impl<T, H> Messages<T, H>
where
    T: MessageTransport + Unpin,
    H: Future<Output = CloseCause> + Unpin,
{
    /// Runs `session` over `transport`.
    pub fn new(transport: T, session: Session, handler: Option<H>) -> Self {
        Self {
            transport,
            session,
            handler: Running::new(handler),
            timer: Timer::default(),
            frames: Bytes::new(),
            ended: None,
        }
    }

    fn poll_session(&mut self, cx: &mut Context<'_>) -> Poll<CloseCause> {
        loop {
            let now = now();
            let mut progress = false;
            if self.session.wants_input()
                && let Poll::Ready(received) = self.transport.poll_receive(cx)
            {
                progress = true;
                match received {
                    Some(incoming) => self.session.receive_incoming(incoming, now),
                    None => self.session.receive_eof(),
                }
            }
            if let Poll::Ready(cause) = self.handler.poll(cx) {
                self.session.handler_ended(cause, now);
            }
            match self.poll_send(cx) {
                Poll::Ready(Ok(sent)) => progress |= sent,
                Poll::Ready(Err(Closed)) => self.session.receive_eof(),
                Poll::Pending => self.session.write_blocked(cx, now),
            }
            if let Status::Ended { cause, .. } = self.session.status() {
                return Poll::Ready(cause);
            }
            if !progress {
                ready!(self.timer.poll(cx, self.session.deadline(), now));
                self.session.handle_timeout(now);
            }
        }
    }

    /// Sends what there is; tells whether there was anything. Pending when the socket takes no more.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Closed>> {
        let mut sent = false;
        loop {
            if self.frames.is_empty() {
                let ready = self.session.poll_transmit(cx, now()).is_ready();
                match self.session.pop_chunk().filter(|_| ready) {
                    Some(frames) => self.frames = frames,
                    None => break,
                }
            }
            ready!(self.transport.poll_ready(cx))?;
            if let Some(outgoing) = Outgoing::split_first(&mut self.frames) {
                self.transport.send(outgoing)?;
                sent = true;
            }
        }
        ready!(self.transport.poll_flush(cx))?;
        Poll::Ready(Ok(sent))
    }
}

impl<T, H> Future for Messages<T, H>
where
    T: MessageTransport + Unpin,
    H: Future<Output = CloseCause> + Unpin,
{
    type Output = CloseCause;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseCause> {
        let this = &mut *self;
        loop {
            if let Some(cause) = &this.ended {
                let closed = this.transport.poll_close(cx);
                if closed.is_pending() {
                    ready!(this.timer.poll(cx, this.session.deadline(), now()));
                }
                return Poll::Ready(cause.clone());
            }
            let cause = ready!(this.poll_session(cx));
            this.handler = Running::new(None);
            this.ended = Some(cause);
        }
    }
}
