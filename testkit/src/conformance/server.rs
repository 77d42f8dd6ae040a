//! A server as an adapter's test starts it.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    pin::Pin,
    thread::{self, JoinHandle},
    time::Instant,
};

use tokio::{runtime, sync::oneshot};

use crate::deadline::DEADLINE;

/// Ready when the server is to stop.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A server on a free port of the loopback interface, with a thread of its own. Dropping it stops
/// it and waits until it has.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    has_header_deadline: bool,
    has_write_deadline: bool,
    limits_sockets: bool,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Runs `serve` on a thread, for frameworks with a runtime of their own.
    ///
    /// # Panics
    ///
    /// When no port or no thread can be had.
    pub fn on_thread(serve: impl FnOnce(TcpListener, Stop) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let addr = listener.local_addr().expect("the address of a bound listener");
        let (stop, stopped) = oneshot::channel();
        let stopped = Box::pin(async move {
            // Sent or dropped, either means to stop.
            let _ = stopped.await;
        });
        let thread = thread::Builder::new()
            .name("server".into())
            .spawn(move || serve(listener, stopped))
            .expect("a thread");
        Self {
            addr,
            has_header_deadline: true,
            has_write_deadline: true,
            limits_sockets: true,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Runs `serve` on a runtime of tokio's with two threads.
    ///
    /// # Panics
    ///
    /// When no port or no thread can be had.
    pub fn on_tokio<F, R>(serve: F) -> Self
    where
        F: FnOnce(tokio::net::TcpListener, Stop) -> R + Send + 'static,
        R: Future<Output = ()>,
    {
        Self::on_thread(move |listener, stop| {
            let runtime = runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                serve(listener, stop).await;
            });
        })
    }

    /// Says that this server waits for a request's head for ever, which no adapter can change.
    #[must_use]
    pub fn without_header_deadline(mut self) -> Self {
        self.has_header_deadline = false;
        self
    }

    /// Says that this server asks for no more bytes while its socket takes none, so that nobody
    /// notices for how long that lasts.
    #[must_use]
    pub fn without_write_deadline(mut self) -> Self {
        self.has_write_deadline = false;
        self
    }

    /// Says that this server takes connections without asking the hub, which no adapter can change.
    #[must_use]
    pub fn without_socket_limit(mut self) -> Self {
        self.limits_sockets = false;
        self
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn has_header_deadline(&self) -> bool {
        self.has_header_deadline
    }

    pub(super) fn limits_sockets(&self) -> bool {
        self.limits_sockets
    }

    pub(super) fn has_write_deadline(&self) -> bool {
        self.has_write_deadline
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return };
        let began = Instant::now();
        while !thread.is_finished() {
            if began.elapsed() > DEADLINE {
                assert!(thread::panicking(), "the server did not stop within {DEADLINE:?}");
                return;
            }
            thread::sleep(BETWEEN_LOOKS);
        }
        let ended = thread.join();
        assert!(ended.is_ok() || thread::panicking(), "the server panicked");
    }
}

const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(1);
