//! A WebSocket over a framework that gives chunks and takes chunks.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_core::Stream;

use super::{
    ROUNDS_PER_POLL,
    admit::Identifying,
    handler::Running,
    held::{Held, Holds},
};
use crate::ws::{CloseCause, Session, Status};

/// How many chunks of input one poll takes before it looks at the output.
const CHUNKS_PER_POLL: usize = 16;

/// How long the peer must be silent, after a Close that it may have to be kept from losing, until the
/// stream ends and the framework closes the connection. Until then its bytes are discarded, because a
/// reset for unread ones could overtake the Close. Longer than a round trip, since
/// a peer that sends as fast as it can is silent for as long between two windows; and no longer, since
/// one that has understood waits for us to close, often for a second only.
pub(super) const QUIET: Duration = Duration::from_millis(200);

/// A stream of the bytes to send, which itself takes the bytes that come in from `input`. It ends
/// when the connection is to be closed.
///
/// A framework that asks for the next chunk when its socket takes more gives back pressure by not
/// asking. When it has not asked within [`Limits::stall_deadline`](crate::Limits::stall_deadline), or
/// the subscription lags past its limit meanwhile, what the session holds is given back, though the
/// stream still lies with the framework; it has ended then.
///
/// # Cancel safety
/// No chunk is lost when a future for the next one is dropped. Dropping the stream drops the connection
/// and its handler, without a Close; all that it held is given back.
#[derive(Debug)]
pub struct ByteStream<S, H> {
    running: Held<Driven>,
    beside: Beside<S, H>,
}

/// What can be given back from any thread.
#[derive(Debug)]
struct Driven {
    session: Session,
    /// A check holds a turn that others wait for.
    identifying: Identifying,
    ending: Option<Ending>,
}

#[derive(Debug)]
struct Ending {
    quiet_at: Instant,
    until: Instant,
}

/// What stays with the framework.
#[derive(Debug)]
struct Beside<S, H> {
    input: S,
    handler: Running<H>,
}

impl<S, H, E> ByteStream<S, H>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    H: Future<Output = CloseCause> + Unpin,
    E: Into<Box<dyn Error>>,
{
    /// Runs `session` on the bytes of `input`.
    pub fn new(input: S, session: Session, handler: Option<H>) -> Self {
        let stall_deadline = session.hub().config().limits.stall_deadline;
        let running = Held::new(
            Driven { session, identifying: Identifying::default(), ending: None },
            stall_deadline,
        );
        Self { running, beside: Beside { input, handler: Running::new(handler) } }
    }
}

impl<S, H, E> Beside<S, H>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    H: Future<Output = CloseCause> + Unpin,
    E: Into<Box<dyn Error>>,
{
    /// The next chunk; `None` when the connection is to be closed.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        Driven { session, identifying, ending }: &mut Driven,
        mut now: Instant,
    ) -> Poll<Option<Bytes>> {
        for _ in 0..ROUNDS_PER_POLL {
            session.handle_timeout(now);
            let wanted_input = session.wants_input();
            let input = self.poll_input(cx, session, now);
            self.handler.run(cx, session, identifying, now);
            if session.poll_transmit(cx, now).is_ready()
                && let Some(chunk) = session.pop_chunk()
            {
                return Poll::Ready(Some(chunk));
            }
            if let Status::Ended { linger, .. } = session.status() {
                self.handler.stop();
                if linger {
                    let until = session.close_by(now);
                    let ending = ending.get_or_insert(Ending { quiet_at: now + QUIET, until });
                    ready!(self.poll_ending(cx, ending, now));
                }
                return Poll::Ready(None);
            }
            // The handler may have made room: then nobody waits for input yet.
            let wants_input_now = !wanted_input && session.wants_input();
            let is_idle = !wants_input_now && !session.has_presented();
            if input.is_pending() && is_idle {
                return Poll::Pending;
            }
            now = super::now();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes input that is there. Ready when it took some.
    fn poll_input(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        now: Instant,
    ) -> Poll<()> {
        for taken in 0..CHUNKS_PER_POLL {
            if !session.wants_input() {
                return if taken > 0 { Poll::Ready(()) } else { Poll::Pending };
            }
            match Pin::new(&mut self.input).poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => session.receive(&bytes, now),
                Poll::Ready(Some(Err(_)) | None) => {
                    session.receive_eof();
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
    fn poll_ending(&mut self, cx: &mut Context<'_>, ending: &mut Ending, now: Instant) -> Poll<()> {
        for _ in 0..CHUNKS_PER_POLL {
            match Pin::new(&mut self.input).poll_next(cx) {
                Poll::Ready(Some(Ok(_))) => ending.quiet_at = now + QUIET,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending if now < ending.over_at() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(()),
            }
        }
        if now < ending.until {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Ending {
    fn over_at(&self) -> Instant {
        self.quiet_at.min(self.until)
    }
}

impl Holds for Driven {
    fn deadline(&self, now: Instant) -> Instant {
        let running = || {
            let deadline = self.session.deadline();
            // The check has a timer of its own. This is for when nobody polls that.
            let until = self.identifying.until().filter(|until| *until > now);
            until.map_or(deadline, |until| until.min(deadline))
        };
        self.ending.as_ref().map_or_else(running, Ending::over_at)
    }

    fn hold(&mut self, waker: &Waker) {
        self.session.hold(waker);
    }

    fn is_due(&self, now: Instant) -> bool {
        self.session.is_cut()
            || self.session.is_lagging(now)
            || self.identifying.until().is_some_and(|until| now >= until)
    }

    fn give_up(&mut self, now: Instant) {
        self.session.give_up(now);
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
        let Self { running, beside } = &mut *self;
        running.poll(cx, |driven, cx, now| beside.poll(cx, driven, now))
    }
}
