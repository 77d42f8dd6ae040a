//! A TCP proxy that is a bad network: it cuts, goes silent, refuses and delays.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::sleep,
};

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Bytes pass.
    Good,
    /// Bytes pass after this long.
    Slow(Duration),
    /// Nothing passes and nothing ends, as with a cable that is out.
    Silent,
    /// Nobody listens: connections are reset, those that are open too.
    Refuses,
}

/// Forwards connections to one address, from a free port of 127.0.0.1, until it is dropped.
#[derive(Debug)]
pub struct BadNetwork {
    addr: SocketAddr,
    state: watch::Sender<State>,
    accepting: AbortHandle,
}

#[derive(Clone, Copy, Debug)]
struct State {
    network: Network,
    target: SocketAddr,
    /// How often all connections have been cut.
    cuts: u64,
}

impl BadNetwork {
    /// Starts to forward to `target`; the network is good.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let state = watch::Sender::new(State { network: Network::Good, target, cuts: 0 });
        let accepting = tokio::spawn(accept(listener, state.subscribe())).abort_handle();
        Self { addr, state, accepting }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes how the network is, for connections that are open as well.
    pub fn set(&self, network: Network) {
        self.state.send_modify(|state| {
            state.network = network;
            state.cuts += u64::from(network == Network::Refuses);
        });
    }

    /// Resets all connections that are open now.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// New connections go to `target`.
    pub fn redirect(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = target);
    }
}

impl Drop for BadNetwork {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                connections.spawn(forward(client, state.clone()));
            }
            // Those that have ended are let go of.
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Goes on until either side ends, or it is cut.
async fn forward(client: TcpStream, mut state: watch::Receiver<State>) {
    let now = *state.borrow_and_update();
    let reset = |stream: &TcpStream| stream.set_zero_linger().ok();
    if now.network == Network::Refuses {
        reset(&client);
        return;
    }
    let Ok(server) = TcpStream::connect(now.target).await else {
        reset(&client);
        return;
    };
    for stream in [&client, &server] {
        reset(stream);
        stream.set_nodelay(true).ok();
    }
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::select! {
        () = pass(client_read, server_write, state.clone()) => {}
        () = pass(server_read, client_write, state.clone()) => {}
        _ = state.wait_for(|state| state.cuts != now.cuts) => {}
    }
}

/// Passes bytes on until an end ends.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        // It is gone when the proxy is.
        if state.wait_for(|state| state.network != Network::Silent).await.is_err() {
            return;
        }
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        // What has come before it went silent may have been on its way for longer.
        if state.wait_for(|state| state.network != Network::Silent).await.is_err() {
            return;
        }
        let network = state.borrow().network;
        if let Network::Slow(delay) = network {
            sleep(delay).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
