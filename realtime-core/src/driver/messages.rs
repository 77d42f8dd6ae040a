//! A WebSocket that a framework has already made: messages instead of bytes.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use bytestring::ByteString;

use super::{ROUNDS_PER_POLL, Timer, admit::Identifying, handler::Running, now};
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
    /// A frame that a session made.
    fn from_frame(opcode: u8, payload: Bytes) -> Self {
        match opcode {
            1 => Self::Message(Message::Text(ByteString::try_from(payload).unwrap_or_default())),
            2 => Self::Message(Message::Binary(payload)),
            9 => Self::Ping(payload),
            10 => Self::Pong(payload),
            _ => Self::Close(close_frame(&payload)),
        }
    }
}

fn close_frame(payload: &[u8]) -> Option<CloseFrame> {
    let (code, reason) = payload.split_first_chunk::<2>()?;
    let code = CloseCode::new(u16::from_be_bytes(*code))?;
    let reason = CloseReason::new(ByteString::try_from(reason).ok()?).ok()?;
    Some(CloseFrame::new(code, reason))
}

/// A future that runs a [`Session`] over a framework's socket until the connection is closed.
///
/// What the socket has taken counts as written once it is flushed, and until then it is given
/// nothing more: a framework's own buffer may have no bound.
///
/// # Cancel safety
/// Dropping it drops the connection and its handler, without a Close; all that it held is given back.
#[derive(Debug)]
pub struct Messages<T, H> {
    transport: T,
    session: Session,
    handler: Running<H>,
    identifying: Identifying,
    timer: Timer,
    needs_flush: bool,
    closing: Option<Closing>,
}

/// The session has ended; the framework's socket is to be closed.
#[derive(Debug)]
struct Closing {
    cause: CloseCause,
    until: Instant,
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
            identifying: Identifying::default(),
            timer: Timer::default(),
            needs_flush: false,
            closing: None,
        }
    }

    fn poll_session(&mut self, cx: &mut Context<'_>) -> Poll<CloseCause> {
        for _ in 0..ROUNDS_PER_POLL {
            let now = now();
            let wanted_input = self.session.wants_input();
            let received = self.poll_receive(cx, now);
            self.handler.run(cx, &mut self.session, &mut self.identifying, now);
            let sent = self.poll_send(cx, now);
            if let Status::Ended { cause, .. } = self.session.status() {
                return Poll::Ready(cause);
            }
            // The handler may have made room: then nobody waits for input yet.
            let wants_input_now = !wanted_input && self.session.wants_input();
            let is_idle = !wants_input_now && !self.session.has_presented();
            if received.is_pending() && sent.is_pending() && is_idle {
                ready!(self.timer.poll(cx, self.session.deadline(), now));
                self.session.handle_timeout(super::now());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes one thing that the peer sent. Ready when there was one.
    fn poll_receive(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        if !self.session.wants_input() {
            return Poll::Pending;
        }
        match ready!(self.transport.poll_receive(cx)) {
            Some(incoming) => self.session.receive_incoming(incoming, now),
            None => self.session.receive_eof(),
        }
        Poll::Ready(())
    }

    /// Sends what there is. Ready when something was sent.
    fn poll_send(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let _ = self.session.poll_transmit(cx, now);
        let mut sent = Poll::Pending;
        match self.poll_transport(cx, &mut sent) {
            Poll::Ready(Ok(())) => self.session.write_unblocked(),
            Poll::Ready(Err(Closed)) => self.session.receive_eof(),
            Poll::Pending => self.session.write_blocked(cx, now),
        }
        sent
    }

    fn poll_transport(
        &mut self,
        cx: &mut Context<'_>,
        sent: &mut Poll<()>,
    ) -> Poll<Result<(), Closed>> {
        ready!(self.poll_flush(cx))?;
        while self.session.has_output() {
            ready!(self.transport.poll_ready(cx))?;
            let Some((opcode, payload)) = self.session.pop_frame() else { break };
            self.needs_flush = true;
            *sent = Poll::Ready(());
            self.transport.send(Outgoing::from_frame(opcode, payload))?;
        }
        self.poll_flush(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        if self.needs_flush {
            ready!(self.transport.poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
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
            if let Some(Closing { cause, until }) = &this.closing {
                if this.transport.poll_close(cx).is_pending() {
                    ready!(this.timer.poll(cx, *until, now()));
                }
                return Poll::Ready(cause.clone());
            }
            let cause = ready!(this.poll_session(cx));
            this.handler.stop();
            let until = this.session.close_by(now());
            this.closing = Some(Closing { cause, until });
        }
    }
}
