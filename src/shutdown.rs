//! When a process is asked to stop.

use std::{
    future::{Future, pending},
    io,
};

use realtime_core::Hub;

/// Listens for the signals by which a process is asked to stop, SIGTERM and SIGINT (elsewhere than on
/// Unix, Ctrl-C), from now on. The future is ready at the first one, when `hub` begins to be drained,
/// which from then on goes on by itself; it is meant for a server's graceful shutdown. The second signal
/// until the drain's deadline, whichever of the two it is, ends the drain at once, and with it the server,
/// where that is one of our `serve` helpers, or is run by [`Hub::run_until_drained`].
///
/// [`Hub::drain`] then tells what became of the connections.
///
/// # Errors
/// When the process can't listen for signals.
///
/// # Panics
/// Outside of a Tokio runtime.
///
/// # Cancel safety
/// Dropping the future forgets a signal that it has not told; another call listens anew. Signals don't
/// get back the effect that they have by default.
pub fn shutdown_signal(hub: &Hub) -> io::Result<impl Future<Output = ()> + Send + use<>> {
    let mut signals = Signals::new()?;
    let hub = hub.clone();
    Ok(async move {
        signals.recv().await;
        tracing::info!("asked to stop: draining");
        hub.start_drain();
        // It lasts until the drain's deadline: until then a server may be busy with what is no connection
        // of the hub's.
        let draining = hub.clone();
        let drained = async move {
            let report = draining.drain().await;
            tracing::info!(?report, "drained");
            draining.drain_beside(pending()).await;
        };
        tokio::spawn(async move {
            tokio::select! {
                () = drained => {}
                () = signals.recv() => {
                    let report = hub.end_drain();
                    tracing::warn!(?report, "asked again: stopping at once");
                }
            }
        });
    })
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn recv(&mut self) {
        use std::{future::poll_fn, task::Poll};
        // One at a time: the other, should it have come, too, is the next.
        poll_fn(|cx| match self.terminate.poll_recv(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => self.interrupt.poll_recv(cx).map(drop),
        })
        .await;
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "on Unix it may fail")]
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn recv(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
