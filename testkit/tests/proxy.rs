//! The proxy between a scripted client and a scripted server.

#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::io::ErrorKind;

use common::{answer, read_head, serve};
use realtime_testkit::{
    http::{Request, exchange},
    proxy::{Cut, Proxy},
    wait,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

#[tokio::test]
async fn passes_bytes_and_the_end_on() {
    let (server, head) = answer("HTTP/1.1 200 OK\r\n\r\nuntil FIN").await;
    let proxy = Proxy::to(server).await;
    let request = Request::get("/a?b").header("X-C", "d").bytes();
    assert_eq!(exchange(proxy.addr(), &request).await.text(), "until FIN");
    assert_eq!(head.await.unwrap().as_bytes(), request);
    wait::until("the connection is over", || proxy.open() == 0).await;
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn cuts_what_is_open_and_accepts_again() {
    for cut in [Cut::Fin, Cut::Reset] {
        let (server, _) = serve(|mut server| async move {
            server.write_all(b"hello").await.unwrap();
            server.read_u8().await
        })
        .await;
        let proxy = Proxy::to(server).await;
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        let mut hello = [0; 5];
        client.read_exact(&mut hello).await.unwrap();
        assert_eq!(proxy.open(), 1);

        proxy.cut(cut);
        let end = client.read(&mut hello).await;
        match cut {
            Cut::Fin => assert_eq!(end.unwrap(), 0),
            Cut::Reset => assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset),
        }
        wait::until("the connection is over", || proxy.open() == 0).await;
        TcpStream::connect(proxy.addr()).await.unwrap();
        wait::until("another is accepted", || proxy.accepted() == 2).await;
    }
}

#[tokio::test]
async fn remembers_each_head_of_a_connection() {
    let (server, _) = serve(|mut server| async move {
        read_head(&mut server).await;
        server.read_to_end(&mut Vec::new()).await.unwrap();
    })
    .await;
    let proxy = Proxy::to(server).await;
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let wire = "POST /1 HTTP/1.1\r\nContent-Length: 6\r\n\r\nA\r\n\r\nBGET /2 HTTP/1.1\r\nX: y\r\n\r\n\
                GET /3 HTTP/1.1\r\nUpgrade: websocket\r\n\r\nGET /4 HTTP/1.1\r\n\r\n";
    for part in wire.as_bytes().chunks(7) {
        client.write_all(part).await.unwrap();
    }
    client.shutdown().await.unwrap();
    wait::until("all has passed", || proxy.accepted() == 1 && proxy.open() == 0).await;
    let requests = proxy.requests();
    assert_eq!(requests.iter().map(|it| it.target()).collect::<Vec<_>>(), ["/1", "/2", "/3"]);
    assert_eq!(requests[1].headers.text("x"), Some("y"));
}

#[tokio::test]
async fn a_refused_server_is_a_reset() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Proxy::to(gone).await;
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(client.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}
