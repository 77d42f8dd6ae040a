//! The streaming client against scripted servers.

#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::{io::ErrorKind, time::Duration};

use common::{answer, panic_of, read_head, reset, serve};
use realtime_testkit::{
    Dial,
    http::End,
    sse::{Client, Event},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    time::timeout,
};

const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn reads_events_out_of_chunks() {
    let wire = format!(
        "{CHUNKED}9\r\nretry: 7\n\r\n1\r\n\n\r\n8\r\ndata: a\n\r\nB\r\n\nid:1\n\n: c\n\r\n0\r\n\r\n"
    );
    let (addr, head) = answer(wire).await;
    let mut client = Client::connect(addr, "/events?x=1", &[("Last-Event-ID", "é")]).await.unwrap();
    assert_eq!(
        (client.status, client.headers.text("content-type")),
        (200, Some("text/event-stream"))
    );
    let event = client.expect_event().await;
    assert_eq!(event, Event { event: "message".into(), data: "a".into(), ..Event::default() });
    assert_eq!(client.expect_end().await, End::Clean);
    assert_eq!(client.raw_body(), b"retry: 7\n\ndata: a\n\nid:1\n\n: c\n");
    assert_eq!((client.retry(), client.last_event_id()), (Some(7), "1"));
    assert_eq!(client.parser().comments(), 1);
    assert_eq!(client.next_event().await, None);
    client.wait_closed().await;

    let head = head.await.unwrap();
    assert!(head.starts_with("GET /events?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("Host: {addr}\r\n")), "{head}");
    assert!(head.contains("Accept: text/event-stream\r\nLast-Event-ID: é\r\n"), "{head}");
}

#[tokio::test]
async fn tells_how_the_stream_ended() {
    let (addr, _) = answer("HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n").await;
    let mut client = Client::connect(addr, "/", &[]).await.unwrap();
    assert_eq!(client.read_to_end().await, End::Clean);
    assert_eq!(client.take_events().len(), 1);

    let (addr, _) = answer(format!("{CHUNKED}9\r\ndata: 1\n\n\r\n")).await;
    let mut client = Client::connect(addr, "/", &[]).await.unwrap();
    assert_eq!(client.expect_event().await.data, "1");
    assert_eq!(client.expect_end().await, End::Cut);

    let (addr, _) = serve(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(CHUNKED.as_bytes()).await.unwrap();
        stream.write_all(b"9\r\ndata: 1\n\n\r\n").await.unwrap();
        stream.read_u8().await.unwrap_err();
        reset(stream);
    })
    .await;
    let mut client = Client::connect(addr, "/", &[]).await.unwrap();
    client.read_until(|raw| raw == b"data: 1\n\n").await;
    client.half_close().await;
    assert_eq!(client.read_to_end().await, End::Reset);
    assert_eq!(client.take_events().len(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_server_up() {
    let (addr, server) = serve(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let written = write_until_blocked(&mut stream, b"data: 0123456789\n\n").await;
        (written, stream)
    })
    .await;
    let mut client = Client::connect(Dial::to(addr).recv_buffer(2048), "/", &[]).await.unwrap();
    let (written, stream) = server.await.unwrap();
    drop(stream);
    client.read_to_end().await;
    assert_eq!(client.raw_body().len(), written);
    assert!(written < 8 << 20, "{written} bytes before the server was held up");
}

#[tokio::test]
async fn ends_the_connection_as_told() {
    let (addr, server) = serve(read_end).await;
    client_after_head(addr).await.close().await;
    assert_eq!(server.await.unwrap(), Ok(0));

    let (addr, server) = serve(read_end).await;
    client_after_head(addr).await.reset();
    assert_eq!(server.await.unwrap(), Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn gives_up_at_the_deadline_and_shows_what_came() {
    let (release, held) = oneshot::channel::<()>();
    let (addr, _server) = serve(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\ndata: half").await.unwrap();
        let _ = held.await;
    })
    .await;
    let mut client = Client::connect(addr, "/", &[]).await.unwrap();
    client.read_until(|raw| raw == b"data: half").await;
    tokio::time::pause();
    let message = panic_of(async move { client.next_event().await }).await;
    assert!(message.contains("waited 10s for an event"), "{message}");
    assert!(message.contains("data: half"), "{message}");
    drop(release);
}

#[tokio::test]
async fn an_expectation_that_fails_shows_what_came() {
    let (addr, _) = answer("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno").await;
    let mut client = Client::connect(addr, "/", &[]).await.unwrap();
    let message = panic_of(async move { client.expect_event().await }).await;
    assert!(message.contains("503 Busy") && message.contains("\"no\""), "{message}");
}

async fn client_after_head(addr: std::net::SocketAddr) -> Client {
    Client::connect(addr, "/", &[]).await.unwrap()
}

/// Answers with a head and tells what the next read brings.
async fn read_end(mut stream: TcpStream) -> Result<usize, ErrorKind> {
    read_head(&mut stream).await;
    stream.write_all(CHUNKED.as_bytes()).await.unwrap();
    stream.read(&mut [0]).await.map_err(|error| error.kind())
}

/// Repeats `piece` until the client has taken nothing for a while.
async fn write_until_blocked(stream: &mut TcpStream, piece: &[u8]) -> usize {
    let pieces = piece.repeat(1024);
    let mut written = 0;
    loop {
        match timeout(Duration::from_millis(200), stream.write(&pieces)).await {
            Ok(length) => written += length.unwrap(),
            Err(_) => return written,
        }
    }
}
