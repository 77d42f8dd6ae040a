//! Handshakes with admission on (origin, token, limits) and off, over real sockets.
//!
//! One unit of work is a whole connection: TCP, handshake, and TCP's end. Both servers run in this
//! process, on a thread each, and are measured in turn. The server's thread has one core for itself
//! and the clients another, so that connections per second are what the server can do; where the
//! system lets them share a core, the time that the server's thread itself was running still tells.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    reason = "a benchmark tells its figures"
)]

mod head;
mod ran;
mod side_by_side;

use std::{
    future::pending,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use futures_util::FutureExt;
use head::Head;
use jsonwebtoken::{EncodingKey, Header};
use realtime::{
    Authentication, Hub, OriginPolicy, Rate, TrustedProxies, driver,
    hyper::{WebSocketUpgrade, serve},
    jwt::Jwt,
};
use rustix::thread::{CpuSet, sched_setaffinity};
use socket2::SockRef;

const SECRET: &str = "a secret of at least thirty-two bytes";

/// A hub that lets everybody in.
fn open() -> Hub {
    let hub = Hub::builder().origin(OriginPolicy::dangerously_allow_any_origin());
    hub.limits(|limits| limits.handshakes_per_ip = Rate::per_second(u32::MAX))
        .build()
        .expect("valid")
}

/// A hub that looks at the origin, at who the client is behind its proxies, and at a token; its
/// limits are above what is measured.
fn guarded() -> Hub {
    let jwt = Jwt::hs256(SECRET).expect("a secret").issuer(["bench"]).audience(["bench"]);
    Hub::builder()
        .origin(OriginPolicy::allow(["https://*.example.com"]).expect("an origin"))
        .trusted_proxies(TrustedProxies::new(["10.0.0.0/8"]).expect("a network"))
        .authentication(Authentication::new(jwt).cookie("token"))
        .limits(|limits| {
            limits.handshakes_per_ip = Rate::per_second(1_000_000);
            limits.connections_per_subject = 1_000_000;
        })
        .build()
        .expect("valid")
}

struct Server {
    addr: SocketAddr,
    thread: ran::Thread,
    request: Vec<u8>,
}

/// Serves WebSockets of `hub` until the process ends.
fn start(hub: Hub) -> Server {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.set_nonblocking(true).expect("a listener that does not block");
    let addr = listener.local_addr().expect("its address");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        pin(SERVER_CORE);
        tell.send(ran::Thread::current()).expect("somebody asks");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let route_hub = hub.clone();
            let route = move |mut request| {
                let hub = route_hub.clone();
                async move { WebSocketUpgrade::from_request(&hub, &mut request).await?.stream("a") }
            };
            serve(listener, &hub, route, pending()).await.expect("a server");
        });
    });
    Server { addr, thread: told.recv().expect("a thread"), request: request(addr) }
}

/// Keeps this thread on one core; on a machine with one, everything shares it.
fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    if sched_setaffinity(None, &cores).is_err() {
        eprintln!("core {core} is not to be had: servers and clients share what there is");
    }
}

impl Server {
    /// Connects, is let in, and is gone, `handshakes` times; what one took by the clock, and of the
    /// server's time.
    fn measure(&self, handshakes: u32) -> Cost {
        let (began, ran) = (Instant::now(), self.thread.ran());
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    pin(CLIENT_CORE);
                    (0..handshakes / CLIENTS).for_each(|_| handshake(self.addr, &self.request));
                });
            }
        });
        let of_one = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(handshakes);
        Cost { clock: of_one(began.elapsed()), server: of_one(self.thread.ran() - ran) }
    }
}

/// Of one connection, in microseconds.
#[derive(Clone, Copy)]
struct Cost {
    clock: f64,
    server: f64,
}

/// The same request for both: who is not asked for a token ignores it.
fn request(addr: SocketAddr) -> Vec<u8> {
    format!(
        "GET / HTTP/1.1\r\nHost: {addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Origin: https://app.example.com\r\nUser-Agent: bench\r\nAccept-Language: en\r\n\
         Cookie: theme=dark; token={}\r\n\r\n",
        token()
    )
    .into_bytes()
}

fn token() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let claims = serde_json::json!({
        "sub": "alice", "iss": "bench", "aud": "bench",
        "exp": (now + Duration::from_secs(3600)).as_secs(),
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token")
}

/// Connects, is let in, and is gone.
fn handshake(addr: SocketAddr, request: &[u8]) {
    let mut socket = TcpStream::connect(addr).expect("a connection");
    // No port waits for the end of the last connection on it.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO)).expect("no lingering");
    socket.write_all(request).expect("sent");
    let mut answer = [0; 1024];
    let read = socket.read(&mut answer).expect("an answer");
    assert!(answer[..read].starts_with(b"HTTP/1.1 101"), "{}", answer[..read].escape_ascii());
}

fn head() -> Head {
    let headers = [
        ("host", "api.example.com".to_owned()),
        ("upgrade", "websocket".to_owned()),
        ("connection", "Upgrade".to_owned()),
        ("sec-websocket-version", "13".to_owned()),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".to_owned()),
        ("origin", "https://app.example.com".to_owned()),
        ("cookie", format!("theme=dark; token={}", token())),
    ];
    Head {
        headers: headers.map(|(name, value)| (name, value.into_bytes())).into(),
        peer: Some((Ipv4Addr::LOCALHOST, 1234).into()),
    }
}

/// Is let in and leaves, without a socket.
fn admit(hub: &Hub, head: &Head) {
    let admitted = driver::accept_websocket(hub, head).now_or_never();
    drop(admitted.expect("the token is checked at once").expect("let in"));
}

/// Each in turn, so that what disturbs one disturbs the other.
fn compare(open: &Server, guarded: &Server, rounds: usize, handshakes: u32) {
    let mut costs = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        costs[0].push(open.measure(handshakes));
        costs[1].push(guarded.measure(handshakes));
    }
    let median = |costs: &[Cost], part: fn(&Cost) -> f64| {
        let mut parts: Vec<_> = costs.iter().map(part).collect();
        parts.sort_by(f64::total_cmp);
        parts[parts.len() / 2]
    };
    for (what, part) in [
        ("connections per second", (|it| it.clock) as fn(&Cost) -> f64),
        ("connections per second of the server's time", |it| it.server),
    ] {
        let [open, guarded] = costs.each_ref().map(|costs| 1e6 / median(costs, part));
        println!(
            "{what:<44} open {open:>9.0}      guarded {guarded:>9.0}      guarded/open {:>6.3}",
            guarded / open
        );
    }
}

fn main() {
    let is_quick = std::env::args().any(|it| it == "--test");
    let (rounds, handshakes) = if is_quick { (1, 40) } else { (21, 4_000) };
    println!("\nhandshakes, medians of {rounds} rounds of {handshakes}, in turn:");
    let (open_server, guarded_server) = (start(open()), start(guarded()));
    // What is allocated once is, and the first connections are slower.
    open_server.measure(handshakes);
    guarded_server.measure(handshakes);
    compare(&open_server, &guarded_server, rounds, handshakes);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let (open, guarded, head) = (open(), guarded(), head());
    side_by_side::compare(
        "admission alone",
        1,
        ("open", &mut |times| (0..times).for_each(|_| admit(&open, &head))),
        ("guarded", &mut |times| (0..times).for_each(|_| admit(&guarded, &head))),
    );
}

const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;
/// So that the server never waits for one.
const CLIENTS: u32 = 4;
