//! The WebSocket peer against servers that break the rules, or the connection.

#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::{net::SocketAddr, time::Duration};

use common::{panic_of, read_head, reset, serve};
use realtime_testkit::{
    Dial,
    ws::{self, Flood, Frame, Peer, Received},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

#[tokio::test]
async fn puts_fragments_together_around_control_frames() {
    let mut peer = served(b"\x01\x02\xc3\xa9\x89\x01p\x00\x00\x80\x01!\x82\x01b\x88\x00").await;
    assert_eq!(peer.expect_ping().await, b"p");
    peer.expect_text("é!").await;
    peer.expect_binary(b"b").await;
    assert_eq!(peer.recv().await, Received::Close(None));
    peer.expect_eof().await;
}

#[tokio::test]
async fn receives_frames_that_come_with_the_101() {
    let (addr, _server) = serve(|mut stream| async move {
        let head = read_head(&mut stream).await;
        stream.write_all(&[&switching(&head), b"\x81\x02hi".as_slice()].concat()).await.unwrap();
    })
    .await;
    let mut peer = Peer::connect(addr, "/", &[]).await;
    peer.expect_text("hi").await;
    peer.expect_eof().await;
}

#[tokio::test]
async fn fails_on_what_a_server_must_not_send() {
    let too_long_ping = [b"\x89\x7e\x00\x7e".as_slice(), &[0; 126]].concat();
    let cases: [(&[u8], &str); 16] = [
        (b"\x81\x81\0\0\0\0a", "masked by a server"),
        (b"\xc1\x01a", "reserved bits"),
        (b"\x83\x00", "unknown opcode"),
        (b"\x8b\x00", "unknown opcode"),
        (b"\x81\x7e\x00\x01a", "minimal form"),
        (b"\x81\x7f\0\0\0\0\0\0\0\x01a", "minimal form"),
        (b"\x81\x7f\x80\0\0\0\0\0\0\0", "first bit"),
        (b"\x09\x00", "fragmented control frame"),
        (&too_long_ping, "more than 125 bytes"),
        (b"\x80\x01a", "continuation of nothing"),
        (b"\x01\x01a\x81\x01b", "inside a fragmented one"),
        (b"\x81\x01\xff", "not UTF-8"),
        (b"\x88\x01\x03", "close payload of 1 byte"),
        (b"\x88\x02\x03\xed", "close code 1005"),
        (b"\x88\x03\x03\xe8\xff", "not UTF-8"),
        (b"\x88\x00\x81\x00", "after the close frame"),
    ];
    for (wire, wrong) in cases {
        let mut peer = served(wire).await;
        let message = panic_of(async move {
            while !matches!(peer.recv().await, Received::Eof | Received::Cut) {}
        })
        .await;
        assert!(message.contains("broke the protocol"), "{wire:02x?}: {message}");
        assert!(message.contains(wrong), "{wire:02x?}: {message}");
    }
}

#[tokio::test]
async fn fails_on_a_wrong_101() {
    let cases = [
        ("", "Sec-WebSocket-Accept: AAAA\r\n", "wrong `Sec-WebSocket-Accept`"),
        ("Sec-WebSocket-Accept", "", "wrong `Sec-WebSocket-Accept`"),
        ("Upgrade", "", "no `Upgrade: websocket`"),
        ("Connection", "", "no `Connection: upgrade`"),
        ("", "Sec-WebSocket-Protocol: chat\r\n", "not offered"),
        ("", "Sec-WebSocket-Extensions: permessage-deflate\r\n", "an extension"),
        ("", "Transfer-Encoding: chunked\r\n", "announces a body"),
    ];
    for (without, with, wrong) in cases {
        let (addr, _server) = serve(move |mut stream| async move {
            let head = read_head(&mut stream).await;
            let right = String::from_utf8(switching(&head)).unwrap();
            let mut lines: Vec<_> = right.split_inclusive("\r\n").collect();
            lines.retain(|line| without.is_empty() || !line.starts_with(without));
            lines.insert(1, with);
            stream.write_all(lines.concat().as_bytes()).await.unwrap();
        })
        .await;
        let message = panic_of(async move { Peer::connect(addr, "/", &[]).await }).await;
        assert!(message.contains("wrong 101") && message.contains(wrong), "{wrong}: {message}");
    }
}

#[tokio::test]
async fn tells_how_the_connection_ended() {
    assert_eq!(served(b"").await.expect_end().await, Received::Eof);
    assert_eq!(served(b"\x81\x05hel").await.expect_end().await, Received::Cut);

    let (addr, _server) = after_handshake(|mut stream| async move {
        stream.read_u8().await.unwrap();
        reset(stream);
    })
    .await;
    let mut peer = Peer::connect(addr, "/", &[]).await;
    peer.send_raw(b"x").await;
    assert_eq!(peer.expect_end().await, Received::Reset);
    peer.send_text("into the void").await;
    assert_eq!(peer.recv().await, Received::Reset);
}

#[tokio::test]
async fn a_reset_that_a_write_noticed_is_still_a_reset() {
    let (addr, server) = after_handshake(|stream| async move { reset(stream) }).await;
    let mut peer = Peer::connect(addr, "/", &[]).await;
    server.await.unwrap();
    peer.send_text("first notices").await;
    peer.send_text("second too").await;
    assert_eq!(peer.recv().await, Received::Reset);
}

#[tokio::test]
async fn ends_the_connection_as_told() {
    let (addr, server) = after_handshake(|mut stream| async move {
        let fin = stream.read(&mut [0]).await.map_err(|error| error.kind());
        stream.write_all(b"\x81\x00").await.unwrap();
        fin
    })
    .await;
    let mut peer = Peer::connect(addr, "/", &[]).await;
    peer.close_fin().await;
    peer.expect_text("").await;
    assert_eq!(server.await.unwrap(), Ok(0));

    let (addr, server) = after_handshake(|mut stream| async move {
        stream.read(&mut [0]).await.map_err(|error| error.kind())
    })
    .await;
    Peer::connect(addr, "/", &[]).await.reset();
    assert_eq!(server.await.unwrap(), Err(std::io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn sends_single_bytes_apart() {
    let frame = Frame::text("0123456789");
    let wire = frame.to_bytes();
    let length = wire.len();
    let (addr, server) = after_handshake(move |mut stream| async move {
        let (mut got, mut reads) = (Vec::new(), 0);
        while got.len() < length {
            stream.read_buf(&mut got).await.unwrap();
            reads += 1;
        }
        (got, reads)
    })
    .await;
    let mut peer = Peer::connect(addr, "/", &[]).await;
    peer.one_byte_at_a_time(true);
    peer.send_frame(frame).await;
    let (got, reads) = server.await.unwrap();
    assert_eq!(got, wire);
    assert!(reads > length / 2, "{length} bytes came in {reads} reads");
}

#[tokio::test]
async fn sends_frames_in_the_segment_of_the_handshake() {
    let (addr, server) = serve(|mut stream| async move {
        let mut first = vec![0; 4096];
        let length = stream.read(&mut first).await.unwrap();
        let first = first[..length].to_vec();
        stream.write_all(&switching(&String::from_utf8_lossy(&first))).await.unwrap();
        first
    })
    .await;
    let frame = Frame::text("early").unmasked().to_bytes();
    let peer = Peer::handshake_with_trailing(addr, "/", &[("Origin", "null")], &frame).await;
    assert!(peer.is_ok());
    let first = server.await.unwrap();
    assert!(first.ends_with(b"Origin: null\r\n\r\n\x81\x05early"), "{}", first.escape_ascii());
}

#[tokio::test]
async fn a_flood_stops_where_the_server_does() {
    let patience = Duration::from_millis(200);
    let (close, closed) = oneshot::channel::<()>();
    let (addr, server) = after_handshake(|stream| async move {
        let _ = closed.await;
        reset(stream);
    })
    .await;
    let mut peer = Peer::connect(addr, "/", &[]).await;
    assert_eq!(peer.flood(&[0; 100], patience).await, Flood::Sent);
    let outcome = peer.flood(&vec![0; 64 << 20], patience).await;
    assert!(matches!(outcome, Flood::Blocked(1_000..=60_000_000)), "{outcome:?}");
    close.send(()).unwrap();
    server.await.unwrap();
    assert_eq!(peer.flood(&[0], patience).await, Flood::Closed(0));
    assert_eq!(peer.expect_end().await, Received::Reset);
}

#[tokio::test]
async fn a_small_receive_buffer_holds_the_server_up() {
    let (addr, server) = after_handshake(|mut stream| async move {
        let frame = [b"\x82\x7e\x03\xe8".as_slice(), &[7; 1000]].concat();
        let mut frames = 0;
        let patience = Duration::from_millis(200);
        while tokio::time::timeout(patience, stream.write_all(&frame)).await.is_ok() {
            frames += 1;
        }
        frames
    })
    .await;
    let dial = Dial::to(addr).recv_buffer(2048);
    let mut peer = Peer::open(dial, &ws::request(dial, "/")).await.unwrap();
    let frames = server.await.unwrap();
    for _ in 0..frames {
        peer.expect_binary(&[7; 1000]).await;
    }
    peer.expect_end().await;
    assert!(frames < 8_000, "{frames} KB before the server was held up");
}

#[tokio::test]
async fn gives_up_at_the_deadline_with_the_transcript() {
    let (release, held) = oneshot::channel::<()>();
    let (addr, _server) = after_handshake(|stream| async move {
        let _ = held.await;
        drop(stream);
    })
    .await;
    let mut peer = Peer::connect(addr, "/here", &[]).await;
    peer.send_text("anyone?").await;
    tokio::time::pause();
    let message = panic_of(async move { peer.recv().await }).await;
    for part in ["nothing received within 10s", "GET /here HTTP/1.1", "got  101", "anyone?"] {
        assert!(message.contains(part), "{message}");
    }
    drop(release);
}

#[tokio::test]
async fn an_expectation_that_fails_shows_both_sides() {
    let mut peer = served(b"\x81\x01a").await;
    let message = panic_of(async move { peer.expect_text("b").await }).await;
    assert!(message.starts_with("expected text \"b\" (1 bytes), got text \"a\""), "{message}");
    let mut peer = served(b"\x88\x05\x03\xf5why").await;
    let message = panic_of(async move { peer.expect_close(1000).await }).await;
    assert!(message.starts_with("expected close 1000, got close 1013 \"why\""), "{message}");
}

#[tokio::test]
async fn connect_shows_the_refusal() {
    let refusal = "HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nwho";
    let (addr, _server) = common::answer(refusal).await;
    let message = panic_of(async move { Peer::connect(addr, "/", &[]).await }).await;
    assert!(message.contains("refused") && message.contains("401"), "{message}");
}

/// A peer of a server that sends these bytes and FIN.
async fn served(wire: &[u8]) -> Peer {
    let wire = wire.to_vec();
    let (addr, _server) =
        after_handshake(|mut stream| async move { stream.write_all(&wire).await.unwrap() }).await;
    Peer::connect(addr, "/", &[]).await
}

async fn after_handshake<T: Send + 'static, F>(
    script: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, JoinHandle<T>)
where
    F: Future<Output = T> + Send,
{
    serve(|mut stream| async move {
        let head = read_head(&mut stream).await;
        stream.write_all(&switching(&head)).await.unwrap();
        script(stream).await
    })
    .await
}

/// The right answer to this request head.
fn switching(head: &str) -> Vec<u8> {
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}
