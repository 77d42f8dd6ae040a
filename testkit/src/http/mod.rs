//! One raw HTTP/1.1 request, one parsed response.
//!
//! The request may be any bytes. [`Request`] writes a right one from which single things can be
//! taken away or changed.

mod body;
mod head;
mod incoming;
mod keep_alive;
mod request;

use std::io;

use tokio::time::timeout_at;

use crate::{
    deadline::{DEADLINE, deadline},
    net::Dial,
    transcript::preview,
};

pub use body::End;
pub use head::Headers;
pub(crate) use incoming::Incoming;
pub use keep_alive::KeepAlive;
pub use request::Request;

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The reason phrase, often empty.
    pub reason: String,
    /// The fields as they came.
    pub headers: Headers,
    /// The body without its transfer coding; empty for 101.
    pub body: Vec<u8>,
    /// How the body ended.
    pub end: End,
}

impl Response {
    /// The first value of this header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.text(name)
    }

    /// The body as text, whatever is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends these bytes on a new connection and reads the response.
///
/// Interim responses (1xx except 101) are skipped. Writing stops when the response is there.
///
/// # Panics
///
/// When the server can't be reached, answers with no or a malformed response, or takes too long.
pub async fn exchange(dial: impl Into<Dial>, request: impl AsRef<[u8]>) -> Response {
    let request = request.as_ref();
    try_exchange(dial, request)
        .await
        .unwrap_or_else(|error| panic!("no response: {error}\nrequest: {}", preview(request)))
}

/// As [`exchange`], for servers that may refuse the connection or close it without a response.
///
/// # Errors
///
/// `ConnectionRefused` and other errors of connecting; `UnexpectedEof` for FIN and
/// `ConnectionReset` for RST before the head was complete; `InvalidData` for what is not HTTP/1.
///
/// # Panics
///
/// When the response takes too long.
pub async fn try_exchange(
    dial: impl Into<Dial>,
    request: impl AsRef<[u8]>,
) -> io::Result<Response> {
    let deadline = deadline();
    let mut incoming = Incoming::open(dial.into(), request.as_ref()).await?;
    while incoming.end.is_none() {
        if timeout_at(deadline, incoming.fill()).await.is_err() {
            panic!("response body still open after {DEADLINE:?}\n{}", incoming.describe());
        }
    }
    Ok(incoming.into_parts().0)
}
