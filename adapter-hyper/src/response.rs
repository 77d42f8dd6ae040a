//! Core's answers as responses.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use http::Response;
use http_body::{Frame, SizeHint};
use realtime_core::{Rejection, driver, sse, ws::Accepted};

/// The body of a response: whole bytes, or an event stream.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    EventStream(driver::Body),
}

impl Body {
    /// A body of these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Whole(bytes.into()))
    }

    /// A body without bytes.
    pub fn empty() -> Self {
        Self::new(Bytes::new())
    }

    pub(crate) fn event_stream(body: driver::Body) -> Self {
        Self(Kind::EventStream(body))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.0 {
            Kind::Whole(bytes) => {
                Poll::Ready(Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()))
            }
            Kind::EventStream(body) => Pin::new(body).poll_next(cx),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Kind::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::EventStream(_) => SizeHint::default(),
        }
    }
}

/// A refusal, on its way to becoming a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(Rejection);

impl Refused {
    /// A refusal with a status and one line of plain text.
    pub fn new(status: u16, line: impl AsRef<str>) -> Self {
        Self(Rejection::new(status, line))
    }

    /// The refusal as a response.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.0.status());
        for (name, value) in self.0.headers() {
            response = response.header(name, value);
        }
        complete(response, Body::new(self.0.body().clone()))
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self(rejection)
    }
}

impl From<Refused> for Response<Body> {
    fn from(refused: Refused) -> Self {
        refused.into_response()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Refused {}

/// The answer that starts an event stream.
pub(crate) fn event_stream(accepted: &sse::Accepted, body: driver::Body) -> Response<Body> {
    let mut response = Response::builder();
    for (name, value) in &accepted.headers {
        response = response.header(*name, &**value);
    }
    complete(response, Body::event_stream(body))
}

/// The answer that accepts a WebSocket handshake.
pub(crate) fn accepted(accepted: &Accepted) -> Response<Body> {
    let mut response = Response::builder().status(accepted.status);
    for (name, value) in &accepted.headers {
        response = response.header(*name, value);
    }
    complete(response, Body::empty())
}

/// Core's statuses and headers are valid; should one not be, the client is told that we failed.
fn complete(response: http::response::Builder, body: Body) -> Response<Body> {
    response.body(body).unwrap_or_else(|_| {
        let mut failed = Response::new(Body::new("the server made an invalid response\n"));
        *failed.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        failed
    })
}
