//! A WebSocket over a framework that gives chunks and takes chunks.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_core::Stream;

use super::{ROUNDS_PER_POLL, Timer, handler::Running, now};
use crate::ws::{CloseCause, Session, Status};

/// How many chunks of input one poll takes before it looks at the output.
const CHUNKS_PER_POLL: usize = 16;

/// How long the peer must be silent, after a Close that it may have to be kept from losing, until the
/// stream ends and the framework closes the connection. Until then its bytes are discarded, because a
/// reset for unread ones could overtake the Close.
pub(super) const QUIET: Duration = Duration::from_millis(20);

/// A stream of the bytes to send, which itself takes the bytes that come in from `input`. It ends
/// when the connection is to be closed.
///
/// A framework that asks for the next chunk when its socket takes more gives back pressure by not
/// asking.
#[derive(Debug)]
pub struct ByteStream<S, H> {
    input: S,
    session: Session,
    handler: Running<H>,
    timer: Timer,
    ending: Option<Ending>,
}

#[derive(Debug)]
struct Ending {
    quiet_at: Instant,
    until: Instant,
}

impl<S, H, E> ByteStream<S, H>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    H: Future<Output = CloseCause> + Unpin,
    E: Into<Box<dyn Error>>,
{
    /// Runs `session` on the bytes of `input`.
    pub fn new(input: S, session: Session, handler: Option<H>) -> Self {
        let handler = Running::new(handler);
        Self { input, session, handler, timer: Timer::default(), ending: None }
    }

    /// Takes input that is there. Ready when it took some.
    fn poll_input(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        for taken in 0..CHUNKS_PER_POLL {
            if !self.session.wants_input() {
                return if taken > 0 { Poll::Ready(()) } else { Poll::Pending };
            }
            match Pin::new(&mut self.input).poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.session.receive(&bytes, now),
                Poll::Ready(Some(Err(_)) | None) => {
                    self.session.receive_eof();
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    return if taken > 0 { Poll::Ready(()) } else { Poll::Pending };
                }
            }
        }
        Poll::Ready(())
    }

    /// Discards what still comes, until the peer is silent or gone.
    fn poll_ending(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let until = self.session.close_by(now);
        let ending = self.ending.get_or_insert(Ending { quiet_at: now + QUIET, until });
        for _ in 0..CHUNKS_PER_POLL {
            match Pin::new(&mut self.input).poll_next(cx) {
                Poll::Ready(Some(Ok(_))) => ending.quiet_at = now + QUIET,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => {
                    return self.timer.poll(cx, ending.quiet_at.min(ending.until), now);
                }
            }
        }
        if now < ending.until {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl<S, H, E> Stream for ByteStream<S, H>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    H: Future<Output = CloseCause> + Unpin,
    E: Into<Box<dyn Error>>,
{
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        for _ in 0..ROUNDS_PER_POLL {
            let now = now();
            let wanted_input = this.session.wants_input();
            let input = this.poll_input(cx, now);
            this.handler.run(cx, &mut this.session, now);
            if this.session.poll_transmit(cx, now).is_ready()
                && let Some(chunk) = this.session.pop_chunk()
            {
                return Poll::Ready(Some(chunk));
            }
            if let Status::Ended { linger, .. } = this.session.status() {
                this.handler.stop();
                if linger {
                    ready!(this.poll_ending(cx, now));
                }
                return Poll::Ready(None);
            }
            // The handler may have made room: then nobody waits for input yet.
            let wants_input_now = !wanted_input && this.session.wants_input();
            let is_idle = !wants_input_now && !this.session.has_presented();
            if input.is_pending() && is_idle {
                ready!(this.timer.poll(cx, this.session.deadline(), now));
                this.session.handle_timeout(super::now());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
