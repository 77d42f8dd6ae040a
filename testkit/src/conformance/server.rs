//! A server as an adapter's test starts it.

use std::{
    cell::Cell,
    env, fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    pin::Pin,
    process,
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, JoinHandle},
    time::Instant,
};

use tokio::{
    io::copy_bidirectional,
    net::UnixStream,
    runtime::{self, Runtime},
    sync::oneshot,
    task::JoinSet,
};

use crate::deadline::DEADLINE;

/// Ready when the server is to stop.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A server on a free port of the loopback interface, with a thread of its own. Dropping it stops
/// it and waits until it has.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    has_header_deadline: bool,
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
        let listener = TcpListener::bind((ADDRESS.get(), 0)).expect("a free port");
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
        Self { addr, has_header_deadline: true, stop: Some(stop), thread: Some(thread) }
    }

    /// Runs `serve` on a thread, on a Unix socket. What comes to [`addr`](Self::addr) is passed on to
    /// it, byte by byte.
    ///
    /// # Panics
    ///
    /// When no port, no thread or no socket can be had.
    pub fn on_unix_socket(serve: impl FnOnce(UnixListener, Stop) + Send + 'static) -> Self {
        Self::on_thread(move |listener, stop| {
            let path = socket_path();
            let socket = UnixListener::bind(&path).expect("a socket");
            socket.set_nonblocking(true).expect("a socket that does not block");
            let (ending, ended) = oneshot::channel::<()>();
            thread::scope(|scope| {
                scope.spawn(|| relay(listener, &path, ended));
                serve(socket, stop);
                drop(ending);
            });
            fs::remove_file(path).expect("the socket is there");
        })
    }

    /// Runs `serve` on a runtime of tokio's with two threads, on a Unix socket; see
    /// [`on_unix_socket`](Self::on_unix_socket).
    ///
    /// # Panics
    ///
    /// When no port, no thread or no socket can be had.
    pub fn on_tokio_unix_socket<F, R>(serve: F) -> Self
    where
        F: FnOnce(tokio::net::UnixListener, Stop) -> R + Send + 'static,
        R: Future<Output = ()>,
    {
        Self::on_unix_socket(move |listener, stop| {
            two_threads().block_on(async move {
                let listener = tokio::net::UnixListener::from_std(listener).expect("a listener");
                serve(listener, stop).await;
            });
        })
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
            two_threads().block_on(async move {
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

    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn has_header_deadline(&self) -> bool {
        self.has_header_deadline
    }
}

/// Has the servers that `start` starts listen at this address.
pub(super) fn listening_at<T>(address: Ipv4Addr, start: impl FnOnce() -> T) -> T {
    let before = ADDRESS.replace(address);
    let started = start();
    ADDRESS.set(before);
    started
}

thread_local! {
    /// Where servers listen that this thread starts.
    static ADDRESS: Cell<Ipv4Addr> = const { Cell::new(Ipv4Addr::LOCALHOST) };
}

fn two_threads() -> Runtime {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime")
}

/// A path that no other socket of these tests has.
fn socket_path() -> PathBuf {
    static SOCKETS: AtomicUsize = AtomicUsize::new(0);
    let number = SOCKETS.fetch_add(1, Ordering::Relaxed);
    env::temp_dir().join(format!("realtime-{}-{number}.sock", process::id()))
}

/// Passes connections on to the socket at `path`, until `ended` is ready.
fn relay(listener: TcpListener, path: &Path, ended: oneshot::Receiver<()>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let mut connections = JoinSet::new();
        let accepting = async {
            while let Ok((mut client, _)) = listener.accept().await {
                let socket = UnixStream::connect(path).await;
                connections.spawn(async move {
                    // A reset is one of the ways in which it ends.
                    let _ = copy_bidirectional(&mut client, &mut socket?).await;
                    Ok::<_, io::Error>(())
                });
            }
        };
        tokio::select! {
            () = accepting => {}
            _ = ended => {}
        }
    });
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
