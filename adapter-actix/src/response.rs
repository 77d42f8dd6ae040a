//! Core's answers as actix-web's responses.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    body::{BodySize, BoxBody, MessageBody},
    http::StatusCode,
};
use bytes::Bytes;
use futures_core::Stream;
use realtime_core::{Rejection, driver, sse, ws::Accepted};

/// A refusal, on its way to becoming a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(Rejection);

impl Refused {
    /// A refusal with a status and one line of plain text.
    pub fn new(status: u16, line: impl AsRef<str>) -> Self {
        Self(Rejection::new(status, line))
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self(rejection)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        status(self.0.status())
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        for header in self.0.headers() {
            response.insert_header(header);
        }
        response.body(self.0.body().clone())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Refused {}

/// The answer that starts an event stream.
pub(crate) fn event_stream(accepted: sse::Accepted, body: driver::Body) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    for (name, value) in accepted.headers {
        response.insert_header((name, &*value));
    }
    response.body(Streamed(body))
}

/// The answer that accepts a WebSocket handshake; `bytes` are the connection from then on.
pub(crate) fn accepted(
    accepted: &Accepted,
    bytes: impl Stream<Item = Bytes> + Unpin + 'static,
) -> HttpResponse {
    let mut response = HttpResponseBuilder::new(status(accepted.status));
    response.upgrade("websocket");
    for (name, value) in &accepted.headers {
        if !matches!(*name, "connection" | "upgrade") {
            response.insert_header((*name, value.as_str()));
        }
    }
    response.body(Streamed(bytes))
}

/// Core's statuses are valid; should one not be, the client is told that we failed.
fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A stream of bytes as a body.
struct Streamed<S>(S);

impl<S: Stream<Item = Bytes> + Unpin> MessageBody for Streamed<S> {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Pin::new(&mut self.0).poll_next(cx).map(|bytes| bytes.map(Ok))
    }
}
