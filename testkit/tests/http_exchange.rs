//! Single requests against scripted servers.

#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::io::ErrorKind;

use common::{answer, panic_of, read_head, reset, serve};
use realtime_testkit::{
    Dial,
    http::{End, Request, exchange, try_exchange},
};
use tokio::io::AsyncWriteExt as _;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn reads_a_body_of_known_length() {
    let (addr, head) = answer(
        "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version:  13 \r\nX-A: 1\r\nx-a: 2\r\n\
         Content-Length: 2\r\n\r\nhi",
    )
    .await;
    let response = exchange(addr, GET).await;
    assert_eq!((response.status, response.reason.as_str()), (426, "Upgrade Required"));
    assert_eq!((response.text().as_str(), response.end), ("hi", End::Clean));
    assert_eq!(response.header("SEC-WEBSOCKET-VERSION"), Some("13"));
    assert_eq!(response.headers.all("X-A").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(response.headers.iter().map(|(name, _)| name).next(), Some("sec-websocket-version"));
    assert_eq!(head.await.unwrap().as_bytes(), GET);
}

#[tokio::test]
async fn takes_every_framing_of_the_body() {
    let cases = [
        ("HTTP/1.1 200 OK\r\n\r\nuntil FIN", "until FIN", End::Clean),
        ("HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", "", End::Clean),
        ("HTTP/1.1 204\r\n\r\n", "", End::Clean),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 400 No\r\nContent-Length: 1\r\n\r\nx",
            "x",
            End::Clean,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", "cut", End::Cut),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
            "abc0123456789",
            End::Clean,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "abc", End::Cut),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", "ab", End::Cut),
    ];
    for (wire, body, end) in cases {
        let response = exchange(answer(wire).await.0, GET).await;
        assert_eq!((response.text().as_str(), response.end), (body, end), "{wire}");
    }
}

#[tokio::test]
async fn a_head_response_has_no_body() {
    let (addr, _) = answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
    let response = exchange(addr, Request::get("/").method("HEAD").bytes()).await;
    assert_eq!((response.body.len(), response.end), (0, End::Clean));
}

#[tokio::test]
async fn refuses_what_is_not_http() {
    let cases = [
        "SSH-2.0\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nspace : x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
    ];
    for wire in cases {
        let error = try_exchange(answer(wire).await.0, GET).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{wire}: {error}");
    }
}

#[tokio::test]
async fn panics_on_a_broken_body() {
    for chunks in ["x\r\n", "1\r\nab\r\n", "0\r\n\r\nmore"] {
        let (addr, _) = serve(move |mut stream| async move {
            read_head(&mut stream).await;
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head).await.unwrap();
            stream.write_all(chunks.as_bytes()).await.unwrap();
        })
        .await;
        // The broken chunk comes with the head or after it, as the kernel likes.
        let message = panic_of(exchange(addr, GET)).await;
        assert!(message.contains("malformed response"), "{message}");
    }
}

#[tokio::test]
async fn tells_how_a_server_ended_without_a_response() {
    let (addr, _) = answer("HTTP/1.1 200").await;
    assert_eq!(try_exchange(addr, GET).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);

    let (addr, _) = serve(|mut stream| async move {
        read_head(&mut stream).await;
        reset(stream);
    })
    .await;
    assert_eq!(try_exchange(addr, GET).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn gets_the_answer_of_a_server_that_does_not_read_on() {
    let (addr, _server) = serve(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        // Held open, and the megabytes unread.
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let request = Request::get("/").body(vec![b'x'; 64 << 20]);
    assert_eq!(exchange(addr, request.bytes()).await.status, 413);
}

#[tokio::test]
async fn gives_up_at_the_deadline_and_shows_what_came() {
    let (addr, _server) = serve(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nPart").await.unwrap();
        tokio::time::pause();
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let message = panic_of(exchange(addr, GET)).await;
    assert!(message.contains("no response head"), "{message}");
    assert!(message.contains("GET / HTTP/1.1"), "{message}");
}

#[tokio::test]
async fn dials_from_another_address() {
    let (addr, server) = serve(|stream| async move { stream.peer_addr().unwrap().ip() }).await;
    let ip = "127.0.0.2".parse().unwrap();
    let _ = try_exchange(Dial::to(addr).from_ip(ip), GET).await;
    assert_eq!(server.await.unwrap(), ip);
}

#[test]
fn writes_requests() {
    let request = Request::get("/a?b")
        .header("Host", "h")
        .header("X", "1")
        .header("x", "2")
        .set(&[("X", "3"), ("Y", "4"), ("X", "5")])
        .version("HTTP/1.0")
        .body("tail");
    let wire = "GET /a?b HTTP/1.0\r\nHost: h\r\nX: 3\r\nY: 4\r\nX: 5\r\n\r\ntail";
    assert_eq!(String::from_utf8(request.bytes()).unwrap(), wire);
    let wire = "GET /a?b HTTP/1.0\r\nHost: h\r\nY: 4\r\n\r\ntail";
    assert_eq!(String::from_utf8(request.without("x").bytes()).unwrap(), wire);
}
