//! The WebSocket peer against an independent server.

#![allow(clippy::unwrap_used, clippy::result_large_err, reason = "test code")]

mod common;

use std::net::SocketAddr;

use common::serve;
use futures_util::{SinkExt as _, StreamExt as _};
use realtime_testkit::{
    http, ws,
    ws::{Frame, LengthForm, Peer, Received, opcode},
};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_tungstenite::{
    accept_async, accept_hdr_async,
    tungstenite::{
        Error, Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

#[tokio::test]
async fn talks_in_whole_messages() {
    let (addr, server) = serve(echo).await;
    let mut peer = Peer::connect(addr, "/", &[]).await;
    peer.send_text("héllo").await;
    peer.expect_text("héllo").await;
    peer.send_binary(&[0, 255]).await;
    peer.expect_binary(&[0, 255]).await;
    peer.send_ping(b"p").await;
    peer.expect_pong(b"p").await;
    peer.send_pong(b"nobody asked").await;
    peer.send_close(1000, "bye").await;
    assert_eq!(peer.expect_close(1000).await, "bye");
    peer.expect_eof().await;
    peer.expect_eof().await;
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn round_trips_every_length_form() {
    let (addr, _server) = serve(echo).await;
    let mut peer = Peer::connect(addr, "/", &[]).await;
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 300_000] {
        let payload: Vec<u8> = (0..length).map(|_| fastrand::u8(..)).collect();
        peer.send_binary(&payload).await;
        peer.expect_binary(&payload).await;
    }
}

#[tokio::test]
async fn talks_in_fragments_and_single_bytes() {
    let (addr, _server) = serve(echo).await;
    let mut peer = Peer::connect(addr, "/", &[]).await;
    for bytewise in [false, true] {
        peer.one_byte_at_a_time(bytewise);
        peer.send_frame(Frame::text("a").fin(false)).await;
        peer.send_frame(Frame::continuation("b").fin(false)).await;
        peer.send_ping(b"between").await;
        peer.send_frame(Frame::continuation("c")).await;
        peer.expect_pong(b"between").await;
        peer.expect_text("abc").await;
    }
}

#[tokio::test]
async fn breaks_the_rules_when_told() {
    let cases = [
        (Frame::text("x").unmasked(), "unmasked frame"),
        (Frame::text("x").rsv(0b100), "Reserved bits are non-zero"),
        (Frame::new(3, "x"), "invalid opcode: 3"),
        (Frame::ping("").fin(false), "Fragmented control frame"),
        (Frame::ping([0; 126]), "Control frame too big"),
        (Frame::continuation("x"), "Continue frame but nothing to continue"),
        (Frame::text([0xff]), "UTF-8"),
        (Frame::new(opcode::CLOSE, [3]), "Invalid close sequence"),
        (Frame::binary("").length_form(LengthForm::Claim(1 << 40)), "1099511627776"),
    ];
    for (frame, expected) in cases {
        let (addr, server) = serve(echo).await;
        let mut peer = Peer::connect(addr, "/", &[]).await;
        let name = frame.to_string();
        peer.send_frame(frame).await;
        let error = server.await.unwrap().unwrap_err().to_string();
        assert!(error.to_lowercase().contains(&expected.to_lowercase()), "{name}: {error}");
        peer.expect_end().await;
    }
}

#[tokio::test]
async fn empty_closes_and_pings_of_the_server() {
    let (addr, _server) = serve(|stream| async move {
        let mut socket = accept_async(stream).await.unwrap();
        socket.send(Message::Ping("1".into())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("1".into()));
        socket.send(Message::Ping("2".into())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("2".into()));
        socket.close(None).await.unwrap();
        while socket.next().await.is_some() {}
    })
    .await;
    let mut peer = Peer::connect(addr, "/", &[]).await;
    let payload = peer.expect_ping().await;
    peer.send_pong(&payload).await;
    peer.answer_pings(true);
    assert_eq!(peer.recv().await, Received::Close(None));
    peer.send_empty_close().await;
    peer.expect_eof().await;
}

#[tokio::test]
async fn negotiates_a_subprotocol() {
    let (addr, _server) = accept_with(|request, mut response| {
        let offered = request.headers()["sec-websocket-protocol"].to_str().unwrap();
        assert_eq!((request.uri().path(), offered), ("/chat", "a, b"));
        response.headers_mut().insert("sec-websocket-protocol", "b".parse().unwrap());
        Ok(response)
    })
    .await;
    let peer = Peer::connect(addr, "/chat", &[("Sec-WebSocket-Protocol", "a, b")]).await;
    assert_eq!(peer.response().header("sec-websocket-protocol"), Some("b"));
}

#[tokio::test]
async fn returns_the_response_that_refuses() {
    let (addr, _server) = accept_with(|_, _| {
        let mut refusal = ErrorResponse::new(Some("not you".into()));
        *refusal.status_mut() = "403".parse().unwrap();
        Err(refusal)
    })
    .await;
    let refusal = Peer::handshake(addr, "/", &[]).await.unwrap_err();
    assert_eq!((refusal.status, refusal.text().as_str()), (403, "not you"));
}

#[tokio::test]
async fn a_right_request_can_be_made_wrong() {
    let (addr, server) = serve(|stream| async { accept_async(stream).await.map(drop) }).await;
    let request = ws::request(addr, "/").without("Sec-WebSocket-Key");
    let _ = http::try_exchange(addr, request.bytes()).await;
    let error = server.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("Sec-WebSocket-Key"), "{error}");
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn accept_with(
    callback: fn(&Request, Response) -> Result<Response, ErrorResponse>,
) -> (SocketAddr, JoinHandle<()>) {
    serve(move |stream| async move {
        if let Ok(mut socket) = accept_hdr_async(stream, callback).await {
            while socket.next().await.is_some() {}
        }
    })
    .await
}
