//! Servers of a few lines that play the other side.

#![allow(dead_code, clippy::unwrap_used, reason = "test code, shared by several test binaries")]

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Plays `script` with the first client, on a free port.
pub(crate) async fn serve<T: Send + 'static, F>(
    script: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, JoinHandle<T>)
where
    F: Future<Output = T> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let script = async move { script(listener.accept().await.unwrap().0).await };
    (addr, tokio::spawn(script))
}

/// Reads a request head, writes `wire`, sends FIN, and returns the head.
pub(crate) async fn answer(wire: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<String>) {
    let wire = wire.into();
    serve(|mut stream| async move {
        let head = read_head(&mut stream).await;
        stream.write_all(&wire).await.unwrap();
        head
    })
    .await
}

/// Reads up to the empty line, and nothing beyond it.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Closes with RST.
pub(crate) fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// The message of the panic that ends this future.
pub(crate) async fn panic_of<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> String {
    match tokio::spawn(future).await {
        Ok(_) => String::from("no panic"),
        Err(error) => match error.into_panic().downcast::<String>() {
            Ok(message) => *message,
            Err(_) => String::from("a panic without a formatted message"),
        },
    }
}
