//! One request after another on the same connection.

use std::io;

use tokio::{net::TcpStream, time::timeout_at};

use super::{End, Incoming, Request, Response};
use crate::{
    deadline::{DEADLINE, deadline},
    net::Dial,
    transcript::preview,
};

/// A client that keeps its connection for the next request, as far as the server lets it.
///
/// Many requests would else leave as many ports behind that wait for their time to pass.
#[derive(Debug)]
pub struct KeepAlive {
    dial: Dial,
    stream: Option<TcpStream>,
}

impl KeepAlive {
    /// A client that connects with its first request.
    pub fn new(dial: impl Into<Dial>) -> Self {
        Self { dial: dial.into(), stream: None }
    }

    /// Sends a request and reads the whole response; the body of a 101 is empty, and ends the
    /// connection.
    ///
    /// # Panics
    ///
    /// When the server can't be reached, answers with no or a malformed response, or takes too long.
    pub async fn exchange(&mut self, request: &Request) -> Response {
        let wire = request.bytes();
        // The server may have closed what was kept.
        if let Some(stream) = self.stream.take()
            && let Ok(response) = self.exchange_on(stream, &wire).await
        {
            return response;
        }
        let connecting = timeout_at(deadline(), self.dial.connect());
        let stream = connecting.await.expect("a connection in time").expect("a connection");
        self.exchange_on(stream, &wire).await.unwrap_or_else(|error| {
            panic!("no response: {error}\nrequest: {}", preview(&wire));
        })
    }

    async fn exchange_on(&mut self, stream: TcpStream, wire: &[u8]) -> io::Result<Response> {
        let deadline = deadline();
        let mut incoming = Incoming::on(stream, wire).await?;
        while incoming.end.is_none() {
            if timeout_at(deadline, incoming.fill()).await.is_err() {
                panic!("response body still open after {DEADLINE:?}\n{}", incoming.describe());
            }
        }
        let (response, stream, _) = incoming.into_parts();
        let is_kept = response.status != 101
            && response.end == End::Clean
            && !response.headers.lists("connection", "close");
        self.stream = is_kept.then_some(stream);
        Ok(response)
    }
}
