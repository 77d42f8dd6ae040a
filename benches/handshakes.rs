//! Handshakes with admission on (origin, token, limits) and off, over real sockets.
//!
//! One unit of work is a whole connection: TCP, handshake, and TCP's end. Both servers run in this
//! process, on a thread each, and are measured in turn.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark tells its figures")]

mod side_by_side;

use std::{
    future::pending,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::{Duration, SystemTime},
};

use criterion::{Criterion, criterion_group};
use futures_util::FutureExt;
use jsonwebtoken::{EncodingKey, Header};
use realtime::{
    Authentication, HttpVersion, Hub, OriginPolicy, Rate, RequestHead, TrustedProxies, driver,
    hyper::{WebSocketUpgrade, serve},
    jwt::Jwt,
};
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

/// Serves WebSockets of `hub` until the process ends.
fn start(hub: Hub) -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.set_nonblocking(true).expect("a listener that does not block");
    let addr = listener.local_addr().expect("its address");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    thread::spawn(move || {
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
    addr
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

/// A request's head without a framework.
struct Head {
    headers: Vec<(&'static str, Vec<u8>)>,
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }

    fn version(&self) -> HttpVersion {
        HttpVersion::Http11
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(it, _)| *it == name).map(|(_, value)| &value[..])
    }

    fn bytes(&self) -> usize {
        self.headers.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        Some((Ipv4Addr::LOCALHOST, 1234).into())
    }
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
    Head { headers: headers.map(|(name, value)| (name, value.into_bytes())).into() }
}

/// Is let in and leaves, without a socket.
fn admit(hub: &Hub, head: &Head) {
    let admitted = driver::accept_websocket(hub, head).now_or_never();
    drop(admitted.expect("the token is checked at once").expect("let in"));
}

fn handshakes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshakes");
    for (name, hub) in [("open", open()), ("guarded", guarded())] {
        let addr = start(hub);
        let request = request(addr);
        group.bench_function(name, |b| b.iter(|| handshake(addr, &request)));
    }
}

criterion_group!(benches, handshakes);

fn main() {
    benches();
    println!("\nper handshake, in turn in one run:");
    let (open_at, guarded_at) = (start(open()), start(guarded()));
    let (open_request, guarded_request) = (request(open_at), request(guarded_at));
    side_by_side::compare(
        "connect, be let in, leave",
        1,
        ("open", &mut |times| (0..times).for_each(|_| handshake(open_at, &open_request))),
        ("guarded", &mut |times| (0..times).for_each(|_| handshake(guarded_at, &guarded_request))),
    );
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
    Criterion::default().configure_from_args().final_summary();
}
