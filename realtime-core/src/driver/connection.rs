//! A WebSocket over a byte stream that is read and written.

use std::{
    cell::RefCell,
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{ROUNDS_PER_POLL, Timer, admit::Identifying, handler::Running, now};
use crate::ws::{CloseCause, Session, Status};

/// The size of the buffer that each thread has for reading, and for putting small writes together.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Up to this mean size, chunks are cheaper copied into one write than written as a vector.
const COPY_CHUNK_BYTES: usize = 1024;

/// The most chunks that go into one vectored write.
const MAX_SLICES: usize = 64;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// A future that runs a [`Session`] over `io` until the connection is closed, TCP included.
///
/// Who stops it: the peer (Close, FIN, RST), the handler, the subscription's policy, a deadline for
/// each thing that the peer may fail to do.
///
/// # Cancel safety
/// Dropping it drops the connection and its handler, without a Close; all that it held is given back.
#[derive(Debug)]
pub struct Connection<T, H> {
    io: T,
    phase: Phase,
    needs_flush: bool,
    timer: Timer,
    session: Session,
    handler: Running<H>,
    identifying: Identifying,
}

#[derive(Debug)]
enum Phase {
    Running,
    /// The writing half is to be closed.
    ShuttingDown {
        cause: CloseCause,
        linger: bool,
        until: Instant,
    },
    /// The peer's last bytes are read, so that no reset overtakes our Close.
    Lingering {
        cause: CloseCause,
        until: Instant,
    },
}

impl<T, H> Connection<T, H>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: Future<Output = CloseCause> + Unpin,
{
    /// Runs `session` over `io`. `early` is what the peer sent right behind its handshake.
    pub fn new(io: T, early: &[u8], mut session: Session, handler: Option<H>) -> Self {
        if !early.is_empty() {
            session.receive(early, now());
        }
        let handler = Running::new(handler);
        let (timer, phase) = (Timer::default(), Phase::Running);
        let identifying = Identifying::default();
        Self { io, session, handler, identifying, timer, phase, needs_flush: false }
    }

    /// Runs until the session has ended.
    fn poll_session(&mut self, cx: &mut Context<'_>) -> Poll<(CloseCause, bool)> {
        for _ in 0..ROUNDS_PER_POLL {
            let now = now();
            let wanted_input = self.session.wants_input();
            let read = self.poll_read(cx, now);
            self.handler.run(cx, &mut self.session, &mut self.identifying, now);
            let mut wrote = self.poll_write(cx, now);
            if wrote.is_ready() && read.is_pending() && self.session.is_at_rest() {
                // That was all, mostly, and nobody else has anything to do.
                self.poll_flush(cx);
                wrote = Poll::Pending;
            }
            if let Status::Ended { cause, linger } = self.session.status() {
                return Poll::Ready((cause, linger));
            }
            // The handler may have made room: then nobody waits for input yet.
            let wants_input_now = !wanted_input && self.session.wants_input();
            let is_idle = !wants_input_now && !self.session.has_presented();
            if read.is_pending() && wrote.is_pending() && is_idle {
                ready!(self.timer.poll(cx, self.session.deadline(), now));
                self.session.handle_timeout(super::now());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once. Ready when it read something or the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        if !self.session.wants_input() {
            return Poll::Pending;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => self.session.receive_eof(),
                Ok(()) => self.session.receive(buffer.filled(), now),
                Err(_) => self.session.receive_eof(),
            }
            Poll::Ready(())
        })
    }

    /// Writes once. Ready when it wrote something.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let nothing = self.session.poll_transmit(cx, now).is_pending();
        if nothing || matches!(self.session.status(), Status::Ended { .. }) {
            self.poll_flush(cx);
            return Poll::Pending;
        }
        match write_chunks(Pin::new(&mut self.io), cx, &self.session) {
            Poll::Ready(Ok(n)) if n > 0 => {
                self.needs_flush = true;
                self.session.wrote(n);
                Poll::Ready(())
            }
            Poll::Ready(_) => {
                self.session.receive_eof();
                Poll::Ready(())
            }
            Poll::Pending => {
                self.session.write_blocked(cx, now);
                Poll::Pending
            }
        }
    }
}

impl<T: AsyncWrite + Unpin, H> Connection<T, H> {
    fn poll_flush(&mut self, cx: &mut Context<'_>) {
        if self.needs_flush {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.needs_flush = false,
                Poll::Ready(Err(_)) => self.session.receive_eof(),
                Poll::Pending => {}
            }
        }
    }
}

fn write_chunks<T: AsyncWrite>(
    io: Pin<&mut T>,
    cx: &mut Context<'_>,
    session: &Session,
) -> Poll<io::Result<usize>> {
    let mut chunks = session.chunks();
    if let (Some(one), None) = (chunks.next(), chunks.next()) {
        return io.poll_write(cx, one);
    }
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let mut count = 0;
    let mut total = 0;
    for (slot, chunk) in slices.iter_mut().zip(session.chunks()) {
        *slot = IoSlice::new(chunk);
        count += 1;
        total += chunk.len();
    }
    let slices = &slices[..count];
    let is_small = total / count.max(1) <= COPY_CHUNK_BYTES;
    if total > SCRATCH_BYTES || (!is_small && io.is_write_vectored()) {
        return io.poll_write_vectored(cx, slices);
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let mut end = 0;
        for slice in slices {
            scratch[end..end + slice.len()].copy_from_slice(slice);
            end += slice.len();
        }
        io.poll_write(cx, &scratch[..end])
    })
}

impl<T, H> Future for Connection<T, H>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: Future<Output = CloseCause> + Unpin,
{
    type Output = CloseCause;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseCause> {
        let this = &mut *self;
        loop {
            match &this.phase {
                Phase::Running => {
                    let (cause, linger) = ready!(this.poll_session(cx));
                    let until = this.session.close_by(now());
                    // What the handler holds is given up as soon as the connection is over.
                    this.handler.stop();
                    this.phase = Phase::ShuttingDown { cause, linger, until };
                }
                Phase::ShuttingDown { cause, linger, until } => {
                    let polled = Pin::new(&mut this.io).poll_shutdown(cx);
                    if polled.is_pending() {
                        ready!(this.timer.poll(cx, *until, now()));
                        return Poll::Ready(cause.clone());
                    }
                    if !linger {
                        return Poll::Ready(cause.clone());
                    }
                    this.phase = Phase::Lingering { cause: cause.clone(), until: *until };
                }
                Phase::Lingering { cause, until } => {
                    let is_over = SCRATCH.with_borrow_mut(|scratch| {
                        for _ in 0..ROUNDS_PER_POLL {
                            let mut buffer = ReadBuf::new(scratch);
                            match Pin::new(&mut this.io).poll_read(cx, &mut buffer) {
                                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                                Poll::Ready(_) => return Some(true),
                                Poll::Pending => return Some(false),
                            }
                        }
                        None
                    });
                    match is_over {
                        Some(true) => return Poll::Ready(cause.clone()),
                        Some(false) => {}
                        None => cx.waker().wake_by_ref(),
                    }
                    ready!(this.timer.poll(cx, *until, now()));
                    return Poll::Ready(cause.clone());
                }
            }
        }
    }
}
