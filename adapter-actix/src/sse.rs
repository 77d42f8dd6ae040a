//! The Server-Sent Events side.

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload};
use realtime_core::{Subscribe, driver, sse};

use crate::{
    head::{Head, LocalBoxFuture, hub},
    response::{Refused, event_stream},
};

/// A request for an event stream that has been let in; an extractor.
///
/// # Cancel safety
/// A framework that drops the extraction, as it does when the client has gone, refuses the request.
#[derive(Debug)]
pub struct Sse {
    request: sse::Request,
}

impl FromRequest for Sse {
    type Error = Refused;
    type Future = LocalBoxFuture<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let admitting = hub(request).map(|hub| driver::accept_event_stream(hub, &Head(request)));
        Box::pin(async { Ok(Self { request: admitting?.await? }) })
    }
}

impl Sse {
    realtime_core::sse_options!();

    /// Answers with the stream of a topic, of several, or as a [`Subscribe`] says.
    ///
    /// # Errors
    /// [`Refused`]: 400 for topics or patterns that are not valid or too many, 403 for a topic that is
    /// not permitted, 503 when the hub's table is full.
    pub fn stream(self, request: impl Into<Subscribe>) -> Result<HttpResponse, Refused> {
        let (answer, body) = driver::Body::open(self.request, request)?;
        Ok(event_stream(answer, body))
    }
}
