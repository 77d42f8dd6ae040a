//! A TCP proxy that cuts connections.
//!
//! It stands between a client that can't be scripted, such as a browser, and the server: it passes
//! bytes on as they come, ends connections the way a network does, and remembers what was asked.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::{
    http::Headers,
    net::{Dial, reset},
};

/// Forwards connections to one address, from a free port of 127.0.0.1, until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

/// How both sides see a connection end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// FIN, even in the middle of a response.
    Fin,
    /// RST, which also throws away what was on its way.
    Reset,
}

/// The head of a request that passed.
#[derive(Clone)]
pub struct RequestHead {
    /// Its first line: method, target, version.
    pub line: String,
    /// The fields as they came.
    pub headers: Headers,
}

impl Proxy {
    /// Starts to forward to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared { cuts: watch::Sender::new(None), seen: Mutex::default() });
        let accepting = tokio::spawn(accept(listener, target, Arc::clone(&shared))).abort_handle();
        Self { addr, shared, accepting }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends all connections that are open now. New ones are accepted as before.
    pub fn cut(&self, cut: Cut) {
        self.shared.cuts.send_replace(Some(cut));
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> usize {
        self.shared.seen().accepted
    }

    /// How many of them are open.
    pub fn open(&self) -> usize {
        self.shared.seen().open
    }

    /// The heads of all HTTP/1 requests, in the order of their arrival.
    pub fn requests(&self) -> Vec<RequestHead> {
        self.shared.seen().requests.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl RequestHead {
    /// The path and query.
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    fn parse(head: &[u8]) -> io::Result<Self> {
        let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
        let line = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        Ok(Self { line, headers: Headers::parse(lines)? })
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.line, self.headers)
    }
}

#[derive(Debug)]
struct Shared {
    cuts: watch::Sender<Option<Cut>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    accepted: usize,
    open: usize,
    requests: Vec<RequestHead>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the connections, which ends them, when it is aborted.
async fn accept(listener: TcpListener, target: SocketAddr, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("an open listener accepts");
        {
            let mut seen = shared.seen();
            seen.accepted += 1;
            seen.open += 1;
        }
        let open = Open(Arc::clone(&shared));
        // Subscribed before the task runs: no later cut is missed.
        let cuts = shared.cuts.subscribe();
        connections.spawn(async move { forward(client, target, cuts, &open.0).await });
        while connections.try_join_next().is_some() {}
    }
}

/// A connection that counts as open.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.seen().open -= 1;
    }
}

async fn forward(
    mut client: TcpStream,
    target: SocketAddr,
    mut cuts: watch::Receiver<Option<Cut>>,
    shared: &Shared,
) {
    // The client sees a refused connection as one that is reset.
    let Ok(mut server) = Dial::to(target).connect().await else { return reset(client) };
    // Fails only on a connection that is over, which the first read tells as well.
    let _ = client.set_nodelay(true);
    let cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let mut requests = Requests::default();
        let up = pump(from_client, to_server, |bytes| {
            requests.read(bytes, |head| shared.seen().requests.push(head));
        });
        let down = pump(from_server, to_client, |_| {});
        tokio::select! {
            // The sender lives in `shared`.
            _ = cuts.changed() => cuts.borrow().unwrap_or(Cut::Fin),
            ended = async { tokio::try_join!(up, down) } => match ended {
                Ok(_) => Cut::Fin,
                Err(_) => Cut::Reset,
            },
        }
    };
    if cut == Cut::Reset {
        reset(client);
        reset(server);
    }
}

/// Copies to the end, which is passed on; a reset of either side is an error.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut look: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            length => {
                look(&buffer[..length]);
                to.write_all(&buffer[..length]).await?;
            }
        }
    }
}

/// Finds the heads in what a client sends.
#[derive(Default)]
struct Requests {
    pending: Vec<u8>,
    /// What is left of a request's body.
    body: usize,
    /// What follows is not HTTP/1 any more, or nothing that is understood here.
    over: bool,
}

impl Requests {
    fn read(&mut self, bytes: &[u8], mut found: impl FnMut(RequestHead)) {
        if self.over {
            return;
        }
        self.pending.extend_from_slice(bytes);
        loop {
            let body = self.body.min(self.pending.len());
            self.pending.drain(..body);
            self.body -= body;
            let Some(end) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") else {
                return;
            };
            let head: Vec<u8> = self.pending.drain(..end + 4).collect();
            let Ok(head) = RequestHead::parse(&head[..end]) else {
                self.over = true;
                return;
            };
            let length = head.headers.text("content-length");
            self.body = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            self.over = head.headers.get("upgrade").is_some()
                || head.headers.get("transfer-encoding").is_some();
            found(head);
            if self.over {
                return;
            }
        }
    }
}

const BUFFER_BYTES: usize = 16 * 1024;
