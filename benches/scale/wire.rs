//! Connections in memory, as small as they can be, and their other ends.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PING: &[u8] = &[0x89, 0];
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
const CLOSE: u8 = 0x88;
const COMMENT: &[u8] = b":\n\n";

/// How long a peer takes to answer a ping.
const ROUND_TRIP: Duration = Duration::from_millis(50);

/// One end of a connection. It takes all that is written, gives the peer's pongs some time later, and
/// ends when the peer has been sent a Close.
pub(crate) struct Wire {
    peers: &'static Peers,
    reading: Reading,
}

#[derive(Clone, Copy)]
enum Reading {
    Quiet,
    /// To be answered so many milliseconds after the beginning.
    Pinged(u32),
    /// The same, and whoever waits is known.
    Awaited(u32),
    Closed,
}

/// The other ends.
pub(crate) struct Peers {
    began: Instant,
    pinged: Mutex<VecDeque<(u32, Waker)>>,
    heartbeats: AtomicU64,
    arrived: AtomicU64,
    expected: AtomicU64,
    all: mpsc::Sender<Instant>,
}

impl Peers {
    /// Tells when as much has arrived as is expected. It lives as long as the process.
    pub(crate) fn new() -> (&'static Self, mpsc::Receiver<Instant>) {
        let (all, told) = mpsc::channel();
        let peers = Self {
            began: Instant::now(),
            pinged: Mutex::default(),
            heartbeats: AtomicU64::default(),
            arrived: AtomicU64::default(),
            expected: AtomicU64::new(u64::MAX),
            all,
        };
        (Box::leak(Box::new(peers)), told)
    }

    /// From now on it counts what is written, but for heartbeats, and tells when it was `count` times.
    pub(crate) fn expect(&self, count: u64) {
        self.arrived.store(0, Ordering::SeqCst);
        self.expected.store(count, Ordering::SeqCst);
    }

    pub(crate) fn heartbeats(&self) -> u64 {
        self.heartbeats.load(Ordering::Relaxed)
    }

    /// Answers each ping after one to two times as long as a round trip takes.
    pub(crate) async fn answer(&self) {
        loop {
            tokio::time::sleep(ROUND_TRIP).await;
            let now = self.millis();
            loop {
                let mut pinged = self.lock();
                let is_due = pinged.front().is_some_and(|(at, _)| *at <= now);
                let Some((_, waker)) = is_due.then(|| pinged.pop_front()).flatten() else { break };
                drop(pinged);
                waker.wake();
            }
        }
    }

    fn took(&self, mut bytes: &[u8]) {
        for heartbeat in [PING, COMMENT] {
            if let Some(rest) = bytes.strip_prefix(heartbeat) {
                self.heartbeats.fetch_add(1, Ordering::Relaxed);
                bytes = rest;
            }
        }
        if bytes.is_empty() {
            return;
        }
        let arrived = self.arrived.fetch_add(1, Ordering::SeqCst) + 1;
        if arrived == self.expected.load(Ordering::SeqCst) {
            // Nobody listens when the measurement is over.
            let _ = self.all.send(Instant::now());
        }
    }

    fn millis(&self) -> u32 {
        self.began.elapsed().as_millis() as u32
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u32, Waker)>> {
        self.pinged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    pub(crate) fn new(peers: &'static Peers) -> Self {
        Self { peers, reading: Reading::Quiet }
    }

    /// Takes what an event stream's body gave.
    pub(crate) fn take(&self, bytes: &[u8]) {
        self.peers.took(bytes);
    }
}

/// A bare connection: what a task costs that does nothing.
impl Future for Wire {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = [0; 16];
        let read = self.as_mut().poll_read(cx, &mut ReadBuf::new(&mut buffer));
        let _ = ready!(read);
        Poll::Ready(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.reading {
            Reading::Quiet => Poll::Pending,
            Reading::Pinged(at) | Reading::Awaited(at) if at <= self.peers.millis() => {
                self.reading = Reading::Quiet;
                buffer.put_slice(&PONG);
                Poll::Ready(Ok(()))
            }
            Reading::Pinged(at) => {
                self.reading = Reading::Awaited(at);
                self.peers.lock().push_back((at, cx.waker().clone()));
                Poll::Pending
            }
            Reading::Awaited(_) => Poll::Pending,
            Reading::Closed => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.starts_with(PING) {
            self.reading = Reading::Pinged(self.peers.millis() + ROUND_TRIP.as_millis() as u32);
        } else if bytes.first() == Some(&CLOSE) {
            self.reading = Reading::Closed;
        }
        self.peers.took(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
